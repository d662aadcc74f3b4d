/*
 * vars - variables, aliases, ignored headers
 *
 * `set name`, `set name=value`, `set noname`, `unset`, `alias`, `ignore` (discard),
 * `retain`. What the shipped rc file of CentOS sets (hold,
 * append, ask, crt, dot, keep, showname) is the default here, so that behaviour does not
 * depend on /etc/mail.rc being there.
 */
#include "applets/read/mail/vars.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/str.h"
#include "applets/read/mail/list.h"
#include "applets/read/mail/state.h"

/* var_get - our own first */
const char *var_get(struct mail_state *mail, const char *name)
{
	const char *value = hash_get(&mail->vars, name);

	if (value == NULL && name[0] >= 'A' && name[0] <= 'Z') {
		value = getenv(name);
	}
	return value;
}

bool var_on(struct mail_state *mail, const char *name)
{
	return var_get(mail, name) != NULL;
}

void var_set(struct mail_state *mail, const char *name, const char *value)
{
	mem_free(hash_set(&mail->vars, name, mem_strdup(value)));
}

static void var_unset(struct mail_state *mail, const char *name)
{
	mem_free(hash_del(&mail->vars, name));
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* print_all - sorted by name */
static void print_all(struct mail_state *mail)
{
	const char **names = mem_calloc(mail->vars.count + 1, sizeof(*names));
	size_t n = 0;

	for (struct hash_entry *e = hash_next(&mail->vars, NULL); e != NULL;
		e = hash_next(&mail->vars, e)) {
		names[n++] = e->key;
	}
	qsort(names, n, sizeof(*names), compare_names);
	for (size_t i = 0; i < n; i++) {
		const char *value = var_get(mail, names[i]);

		if (value[0] != '\0') {
			printf("%s=\"%s\"\n", names[i], value);
		} else {
			printf("%s\n", names[i]);
		}
	}
	mem_free(names);
}

/* take_word - next word of *at, quotes undone, into word; false at the end */
static bool take_word(const char **at, struct buf *word)
{
	const char *p = *at;
	char quote = 0;

	buf_reset(word);
	while (*p == ' ' || *p == '\t') {
		p++;
	}
	if (*p == '\0') {
		return false;
	}
	for (; *p != '\0' && (quote != 0 || (*p != ' ' && *p != '\t')); p++) {
		if (quote != 0 ? *p == quote : (*p == '"' || *p == '\'')) {
			quote = quote != 0 ? 0 : *p;
		} else if (*p == '\\' && p[1] != '\0' && quote != '\'') {
			buf_addc(word, *++p);
		} else {
			buf_addc(word, *p);
		}
	}
	*at = p;
	return true;
}

/* set_words - name, name=value or noname; none: print all */
static void set_words(struct mail_state *mail, const char *args)
{
	struct buf word = BUF_INIT;
	bool any = false;

	while (take_word(&args, &word)) {
		char *text = buf_steal(&word);
		char *equals = strchr(text, '=');

		any = true;
		if (equals != NULL) {
			*equals = '\0';
			var_set(mail, text, equals + 1);
		} else if (str_starts(text, "no") && text[2] != '\0') {
			var_unset(mail, text + 2);
		} else {
			var_set(mail, text, "");
		}
		mem_free(text);
	}
	buf_free(&word);
	if (!any) {
		print_all(mail);
	}
}

/* unset_words - each word a name */
static void unset_words(struct mail_state *mail, const char *args)
{
	struct buf word = BUF_INIT;

	while (take_word(&args, &word)) {
		var_unset(mail, buf_str(&word));
	}
	buf_free(&word);
}

static void print_aliases(struct mail_state *mail)
{
	for (struct hash_entry *e = hash_next(&mail->aliases, NULL); e != NULL;
		e = hash_next(&mail->aliases, e)) {
		printf("%s\t%s\n", e->key, (char *)e->value);
	}
}

/* alias_words - a name and its members; without members print it */
static void alias_words(struct mail_state *mail, const char *args)
{
	struct buf word = BUF_INIT, members = BUF_INIT;
	char *name = NULL;

	while (take_word(&args, &word)) {
		if (name == NULL) {
			name = mem_strdup(buf_str(&word));
			continue;
		}
		/* A word in <> belongs to the name before it. */
		if (members.len > 0) {
			buf_adds(&members, buf_str(&word)[0] == '<' ? " " : ", ");
		}
		while (word.len > 0 && word.data[word.len - 1] == ',') {
			buf_truncate(&word, word.len - 1);
		}
		buf_adds(&members, buf_str(&word));
	}
	if (name == NULL) {
		print_aliases(mail);
	} else if (members.len == 0) {
		const char *value = hash_get(&mail->aliases, name);

		printf("%s\t%s\n", name, value != NULL ? value : "(not an alias)");
	} else {
		const char *before = hash_get(&mail->aliases, name);
		struct buf all = BUF_INIT;

		/* A second line of the same name adds (POSIX leaves it open, all others do). */
		list_add(&all, before != NULL ? before : "");
		list_add(&all, buf_str(&members));
		mem_free(hash_set(&mail->aliases, name, buf_steal(&all)));
	}
	mem_free(name);
	buf_free(&word);
	buf_free(&members);
}

/* header_words - add names to a set; none: print it */
static void header_words(struct hash *set, const char *args)
{
	struct buf word = BUF_INIT;
	bool any = false;

	while (take_word(&args, &word)) {
		char *name = buf_steal(&word);

		str_lower(name);
		hash_set(set, name, set); /* a set: any value that is not NULL */
		mem_free(name);
		any = true;
	}
	buf_free(&word);
	for (struct hash_entry *e = any ? NULL : hash_next(set, NULL); e != NULL;
		e = hash_next(set, e)) {
		printf("%s\n", e->key);
	}
}

/* unalias_words - each word a name */
static void unalias_words(struct mail_state *mail, const char *args)
{
	struct buf word = BUF_INIT;

	while (take_word(&args, &word)) {
		mem_free(hash_del(&mail->aliases, buf_str(&word)));
	}
	buf_free(&word);
}

/* unheader_words - those names are no longer in the set */
static void unheader_words(struct hash *set, const char *args)
{
	struct buf word = BUF_INIT;

	while (take_word(&args, &word)) {
		str_lower(word.data);
		(void)hash_del(set, buf_str(&word));
	}
	buf_free(&word);
}

/* alternate_words - names and addresses that are ours, too: left out of replies */
static void alternate_words(struct mail_state *mail, const char *args)
{
	struct buf word = BUF_INIT, names = BUF_INIT;

	while (take_word(&args, &word)) {
		list_add(&names, buf_str(&word));
	}
	if (names.len > 0) {
		var_set(mail, "alternates", buf_str(&names));
	} else {
		printf("%s\n", var_on(mail, "alternates") ? var_get(mail, "alternates") : "");
	}
	buf_free(&word);
	buf_free(&names);
}

static void ignore_words(struct mail_state *mail, const char *args)
{
	header_words(&mail->ignored, args);
}

static void unignore_words(struct mail_state *mail, const char *args)
{
	unheader_words(&mail->ignored, args);
}

static void retain_words(struct mail_state *mail, const char *args)
{
	header_words(&mail->retained, args);
}

static void unretain_words(struct mail_state *mail, const char *args)
{
	unheader_words(&mail->retained, args);
}

/* vars_command - find the verb, which may be shortened */
bool vars_command(struct mail_state *mail, const char *name, size_t len, const char *args)
{
	static const struct {
		const char *name;
		size_t shortest;
		/* NULL: of Heirloom's rc files, and nothing here */
		void (*run)(struct mail_state *mail, const char *args);
	} verbs[] = {
		{ "alias", 1, alias_words },
		{ "alternates", 3, alternate_words },
		{ "discard", 2, ignore_words },
		{ "fwdignore", 9, NULL },
		{ "fwdretain", 9, NULL },
		{ "group", 1, alias_words },
		{ "ignore", 2, ignore_words },
		{ "retain", 3, retain_words },
		{ "saveignore", 5, NULL },
		{ "saveretain", 5, NULL },
		{ "set", 2, set_words },
		{ "unalias", 3, unalias_words },
		{ "ungroup", 3, unalias_words },
		{ "unignore", 3, unignore_words },
		{ "unretain", 5, unretain_words },
		{ "unset", 3, unset_words },
	};

	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		if (len >= verbs[i].shortest && len <= strlen(verbs[i].name) &&
			strncmp(verbs[i].name, name, len) == 0) {
			if (verbs[i].run != NULL) {
				verbs[i].run(mail, args);
			}
			return true;
		}
	}
	return false;
}
