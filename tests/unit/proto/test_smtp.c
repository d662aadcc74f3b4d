/*
 * test_smtp - command lines, addresses of every shape, parameters, replies, message data
 */
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "proto/smtp.h"
#include "proto/smtp_data.h"
#include "unit.h"

static struct slice text(const char *s)
{
	return slice_of(s);
}

TEST(smtp, split)
{
	static const struct {
		const char *line, *verb, *rest;
	} rows[] = {
		{ "QUIT", "QUIT", "" },
		{ "  noop  a  b \r\n", "noop", "a  b" },
		{ "MAIL\tFROM:<a@b>", "MAIL", "FROM:<a@b>" },
		{ "", "", "" },
		{ " \t ", "", "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct slice verb, rest;

		CHECK_ROW(rows[i].line);
		smtp_split(text(rows[i].line), &verb, &rest);
		CHECK(slice_eq(verb, rows[i].verb));
		CHECK(slice_eq(rest, rows[i].rest));
	}
}

TEST(smtp, paths)
{
	static const struct {
		const char *in;
		unsigned flags;
		const char *address, *rest;
	} rows[] = {
		/* plain shapes */
		{ "<a@b>", 0, "a@b", "" },
		{ "<a@b> SIZE=1", 0, "a@b", "SIZE=1" },
		{ "<A.b+c=d/e@Mail.Example.COM>", 0, "A.b+c=d/e@Mail.Example.COM", "" },
		{ "<>", SMTP_PATH_NULL, "", "" },
		{ "<>", 0, NULL, NULL },
		{ "< a@b >", 0, "a@b", "" },
		{ "a@b X", 0, "a@b", "X" },
		{ "a@b", SMTP_PATH_STRICT, NULL, NULL },
		{ "root", 0, "root", "" },
		{ "<root>", 0, "root", "" },
		{ "<postmaster>", SMTP_PATH_STRICT, "postmaster", "" },
		{ "<user@host.>", 0, "user@host", "" },
		{ "<x@a-b.c_d>", 0, "x@a-b.c_d", "" },
		{ "<x@xn--bcher-kva.example>", 0, "x@xn--bcher-kva.example", "" },
		/* quoted local parts */
		{ "<\"a b\"@c>", 0, "\"a b\"@c", "" },
		{ "<\"ab\"@c>", 0, "ab@c", "" },
		{ "<\"a@b\"@c>", 0, "\"a@b\"@c", "" },
		{ "<\"a>b\"@c> X", 0, "\"a>b\"@c", "X" },
		{ "<\"a\\\"b\"@c>", 0, "\"a\\\"b\"@c", "" },
		{ "<\"a\\\\b\"@c>", 0, "\"a\\\\b\"@c", "" },
		{ "<a\\@b@c>", 0, "\"a@b\"@c", "" },
		{ "<\"a\".b.\"c d\"@e>", 0, "\"a.b.c d\"@e", "" },
		{ "<\"a.b\"@c>", 0, "a.b@c", "" },
		{ "<\"\"@c>", 0, NULL, NULL },
		{ "<\"a@c>", 0, NULL, NULL },
		{ "<\"x@far.example\">", 0, "\"x@far.example\"", "" },
		{ "<\"a(b),c;d\"@e>", 0, "\"a(b),c;d\"@e", "" },
		/* dots where there should be none */
		{ "<.a@b>", 0, "\".a\"@b", "" },
		{ "<a.@b>", 0, "\"a.\"@b", "" },
		{ "<a..b@c>", 0, "\"a..b\"@c", "" },
		/* source routes */
		{ "<@x:a@b>", 0, "a@b", "" },
		{ "<@x,@y.z:a@b> K=V", 0, "a@b", "K=V" },
		{ "<@[1.2.3.4],@[IPv6:::1]:a@b>", 0, "a@b", "" },
		{ "<@x,y:a@b>", 0, NULL, NULL },
		{ "<@x a@b>", 0, NULL, NULL },
		{ "<@:a@b>", 0, NULL, NULL },
		{ "<@x:>", 0, NULL, NULL },
		/* several @, % and ! */
		{ "<x@far.example@here>", 0, "\"x@far.example\"@here", "" },
		{ "<user%far@here>", 0, "user%far@here", "" },
		{ "<far!user@here>", 0, "far!user@here", "" },
		{ "<a@@b>", 0, "\"a@\"@b", "" },
		/* literals */
		{ "<a@[1.2.3.4]>", 0, "a@[1.2.3.4]", "" },
		{ "<a@[IPv6:2001:db8::1]>", 0, "a@[IPv6:2001:db8::1]", "" },
		{ "<a@[ipv6:::ffff:1.2.3.4]>", 0, "a@[ipv6:::ffff:1.2.3.4]", "" },
		{ "<a@[1.2.3.444]>", 0, NULL, NULL },
		{ "<a@[2001:db8::1]>", 0, NULL, NULL },
		{ "<a@[]>", 0, NULL, NULL },
		{ "<a@[1.2.3.4>", 0, NULL, NULL },
		{ "<a@1.2.3.4>", 0, NULL, NULL },
		/* malformed domains */
		{ "<a@>", 0, NULL, NULL },
		{ "<@b>", 0, NULL, NULL },
		{ "<a@b..c>", 0, NULL, NULL },
		{ "<a@.b>", 0, NULL, NULL },
		{ "<a@-b>", 0, NULL, NULL },
		{ "<a@b->", 0, NULL, NULL },
		{ "<a@b c>", 0, NULL, NULL },
		{ "<a@b/c>", 0, NULL, NULL },
		/* malformed otherwise */
		{ "", 0, NULL, NULL },
		{ "<a@b", 0, NULL, NULL },
		{ "<a@b>x", 0, NULL, NULL },
		{ "<a b@c>", 0, NULL, NULL },
		{ "<a<b@c>", 0, NULL, NULL },
		{ "<a\001b@c>", 0, NULL, NULL },
		{ "<\"a\tb\"@c>", 0, NULL, NULL },
		{ "<(c)a@b>", 0, NULL, NULL },
		{ "<a\\>", 0, NULL, NULL },
		/* UTF-8 */
		{ "<\xc3\xb6@\xc3\xbc.example>", 0, "\xc3\xb6@\xc3\xbc.example", "" },
	};
	struct arena a = ARENA_INIT;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct slice rest = text(rows[i].in);
		struct smtp_path path = { NULL, false, false };
		bool ok = smtp_parse_path(&a, &rest, rows[i].flags, &path);

		CHECK_ROW(rows[i].in);
		CHECK_INT(ok, rows[i].address != NULL);
		if (ok && rows[i].address != NULL) {
			CHECK_STR(path.address, rows[i].address);
			CHECK(slice_eq(rest, rows[i].rest));
			CHECK_INT(path.utf8, smtp_has_8bit(text(rows[i].in)));
		}
	}
	arena_free(&a);
}

