/*
 * test_nexthop - the forms in which a next hop can be written
 */
#include "base/arena.h"
#include "base/buf.h"
#include "applets/deliver/smtp/nexthop.h"
#include "unit.h"

struct row {
	const char *text;
	bool lmtp;
	const char *host, *path; /* both NULL: it is bad */
	int port;
	bool bracketed;
};

TEST(smtp_nexthop, one_of_them)
{
	static const struct row rows[] = {
		{ "far.example", false, "far.example", NULL, 25, false },
		{ "far.example:587", false, "far.example", NULL, 587, false },
		{ "far.example:submission", false, "far.example", NULL, 587, false },
		{ "far.example:", false, "far.example", NULL, 25, false },
		{ "[mx.far.example]", false, "mx.far.example", NULL, 25, true },
		{ "[mx.far.example]:", false, "mx.far.example", NULL, 25, true },
		{ "[mx.far.example]:smtps", false, "mx.far.example", NULL, 465, true },
		{ "[192.0.2.1]", false, "192.0.2.1", NULL, 25, true },
		{ "[2001:db8::1]", false, "2001:db8::1", NULL, 25, true },
		{ "[IPv6:2001:db8::1]:26", false, "2001:db8::1", NULL, 26, true },
		{ "[ipv6:::1]:65535", false, "::1", NULL, 65535, true },
		{ "inet:far.example", false, NULL, NULL, 0, false },
		{ "unix:path", false, NULL, NULL, 0, false },
		{ "unix:private/lmtp", true, NULL, "private/lmtp", 0, false },
		{ "unix:/run/a:b", true, NULL, "/run/a:b", 0, false },
		{ "inet:far.example", true, "far.example", NULL, 25, false },
		{ "inet:[::1]:24", true, "::1", NULL, 24, true },
		{ "far.example:24", true, "far.example", NULL, 24, false },
		{ "unix:", true, NULL, NULL, 0, false },
		{ "inet:", true, NULL, NULL, 0, false },
		{ "[far.example", false, NULL, NULL, 0, false },
		{ "[far.example]x", false, NULL, NULL, 0, false },
		{ "[]", false, NULL, NULL, 0, false },
		{ "[]:25", false, NULL, NULL, 0, false },
		{ ":25", false, NULL, NULL, 0, false },
		{ "far.example:0", false, NULL, NULL, 0, false },
		{ "far.example:65536", false, NULL, NULL, 0, false },
		{ "far.example:no-such-service", false, NULL, NULL, 0, false },
		{ "", false, NULL, NULL, 0, false },
		{ " , ", false, NULL, NULL, 0, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		bool good = r->host != NULL || r->path != NULL;
		struct arena a = ARENA_INIT;
		struct buf error = BUF_INIT;
		struct nexthop *list;
		size_t count;

		CHECK_ROW(r->text);
		CHECK_INT(nexthop_parse(&a, r->text, r->lmtp, "smtp", &list, &count, &error), good);
		CHECK_INT(error.len > 0, !good);
		if (good) {
			CHECK_INT(count, 1);
			CHECK_STR(list[0].text, r->text);
			CHECK_STR(list[0].host, r->host);
			CHECK_STR(list[0].path, r->path);
			CHECK_INT(list[0].port, r->port);
			CHECK_INT(list[0].bracketed, r->bracketed);
		}
		buf_free(&error);
		arena_free(&a);
	}
}

TEST(smtp_nexthop, several)
{
	struct arena a = ARENA_INIT;
	struct buf error = BUF_INIT;
	struct nexthop *list;
	size_t count;

	REQUIRE(nexthop_parse(&a, " a.example, [b.example]:587\tc.example:26 ", false, "25", &list,
		&count, &error));
	CHECK_INT(count, 3);
	CHECK_STR(list[0].host, "a.example");
	CHECK_STR(list[1].host, "b.example");
	CHECK_INT(list[1].port, 587);
	CHECK_INT(list[2].port, 26);
	/* One that is bad spoils the list: mail must not go where it was not meant to go. */
	CHECK_INT(nexthop_parse(&a, "a.example [b", false, "25", &list, &count, &error), false);
	CHECK_STR(buf_str(&error), "bad next hop \"[b\": a bracket that is not closed");
	buf_free(&error);
	arena_free(&a);
}

TEST(smtp_nexthop, too_many)
{
	struct arena a = ARENA_INIT;
	struct buf error = BUF_INIT, text = BUF_INIT;
	struct nexthop *list;
	size_t count;

	for (int i = 0; i < 100; i++) {
		buf_adds(&text, "a.example ");
	}
	CHECK(nexthop_parse(&a, buf_str(&text), false, "25", &list, &count, &error));
	CHECK_INT(count, 100);
	buf_adds(&text, "b.example");
	CHECK(!nexthop_parse(&a, buf_str(&text), false, "25", &list, &count, &error));
	buf_free(&error);
	buf_free(&text);
	arena_free(&a);
}
