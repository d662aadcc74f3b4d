/*
 * test_imap - the IMAP grammar: commands in pieces, sets, sections, searches, names
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "proto/imap_fetch.h"
#include "proto/imap_mailbox.h"
#include "proto/imap_parse.h"
#include "proto/imap_read.h"
#include "proto/imap_search.h"
#include "proto/imap_set.h"
#include "unit.h"

/* read_all - feed text in pieces of random sizes (most 0: at once); what the reader says, as text
 */
static void read_all(struct buf *out, const char *text, size_t len, size_t most)
{
	struct imap_reader r = { .max = 64 };
	struct buf in = BUF_INIT;
	size_t at = 0, n;

	while (at < len || buf_unread(&in) > 0) {
		enum imap_read what;

		n = most == 0 ? len : 1 + (size_t)rand() % most;
		n = n < len - at ? n : len - at;
		buf_add(&in, text + at, n);
		at += n;
		while ((what = imap_reader_next(&r, &in)) != IMAP_READ_MORE) {
			if (what == IMAP_READ_LITERAL) {
				bool stream = strstr(buf_str(&r.text), "APPEND") != NULL;

				buf_addf(out, "L%llu%c ", (unsigned long long)r.size,
					r.sync ? ' ' : '+');
				if (stream || !imap_reader_fits(&r)) {
					imap_reader_refuse(&r);
				} else {
					imap_reader_accept(&r);
				}
				continue;
			}
			buf_addf(out, "%c[%s] ", what == IMAP_READ_COMMAND ? 'C' : 'T',
				buf_str(&r.text));
			imap_reader_reset(&r);
		}
		if (at == len) {
			break;
		}
	}
	imap_reader_free(&r);
	buf_free(&in);
}

TEST(imap, reader)
{
	static const char *const rows[][2] = {
		{ "a NOOP\r\nb NOOP\n\r\n", "C[a NOOP] C[b NOOP] C[] " },
		{ "a LOGIN {3}\r\nabc {2+}\r\nde\r\n",
			"L3  L2+ C[a LOGIN {3}\r\nabc {2+}\r\nde] " },
		{ "a X \"{3}\"\r\nb X y{3}\r\nc X \"q {3}\r\n",
			"C[a X \"{3}\"] C[b X y{3}] C[c X \"q {3}] " },
		{ "a X {99999999999999999999999}\r\nb Y\r\n", "L1844674407370955161  C[b Y] " },
		{ "a APPEND x {5+}\r\nhello\r\nb NOOP\r\n", "L5+ C[b NOOP] " },
		{ "a APPEND x {5+}\r\nhello (x) {3+}\r\nabc\r\nb NOOP\r\n", "L5+ C[b NOOP] " },
		{ "a APPEND x {5}\r\nb NOOP\r\n", "L5  C[b NOOP] " },
		{ "a X (~{0}\r\n)\r\n", "L0  C[a X (~{0}\r\n)] " },
		{ "a 0123456789012345678901234567890123456789012345678901234567890123456789\r\nb "
		  "NOOP\r\n",
			NULL },
		{ "a 01234567890123456789012345678901234567890123456789012345678901 {9+}\r\nc "
		  "NOOP\r\n\r\nb NOOP\r\n",
			NULL },
	};
	size_t i;
	int round;

	srand(1);
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf whole = BUF_INIT;

		CHECK_ROW(rows[i][0]);
		read_all(&whole, rows[i][0], strlen(rows[i][0]), 0);
		if (rows[i][1] != NULL) {
			CHECK_STR(buf_str(&whole), rows[i][1]);
		} else { /* too long: what is kept of it depends on the pieces */
			CHECK(whole.data[0] == 'T');
			CHECK(strstr(whole.data, "C[b NOOP]") != NULL);
			CHECK(strstr(whole.data, "C[c") == NULL);
		}
		for (round = 0; round < 200; round++) {
			struct buf split = BUF_INIT;

			read_all(&split, rows[i][0], strlen(rows[i][0]), 1 + (size_t)round % 9);
			if (rows[i][1] != NULL) {
				CHECK_STR(buf_str(&split), buf_str(&whole));
			} else {
				CHECK(split.data[0] == 'T' &&
					strstr(split.data, "C[b NOOP]") != NULL);
			}
			buf_free(&split);
		}
		buf_free(&whole);
	}
}