TEST(smtp, long_paths)
{
	struct arena a = ARENA_INIT;
	struct buf b = BUF_INIT;
	struct smtp_path path;
	struct slice rest;

	buf_addc(&b, '<');
	for (int i = 0; i < 600; i++) {
		buf_addc(&b, 'x');
	}
	buf_adds(&b, "@b>");
	rest = (struct slice){ b.data, b.len };
	CHECK(!smtp_parse_path(&a, &rest, 0, &path));
	buf_reset(&b);
	buf_adds(&b, "<a@");
	for (int i = 0; i < 64; i++) {
		buf_addc(&b, 'x');
	}
	buf_adds(&b, ">");
	rest = (struct slice){ b.data, b.len };
	CHECK(!smtp_parse_path(&a, &rest, 0, &path));
	rest = (struct slice){ "<a\0b@c>", 7 };
	CHECK(!smtp_parse_path(&a, &rest, 0, &path));
	buf_free(&b);
	arena_free(&a);
}

TEST(smtp, hostnames)
{
	static const struct {
		const char *name;
		bool valid, fqdn;
	} rows[] = {
		{ "a", true, false },
		{ "a.b", true, true },
		{ "a.b.", false, false },
		{ "", false, false },
		{ "a b", false, false },
		{ "[1.2.3.4]", false, false },
		{ "1.2.3.4", true, false },
		{ "a_b.c", true, true },
		{ "-a.b", false, false },
		{ "a-.b", false, false },
		{ "a..b", false, false },
		{ "a.b-", false, false },
		{ "127.0.0.1.example", true, true },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CHECK_ROW(rows[i].name);
		CHECK_INT(smtp_valid_hostname(text(rows[i].name)), rows[i].valid);
		CHECK_INT(smtp_is_fqdn(text(rows[i].name)), rows[i].fqdn);
	}
}

