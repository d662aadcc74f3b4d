/*
 * test_mime - headers, addresses, parameters, encodings, charsets and the MIME tree
 */
#include <stdlib.h>
#include <string.h>

#include "config/features.h"
#include "base/arena.h"
#include "mime/address.h"
#include "mime/charset.h"
#include "mime/header.h"
#include "mime/param.h"
#include "mime/part.h"
#include "mime/structure.h"
#include "mime/transfer.h"
#include "mime/word.h"
#include "unit.h"

TEST(mime, fields)
{
	static const char text[] =
		"From a b c\nSubject : one\n\ttwo\r\nX-Empty:\n no: fold\nTo:x\n\nbody: no\n";
	struct slice rest = SLICE_LIT(text);
	struct mime_field f;
	struct buf b = BUF_INIT;

	REQUIRE(mime_field_next(&rest, &f));
	CHECK_INT(f.name.len, 0);
	CHECK_INT(f.raw.len, 11);
	REQUIRE(mime_field_next(&rest, &f));
	CHECK_MEM(f.name.ptr, f.name.len, "Subject", 7);
	CHECK_MEM(f.value.ptr, f.value.len, "one\n\ttwo", 8);
	mime_unfold(&b, f.value);
	CHECK_STR(buf_str(&b), "one\ttwo");
	REQUIRE(mime_field_next(&rest, &f));
	CHECK_MEM(f.name.ptr, f.name.len, "X-Empty", 7);
	REQUIRE(mime_field_next(&rest, &f));
	CHECK_MEM(f.name.ptr, f.name.len, "To", 2);
	CHECK(!mime_field_next(&rest, &f));
	CHECK(mime_field_find((struct slice)SLICE_LIT(text), "to", &f));
	CHECK(!mime_field_find((struct slice)SLICE_LIT(text), "body", &f));
	buf_free(&b);
}

/* put_list - addresses as "name|route|mailbox|domain" joined by ' ', '-' for NULL */
static void put_list(struct buf *out, const struct mime_address *m)
{
	for (; m != NULL; m = m->next) {
		buf_addf(out, "%s%s|%s|%s|%s", out->len > 0 ? " " : "",
			m->name != NULL ? m->name : "-", m->route != NULL ? m->route : "-",
			m->mailbox != NULL ? m->mailbox : "-", m->domain != NULL ? m->domain : "-");
	}
}

TEST(mime, addresses)
{
	static const char *const rows[][2] = {
		{ "a@b", "-|-|a|b" },
		{ "A B <a@b>, c@d (See)", "A B|-|a|b See|-|c|d" },
		{ "\"A \\\"B\\\" C\" <a@b>", "A \"B\" C|-|a|b" },
		{ "Joe Q. Public <j.q@x.y>", "Joe Q. Public|-|j.q|x.y" },
		{ "<@r1,@r2:u@h>", "-|@r1,@r2|u|h" },
		{ "Group: a@b, C <c@d>;, e@f", "-|-|Group|- -|-|a|b C|-|c|d -|-|-|- -|-|e|f" },
		{ "undisclosed-recipients:;", "-|-|undisclosed-recipients|- -|-|-|-" },
		{ "Group:a@b", "-|-|Group|- -|-|a|b -|-|-|-" },
		{ "a . b @ c . d", "-|-|a.b|c.d" },
		{ "\"a b\"@c", "-|-|a b|c" },
		{ "a@[1.2.3.4]", "-|-|a|[1.2.3.4]" },
		{ "user", "-|-|user|" },
		{ "<>", "-|-||" },
		{ "@domain", "-|-||domain" },
		{ "two words", "two words|-||" },
		{ "first a@b second, c@d", "first|-|a|b -|-|c|d" },
		{ ",,,a@b,,", "-|-|a|b" },
		{ "a@b; c@d", "-|-|a|b -|-|c|d" },
		{ "<a@b, c@d", "-|-|a|b -|-|c|d" },
		{ "a@b> c, d@e", "-|-|a|b -|-|d|e" },
		{ "(only a comment)", "" },
		{ "a(x(y\\)z))b <c@d> (later)", "a b|-|c|d" },
		{ "\"open <a@b>, c@d", "-|-|open <a@b>, c@d|" },
		{ "A\r\n <a@b>,\r\n\tB <c@d>", "A|-|a|b B|-|c|d" },
		{ "=?utf-8?q?x?= <a@b>", "=?utf-8?q?x?=|-|a|b" },
		{ "name <a b@c>", "name|-|a b|c" },
		{ "))>>", "" },
		{ "", "" },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a = ARENA_INIT;
		struct buf b = BUF_INIT;

		CHECK_ROW(rows[i][0]);
		put_list(&b, mime_addresses(&a, slice_of(rows[i][0])));
		CHECK_STR(buf_str(&b), rows[i][1]);
		buf_free(&b);
		arena_free(&a);
	}
}