TEST(imap, strings)
{
	static const struct {
		const char *in;
		bool (*fn)(struct imap_args *, const char **);
		const char *out; /* NULL: an error */
	} rows[] = {
		{ "abc", imap_args_astring, "abc" },
		{ "a]b", imap_args_astring, "a]b" },
		{ "\"a \\\"b\\\\\"", imap_args_astring, "a \"b\\" },
		{ "\"\"", imap_args_astring, "" },
		{ "{3}\r\na\r\n", imap_args_astring, "a\r\n" },
		{ "{3+}\r\nabc", imap_args_string, "abc" },
		{ "{4}\r\nabc", imap_args_string, NULL },
		{ "\"abc", imap_args_string, NULL },
		{ "\"a\\b\"", imap_args_string, NULL },
		{ "(", imap_args_astring, NULL },
		{ "", imap_args_astring, NULL },
		{ "a*%", imap_args_pattern, "a*%" },
		{ "a*", imap_args_astring, "a" },
		{ "x", imap_args_string, NULL },
		{ "nil", imap_args_nstring, "(null)" },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena arena = ARENA_INIT;
		struct imap_args a;
		const char *s = NULL;
		bool good;

		CHECK_ROW(rows[i].in);
		imap_args_init(&a, &arena, rows[i].in, strlen(rows[i].in));
		good = rows[i].fn(&a, &s);
		CHECK_INT(good, rows[i].out != NULL);
		if (good && rows[i].out != NULL) {
			CHECK_STR(s != NULL ? s : "(null)", rows[i].out);
		}
		CHECK_INT(a.error == NULL, good);
		arena_free(&arena);
	}
}

TEST(imap, sets)
{
	static const struct {
		const char *in;
		uint32_t max;
		const char *out; /* ranges, resolved; NULL: an error */
	} rows[] = {
		{ "1", 9, "1-1" },
		{ "1:3,5", 9, "1-3 5-5" },
		{ "5,1:3,2:4", 9, "1-5" },
		{ "*", 9, "9-9" },
		{ "12:*", 9, "9-12" },
		{ "*:4", 9, "4-9" },
		{ "*,1", 0, "1-1" },
		{ "1:*", 0, "" },
		{ "4294967295,1:4294967295", 9, "1-4294967295" },
		{ "0", 9, NULL },
		{ "4294967296", 9, NULL },
		{ "1,,2", 9, NULL },
		{ "1:", 9, NULL },
		{ "1:2:3", 9, NULL },
		{ "", 9, NULL },
		{ "a", 9, NULL },
		{ "1,", 9, NULL },
	};
	size_t i, k;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena arena = ARENA_INIT;
		struct imap_args a;
		struct imap_set s;
		struct buf b = BUF_INIT;
		bool good;

		CHECK_ROW(rows[i].in);
		imap_args_init(&a, &arena, rows[i].in, strlen(rows[i].in));
		good = imap_args_set(&a, &s);
		CHECK_INT(good, rows[i].out != NULL);
		if (good && rows[i].out != NULL) {
			imap_set_resolve(&s, rows[i].max);
			for (k = 0; k < s.count; k++) {
				buf_addf(&b, "%s%u-%u", k > 0 ? " " : "", s.ranges[k].first,
					s.ranges[k].last);
			}
			CHECK_STR(buf_str(&b), rows[i].out);
		}
		buf_free(&b);
		arena_free(&arena);
	}
}

