#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds of a clock that nobody sets, for deadlines. */
int64_t clock_ms(void);

#endif