TEST(mime, address_written)
{
	static const struct {
		struct mime_address m;
		const char *text;
	} rows[] = {
		{ { .mailbox = "a.b", .domain = "c" }, "a.b@c" },
		{ { .mailbox = "a b", .domain = "c" }, "\"a b\"@c" },
		{ { .mailbox = ".a", .domain = "c" }, "\".a\"@c" },
		{ { .mailbox = "q\"r\\s", .domain = "c" }, "\"q\\\"r\\\\s\"@c" },
		{ { .mailbox = "alone", .domain = "" }, "alone" },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b = BUF_INIT;

		mime_address_put(&b, &rows[i].m);
		CHECK_STR(buf_str(&b), rows[i].text);
		buf_free(&b);
	}
}

TEST(mime, parameters)
{
	static const char *const rows[][3] = {
		{ "text/plain; charset=us-ascii", "text/plain", "charset=us-ascii;" },
		{ "TEXT / html (c); (d) a (e) = (f) \"b;c\" x; D=e", "TEXT/html", "a=b;c;D=e;" },
		{ "a/b; x=1 2; y=\"3\\\"4\";;z", "a/b", "x=1;y=3\"4;" },
		{ "a/b; x=\"open; y=2", "a/b", "" },
		{ "attachment; f*0=\"x\"; f*1=y; f*3=z", "attachment", "f=xy;f*3=z;" },
		{ "a/b; f*1*=%20b; f*0*=utf-8'en'a; f*2=%c", "a/b", "f*=utf-8'en'a%20b%25c;" },
		{ "a/b; f*=utf-8''%41", "a/b", "f*=utf-8''%41;" },
		{ "a/b; name=x/y=z", "a/b", "name=x/y=z;" },
		{ "a", "a", "" },
		{ ";x=y", NULL, "x=y;" },
		{ "", NULL, "" },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a = ARENA_INIT;
		struct buf b = BUF_INIT;
		const char *first;
		struct mime_param *m = mime_params(&a, slice_of(rows[i][0]), &first);

		CHECK_ROW(rows[i][0]);
		CHECK_STR(first, rows[i][1]);
		for (; m != NULL; m = m->next) {
			buf_addf(&b, "%s=%s;", m->name, m->value);
		}
		CHECK_STR(buf_str(&b), rows[i][2]);
		buf_free(&b);
		arena_free(&a);
	}
}

TEST(mime, parameter_text)
{
	static const char *const rows[][2] = {
		{ "a; filename*=utf-8''na%C3%AFve.txt", "na\303\257ve.txt" },
		{ "a; filename*=iso-8859-1''na%EFve.txt; filename=naive.txt", "na\303\257ve.txt" },
		{ "a; filename*0*=utf-8''%E2%82; filename*1*=%AC", "\342\202\254" },
		{ "a; filename=\"=?utf-8?q?caf=C3=A9?=\"", "caf\303\251" },
		{ "a; FILENAME=plain", "plain" },
		{ "a; filename*=''100%", "100%" },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a = ARENA_INIT;
		struct buf b = BUF_INIT;
		const char *first;

		CHECK_ROW(rows[i][0]);
		CHECK(mime_param_text(
			mime_params(&a, slice_of(rows[i][0]), &first), "filename", &b));
		CHECK_STR(buf_str(&b), rows[i][1]);
		buf_free(&b);
		arena_free(&a);
	}
}

/* a type that begins with NUL: its text is empty, and nothing before it is looked at */
TEST(mime, type_of_nul)
{
	struct arena a = ARENA_INIT;
	const char *first;

	CHECK(mime_params(&a, (struct slice){ "\0x; a=b", 8 }, &first) != NULL);
	CHECK_STR(first, "");
	arena_free(&a);
}