TEST(imap, set_walk)
{
	struct imap_range ranges[] = { { 2, 3 }, { 7, 7 }, { 10, 12 } };
	struct imap_set s = { ranges, 3 };
	static const uint32_t list[] = { 4, 5, 6, 9, 2, 3 };
	struct buf b = BUF_INIT;
	uint32_t n;

	for (n = imap_set_next(&s, 1); n != 0; n = imap_set_next(&s, n + 1)) {
		buf_addf(&b, "%u ", n);
	}
	CHECK_STR(buf_str(&b), "2 3 7 10 11 12 ");
	CHECK(imap_set_has(&s, 7) && !imap_set_has(&s, 8) && !imap_set_has(&s, 0));
	buf_reset(&b);
	imap_set_put(&b, list, 6);
	CHECK_STR(buf_str(&b), "4:6,9,2:3");
	buf_free(&b);
}

TEST(imap, fetch_items)
{
	static const struct {
		const char *in;
		unsigned items;
		const char
			*labels; /* joined by ' ', '!' after those that set \Seen; NULL: an error */
	} rows[] = {
		{ "FAST", IMAP_FETCH_FLAGS | IMAP_FETCH_DATE | IMAP_FETCH_SIZE, "" },
		{ "full",
			IMAP_FETCH_FLAGS | IMAP_FETCH_DATE | IMAP_FETCH_SIZE | IMAP_FETCH_ENVELOPE |
				IMAP_FETCH_BODY,
			"" },
		{ "(UID FLAGS)", IMAP_FETCH_UID | IMAP_FETCH_FLAGS, "" },
		{ "BODY", IMAP_FETCH_BODY, "" },
		{ "(BODY BODYSTRUCTURE)", IMAP_FETCH_BODY | IMAP_FETCH_STRUCTURE, "" },
		{ "BODY[]", 0, "BODY[]!" },
		{ "body.peek[1.2.mime]<3.4>", 0, "BODY[1.2.MIME]<3>" },
		{ "(BODY[1] BODY[TEXT] RFC822.HEADER RFC822 RFC822.TEXT RFC822.SIZE)",
			IMAP_FETCH_SIZE,
			"BODY[1]! BODY[TEXT]! RFC822.HEADER RFC822! RFC822.TEXT!" },
		{ "BODY.PEEK[HEADER.FIELDS (to \"From\" {2}\r\ncc)]", 0,
			"BODY[HEADER.FIELDS (TO FROM CC)]" },
		{ "BODY.PEEK[2.HEADER.FIELDS.NOT (\"a b\")]<0.1>", 0,
			"BODY[2.HEADER.FIELDS.NOT (\"A B\")]<0>" },
		{ "BODY[MIME]", 0, NULL },
		{ "BODY[0]", 0, NULL },
		{ "BODY[1.]", 0, NULL },
		{ "BODY[1..2]", 0, NULL },
		{ "BODY[HEADER.FIELDS]", 0, NULL },
		{ "BODY[HEADER.FIELDS ()]", 0, NULL },
		{ "BODY[]<0.0>", 0, NULL },
		{ "BODY[", 0, NULL },
		{ "(UID", 0, NULL },
		{ "()", 0, NULL },
		{ "UIDS", 0, NULL },
		{ "(FAST)", 0, NULL },
		{ "", 0, NULL },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena arena = ARENA_INIT;
		struct imap_args a;
		struct imap_fetch f;
		struct buf b = BUF_INIT;
		const struct imap_section *s;
		bool good;

		CHECK_ROW(rows[i].in);
		imap_args_init(&a, &arena, rows[i].in, strlen(rows[i].in));
		good = imap_args_fetch(&a, &f) && imap_args_end(&a);
		CHECK_INT(good, rows[i].labels != NULL);
		if (good && rows[i].labels != NULL) {
			CHECK_INT(f.items, rows[i].items);
			for (s = f.sections; s != NULL; s = s->next) {
				buf_addf(&b, "%s%s%s", b.len > 0 ? " " : "", s->label,
					s->peek ? "" : "!");
			}
			CHECK_STR(buf_str(&b), rows[i].labels);
		}
		buf_free(&b);
		arena_free(&arena);
	}
}

