/*
 * msglist - message lists
 *
 * Words separated by blanks: N, N-M, . (dot) $ (last) ^ (first) + - (next, previous), * (all),
 * :n :o :r :u :d :f (new old read unread deleted flagged), /text (in the subject, any case),
 * name (sender). Words of the same kind add up, in the order of the messages.
 */
#include "applets/read/mail/msglist.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/str.h"
#include "mail/mailbox.h"
#include "applets/read/mail/folder.h"
#include "applets/read/mail/state.h"

struct picking {
	bool *picked; /* 1 .. mail->count */
	bool deleted; /* the command is about deleted messages */
	struct arena arena;
};

/* usable - may the message be named by a search (deleted ones only by undelete)? */
static bool usable(struct mail_state *mail, const struct picking *p, unsigned n)
{
	return ((mail->messages[n].marks & MARK_DELETED) != 0) == p->deleted;
}

/* step - the next usable message in that direction, 0 none */
static unsigned step(struct mail_state *mail, const struct picking *p, unsigned from, int by)
{
	for (unsigned n = from + (unsigned)by; n >= 1 && n <= mail->count; n += (unsigned)by) {
		if (usable(mail, p, n)) {
			return n;
		}
	}
	return 0;
}

/* parse_number - a number or one of . $ ^ + -; 0: none of these */
static unsigned parse_number(
	struct mail_state *mail, const struct picking *p, const char *text, size_t len)
{
	char digits[16];
	int64_t n;

	if (len == 1) {
		switch (text[0]) {
		case '.':
			return mail->current;
		case '$':
			return mail->count;
		case '^':
			return step(mail, p, 0, 1);
		case '+':
			return step(mail, p, mail->current, 1);
		case '-':
			return step(mail, p, mail->current, -1);
		default:
			break;
		}
	}
	if (len == 0 || len >= sizeof(digits)) {
		return 0;
	}
	memcpy(digits, text, len);
	digits[len] = '\0';
	return str_to_int(digits, 1, 1000000000, &n) ? (unsigned)n : 0;
}

/* pick_range - from to to; a single one must be usable */
static bool pick_range(struct mail_state *mail, struct picking *p, unsigned from, unsigned to)
{
	if (from < 1 || from > mail->count || to > mail->count || from > to) {
		printf("%u: Invalid message number\n",
			to > mail->count && from <= mail->count ? to : from);
		return false;
	}
	if (from == to && !usable(mail, p, from)) {
		printf("%u: Inappropriate message\n", from);
		return false;
	}
	for (unsigned n = from; n <= to; n++) {
		if (from == to || usable(mail, p, n)) {
			p->picked[n] = true;
		}
	}
	return true;
}

/* has_type - :n and its kin */
static bool has_type(struct mail_state *mail, unsigned n, char type)
{
	unsigned marks = mail->messages[n].marks, flags = mailbox_info(mail->view, n)->flags;

	switch (type) {
	case 'n':
		return folder_new(mail, n);
	case 'o':
		return !folder_new(mail, n);
	case 'r':
		return !folder_unread(mail, n);
	case 'u':
		return folder_unread(mail, n);
	case 'd':
		return (marks & MARK_DELETED) != 0;
	case 'f':
		return (flags & MAIL_FLAGGED) != 0;
	case 'a':
		return (flags & MAIL_ANSWERED) != 0;
	default:
		return false;
	}
}

/* pick_type - :letters, any of them */
static bool pick_type(struct mail_state *mail, struct picking *p, const char *types)
{
	bool any = false;

	if (types[0] == '\0' || types[strspn(types, "norudfa")] != '\0') {
		printf("Unknown colon-modifier: %s\n", types);
		return false;
	}
	for (unsigned n = 1; n <= mail->count; n++) {
		for (const char *t = types; *t != '\0'; t++) {
			if (has_type(mail, n, *t) && (*t == 'd' || usable(mail, p, n))) {
				p->picked[n] = any = true;
			}
		}
	}
	if (!any) {
		printf("No messages satisfy :%s\n", types);
	}
	return any;
}

static bool contains(const char *text, const char *part)
{
	return part[0] == '\0' || strcasestr(text, part) != NULL;
}