/* decode_split - decode in pieces of a size */
static void decode_split(enum mime_encoding e, const char *in, size_t piece, struct buf *out)
{
	struct mime_decoder d;
	size_t len = strlen(in), i, n;

	mime_decode_init(&d, e);
	for (i = 0; i < len; i += n) {
		n = len - i < piece ? len - i : piece;
		mime_decode(&d, in + i, n, out);
	}
	mime_decode_end(&d, out);
}

TEST(mime, decoders)
{
	static const struct {
		enum mime_encoding encoding;
		const char *in, *out;
	} rows[] = {
		{ MIME_BASE64, "aGVsbG8=", "hello" },
		{ MIME_BASE64, "aGVs\r\nbG8", "hello" },
		{ MIME_BASE64, "aGVsbG8=\naGVsbG8=", "hellohello" },
		{ MIME_BASE64, "!a-G_V*s", "hel" },
		{ MIME_QP, "a=3Db=\nc=\r\nd = \n", "a=bcd " },
		{ MIME_QP, "trail  \nnext\t\r\nend ", "trail\nnext\r\nend" },
		{ MIME_QP, "=C3=a9=XY=4", "\303\251=XY=4" },
		{ MIME_QP, "soft=", "soft" },
		{ MIME_QP, "==41", "=A" },
		{ MIME_7BIT, "a=3D", "a=3D" },
		{ MIME_UUENCODE, "begin 644 x\n%:&5L;&\\\n`\nend\n", "hello" },
	};
	size_t i, piece;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		for (piece = 1; piece < 40; piece++) {
			struct buf b = BUF_INIT;

			CHECK_ROW(rows[i].in);
			decode_split(rows[i].encoding, rows[i].in, piece, &b);
			CHECK_STR(buf_str(&b), rows[i].out);
			buf_free(&b);
		}
	}
	CHECK_INT(mime_encoding_parse(slice_of(" Quoted-Printable (x)")), MIME_QP);
	CHECK_INT(mime_encoding_parse(slice_of("x-what")), MIME_UNKNOWN);
	CHECK_INT(mime_encoding_parse(slice_of("")), MIME_7BIT);
}

/* random_text - bytes that are hard on encodings */
static size_t random_text(char *to, size_t max, bool text)
{
	static const char hard[] = "=  \t\n\nFrom .ab\303\251\377";
	size_t n = (size_t)rand() % max, i;

	for (i = 0; i < n; i++) {
		to[i] = text ? hard[(size_t)rand() % (sizeof(hard) - 1)] : (char)rand();
	}
	return n;
}

TEST(mime, encoders_and_back)
{
	int round;

	srand(1);
	for (round = 0; round < 2000; round++) {
		bool qp = round % 2 == 0;
		struct mime_encoder e;
		struct buf coded = BUF_INIT, back = BUF_INIT;
		char text[600];
		size_t n = random_text(text, sizeof(text), qp),
		       cut = n > 0 ? (size_t)rand() % n : 0, i, column;

		mime_encode_init(&e, qp ? MIME_QP : MIME_BASE64);
		mime_encode(&e, text, cut, &coded);
		mime_encode(&e, text + cut, n - cut, &coded);
		mime_encode_end(&e, &coded);
		for (i = column = 0; i < coded.len; i++) {
			column = coded.data[i] == '\n' ? 0 : column + 1;
			if (column > 76 || (unsigned char)coded.data[i] >= 0x80) {
				CHECK(column <= 76);
				CHECK((unsigned char)coded.data[i] < 0x80);
				break;
			}
		}
		decode_split(qp ? MIME_QP : MIME_BASE64, buf_str(&coded), 7, &back);
		CHECK_MEM(buf_str(&back), back.len, text, n);
		buf_free(&coded);
		buf_free(&back);
	}
}

/* Into the double-byte sets of terminals, and back; what a set lacks is a question mark. */
TEST(mime, encodes_double_bytes)
{
	static const struct {
		const char *charset, *in, *out;
	} rows[] = {
		{ "gbk", "a\u4f60\u597d\u9371", "a\xc4\xe3\xba\xc3\xe6\x45" },
		{ "GB2312", "\u4f60\U0001f4a9", "\xc4\xe3?" },
		{ "big5", "\u4f60\u597d", "\xa7\x41\xa6\x6e" },
		{ "euc-kr", "\uac00x", "\xb0\xa1x" },
		{ "gb18030", "\u4f60\u00a5\U0001f4a9\U0010ffff\u0e01",
			"\xc4\xe3\x81\x30\x84\x36\x94\x39\xda\x33\xe3\x32\x9a\x35"
			"\x81\x32\xce\x39" },
#ifndef __GLIBC__
		/* glibc's own table, in builds with it, has another place for it. */
		{ "gb18030", "\ufffd", "\x84\x31\xa4\x37" },
#endif
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b = BUF_INIT;
		bool known =
			mime_from_utf8(rows[i].charset, rows[i].in, strlen(rows[i].in), &b, NULL);

		CHECK_ROW(rows[i].charset);
		/* A profile without the tables says so. */
		CHECK(known == (FEATURE_CHARSETS != 0));
		if (known) {
			CHECK_STR(buf_str(&b), rows[i].out);
		}
		buf_free(&b);
	}
	CHECK_ROW(NULL);
}