TEST(smtp, params)
{
	struct slice rest = text(" SIZE=10  BODY=8BITMIME SMTPUTF8 X= ");
	struct smtp_param p;
	uint64_t size = 7;
	unsigned notify = 0;

	REQUIRE(smtp_next_param(&rest, &p));
	CHECK(slice_eq(p.key, "SIZE") && slice_eq(p.value, "10"));
	REQUIRE(smtp_next_param(&rest, &p));
	CHECK(slice_eq(p.text, "BODY=8BITMIME"));
	REQUIRE(smtp_next_param(&rest, &p));
	CHECK(slice_eq(p.key, "SMTPUTF8") && p.value.ptr == NULL);
	REQUIRE(smtp_next_param(&rest, &p));
	CHECK(p.value.ptr != NULL && p.value.len == 0);
	CHECK(!smtp_next_param(&rest, &p));

	CHECK(smtp_parse_size(text("0"), &size) && size == 0);
	CHECK(smtp_parse_size(text("123456789012345678"), &size) && size == 123456789012345678ULL);
	CHECK(!smtp_parse_size(text(""), &size));
	CHECK(!smtp_parse_size(text("-1"), &size));
	CHECK(!smtp_parse_size(text("1x"), &size));
	CHECK(!smtp_parse_size(text("99999999999999999999"), &size));

	CHECK(smtp_parse_notify(text("never"), &notify) && notify == 1);
	CHECK(smtp_parse_notify(text("SUCCESS,Failure,DELAY"), &notify) && notify == 14);
	CHECK(!smtp_parse_notify(text("NEVER,DELAY"), &notify));
	CHECK(smtp_parse_notify(text("DELAY,DELAY,"), &notify) && notify == 8);
	CHECK(!smtp_parse_notify(text(","), &notify));
	CHECK(!smtp_parse_notify(text(""), &notify));
	CHECK(!smtp_parse_notify(text("FOO"), &notify));
}

TEST(smtp, dsn_params)
{
	struct arena a = ARENA_INIT;

	CHECK_STR(smtp_parse_orcpt(&a, text("rfc822;a+40b+2Bc")), "rfc822;a@b+c");
	CHECK_STR(smtp_parse_orcpt(&a, text("x-any;1")), "x-any;1");
	CHECK_STR(smtp_parse_orcpt(&a, text("utf-8;j\\x{F6}rg@x")), "utf-8;j\xc3\xb6rg@x");
	CHECK_STR(smtp_parse_orcpt(&a, text("utf-8;\\x{1F600}@x")), "utf-8;\xf0\x9f\x98\x80@x");
	CHECK(smtp_parse_orcpt(&a, text("utf-8;\\x{D800}@x")) == NULL);
	CHECK(smtp_parse_orcpt(&a, text("utf-8;\\x{zz}@x")) == NULL);
	CHECK(smtp_parse_orcpt(&a, text("utf-8;\\x{41")) == NULL);
	CHECK(smtp_parse_orcpt(&a, text("rfc822")) == NULL);
	CHECK(smtp_parse_orcpt(&a, text(";a@b")) == NULL);
	CHECK(smtp_parse_orcpt(&a, text("rfc822;a+4")) == NULL);
	CHECK(smtp_parse_orcpt(&a, text("rfc822;a+0Ab")) == NULL);
	CHECK(smtp_parse_orcpt(&a, text("rfc 822;a")) == NULL);
	CHECK_STR(smtp_parse_envid(&a, text("QQ314159")), "QQ314159");
	CHECK(smtp_parse_envid(&a, text("+XX")) == NULL);
	CHECK(smtp_parse_envid(&a, text("")) == NULL);
	arena_free(&a);
}

