/*
 * recipients - a list of addresses with its aliases replaced, as it is written into a message
 */
#include "applets/read/mail/compose/recipients.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/str.h"
#include "mime/address.h"
#include "mime/word.h"
#include "applets/read/mail/list.h"
#include "applets/read/mail/state.h"
#include "applets/read/mail/terminal.h"

enum { ALIAS_DEPTH = 20 };

/* A list with its aliases replaced; nobody is in it twice. */
struct expansion {
	struct buf list;
	struct hash seen;    /* bare addresses: a set */
	struct hash aliases; /* whose members are being added, or have been */
	bool bad;            /* something in it is no address (said) */
};

/* What is kept of an alias. */
static const char being_added[] = "being added", were_added[] = "were added";

static void expand_into(struct mail_state *mail, struct expansion *e, struct slice list, int depth);

/* add_once - an element as it will be written, unless its address is there */
static void add_once(struct expansion *e, const char *text, const char *address)
{
	if (hash_get(&e->seen, address) == NULL) {
		hash_set(&e->seen, address, e);
		list_add(&e->list, text);
	}
}

/*
 * add_members - of an alias, once: again they would add nobody, and with each alias that has itself
 * or another one twice it would be twice the work. false: it is itself among its members, where
 * its name is a user's
 */
static bool add_members(struct mail_state *mail, struct expansion *e, const char *name,
	const char *members, int depth)
{
	const char *known = hash_get(&e->aliases, name);

	if (known == NULL) {
		hash_set(&e->aliases, name, (void *)(uintptr_t)being_added);
		expand_into(mail, e, slice_of(members), depth + 1);
		hash_set(&e->aliases, name, (void *)(uintptr_t)were_added);
	}
	return known != being_added;
}

/*
 * add_word - a bare name or address: an alias is replaced; what is no address goes to sendmail as
 * it is, which says so
 */
static void add_word(struct mail_state *mail, struct expansion *e, struct slice word, int depth)
{
	char *name = mem_strndup(word.ptr, word.len);
	const char *members = depth < ALIAS_DEPTH && strchr(name, '@') == NULL
		? hash_get(&mail->aliases, name)
		: NULL;

	if (name[0] == '\\') { /* \name: the user and not the alias */
		add_once(e, name + 1, name + 1);
	} else if (members == NULL || !add_members(mail, e, name, members, depth)) {
		add_once(e, name, name);
	}
	mem_free(name);
}

/* refuse_item - nobody is left out in silence: a letter with such a recipient is not sent */
static void refuse_item(struct mail_state *mail, struct expansion *e, struct slice item)
{
	char *text = mem_strndup(item.ptr, item.len < 200 ? item.len : 200);

	terminal_say(mail, stderr, text);
	fprintf(stderr, ": not an address\n");
	mem_free(text);
	e->bad = true;
}

/* add_full - an element with a name, a comment or a group: written anew, the name encoded */
static void add_full(struct mail_state *mail, struct expansion *e, struct slice item)
{
	struct arena a = ARENA_INIT;
	size_t count = 0;

	for (struct mime_address *m = mime_addresses(&a, item); m != NULL; m = m->next) {
		struct buf one = BUF_INIT, bare = BUF_INIT;

		count++;
		if (mime_address_is_group(m) || mime_address_is_group_end(m)) {
			continue;
		}
		if (m->mailbox == NULL || m->mailbox[0] == '\0' || count == MIME_ADDRESS_MAX) {
			refuse_item(mail, e, item);
			continue;
		}
		list_put_address(&bare, m);
		if (m->name != NULL && m->name[0] != '\0') {
			mime_words_encode(&one, slice_of(m->name), 10, true);
			buf_addf(&one, " <%s>", buf_str(&bare));
		} else {
			buf_adds(&one, buf_str(&bare));
		}
		add_once(e, buf_str(&one), buf_str(&bare));
		buf_free(&one);
		buf_free(&bare);
	}
	if (count == 0) {
		refuse_item(mail, e, item);
	}
	arena_free(&a);
}

/* expand_into - a list, blanks between bare names separate as well as commas, into another */
static void expand_into(struct mail_state *mail, struct expansion *e, struct slice list, int depth)
{
	struct slice item;

	while (mime_list_next(&list, &item)) {
		char *text = mem_strndup(item.ptr, item.len);

		if (strpbrk(text, "<\"(:") != NULL) {
			add_full(mail, e, item);
		} else {
			struct slice word;

			while ((word = slice_word(&item, " \t\r\n")).ptr != NULL) {
				add_word(mail, e, word, depth);
			}
		}
		mem_free(text);
	}
}

/* recipients_expand - in place */
bool recipients_expand(struct mail_state *mail, struct buf *list)
{
	struct expansion e = { .list = BUF_INIT };

	expand_into(mail, &e, slice_of(buf_str(list)), 0);
	hash_free(&e.seen, NULL);
	hash_free(&e.aliases, NULL);
	buf_free(list);
	*list = e.list;
	return !e.bad;
}

/* recipients_encode - addresses without aliases */
void recipients_encode(struct mail_state *mail, struct buf *out, const char *text)
{
	struct expansion e = { .list = BUF_INIT };

	add_full(mail, &e, slice_of(text));
	buf_add(out, buf_str(&e.list), e.list.len);
	buf_free(&e.list);
	hash_free(&e.seen, NULL);
}
