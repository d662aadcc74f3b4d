/*
 * test_penalty - how long guesses wait by where they come from
 */
#include <stdio.h>

#include "applets/admin/auth/penalty.h"
#include "unit.h"

/* fail - a guess that is wrong at once; what it had to wait */
static int fail(struct penalties *p, const char *address, const char *user, int64_t now)
{
	int wait = penalty_enter(p, address, user, now);

	if (wait != PENALTY_REFUSED) {
		penalty_leave(p, address, user, now, PENALTY_FAILED);
	}
	return wait;
}

TEST(penalty, grows_and_is_forgiven)
{
	static const int want[] = { 1000, 1000, 1000, 1000, 2000, 2000, 2000, 2000, 4000 };
	struct penalties *p = penalties_new();

	for (int i = 0; i < PENALTY_FREE; i++) {
		CHECK_INT(fail(p, "192.0.2.1", "a", 0), 0);
	}
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		CHECK_INT(fail(p, "192.0.2.1", "a", 0), want[i]);
	}
	for (int i = 0; i < 100; i++) {
		(void)fail(p, "192.0.2.1", "a", 0);
	}
	CHECK_INT(fail(p, "192.0.2.1", "b", 0), 15000);
	/* Written otherwise it is the same address; others have nothing to do with it. */
	CHECK_INT(fail(p, "::ffff:192.0.2.1", "b", 0), 15000);
	CHECK_INT(fail(p, "192.0.2.2", "a", 0), 0);
	CHECK_INT(fail(p, "", "a", 0), 0);
	/* 40 failures at most are held against it. */
	CHECK_INT(fail(p, "192.0.2.1", "b", 31 * PENALTY_FORGIVE_MS), 0);
	penalties_free(p);
}

TEST(penalty, what_is_under_way_counts)
{
	struct penalties *p = penalties_new();

	for (int i = 0; i < PENALTY_FREE; i++) {
		CHECK_INT(penalty_enter(p, "2001:db8::1", "a", 0), 0);
	}
	/* The same /64. */
	for (int i = PENALTY_FREE; i < PENALTY_WAITING; i++) {
		CHECK(penalty_enter(p, "2001:db8::2", "a", 0) > 0);
	}
	CHECK_INT(penalty_enter(p, "2001:db8:0:0:1:2:3:4", "a", 0), PENALTY_REFUSED);
	CHECK_INT(penalty_enter(p, "2001:db8:0:1::1", "a", 0), 0);
	/* Given up: nothing was learnt and nothing is held against anybody. */
	for (int i = 0; i < PENALTY_WAITING; i++) {
		penalty_leave(p, "2001:db8::1", "a", 0, PENALTY_UNDECIDED);
	}
	penalty_leave(p, "2001:db8::1", "a", 0, PENALTY_UNDECIDED);
	CHECK_INT(penalty_enter(p, "2001:db8::1", "a", 0), 0);
	penalties_free(p);
}

TEST(penalty, who_has_logged_in)
{
	struct penalties *p = penalties_new();

	CHECK_INT(penalty_enter(p, "192.0.2.1", "me", 0), 0);
	penalty_leave(p, "192.0.2.1", "me", 0, PENALTY_SUCCEEDED);
	for (int i = 0; i < 60; i++) {
		(void)fail(p, "192.0.2.1", "other", 0);
	}
	CHECK_INT(fail(p, "192.0.2.1", "other", 0), 15000);
	/* Three at a time, and then as everybody. */
	for (int i = 0; i < 3; i++) {
		CHECK_INT(penalty_enter(p, "192.0.2.1", "me", 0), 0);
	}
	CHECK_INT(penalty_enter(p, "192.0.2.1", "me", 0), 15000);
	for (int i = 0; i < 4; i++) {
		penalty_leave(p, "192.0.2.1", "me", 0, PENALTY_FAILED);
	}
	CHECK_INT(fail(p, "192.0.2.1", "me", 0), 15000);
	penalties_free(p);
}

TEST(penalty, many_addresses)
{
	struct penalties *p = penalties_new();
	char address[32];

	CHECK_INT(penalty_enter(p, "192.0.2.1", "a", 0), 0);
	for (int i = 0; i < 5000; i++) {
		snprintf(address, sizeof(address), "10.0.%d.%d", i / 250, i % 250);
		CHECK_INT(fail(p, address, "a", 0), 0);
	}
	penalty_leave(p, "192.0.2.1", "a", 0, PENALTY_FAILED);
	for (int i = 0; i < 5000; i++) {
		snprintf(address, sizeof(address), "10.1.%d.%d", i / 250, i % 250);
		CHECK_INT(fail(p, address, "a", 0), 0);
	}
	penalties_free(p);
}
