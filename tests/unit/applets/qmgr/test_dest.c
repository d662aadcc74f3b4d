/*
 * test_dest - the window of a destination follows what comes back; its death; its queue
 */
#include "base/mem.h"
#include "applets/queue/qmgr/dest.h"
#include "qmgr_util.h"
#include "unit.h"

static const struct dest_limits plain = { .initial = 5,
	.most = 20,
	.up = { 1, FEEDBACK_CONSTANT },
	.down = { 1, FEEDBACK_CONSTANT },
	.failed_cohorts = 1,
	.dead_ms = 1000 };

TEST(dest, feedback_as_it_is_written)
{
	static const struct {
		const char *text;
		bool good;
		double share;
		enum feedback_by by;
	} rows[] = {
		{ "1", true, 1, FEEDBACK_CONSTANT },
		{ "0.5", true, 0.5, FEEDBACK_CONSTANT },
		{ "0", true, 0, FEEDBACK_CONSTANT },
		{ "1/concurrency", true, 1, FEEDBACK_BY_WINDOW },
		{ "1 / sqrt_concurrency", true, 1, FEEDBACK_BY_ROOT },
		{ "1/8", true, 0.125, FEEDBACK_CONSTANT },
		{ "3 / 4", true, 0.75, FEEDBACK_CONSTANT },
		{ "4/3", false, 0, FEEDBACK_CONSTANT },
		{ "1/0", false, 0, FEEDBACK_CONSTANT },
		{ "1/-2", false, 0, FEEDBACK_CONSTANT },
		{ "1/", false, 0, FEEDBACK_CONSTANT },
		{ "1/8x", false, 0, FEEDBACK_CONSTANT },
		{ "2/concurrency", false, 0, FEEDBACK_BY_WINDOW },
		{ "", false, 0, FEEDBACK_CONSTANT },
		{ "2", false, 0, FEEDBACK_CONSTANT },
		{ "-1", false, 0, FEEDBACK_CONSTANT },
		{ "nan", false, 0, FEEDBACK_CONSTANT },
		{ "1x", false, 0, FEEDBACK_CONSTANT },
		{ ".25", true, 0.25, FEEDBACK_CONSTANT },
		{ "0.1.2", false, 0, FEEDBACK_CONSTANT },
		{ ".", false, 0, FEEDBACK_CONSTANT },
		{ "0.1234567890123456", false, 0, FEEDBACK_CONSTANT },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct feedback f;

		CHECK_ROW(rows[i].text);
		CHECK_INT(feedback_parse(&f, rows[i].text), rows[i].good);
		if (rows[i].good) {
			CHECK(f.share == rows[i].share);
			CHECK_INT(f.by, rows[i].by);
		}
	}
}

/* good - so many come back well while that many are under way */
static int64_t good(struct dest *d, const struct dest_limits *l, size_t sent, int times)
{
	for (int i = 0; i < times; i++) {
		d->sent = sent;
		dest_good(d, l);
	}
	d->sent = 0;
	return d->window;
}

TEST(dest, window_grows_while_it_is_used)
{
	struct dest *d = dest_new("k", "h", &plain);

	CHECK_INT(d->window, 5);
	CHECK_INT(good(d, &plain, 5, 1), 6);
	CHECK_INT(good(d, &plain, 6, 3), 9);
	/* With one at a time under way nobody knows whether it could bear more. */
	CHECK_INT(good(d, &plain, 1, 50), 9);
	CHECK_INT(good(d, &plain, 20, 50), 20);
	dest_free(d);
}

TEST(dest, window_grows_by_shares)
{
	struct dest_limits l = plain;
	struct dest *d;

	l.up = (struct feedback){ 1, FEEDBACK_BY_WINDOW };
	d = dest_new("k", "h", &l);
	CHECK_INT(good(d, &l, 5, 4), 5);
	CHECK_INT(good(d, &l, 5, 1), 6);
	CHECK_INT(good(d, &l, 6, 5), 6);
	CHECK_INT(good(d, &l, 6, 1), 7);
	dest_free(d);
	l.up = (struct feedback){ 0.5, FEEDBACK_CONSTANT };
	l.most = 0; /* no bound */
	d = dest_new("k", "h", &l);
	CHECK_INT(good(d, &l, 5, 1), 5);
	CHECK_INT(good(d, &l, 5, 1), 6);
	CHECK_INT(good(d, &l, 1000, 100), 56);
	dest_free(d);
	/* 1/sqrt(4): the first two make one. */
	l.up = (struct feedback){ 1, FEEDBACK_BY_ROOT };
	l.initial = 4;
	d = dest_new("k", "h", &l);
	CHECK_INT(good(d, &l, 4, 1), 4);
	CHECK_INT(good(d, &l, 4, 1), 5);
	dest_free(d);
}

