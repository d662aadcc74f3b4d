/*
 * test_clock_steps - what somebody who sets the clock does to what waits
 */
#include "base/clock_steps.h"
#include "unit.h"

enum { DAY = 86400, START = 1000000000 };

TEST(clock_steps, forward_and_back)
{
	struct clock_steps s = { 0 };

	clock_steps_look(&s, START, 500);
	clock_steps_look(&s, START + 3600, 4100);
	CHECK_INT(clock_steps_since(&s, START - DAY), 0);
	/* A day ahead, seen ten seconds later. */
	clock_steps_look(&s, START + 3610 + DAY, 4110);
	CHECK_INT(clock_steps_since(&s, START), DAY);
	CHECK_INT(clock_steps_since(&s, START + 3610), DAY);
	CHECK_INT(clock_steps_since(&s, START + 3610 + DAY), 0);
	/* And back again: what came in the wrong day may have come after it. */
	clock_steps_look(&s, START + 3620, 4120);
	CHECK_INT(clock_steps_since(&s, START), 0);
	CHECK_INT(clock_steps_since(&s, START + 3700), 0);
	CHECK_INT(clock_steps_since(&s, START + 3610 + DAY), 0);
}

TEST(clock_steps, small_ones_and_many)
{
	struct clock_steps s = { 0 };

	clock_steps_look(&s, START, 500);
	clock_steps_look(&s, START + 10 + CLOCK_STEP_SECONDS - 1, 510);
	CHECK_INT(clock_steps_since(&s, 0), 0);
	/* Small ones add up. */
	clock_steps_look(&s, START + 20 + CLOCK_STEP_SECONDS, 520);
	CHECK_INT(clock_steps_since(&s, 0), CLOCK_STEP_SECONDS);
	for (int i = 1; i <= 3 * CLOCK_STEPS; i++) {
		clock_steps_look(&s, START + i * DAY, 520 + i);
	}
	CHECK_INT((long long)s.count, CLOCK_STEPS);
	/* Of the last there is no doubt: each a day but for the second between. */
	CHECK_INT(clock_steps_since(&s, START), CLOCK_STEPS * (DAY - 1));
}
