/*
 * test_status_filter - what a delivery_status_filter may change and what it may not
 */
#include "base/arena.h"
#include "base/str.h"
#include "applets/deliver/agent/result.h"
#include "applets/deliver/agent/status_filter.h"
#include "unit.h"

static const char tables[] = "inline:{ {4.7.4 no tls = 5.7.4 TLS is wanted}, {5.1.1 gone = 4.1.1}, "
			     "{2.0.0 sent = 4.0.0 not}, {4.2.2 full = 2.0.0 fine}, "
			     "{5.2.1 off = disabled}, {2.1.5 ok = 2.6.0 well} }";

static const struct {
	enum delivery_status status;
	const char *dsn, *text;
	enum delivery_status now;
	const char *dsn_now, *text_now;
} rows[] = {
	{ DELIVERY_DEFERRED, "4.7.4", "no tls", DELIVERY_BOUNCED, "5.7.4", "TLS is wanted" },
	{ DELIVERY_BOUNCED, "5.1.1", "gone", DELIVERY_DEFERRED, "4.1.1", "gone" },
	{ DELIVERY_SENT, "2.0.0", "sent", DELIVERY_SENT, "2.0.0", "sent" },
	{ DELIVERY_DEFERRED, "4.2.2", "full", DELIVERY_DEFERRED, "4.2.2", "full" },
	{ DELIVERY_BOUNCED, "5.2.1", "off", DELIVERY_BOUNCED, "5.2.1", "off" },
	{ DELIVERY_SENT, "2.1.5", "ok", DELIVERY_SENT, "2.6.0", "well" },
	{ DELIVERY_DEFERRED, "4.0.0", "not listed", DELIVERY_DEFERRED, "4.0.0", "not listed" },
};

TEST(status_filter, changes)
{
	struct status_filter *f = status_filter_open(tables);
	struct arena a = ARENA_INIT;

	REQUIRE(f != NULL);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct agent_result res = {
			.status = rows[i].status, .dsn = rows[i].dsn, .text = rows[i].text
		};

		CHECK_ROW(rows[i].text);
		status_filter_apply(f, &a, &res);
		CHECK_INT(res.status, rows[i].now);
		CHECK_STR(res.dsn, rows[i].dsn_now);
		CHECK_STR(res.text, rows[i].text_now);
	}
	status_filter_close(f);
	arena_free(&a);
}

TEST(status_filter, none)
{
	struct agent_result res = { .status = DELIVERY_SENT, .dsn = "2.0.0", .text = "sent" };

	CHECK(status_filter_open(" , ") == NULL);
	status_filter_apply(NULL, NULL, &res);
	CHECK_STR(res.dsn, "2.0.0");
}