TEST(mime, folds_to_several)
{
	static const char *const rows[][2] = {
		{ "Stra\u00dfe \u1e9e", "strasse ss" },
		{ "\ufb01n o\ufb03ce \ufb06", "fin office st" },
		{ "\u0390 \u01f0", "\u03b9\u0308\u0301 j\u030c" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b = BUF_INIT;

		utf8_fold(&b, rows[i][0], strlen(rows[i][0]));
		CHECK_STR(buf_str(&b), rows[i][1]);
		buf_free(&b);
	}
}

TEST(mime, charsets)
{
	static const struct {
		const char *charset, *in, *out;
	} rows[] = {
		{ "iso-8859-1", "caf\351", "caf\303\251" },
		{ "ISO-8859-15", "\244", "\342\202\254" },
		{ "windows-1251", "\317\360", "\320\237\321\200" },
		{ "koi8-r", "\360", "\320\237" },
		{ "gb2312", "\304\343\272\303", "\344\275\240\345\245\275" },
		{ "gbk", "\304\343\272\303", "\344\275\240\345\245\275" },
		{ "big5", "\247A\246n", "\344\275\240\345\245\275" },
		{ "shift_jis", "\202\240", "\343\201\202" },
		{ "iso-2022-jp", "\033$B$\"\033(B!", "\343\201\202!" },
		{ "euc-kr", "\260\241", "\352\260\200" },
		{ "windows-31j", "\x87\x40\x93\xfa\xfa\x40\xed\x40 a\xb1",
			"\u2460\u65e5\u2170\u7e8a a\uff71" },
		{ "cp932", "\x87\x9c\x81\x40", "\u222a\u3000" },
		{ "windows-874", "\x80\xa1\xfb \x85", "\u20ac\u0e01\u0e5b \u2026" },
		{ "macintosh", "Gr\x9f\xa7", "Gr\u00fc\u00df" },
		{ "ibm850", "\x81\xe1", "\u00fc\u00df" },
		{ "iso-2022-kr", "\033$)Ca\016\x30\x21\017b\n\016G\x51\017", "a\uac00b\n\ud55c" },
		{ "gb18030", "\xc4\xe3\x94\x39\xda\x33\x81\x30\x84\x36", "\u4f60\U0001f4a9\u00a5" },
		{ "gb18030", "\xe3\x32\x9a\x35!", "\U0010ffff!" },
		{ "utf-8", "ok\303\251\377x\303", "ok\303\251\357\277\275x\357\277\275" },
		{ "us-ascii", "caf\303\251", "caf\303\251" },
	};
	size_t i, piece;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		for (piece = 1; piece < 12; piece++) {
			struct mime_charset *c = mime_charset_open(rows[i].charset);
			struct buf b = BUF_INIT;
			size_t len = strlen(rows[i].in), at, n;

			CHECK_ROW(rows[i].charset);
			if (!FEATURE_CHARSETS && c == NULL) {
				continue; /* a profile without its table */
			}
			REQUIRE(c != NULL);
			for (at = 0; at < len; at += n) {
				n = len - at < piece ? len - at : piece;
				mime_charset_add(c, rows[i].in + at, n, &b);
			}
			mime_charset_end(c, &b);
			CHECK_STR(buf_str(&b), rows[i].out);
			mime_charset_close(c);
			buf_free(&b);
		}
	}
	CHECK(mime_charset_open("no-such-charset") == NULL);
	CHECK(mime_charset_ascii("ISO-8859-7"));
	CHECK(!mime_charset_ascii("iso-2022-jp"));
	CHECK(!mime_charset_ascii("big5"));
}