TEST(smtp, replies)
{
	static const struct {
		const char *text, *wire;
	} rows[] = {
		{ "250 2.1.0 Ok", "250 2.1.0 Ok\r\n" },
		{ "220 host ESMTP", "220 host ESMTP\r\n" },
		{ "554 5.7.1 no\nway", "554-5.7.1 no\r\n554 5.7.1 way\r\n" },
		{ "214 a\nb\nc", "214-a\r\n214-b\r\n214 c\r\n" },
		{ "250 x\ry\tz", "250 x?y?z\r\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b = BUF_INIT;

		CHECK_ROW(rows[i].text);
		smtp_put_reply(&b, rows[i].text);
		CHECK_STR(buf_str(&b), rows[i].wire);
		buf_free(&b);
	}
}

/* Message data: what goes in, what the queue gets, how much is taken (-1: no end of data). */
static const struct data_row {
	const char *in, *out;
	int taken;
	unsigned flags;
} data_rows[] = {
	{ "a\r\n.\r\nQUIT\r\n", "a\n", 6, 0 },
	{ ".\r\n", "", 3, 0 },
	{ "a\r\n..b\r\n...\r\n.\r\n", "a\n.b\n..\n", 16, 0 },
	{ "a.\r\n.b\r\n.\r\n", "a.\nb\n", 11, 0 },
	/* smuggling: none of these ends the message */
	{ "a\n.\nMAIL\r\n", "a\n\nMAIL\n", -1, 0 },
	{ "a\n.\r\nMAIL\r\n", "a\n\nMAIL\n", -1, 0 },
	{ "a\r\n.\nMAIL\r\n", "a\n\nMAIL\n", -1, 0 },
	{ "a\r.\rMAIL\r\n", "a\r.\rMAIL\n", -1, 0 },
	{ "a\r\n.\rMAIL\r\n", "a\n\rMAIL\n", -1, 0 },
	{ "a\r.\r\nMAIL\r\n", "a\r.\nMAIL\n", -1, 0 },
	{ "a\n.\r\r\nMAIL\r\n", "a\n\nMAIL\n", -1, 0 },
	{ "a\r\n.\r\r\nMAIL\r\n", "a\n\nMAIL\n", -1, 0 },
	{ "a\r\n.\r\n", "a\n", 6, 0 },
	{ "a\r\r\n.\r\n", "a\n", 7, 0 },
	{ "a\n\r\n.\r\n", "a\n\n", 7, 0 },
	/* bare LF is a line end, CR inside a line is data */
	{ "a\nb\r\n.\r\n", "a\nb\n", 8, 0 },
	{ "a\rb\r\n.\r\n", "a\rb\n", 8, 0 },
	{ "\n\n\r\n.\r\n", "\n\n\n", 7, 0 },
	/* lenient: what the world once took for an end */
	{ "a\n.\nMAIL", "a\n", 4, SMTP_DATA_LENIENT },
	{ "a\n.\r\nMAIL", "a\n", 5, SMTP_DATA_LENIENT },
	{ "a\r\n.\nMAIL", "a\n", 5, SMTP_DATA_LENIENT },
	/* BDAT knows no dots */
	{ "a\r\n.\r\n..b\r\n", "a\n.\n..b\n", -1, SMTP_DATA_BDAT },
};

/* run_data - the row's input in pieces of a size; taken, or -1 */
static int run_data(const struct data_row *row, size_t piece, struct buf *out, struct smtp_data *d)
{
	size_t len = strlen(row->in), done = 0;

	smtp_data_init(d, row->flags);
	while (done < len && d->state != SMTP_DATA_END) {
		size_t n = len - done < piece ? len - done : piece;

		done += smtp_data_feed(d, row->in + done, n, out);
	}
	return d->state == SMTP_DATA_END ? (int)done : -1;
}

TEST(smtp, data)
{
	for (size_t i = 0; i < ARRAY_LEN(data_rows); i++) {
		for (size_t piece = 1; piece < 20; piece++) {
			struct buf out = BUF_INIT;
			struct smtp_data d;

			CHECK_ROW(data_rows[i].in);
			CHECK_INT(run_data(&data_rows[i], piece, &out, &d), data_rows[i].taken);
			CHECK_STR(buf_str(&out), data_rows[i].out);
			buf_free(&out);
		}
	}
}

TEST(smtp, data_nul_and_bare_lf)
{
	struct buf out = BUF_INIT;
	struct smtp_data d;

	smtp_data_init(&d, 0);
	CHECK_INT(smtp_data_feed(&d, "a\0b\n\0.\r\n\0\r\n.\r\n", 14, &out), 14);
	CHECK_INT(d.state, SMTP_DATA_END);
	CHECK_MEM(out.data, out.len, "a\0b\n\0.\n\0\n", 9);
	CHECK_INT(d.bare_lf, 1);
	buf_free(&out);
}

TEST(smtp, bdat_finish)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "a", "a\n" },
		{ "a\r\n", "a\n" },
		{ "a\r", "a\r\n" },
		{ "", "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf out = BUF_INIT;
		struct smtp_data d;

		CHECK_ROW(rows[i].in);
		smtp_data_init(&d, SMTP_DATA_BDAT);
		(void)smtp_data_feed(&d, rows[i].in, strlen(rows[i].in), &out);
		smtp_data_finish(&d, &out);
		CHECK_STR(buf_str(&out), rows[i].out);
		buf_free(&out);
	}
}

TEST(smtp, utf8)
{
	CHECK(smtp_valid_utf8(text("abc \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80")));
	CHECK(!smtp_valid_utf8(text("\xc3")));
	CHECK(!smtp_valid_utf8(text("\xc0\xaf")));
	CHECK(!smtp_valid_utf8(text("\xe0\x80\xaf")));
	CHECK(!smtp_valid_utf8(text("\xed\xa0\x80")));
	CHECK(!smtp_valid_utf8(text("\xf4\x90\x80\x80")));
	CHECK(!smtp_valid_utf8(text("\xff")));
}