TEST(dest, first_window_is_within_the_limit)
{
	struct dest_limits l = plain;
	struct dest *d;

	l.most = 2;
	d = dest_new("k", "h", &l);
	CHECK_INT(d->window, 2);
	CHECK_INT(good(d, &l, 2, 10), 2);
	dest_free(d);
}

TEST(dest, failures_shrink_it_and_kill_it)
{
	struct dest *d = dest_new("k", "h", &plain);

	/* 1/5 + 1/4 + 1/3 + 1/2: with the fourth a whole window has failed. */
	CHECK(!dest_bad(d, &plain, 70, "4.4.1", "refused"));
	CHECK_INT(d->window, 4);
	CHECK(!dest_bad(d, &plain, 70, "4.4.1", "refused"));
	CHECK(!dest_bad(d, &plain, 70, "4.4.1", "refused"));
	CHECK_INT(d->window, 2);
	CHECK(dest_bad(d, &plain, 70, "4.4.1", "timed out"));
	CHECK_INT(d->dead_until, 1070);
	CHECK_STR(d->text, "timed out");
	CHECK_STR(d->dsn, "4.4.1");
	/* It is remembered, and dies once. */
	CHECK(!dest_is_unused(d));
	CHECK(!dest_bad(d, &plain, 71, "4.4.1", "again"));
	CHECK_INT(d->dead_until, 1070);
	dest_revive(d, &plain);
	CHECK_INT(d->window, 5);
	CHECK(dest_is_unused(d));
	dest_free(d);
}

TEST(dest, a_success_forgets_failures)
{
	struct dest *d = dest_new("k", "h", &plain);

	for (int i = 0; i < 20; i++) {
		CHECK(!dest_bad(d, &plain, 0, "4.4.1", "x"));
		(void)good(d, &plain, 5, 1);
	}
	CHECK_INT(d->dead_until, 0);
	CHECK_INT(d->window, 5);
	dest_free(d);
}

TEST(dest, window_never_ends_without_death)
{
	struct dest_limits l = plain;
	struct dest *d;

	l.failed_cohorts = 0;
	d = dest_new("k", "h", &l);
	for (int i = 0; i < 20; i++) {
		CHECK(!dest_bad(d, &l, 0, "4.4.1", "x"));
	}
	CHECK_INT(d->window, 1);
	/* The first failure counts at once, further shares when they are one. */
	l.down = (struct feedback){ 0.5, FEEDBACK_CONSTANT };
	dest_revive(d, &l);
	(void)dest_bad(d, &l, 0, "4.4.1", "x");
	CHECK_INT(d->window, 4);
	(void)dest_bad(d, &l, 0, "4.4.1", "x");
	CHECK_INT(d->window, 4);
	(void)dest_bad(d, &l, 0, "4.4.1", "x");
	CHECK_INT(d->window, 3);
	dest_free(d);
}

TEST(dest, a_fixed_window_stays)
{
	struct dest_limits l = plain;
	struct dest *d;

	l.fixed = true;
	l.most = 500;
	d = dest_new("k", "h", &l);
	CHECK_INT(d->window, 500);
	for (int i = 0; i < 1000; i++) {
		CHECK(!dest_bad(d, &l, 0, "4.4.1", "x"));
	}
	CHECK_INT(d->window, 500);
	dest_free(d);
}

TEST(dest, queue_keeps_order_and_window)
{
	struct job *j = qmgr_job(1, "a", 1);
	struct dest_limits l = plain;
	struct request *r[4];
	struct dest *d;

	l.initial = 2;
	d = dest_new("k", "h", &l);
	CHECK(!dest_may_send(d));
	for (size_t i = 0; i < 4; i++) {
		r[i] = qmgr_request(j, d);
		dest_queue(d, r[i], i == 3); /* the last one to the front */
	}
	CHECK(dest_take(d) == r[3]);
	CHECK(dest_take(d) == r[0]);
	CHECK(!dest_may_send(d)); /* two are under way */
	dest_back(d);
	CHECK(dest_may_send(d));
	CHECK(dest_take(d) == r[1]);
	mem_free(r[3]);
	mem_free(r[0]);
	mem_free(r[1]);
	dest_free(d); /* with r[2] */
	qmgr_job_free(j);
}
