/*
 * imap_search - search programs
 *
 * Keys become a tree of AND, OR and NOT over simple keys. Texts are converted to
 * UTF-8 and folded here, once. Groups of opposite flags (UNSEEN) are NOT of the
 * flag; NEW, OLD are made of RECENT and SEEN.
 *
 * RFC 3501 6.4.4, 9 (search-key); RFC 4731 (ESEARCH), RFC 5032 (WITHIN), RFC 7162 3.1.5
 */
#include "proto/imap_search.h"

#include <string.h>

#include "base/buf.h"
#include "mime/charset.h"

struct parser {
	struct imap_args *a;
	struct imap_search *out;
	struct mime_charset *charset; /* NULL: UTF-8 */
	unsigned depth;
};

static struct imap_key *parse_key(struct parser *ps);

static struct imap_key *new_key(struct parser *ps, enum imap_key_kind kind)
{
	struct imap_key *k = arena_alloc(ps->a->arena, sizeof(*k));

	k->kind = kind;
	return k;
}

/* negate - NOT k */
static struct imap_key *negate(struct parser *ps, struct imap_key *k)
{
	struct imap_key *not = new_key(ps, IMAP_KEY_NOT);

	not ->child = k;
	return not ;
}

static struct imap_key *flag_key(struct parser *ps, unsigned flags)
{
	struct imap_key *k = new_key(ps, IMAP_KEY_FLAG);

	k->flags = flags;
	return k;
}

enum argument {
	NONE,
	FLAG,
	NO_FLAG,
	KEYWORD,
	NO_KEYWORD,
	DATE,
	NUMBER,
	SECONDS,
	TEXT,
	FIELD,
	FIELD_TEXT
};

/* Keys that are a word and its argument. No pointers: they would be a page of each process. */
static const struct {
	char word[12];
	enum argument argument;
	enum imap_key_kind kind;
	unsigned flag;
	char field[8];
} words[] = {
	{ "ALL", NONE, IMAP_KEY_ALL, 0, "" },
	{ "ANSWERED", FLAG, IMAP_KEY_FLAG, IMAP_ANSWERED, "" },
	{ "BCC", FIELD, IMAP_KEY_HEADER, 0, "bcc" },
	{ "BEFORE", DATE, IMAP_KEY_BEFORE, 0, "" },
	{ "BODY", TEXT, IMAP_KEY_BODY, 0, "" },
	{ "CC", FIELD, IMAP_KEY_HEADER, 0, "cc" },
	{ "DELETED", FLAG, IMAP_KEY_FLAG, IMAP_DELETED, "" },
	{ "DRAFT", FLAG, IMAP_KEY_FLAG, IMAP_DRAFT, "" },
	{ "FLAGGED", FLAG, IMAP_KEY_FLAG, IMAP_FLAGGED, "" },
	{ "FROM", FIELD, IMAP_KEY_HEADER, 0, "from" },
	{ "HEADER", FIELD_TEXT, IMAP_KEY_HEADER, 0, "" },
	{ "KEYWORD", KEYWORD, IMAP_KEY_KEYWORD, 0, "" },
	{ "LARGER", NUMBER, IMAP_KEY_LARGER, 0, "" },
	{ "OLDER", SECONDS, IMAP_KEY_OLDER, 0, "" },
	{ "ON", DATE, IMAP_KEY_ON, 0, "" },
	{ "RECENT", FLAG, IMAP_KEY_FLAG, IMAP_RECENT, "" },
	{ "SEEN", FLAG, IMAP_KEY_FLAG, IMAP_SEEN, "" },
	{ "SENTBEFORE", DATE, IMAP_KEY_SENT_BEFORE, 0, "" },
	{ "SENTON", DATE, IMAP_KEY_SENT_ON, 0, "" },
	{ "SENTSINCE", DATE, IMAP_KEY_SENT_SINCE, 0, "" },
	{ "SINCE", DATE, IMAP_KEY_SINCE, 0, "" },
	{ "SMALLER", NUMBER, IMAP_KEY_SMALLER, 0, "" },
	{ "SUBJECT", FIELD, IMAP_KEY_HEADER, 0, "subject" },
	{ "TEXT", TEXT, IMAP_KEY_TEXT, 0, "" },
	{ "TO", FIELD, IMAP_KEY_HEADER, 0, "to" },
	{ "UNANSWERED", NO_FLAG, IMAP_KEY_FLAG, IMAP_ANSWERED, "" },
	{ "UNDELETED", NO_FLAG, IMAP_KEY_FLAG, IMAP_DELETED, "" },
	{ "UNDRAFT", NO_FLAG, IMAP_KEY_FLAG, IMAP_DRAFT, "" },
	{ "UNFLAGGED", NO_FLAG, IMAP_KEY_FLAG, IMAP_FLAGGED, "" },
	{ "UNKEYWORD", NO_KEYWORD, IMAP_KEY_KEYWORD, 0, "" },
	{ "UNSEEN", NO_FLAG, IMAP_KEY_FLAG, IMAP_SEEN, "" },
	{ "YOUNGER", SECONDS, IMAP_KEY_YOUNGER, 0, "" },
	{ "OLD", NO_FLAG, IMAP_KEY_FLAG, IMAP_RECENT, "" },
};