/* put_key - a search tree as text */
static void put_key(struct buf *b, const struct imap_key *k)
{
	static const char *const names[] = { "all", "set", "uid", "flag", "keyword", "before", "on",
		"since", "sentbefore", "senton", "sentsince", "older", "younger", "larger",
		"smaller", "modseq", "header", "body", "text", "not", "and", "or" };
	const struct imap_key *c;

	buf_addf(b, "(%s", names[k->kind]);
	if (k->flags != 0) {
		buf_addf(b, " %u", k->flags);
	}
	if (k->number != 0) {
		buf_addf(b, " %llu", (unsigned long long)k->number);
	}
	if (k->name != NULL) {
		buf_addf(b, " %s", k->name);
	}
	if (k->text != NULL) {
		buf_addf(b, " '%s'", k->text);
	}
	for (c = k->child; c != NULL; c = c->next) {
		put_key(b, c);
	}
	buf_addc(b, ')');
}

TEST(imap, searches)
{
	static const char *const rows[][2] = {
		{ "ALL", "(all)" },
		{ "UNSEEN DELETED", "(and(not(flag 1))(flag 8))" },
		{ "OR SEEN NOT (ANSWERED DRAFT)", "(or(flag 1)(not(and(flag 2)(flag 16))))" },
		{ "NEW", "(and(flag 32)(not(flag 1)))" },
		{ "OLD", "(not(flag 32))" },
		{ "KEYWORD $Junk UNKEYWORD x", "(and(keyword '$Junk')(not(keyword 'x')))" },
		{ "SINCE 1-Feb-1994 SENTON \"10-Feb-1994\"", "(and(since 8797)(senton 8806))" },
		{ "FROM Smith HEADER X-Foo \"\" BODY {3}\r\nABC",
			"(and(header from 'smith')(header x-foo '')(body 'abc'))" },
		{ "CHARSET UTF-8 SUBJECT {2}\r\n\303\211", "(header subject '\303\251')" },
		{ "CHARSET iso-8859-1 SUBJECT {1}\r\n\311", "(header subject '\303\251')" },
		{ "LARGER 10 SMALLER 5000000000", "(and(larger 10)(smaller 5000000000))" },
		{ "1:3,* UID 7", "(and(set)(uid))" },
		{ "MODSEQ \"/flags/\\\\draft\" all 620162338", "(modseq 620162338)" },
		{ "YOUNGER 3600 OLDER 1", "(and(younger 3600)(older 1))" },
		{ "RETURN (MIN COUNT) ALL", "(all)" },
		{ "RETURN () (1)", "(set)" },
		{ "", NULL },
		{ "FROM", NULL },
		{ "NOT", NULL },
		{ "OR SEEN", NULL },
		{ "(SEEN", NULL },
		{ "SEEN ", NULL },
		{ "ON 32-Jan-2000", NULL },
		{ "ON 1-Foo-2000", NULL },
		{ "NOSUCH", NULL },
		{ "CHARSET no-such SEEN", NULL },
		{ "()", NULL },
		{ "SEEN)", NULL },
		{ "1:0", NULL },
		{ "RETURN (FOO) ALL", NULL },
		{ "LARGER x", NULL },
		{ "LARGER 99999999999999999999", NULL },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena arena = ARENA_INIT;
		struct imap_args a;
		struct imap_search s;
		struct buf b = BUF_INIT;
		bool good;

		CHECK_ROW(rows[i][0]);
		imap_args_init(&a, &arena, rows[i][0], strlen(rows[i][0]));
		good = imap_args_search(&a, &s);
		CHECK_INT(good, rows[i][1] != NULL);
		if (good) {
			put_key(&b, s.key);
			CHECK_STR(buf_str(&b), rows[i][1]);
		}
		CHECK_INT(s.bad_charset, strncmp(rows[i][0], "CHARSET no", 10) == 0);
		buf_free(&b);
		arena_free(&arena);
	}
}