/* pick_text - /text searches subjects, a name searches senders */
static bool pick_text(struct mail_state *mail, struct picking *p, const char *text, bool subject)
{
	bool any = false;

	for (unsigned n = 1; n <= mail->count; n++) {
		const char *in;

		if (!usable(mail, p, n)) {
			continue;
		}
		arena_reset(&p->arena);
		in = subject ? message_field(mail, &p->arena, n, "Subject")
			     : message_from(mail, &p->arena, n, true);
		if (contains(in, text)) {
			p->picked[n] = any = true;
		}
	}
	if (!any) {
		printf(subject ? "Not found: %s\n" : "No applicable messages from {%s}\n", text);
	}
	return any;
}

/* pick_word - one word of a list: number, range, type, text or name */
static bool pick_word(struct mail_state *mail, struct picking *p, const char *word)
{
	const char *dash = strchr(word, '-');
	unsigned n = parse_number(mail, p, word, strlen(word));

	if (strcmp(word, "*") == 0) {
		return mail->count == 0 || pick_range(mail, p, 1, mail->count);
	}
	if (n > 0 || word[strspn(word, "0")] == '\0') {
		return pick_range(mail, p, n, n);
	}
	if (dash != NULL && dash != word && dash[1] != '\0') {
		unsigned from = parse_number(mail, p, word, (size_t)(dash - word));
		unsigned to = parse_number(mail, p, dash + 1, strlen(dash + 1));

		if (from > 0 && to > 0) {
			return pick_range(mail, p, from, to);
		}
	}
	switch (word[0]) {
	case ':':
		return pick_type(mail, p, word + 1);
	case '/':
		return pick_text(mail, p, word + 1, true);
	case '+':
	case '-':
		printf("Referencing %s\n",
			word[0] == '+' ? "beyond last message" : "before first message");
		return false;
	default:
		return pick_text(mail, p, word, false);
	}
}

/* pick_default - no list given: the dot, or the deleted message nearest to it */
static bool pick_default(struct mail_state *mail, struct picking *p)
{
	unsigned n = mail->current;

	if (p->deleted && (n == 0 || !usable(mail, p, n))) {
		n = step(mail, p, mail->current, 1);
		n = n != 0 ? n : step(mail, p, mail->current, -1);
	}
	if (n == 0 || n > mail->count || !usable(mail, p, n)) {
		printf("No applicable messages\n");
		return false;
	}
	p->picked[n] = true;
	return true;
}

/* msglist_parse - word by word */
unsigned *msglist_parse(struct mail_state *mail, const char *text, bool deleted)
{
	struct picking p = { .picked = mem_calloc(mail->count + 2, sizeof(bool)),
		.deleted = deleted };
	char *copy = mem_strdup(text), *save = NULL;
	unsigned *list = NULL, count = 0;
	bool ok = true, any = false;

	for (char *word = strtok_r(copy, " \t,", &save); ok && word != NULL;
		word = strtok_r(NULL, " \t,", &save)) {
		any = true;
		ok = pick_word(mail, &p, word);
	}
	if (!any) {
		ok = pick_default(mail, &p);
	}
	if (ok) {
		list = mem_calloc(mail->count + 2, sizeof(*list));
		for (unsigned n = 1; n <= mail->count; n++) {
			if (p.picked[n]) {
				list[count++] = n;
			}
		}
		if (count == 0) {
			printf("No applicable messages\n");
			mem_free(list);
			list = NULL;
		}
	}
	mem_free(p.picked);
	mem_free(copy);
	arena_free(&p.arena);
	return list;
}

/* last_word - where it begins; it may stand in quotes */
static size_t last_word(const char *args, size_t len)
{
	size_t start = len;
	char quote = len > 1 && (args[len - 1] == '"' || args[len - 1] == '\'') ? args[len - 1] : 0;

	if (quote != 0) {
		for (start = len - 1; start > 0 && args[start - 1] != quote; start--) {
			continue;
		}
		if (start > 0) {
			return start - 1;
		}
		start = len;
	}
	while (start > 0 && !isspace((unsigned char)args[start - 1])) {
		start--;
	}
	return start;
}

/* msglist_split - the last word is no message */
unsigned *msglist_split(struct mail_state *mail, const char *args, char **word_r)
{
	size_t len = strlen(args), start;
	char *list_text;
	unsigned *list;

	while (len > 0 && isspace((unsigned char)args[len - 1])) {
		len--;
	}
	start = last_word(args, len);
	list_text = mem_strndup(args, start);
	list = msglist_parse(mail, list_text, false);
	mem_free(list_text);
	if (list != NULL) {
		bool quoted = len > start + 1 && args[start] == args[len - 1] &&
			(args[start] == '"' || args[start] == '\'');

		*word_r = mem_strndup(args + start + quoted, len - start - 2 * quoted);
	}
	return list;
}