TEST(mime, from_utf8)
{
	struct buf b = BUF_INIT;
	bool lost;

	CHECK(mime_from_utf8("iso-8859-1", "caf\303\251 \342\202\254", 9, &b, &lost));
	CHECK_STR(buf_str(&b), "caf\351 ?");
	CHECK(lost);
	buf_reset(&b);
	CHECK(mime_from_utf8("us-ascii", "a\303\251", 3, &b, &lost));
	CHECK_STR(buf_str(&b), "a?");
	buf_reset(&b);
	CHECK(mime_from_utf8("utf-8", "a\303\251", 3, &b, &lost));
	CHECK_STR(buf_str(&b), "a\303\251");
	CHECK(!lost);
	CHECK(!mime_from_utf8("no-such", "a", 1, &b, NULL));
	buf_free(&b);
}

TEST(mime, utf8)
{
	static const char *const bad[] = { "\200", "\300\200", "\340\200\200", "\355\240\200",
		"\364\220\200\200", "\360\200\200\200", "\303", "\342\202" };
	static const char good[] = "plain \303\251 \342\202\254 \360\237\230\200 and more text";
	static const char upper[] =
		"GR\303\234SSE \316\243\316\221\317\202 \320\226 \305\201 \304\260";
	struct buf b = BUF_INIT;
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK(!utf8_valid(bad[i], strlen(bad[i])));
	}
	CHECK(utf8_valid(good, sizeof(good) - 1));
	utf8_fold(&b, upper, sizeof(upper) - 1);
	CHECK_STR(buf_str(&b), "gr\303\274sse \317\203\316\261\317\203 \320\266 \305\202 i");
	buf_free(&b);
}

TEST(mime, words)
{
	static const char *const rows[][2] = {
		{ "plain", "plain" },
		{ "=?utf-8?Q?caf=C3=A9?= bar", "caf\303\251 bar" },
		{ "=?iso-8859-1?q?a_b?=", "a b" },
		{ "=?UTF-8*en?B?w6k=?= =?utf-8?b?w6k=?=", "\303\251\303\251" },
		{ "=?utf-8?b?4oI=?= =?utf-8?b?rA==?=", "\342\202\254" },
		{ "=?utf-8?q?a?=\r\n =?iso-8859-1?q?=E9?=", "a\303\251" },
		{ "x=?utf-8?q?a?=y", "xay" },
		{ "=?utf-8?q?two words?=", "two words" },
		{ "=?utf-8?x?a?= =?utf-8?q?", "=?utf-8?x?a?= =?utf-8?q?" },
		{ "=?nope?q?a=41?=", "aA" },
		{ "8bit \351", "8bit \357\277\275" },
		{ "a =?utf-8?q?b?= c =?utf-8?q?d?=", "a b c d" },
		{ "=??q?x?= =?=", "=??q?x?= =?=" },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b = BUF_INIT;

		CHECK_ROW(rows[i][0]);
		mime_words_decode(&b, slice_of(rows[i][0]), NULL);
		CHECK_STR(buf_str(&b), rows[i][1]);
		buf_free(&b);
	}
}

TEST(mime, words_and_back)
{
	static const char *const pieces[] = { "caf\303\251", " ", "word", "=?",
		"\342\202\254\342\202\254", "long-ascii-word-of-some-length", "\"q\"",
		"\360\237\230\200", "\t", "." };
	int round;

	srand(2);
	for (round = 0; round < 2000; round++) {
		struct buf text = BUF_INIT, coded = BUF_INIT, back = BUF_INIT;
		int n = rand() % 30;
		size_t i, column = 9;

		buf_addc(&text, 'x');
		while (n-- > 0) {
			buf_adds(&text, pieces[(size_t)rand() % ARRAY_LEN(pieces)]);
		}
		buf_addc(&text, 'y');
		mime_words_encode(&coded, (struct slice){ text.data, text.len }, column, false);
		for (i = 0; i < coded.len; i++) {
			column = coded.data[i] == '\n' ? 0 : column + 1;
			CHECK((unsigned char)coded.data[i] < 0x80);
		}
		mime_words_decode(&back, (struct slice){ coded.data, coded.len }, NULL);
		CHECK_STR(buf_str(&back), buf_str(&text));
		buf_free(&text);
		buf_free(&coded);
		buf_free(&back);
	}
}

