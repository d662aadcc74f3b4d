#ifndef BASE_CLOCK_STEPS_H
#define BASE_CLOCK_STEPS_H

#include <stddef.h>
#include <stdint.h>

/*
 * How often somebody has set the clock, and by how much: what waits by the time of day has not
 * waited for longer, or less long, because of it.
 */
enum { CLOCK_STEPS = 8, CLOCK_STEP_SECONDS = 60 };

struct clock_steps {
	int64_t ahead; /* the time of day, less that of the steady clock; 0: not known yet */
	size_t count;  /* of the steps below: the newest are kept */
	struct {
		int64_t before; /* what it showed */
		int64_t by;     /* how far it was set forward, or, negative, back */
	} steps[CLOCK_STEPS];
};

/* Look at the clocks, in seconds: the time of day, and clock_steady(). */
void clock_steps_look(struct clock_steps *s, int64_t wall, int64_t steady);
/* By how much it was set forward since what certainly was before that: seconds, negative: back. */
int64_t clock_steps_since(const struct clock_steps *s, int64_t moment);

#endif
