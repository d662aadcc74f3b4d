/*
 * msglist - message lists
 *
 * Words separated by blanks: N, N-M, . (dot) $ (last) ^ (first) + - (next, previous), * (all),
 * :n :o :r :u :d :f (new old read unread deleted flagged), /text (in the subject, any case),
 * name (sender). Words of the same kind add up, in the order of the messages.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"
#include "applets/read/mail/mail.h"

struct picking {
	bool *picked; /* 1 .. G.count */
	bool deleted; /* the command is about deleted messages */
	struct arena arena;
};

/* usable - may the message be named by a search (deleted ones only by undelete)? */
static bool usable(const struct picking *p, unsigned n)
{
	return ((G.messages[n].marks & MARK_DELETED) != 0) == p->deleted;
}

/* step - the next usable message in that direction, 0 none */
static unsigned step(const struct picking *p, unsigned from, int by)
{
	for (unsigned n = from + (unsigned)by; n >= 1 && n <= G.count; n += (unsigned)by) {
		if (usable(p, n)) {
			return n;
		}
	}
	return 0;
}

/* parse_number - a number or one of . $ ^ + -; 0: none of these */
static unsigned parse_number(const struct picking *p, const char *text, size_t len)
{
	char digits[16];
	int64_t n;

	if (len == 1) {
		switch (text[0]) {
		case '.':
			return G.current;
		case '$':
			return G.count;
		case '^':
			return step(p, 0, 1);
		case '+':
			return step(p, G.current, 1);
		case '-':
			return step(p, G.current, -1);
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

static bool pick_range(struct picking *p, unsigned from, unsigned to)
{
	if (from < 1 || from > G.count || to > G.count || from > to) {
		printf("%u: Invalid message number\n", to > G.count && from <= G.count ? to : from);
		return false;
	}
	if (from == to && !usable(p, from)) {
		printf("%u: Inappropriate message\n", from);
		return false;
	}
	for (unsigned n = from; n <= to; n++) {
		if (from == to || usable(p, n)) {
			p->picked[n] = true;
		}
	}
	return true;
}

/* has_type - :n and its kin */
static bool has_type(unsigned n, char type)
{
	unsigned marks = G.messages[n].marks, flags = mailbox_info(G.view, n)->flags;

	switch (type) {
	case 'n':
		return folder_new(n);
	case 'o':
		return !folder_new(n);
	case 'r':
		return !folder_unread(n);
	case 'u':
		return folder_unread(n);
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

static bool pick_type(struct picking *p, const char *types)
{
	bool any = false;

	if (types[0] == '\0' || types[strspn(types, "norudfa")] != '\0') {
		printf("Unknown colon-modifier: %s\n", types);
		return false;
	}
	for (unsigned n = 1; n <= G.count; n++) {
		for (const char *t = types; *t != '\0'; t++) {
			if (has_type(n, *t) && (*t == 'd' || usable(p, n))) {
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
static bool pick_text(struct picking *p, const char *text, bool subject)
{
	bool any = false;

	for (unsigned n = 1; n <= G.count; n++) {
		const char *in;

		if (!usable(p, n)) {
			continue;
		}
		arena_reset(&p->arena);
		in = subject ? message_field(&p->arena, n, "Subject")
			     : message_from(&p->arena, n, true);
		if (contains(in, text)) {
			p->picked[n] = any = true;
		}
	}
	if (!any) {
		printf(subject ? "Not found: %s\n" : "No applicable messages from {%s}\n", text);
	}
	return any;
}

static bool pick_word(struct picking *p, const char *word)
{
	const char *dash = strchr(word, '-');
	unsigned n = parse_number(p, word, strlen(word));

	if (strcmp(word, "*") == 0) {
		return G.count == 0 || pick_range(p, 1, G.count);
	}
	if (n > 0 || word[strspn(word, "0")] == '\0') {
		return pick_range(p, n, n);
	}
	if (dash != NULL && dash != word && dash[1] != '\0') {
		unsigned from = parse_number(p, word, (size_t)(dash - word));
		unsigned to = parse_number(p, dash + 1, strlen(dash + 1));

		if (from > 0 && to > 0) {
			return pick_range(p, from, to);
		}
	}
	switch (word[0]) {
	case ':':
		return pick_type(p, word + 1);
	case '/':
		return pick_text(p, word + 1, true);
	case '+':
	case '-':
		printf("Referencing %s\n",
			word[0] == '+' ? "beyond last message" : "before first message");
		return false;
	default:
		return pick_text(p, word, false);
	}
}

/* pick_default - no list given: the dot, or the deleted message nearest to it */
static bool pick_default(struct picking *p)
{
	unsigned n = G.current;

	if (p->deleted && (n == 0 || !usable(p, n))) {
		n = step(p, G.current, 1);
		n = n != 0 ? n : step(p, G.current, -1);
	}
	if (n == 0 || n > G.count || !usable(p, n)) {
		printf("No applicable messages\n");
		return false;
	}
	p->picked[n] = true;
	return true;
}

unsigned *msglist_parse(const char *text, bool deleted)
{
	struct picking p = { .picked = mem_calloc(G.count + 2, sizeof(bool)), .deleted = deleted };
	char *copy = mem_strdup(text), *save = NULL;
	unsigned *list = NULL, count = 0;
	bool ok = true, any = false;

	for (char *word = strtok_r(copy, " \t,", &save); ok && word != NULL;
		word = strtok_r(NULL, " \t,", &save)) {
		any = true;
		ok = pick_word(&p, word);
	}
	if (!any) {
		ok = pick_default(&p);
	}
	if (ok) {
		list = mem_calloc(G.count + 2, sizeof(*list));
		for (unsigned n = 1; n <= G.count; n++) {
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

unsigned *msglist_split(const char *args, char **word_r)
{
	size_t len = strlen(args), start;
	char *list_text;
	unsigned *list;

	while (len > 0 && isspace((unsigned char)args[len - 1])) {
		len--;
	}
	start = last_word(args, len);
	list_text = mem_strndup(args, start);
	list = msglist_parse(list_text, false);
	mem_free(list_text);
	if (list != NULL) {
		bool quoted = len > start + 1 && args[start] == args[len - 1] &&
			(args[start] == '"' || args[start] == '\'');

		*word_r = mem_strndup(args + start + quoted, len - start - 2 * quoted);
	}
	return list;
}