TEST(mime, phrases)
{
	static const char *const rows[][2] = {
		{ "Plain Name", "Plain Name" },
		{ "Q. Public", "\"Q. Public\"" },
		{ "Caf\303\251 and much more", "=?UTF-8?Q?Caf=C3=A9_and_much_more?=" },
		{ "a \"b\"", "\"a \\\"b\\\"\"" },
		{ "Caf\303\251 Bar", "=?UTF-8?B?Q2Fmw6kgQmFy?=" },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b = BUF_INIT;

		mime_words_encode(&b, slice_of(rows[i][0]), 6, true);
		CHECK_STR(buf_str(&b), rows[i][1]);
		buf_free(&b);
	}
}

TEST(mime, wire_form)
{
	static const char text[] = "a\nb\r\n\r\n\n\rc\r";
	size_t cut;

	for (cut = 0; cut < sizeof(text); cut++) {
		struct buf b = BUF_INIT;
		bool cr = false, cr2 = false;
		size_t bare;

		mime_to_wire(&b, text, cut, &cr);
		mime_to_wire(&b, text + cut, sizeof(text) - cut, &cr); /* with the NUL */
		CHECK_MEM(buf_str(&b), b.len, "a\r\nb\r\n\r\n\r\n\rc\r\200", 14);
		bare = mime_bare_lfs(text, cut, &cr2);
		bare += mime_bare_lfs(text + cut, sizeof(text) - cut, &cr2);
		CHECK_INT(bare, 2);
		buf_free(&b);
	}
}

/* A source that gives windows of random sizes in memory that moves. */
struct jumpy {
	const char *data;
	size_t len, most;
	char *copy;
};

static const char *jumpy_bytes(void *arg, uint64_t offset, size_t *len_r)
{
	struct jumpy *j = arg;
	size_t n;

	free(j->copy);
	j->copy = NULL;
	if (offset >= j->len) {
		return NULL;
	}
	n = 1 + (size_t)rand() % j->most;
	n = n < *len_r ? n : *len_r;
	n = n < j->len - offset ? n : j->len - offset;
	j->copy = malloc(n);
	memcpy(j->copy, j->data + offset, n);
	*len_r = n;
	return j->copy;
}

/* What a listener hears, as text. */
static void hear_header(void *arg, const struct mime_part *p, struct slice header)
{
	buf_addf(arg, "<%u.%u %zu:", p->depth, p->number, header.len);
	buf_add(arg, header.ptr, header.len);
}

static void hear_body(void *arg, const struct mime_part *p, const char *data, size_t len)
{
	(void)p;
	buf_add(arg, data, len);
}

static void hear_end(void *arg, const struct mime_part *p)
{
	buf_addf(arg, "|%u.%u>", p->depth, p->number);
}

/* structures - everything the parser says about a message */
static void structures(struct buf *out, struct mime_source *s, size_t budget)
{
	struct arena a = ARENA_INIT;
	struct mime_listener l = { hear_header, hear_body, hear_end, out };
	struct mime_parser *mp = mime_parser_new(&a, s, &l);

	while (!mime_parser_run(mp, budget)) {
	}
	mime_envelope_put(out, mime_parser_tree(mp));
	mime_structure_put(out, mime_parser_tree(mp), true);
	arena_free(&a);
	mime_source_free(s);
}

static const char torture[] = "Subject: outer\r\nContent-Type: multipart/mixed; "
			      "boundary=\"b1\"\r\n\r\npreamble\r\n--b1\r\n\r\nfirst\r\n"
			      "--b1 \r\nContent-Type: multipart/digest; "
			      "boundary=b12\n\n--b12\n\nSubject: in digest\n\nx\n\n--b12--\nepi\n"
			      "--b1\nContent-Type: message/rfc822\n\nFrom: A <a@b>\nContent-Type: "
			      "multipart/alternative;\n boundary=zz\n\n"
			      "--zz\nA: b\n--zz\nContent-Type: text/html; "
			      "charset=x\n\n<p>\r\n\r\n--zz--\n--b1\nContent-Type: image/png\n"
			      "Content-Transfer-Encoding: base64\nContent-Disposition: attachment; "
			      "filename=x\n\nAAAA\n--b1--\nend";

TEST(mime, windows_do_not_matter)
{
	struct mime_source s;
	struct buf whole = BUF_INIT;
	int round;

	srand(3);
	mime_source_memory(&s, torture, sizeof(torture) - 1);
	structures(&whole, &s, SIZE_MAX);
	CHECK(whole.len > 1000);
	for (round = 0; round < 500; round++) {
		struct jumpy j = { torture, sizeof(torture) - 1, 1 + (size_t)round, NULL };
		struct buf again = BUF_INIT;

		mime_source_function(&s, jumpy_bytes, &j);
		structures(&again, &s, 1 + (size_t)rand() % 300);
		CHECK_STR(buf_str(&again), buf_str(&whole));
		buf_free(&again);
		free(j.copy);
	}
	buf_free(&whole);
}

