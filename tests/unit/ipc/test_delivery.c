/*
 * test_delivery - requests and answers survive the wire; broken ones are refused
 */
#include <string.h>

#include "ipc/delivery.h"
#include "ipc/delivery_log.h"
#include "unit.h"

static const struct delivery_recipient recipients[] = {
	{ 0, "u1@test.example", "", "", 0, 0 },
	{ 7, "x+y@test.example", "\"a b\"@old.example", "rfc822;q@r", 6, DELIVERY_SUSPECT },
};

static const struct delivery_request request = { .serial = 0x123456789abcULL,
	.id = 0x3ffffffffffffULL,
	.sender = "",
	.envid = "QQ314159",
	.nexthop = "test.example",
	.size = 123456789012LL,
	.arrival = 1700000000123456LL,
	.active_since = 1700000001123456LL,
	.env_flags = 1 | 32,
	.recipient_count = 2,
	.recipients = (struct delivery_recipient *)recipients };

static const char *added[] = { "a@b.example", "", "c" };

static const struct delivery_answer answer = { .serial = 42,
	.n = 100000,
	.status = DELIVERY_BOUNCED,
	.dsn = "5.1.1",
	.text = "unknown user: \"nobody\"",
	.added_count = 3,
	.added = added,
	.owner = "owner-list@x",
	.mta = "mx.example",
	.diagnostic_type = "smtp",
	.diagnostic = "550 5.1.1 <nobody>: unknown" };

TEST(delivery, request_round_trip)
{
	struct buf b = BUF_INIT;
	struct arena a = ARENA_INIT;
	struct delivery_request got;
	struct wire w;
	size_t size;

	delivery_put_request(&b, &request);
	REQUIRE(wire_next(&b, &w, &size) == 1);
	CHECK_INT(size, b.len);
	REQUIRE(delivery_get_request(&w, &a, &got));
	CHECK(got.serial == request.serial);
	CHECK(got.id == request.id);
	CHECK_STR(got.sender, "");
	CHECK_STR(got.envid, request.envid);
	CHECK_STR(got.nexthop, request.nexthop);
	CHECK_INT(got.size, request.size);
	CHECK_INT(got.arrival, request.arrival);
	CHECK_INT(got.active_since, request.active_since);
	CHECK_INT(got.env_flags, request.env_flags);
	REQUIRE(got.recipient_count == 2);
	for (size_t i = 0; i < 2; i++) {
		CHECK_ROW(recipients[i].address);
		CHECK_INT(got.recipients[i].n, recipients[i].n);
		CHECK_STR(got.recipients[i].address, recipients[i].address);
		CHECK_STR(got.recipients[i].original, recipients[i].original);
		CHECK_STR(got.recipients[i].orcpt, recipients[i].orcpt);
		CHECK_INT(got.recipients[i].notify, recipients[i].notify);
		CHECK_INT(got.recipients[i].flags, recipients[i].flags);
	}
	buf_free(&b);
	arena_free(&a);
}

TEST(delivery, answer_round_trip)
{
	struct buf b = BUF_INIT;
	struct arena a = ARENA_INIT;
	struct delivery_answer got;
	struct wire w;
	size_t size;

	delivery_put_answer(&b, &answer);
	REQUIRE(wire_next(&b, &w, &size) == 1);
	REQUIRE(delivery_get_answer(&w, &a, &got));
	CHECK_INT(got.serial, 42);
	CHECK_INT(got.n, 100000);
	CHECK_INT(got.status, DELIVERY_BOUNCED);
	CHECK_STR(got.dsn, answer.dsn);
	CHECK_STR(got.text, answer.text);
	REQUIRE(got.added_count == 3);
	CHECK_STR(got.added[0], added[0]);
	CHECK_STR(got.added[1], added[1]);
	CHECK_STR(got.added[2], added[2]);
	CHECK_STR(got.owner, answer.owner);
	CHECK_STR(got.mta, answer.mta);
	CHECK_STR(got.diagnostic_type, answer.diagnostic_type);
	CHECK_STR(got.diagnostic, answer.diagnostic);
	CHECK_INT(got.reach, DELIVERY_FINAL);
	buf_free(&b);
	arena_free(&a);
}

/* decode - the message in b as what it is; false when refused */
static bool decode(struct buf *b, bool is_request)
{
	struct arena a = ARENA_INIT;
	struct delivery_request r;
	struct delivery_answer s;
	struct wire w;
	size_t size;
	bool ok = wire_next(b, &w, &size) == 1 &&
		(is_request ? delivery_get_request(&w, &a, &r) : delivery_get_answer(&w, &a, &s));

	arena_free(&a);
	return ok;
}

/*
 * Whose fault it is goes over the wire, and only what waits can be a next hop's fault; how far it
 * has come, and only what was sent has.
 */
