/*
 * clock - time for deadlines, and of day
 */
#include "base/clock.h"

#include <time.h>

static int64_t microseconds(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_us(void)
{
	return microseconds(CLOCK_MONOTONIC);
}

int64_t clock_ms(void)
{
	return clock_us() / 1000;
}

int64_t clock_steady(void)
{
	return microseconds(CLOCK_BOOTTIME) / 1000000;
}

int64_t clock_wall_us(void)
{
	return microseconds(CLOCK_REALTIME);
}