TEST(mime, damage_does_not_hurt)
{
	int round;

	srand(4);
	for (round = 0; round < 3000; round++) {
		char text[sizeof(torture)];
		struct jumpy j = { text, sizeof(text) - 1, 300, NULL };
		struct buf one = BUF_INIT, two = BUF_INIT;
		struct mime_source s;
		int hits = rand() % 20;

		memcpy(text, torture, sizeof(torture));
		while (hits-- > 0) {
			text[(size_t)rand() % sizeof(torture)] = "\n-\"\r;: \0b1\377"[rand() % 12];
		}
		mime_source_memory(&s, text, j.len);
		structures(&one, &s, SIZE_MAX);
		mime_source_function(&s, jumpy_bytes, &j);
		structures(&two, &s, 100);
		CHECK_MEM(buf_str(&two), two.len, buf_str(&one), one.len);
		buf_free(&one);
		buf_free(&two);
		free(j.copy);
	}
}

TEST(mime, positions)
{
	struct arena a = ARENA_INIT;
	struct mime_source s;
	struct mime_part *root, *p;
	static const uint32_t html[] = { 3, 2 }, png[] = { 4 }, none[] = { 4, 1 },
			      digest[] = { 2, 1, 1 };

	mime_source_memory(&s, torture, sizeof(torture) - 1);
	root = mime_parse(&a, &s);
	CHECK_INT(root->end.raw, sizeof(torture) - 1);
	p = mime_part_find(root, html, 2);
	REQUIRE(p != NULL);
	CHECK_MEM(torture + p->body.raw, p->end.raw - p->body.raw, "<p>\r\n", 5);
	p = mime_part_find(root, png, 1);
	REQUIRE(p != NULL);
	CHECK_MEM(torture + p->body.raw, p->end.raw - p->body.raw, "AAAA", 4);
	CHECK(mime_part_is(p, "IMAGE", "PNG"));
	p = mime_part_find(root, digest, 3);
	REQUIRE(p != NULL);
	CHECK_MEM(torture + p->body.raw, p->end.raw - p->body.raw, "x\n", 2);
	CHECK_INT(p->end.wire - p->body.wire, 3);
	CHECK(mime_part_find(root, none, 2) == NULL);
	CHECK(mime_part_find(root, none, 0) == root);
	arena_free(&a);
}

TEST(mime, bounds)
{
	struct buf text = BUF_INIT;
	struct arena a = ARENA_INIT;
	struct mime_source s;
	struct mime_part *p;
	unsigned count = 0;
	int i;

	/* Ten thousand parts: a thousand are seen. */
	buf_adds(&text, "Content-Type: multipart/mixed; boundary=x\n\n");
	for (i = 0; i < 10000; i++) {
		buf_adds(&text, "--x\n\nbody\n");
	}
	mime_source_memory(&s, text.data, text.len);
	for (p = mime_parse(&a, &s)->child; p != NULL; p = p->next) {
		count++;
	}
	CHECK_INT(count, MIME_PARTS_MAX - 1);
	arena_free(&a);
	buf_reset(&text);

	/* Ten thousand messages in messages: a hundred are looked into. */
	for (i = 0; i < 10000; i++) {
		buf_adds(&text, "Content-Type: message/rfc822\n\n");
	}
	mime_source_memory(&s, text.data, text.len);
	p = mime_parse(&a, &s);
	for (count = 0; p->child != NULL; p = p->child) {
		count++;
	}
	CHECK_INT(count, MIME_DEPTH_MAX);
	CHECK_INT(p->kind, MIME_LEAF);
	arena_free(&a);
	buf_reset(&text);

	/* A header that never ends. */
	for (i = 0; i < 300000; i++) {
		buf_adds(&text, "To: a@b\n");
	}
	mime_source_memory(&s, text.data, text.len);
	p = mime_parse(&a, &s);
	CHECK_INT(p->body.raw, MIME_HEADER_MAX);
	CHECK_INT(p->end.raw, text.len);
	arena_free(&a);
	buf_free(&text);
}