/* parse_text - a text to search for: UTF-8, folded; counted as a text key */
static bool parse_text(struct parser *ps, struct imap_key *k)
{
	struct buf utf8 = BUF_INIT, folded = BUF_INIT;
	const char *s;

	if (!imap_args_space(ps->a) || !imap_args_astring(ps->a, &s)) {
		return false;
	}
	if (ps->charset != NULL) {
		mime_charset_add(ps->charset, s, strlen(s), &utf8);
		mime_charset_end(ps->charset, &utf8);
	} else {
		buf_adds(&utf8, s);
	}
	utf8_fold(&folded, buf_str(&utf8), utf8.len);
	k->text = arena_strndup(ps->a->arena, buf_str(&folded), folded.len);
	k->len = folded.len;
	buf_free(&utf8);
	buf_free(&folded);
	return true;
}

/* parse_field_name - of HEADER, in lower case */
static bool parse_field_name(struct parser *ps, struct imap_key *k)
{
	const char *s;
	char *lower;

	if (!imap_args_space(ps->a) || !imap_args_astring(ps->a, &s)) {
		return false;
	}
	lower = arena_strdup(ps->a->arena, s);
	str_lower(lower);
	k->name = lower;
	return true;
}

/* count_text - a key that needs the message's bytes */
static void count_text(struct parser *ps, struct imap_key *k, bool body)
{
	k->id = ps->out->text_keys++;
	ps->out->needs_header = true;
	ps->out->needs_body = ps->out->needs_body || body;
}

/* parse_argument - what follows a word of the table */
static bool parse_argument(struct parser *ps, size_t row, struct imap_key *k)
{
	struct imap_args *a = ps->a;
	struct slice name;
	int64_t days;
	uint32_t n;

	switch (words[row].argument) {
	case NONE:
		return true;
	case FLAG:
	case NO_FLAG:
		k->flags = words[row].flag;
		return true;
	case KEYWORD:
	case NO_KEYWORD:
		if (!imap_args_space(a) || !imap_args_atom(a, &name)) {
			return false;
		}
		k->text = arena_strndup(a->arena, name.ptr, name.len);
		return true;
	case DATE:
		if (!imap_args_space(a) || !imap_args_date(a, &days)) {
			return false;
		}
		k->number = (uint64_t)(days > 0 ? days : 0);
		if (k->kind == IMAP_KEY_SENT_BEFORE || k->kind == IMAP_KEY_SENT_ON ||
			k->kind == IMAP_KEY_SENT_SINCE) {
			count_text(ps, k, false);
		}
		return true;
	case SECONDS:
		if (!imap_args_space(a) || !imap_args_nz_number(a, &n)) {
			return false;
		}
		k->number = n;
		return true;
	case NUMBER:
		return imap_args_space(a) && imap_args_number64(a, &k->number);
	case FIELD:
		k->name = words[row].field;
		count_text(ps, k, false);
		return parse_text(ps, k);
	case FIELD_TEXT:
		count_text(ps, k, false);
		return parse_field_name(ps, k) && parse_text(ps, k);
	case TEXT:
		count_text(ps, k, true);
		return parse_text(ps, k);
	}
	return false;
}

/* parse_modseq - MODSEQ ["/flags/\Seen" all|priv|shared] n */
static struct imap_key *parse_modseq(struct parser *ps)
{
	struct imap_key *k = new_key(ps, IMAP_KEY_MODSEQ);
	struct slice type;
	const char *entry;

	if (!imap_args_space(ps->a)) {
		return NULL;
	}
	if (imap_args_peek(ps->a, '"') &&
		(!imap_args_string(ps->a, &entry) || !imap_args_space(ps->a) ||
			!imap_args_atom(ps->a, &type) || !imap_args_space(ps->a))) {
		return NULL;
	}
	ps->out->modseq = true;
	return imap_args_number64(ps->a, &k->number) ? k : NULL;
}

/* parse_list - keys separated by blanks up to ')' or the end, joined by AND */
static struct imap_key *parse_list(struct parser *ps)
{
	struct imap_key *first = NULL, **tail = &first, *all;

	do {
		*tail = parse_key(ps);
		if (*tail == NULL) {
			return NULL;
		}
		tail = &(*tail)->next;
	} while (imap_args_char(ps->a, ' '));
	if (first->next == NULL) {
		return first;
	}
	all = new_key(ps, IMAP_KEY_AND);
	all->child = first;
	return all;
}

/* parse_or - OR key key */
static struct imap_key *parse_or(struct parser *ps)
{
	struct imap_key *k = new_key(ps, IMAP_KEY_OR);