TEST(imap, search_depth)
{
	struct arena arena = ARENA_INIT;
	struct imap_args a;
	struct imap_search s;
	struct buf b = BUF_INIT;
	int i;

	for (i = 0; i < 100000; i++) {
		buf_addc(&b, '(');
	}
	imap_args_init(&a, &arena, b.data, b.len);
	CHECK(!imap_args_search(&a, &s));
	CHECK_STR(a.error, "Too deep a search");
	buf_reset(&b);
	for (i = 0; i < 100000; i++) {
		buf_adds(&b, "NOT ");
	}
	imap_args_init(&a, &arena, b.data, b.len);
	CHECK(!imap_args_search(&a, &s));
	buf_free(&b);
	arena_free(&arena);
}

TEST(imap, flags)
{
	struct arena arena = ARENA_INIT;
	struct imap_args a;
	struct imap_flags f;
	static const char good[] = "(\\Seen Work \\deleted $Junk work)";
	static const char *const bad[] = { "(\\Recent)", "(\\Foo)", "(a", "(a  b)", "\\Seen",
		"(\"a\")" };
	size_t i;

	imap_args_init(&a, &arena, good, sizeof(good) - 1);
	CHECK(imap_args_flags(&a, false, &f) && imap_args_end(&a));
	CHECK_INT(f.system, IMAP_SEEN | IMAP_DELETED);
	REQUIRE(f.keyword_count == 2);
	CHECK_STR(f.keywords[0], "Work");
	CHECK_STR(f.keywords[1], "$Junk");
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK_ROW(bad[i]);
		imap_args_init(&a, &arena, bad[i], strlen(bad[i]));
		CHECK(!imap_args_flags(&a, false, &f));
	}
	imap_args_init(&a, &arena, "\\Seen b", 7);
	CHECK(imap_args_flags(&a, true, &f) && f.keyword_count == 1);
	imap_args_init(&a, &arena, "()", 2);
	CHECK(imap_args_flags(&a, false, &f) && f.system == 0);
	arena_free(&arena);
}

TEST(imap, put_mailbox)
{
	struct buf b = BUF_INIT;

	imap_put_mailbox(&b, "a b");
	buf_addc(&b, ' ');
	imap_put_mailbox(&b, "nil");
	buf_addc(&b, ' ');
	imap_put_mailbox(&b, "x/y");
	buf_addc(&b, ' ');
	imap_put_mailbox(&b, "q\"r");
	CHECK_STR(buf_str(&b), "\"a b\" \"nil\" x/y \"q\\\"r\"");
	buf_free(&b);
}

TEST(imap, patterns)
{
	static const struct {
		const char *pattern, *name;
		enum imap_match match;
	} rows[] = {
		{ "*", "a/b", IMAP_MATCH_YES },
		{ "%", "a", IMAP_MATCH_YES },
		{ "%", "a/b", IMAP_MATCH_NO },
		{ "%/%", "a", IMAP_MATCH_PARENT },
		{ "a/%", "a/b", IMAP_MATCH_YES },
		{ "a/%", "a", IMAP_MATCH_PARENT },
		{ "a*c", "a/b/c", IMAP_MATCH_YES },
		{ "a*c", "a/b", IMAP_MATCH_PARENT },
		{ "inbox", "INBOX", IMAP_MATCH_YES },
		{ "in%", "INBOX", IMAP_MATCH_YES },
		{ "inbox/a", "INBOX/a", IMAP_MATCH_YES },
		{ "inboxes", "INBOX", IMAP_MATCH_NO },
		{ "a", "A", IMAP_MATCH_NO },
		{ "", "", IMAP_MATCH_YES },
		{ "a%b*", "axb/c", IMAP_MATCH_YES },
		{ "*****************************************x",
			"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", IMAP_MATCH_PARENT },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		CHECK_ROW(rows[i].pattern);
		CHECK_INT(imap_match(rows[i].pattern, rows[i].name, '/'), rows[i].match);
	}
}