TEST(delivery, unreachable_and_reach)
{
	static const struct {
		enum delivery_status status;
		bool unreachable, good;
		enum delivery_reach reach;
	} rows[] = {
		{ DELIVERY_DEFERRED, true, true, DELIVERY_FINAL },
		{ DELIVERY_DEFERRED, false, true, DELIVERY_FINAL },
		{ DELIVERY_SENT, true, false, DELIVERY_FINAL },
		{ DELIVERY_BOUNCED, true, false, DELIVERY_FINAL },
		{ DELIVERY_SENT, false, true, DELIVERY_RELAYED },
		{ DELIVERY_SENT, false, true, DELIVERY_PASSED_ON },
		{ DELIVERY_SENT, false, false, DELIVERY_PASSED_ON + 1 },
		{ DELIVERY_DEFERRED, false, false, DELIVERY_RELAYED },
		{ DELIVERY_BOUNCED, false, false, DELIVERY_PASSED_ON },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct delivery_answer a = answer, got;
		struct arena texts = ARENA_INIT;
		struct buf b = BUF_INIT;
		struct wire w;
		size_t size;

		a.status = rows[i].status;
		a.unreachable = rows[i].unreachable;
		a.reach = rows[i].reach;
		delivery_put_answer(&b, &a);
		REQUIRE(wire_next(&b, &w, &size) == 1);
		CHECK_INT(delivery_get_answer(&w, &texts, &got), rows[i].good);
		CHECK(!rows[i].good || got.unreachable == rows[i].unreachable);
		CHECK(!rows[i].good || got.reach == rows[i].reach);
		buf_free(&b);
		arena_free(&texts);
	}
}

/* A message cut anywhere, with the outer length made to fit, is refused. */
TEST(delivery, truncated)
{
	for (int is_request = 0; is_request < 2; is_request++) {
		struct buf whole = BUF_INIT;

		if (is_request) {
			delivery_put_request(&whole, &request);
		} else {
			delivery_put_answer(&whole, &answer);
		}
		CHECK(decode(&whole, is_request));
		CHECK(!decode(&whole, !is_request));
		for (size_t len = 0; len < whole.len - 4; len++) {
			struct buf cut = BUF_INIT;

			buf_addu32(&cut, (uint32_t)len);
			buf_add(&cut, whole.data + 4, len);
			CHECK(!decode(&cut, is_request));
			buf_free(&cut);
		}
		buf_free(&whole);
	}
}

/* Any one byte changed to anything: no crash, no read outside (SAN=1), no huge allocation. */
TEST(delivery, flipped)
{
	for (int is_request = 0; is_request < 2; is_request++) {
		struct buf b = BUF_INIT;

		if (is_request) {
			delivery_put_request(&b, &request);
		} else {
			delivery_put_answer(&b, &answer);
		}
		for (size_t i = 4; i < b.len; i++) {
			char was = b.data[i];

			for (int v = 0; v < 256; v += 15) {
				b.data[i] = (char)v;
				(void)decode(&b, is_request);
			}
			b.data[i] = was;
		}
		CHECK(decode(&b, is_request));
		buf_free(&b);
	}
}

TEST(delivery, counts_beyond_the_message)
{
	struct buf b = BUF_INIT;
	struct delivery_answer many = answer;
	size_t count_at;

	/* The count stands before its elements: kind, serial, n, status, dsn, text. */
	count_at = 4 + 4 * 8 + 5 + strlen(answer.dsn) + 5 + strlen(answer.text);
	many.added_count = 3;
	delivery_put_answer(&b, &many);
	memset(b.data + count_at, 0xff, 8);
	CHECK(!decode(&b, false));
	memset(b.data + count_at, 0, 8);
	b.data[count_at + 7] = 4;
	CHECK(!decode(&b, false));
	buf_free(&b);
}

TEST(delivery, delay_digits)
{
	static const struct {
		int64_t us;
		const char *text;
	} rows[] = {
		{ 0, "0" },
		{ -5, "0" },
		{ 4999, "0" },
		{ 5000, "0.01" },
		{ 10000, "0.01" },
		{ 34000, "0.03" },
		{ 100000, "0.1" },
		{ 340000, "0.34" },
		{ 999000, "1" },
		{ 1000000, "1" },
		{ 1240000, "1.2" },
		{ 9940000, "9.9" },
		{ 9960000, "10" },
		{ 10400000, "10" },
		{ 99600000, "100" },
		{ 432000000000, "432000" },
	};
	char text[DELIVERY_DELAY_SIZE];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CHECK_ROW(rows[i].text);
		delivery_delay(text, rows[i].us);
		CHECK_STR(text, rows[i].text);
	}
}