	if (!imap_args_space(ps->a) || (k->child = parse_key(ps)) == NULL ||
		!imap_args_space(ps->a) || (k->child->next = parse_key(ps)) == NULL) {
		return NULL;
	}
	return k;
}

/* parse_set - a sequence set, or UID and one */
static struct imap_key *parse_set(struct parser *ps, enum imap_key_kind kind)
{
	struct imap_key *k = new_key(ps, kind);

	return imap_args_set(ps->a, &k->set) ? k : NULL;
}

/* parse_word_key - a word of the table; *found_r false: none of them */
static struct imap_key *parse_word_key(struct parser *ps, bool *found_r)
{
	size_t i;

	*found_r = true;
	for (i = 0; i < ARRAY_LEN(words); i++) {
		struct imap_key *k;

		if (!imap_args_word(ps->a, words[i].word)) {
			continue;
		}
		k = new_key(ps, words[i].kind);
		if (!parse_argument(ps, i, k)) {
			return NULL;
		}
		return words[i].argument == NO_FLAG || words[i].argument == NO_KEYWORD
			? negate(ps, k)
			: k;
	}
	*found_r = false;
	return NULL;
}

/* parse_simple - a key that is no list */
static struct imap_key *parse_simple(struct parser *ps)
{
	struct imap_args *a = ps->a;
	struct imap_key *k;
	bool found;

	if (imap_args_word(a, "NOT")) {
		k = imap_args_space(a) ? parse_key(ps) : NULL;
		return k != NULL ? negate(ps, k) : NULL;
	}
	if (imap_args_word(a, "OR")) {
		return parse_or(ps);
	}
	if (imap_args_word(a, "UID")) {
		return imap_args_space(a) ? parse_set(ps, IMAP_KEY_UID) : NULL;
	}
	if (imap_args_word(a, "NEW")) {
		k = new_key(ps, IMAP_KEY_AND);
		k->child = flag_key(ps, IMAP_RECENT);
		k->child->next = negate(ps, flag_key(ps, IMAP_SEEN));
		return k;
	}
	if (imap_args_word(a, "MODSEQ")) {
		return parse_modseq(ps);
	}
	k = parse_word_key(ps, &found);
	if (found) {
		return k;
	}
	if (a->p < a->end && (*a->p == '*' || (*a->p >= '0' && *a->p <= '9'))) {
		return parse_set(ps, IMAP_KEY_SET);
	}
	imap_args_fail(a, "Unknown argument");
	return NULL;
}

static struct imap_key *parse_key(struct parser *ps)
{
	struct imap_key *k;

	if (ps->depth == IMAP_KEY_DEPTH_MAX) {
		imap_args_fail(ps->a, "Too deep a search");
		return NULL;
	}
	ps->depth++;
	if (imap_args_char(ps->a, '(')) {
		k = parse_list(ps);
		if (k != NULL && !imap_args_char(ps->a, ')')) {
			imap_args_fail(ps->a, "Missing ')'");
			k = NULL;
		}
	} else {
		k = parse_simple(ps);
	}
	ps->depth--;
	return k;
}

/* parse_return - RETURN (MIN MAX ALL COUNT), nothing in it means ALL */
static bool parse_return(struct imap_args *a, struct imap_search *out)
{
	static const char *const names[] = { "MIN", "MAX", "ALL", "COUNT" };
	size_t i;

	out->extended = true;
	if (!imap_args_space(a) || !imap_args_char(a, '(')) {
		return imap_args_fail(a, "Expected a list of result options");
	}
	while (!imap_args_char(a, ')')) {
		imap_args_char(a, ' ');
		for (i = 0; i < ARRAY_LEN(names) && !imap_args_word(a, names[i]); i++) {
		}
		if (i == ARRAY_LEN(names)) {
			return imap_args_fail(a, "Unknown SEARCH return option");
		}
		out->returns |= 1u << i;
	}
	if (out->returns == 0) {
		out->returns = IMAP_RETURN_ALL;
	}
	return imap_args_space(a);
}

/* parse_charset - CHARSET name */
static bool parse_charset(struct parser *ps)
{
	const char *name;

	if (!imap_args_space(ps->a) || !imap_args_astring(ps->a, &name) ||
		!imap_args_space(ps->a)) {
		return false;
	}
	ps->charset = mime_charset_open(name);
	if (ps->charset == NULL) {
		ps->out->bad_charset = true;
		return imap_args_fail(ps->a, "Unknown charset");
	}
	return true;
}

bool imap_args_search(struct imap_args *a, struct imap_search *out)
{
	struct parser ps = { .a = a, .out = out };
	bool good;

	memset(out, 0, sizeof(*out));
	good = (!imap_args_word(a, "RETURN") || parse_return(a, out)) &&
		(!imap_args_word(a, "CHARSET") || parse_charset(&ps)) &&
		(out->key = parse_list(&ps)) != NULL && imap_args_end(a);
	mime_charset_close(ps.charset);
	return good;
}
