#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds of a clock that nobody sets, for deadlines. */
int64_t clock_ms(void);
/* Microseconds of the same. */
int64_t clock_us(void);
/* Seconds of a clock that nobody sets and that goes on while the machine sleeps. */
int64_t clock_steady(void);
/* Microseconds since 1970, by the clock that is set. */
int64_t clock_wall_us(void);

#endif
