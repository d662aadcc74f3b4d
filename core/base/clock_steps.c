/*
 * clock_steps - how often somebody has set the clock
 *
 * A step is known by the difference of the two clocks. A moment that lies between what the clock
 * showed before a step back and after it may have been before or after that step: it counts as
 * after.
 */
#include "base/clock_steps.h"

#include <string.h>

void clock_steps_look(struct clock_steps *s, int64_t wall, int64_t steady)
{
	int64_t by = wall - steady - s->ahead;

	if (s->ahead == 0) {
		s->ahead = wall - steady;
		return;
	}
	if (by > -CLOCK_STEP_SECONDS && by < CLOCK_STEP_SECONDS) {
		return;
	}
	s->ahead += by;
	if (s->count == CLOCK_STEPS) {
		memmove(s->steps, s->steps + 1, sizeof(s->steps) - sizeof(s->steps[0]));
		s->count--;
	}
	s->steps[s->count].before = wall - by;
	s->steps[s->count++].by = by;
}

int64_t clock_steps_since(const struct clock_steps *s, int64_t moment)
{
	int64_t sum = 0;

	for (size_t i = 0; i < s->count; i++) {
		int64_t before = s->steps[i].before, by = s->steps[i].by;

		if (moment <= (by < 0 ? before + by : before)) {
			sum += by;
		}
	}
	return sum;
}
