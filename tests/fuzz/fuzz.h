/* fuzz.h - what the fuzz targets share
 *
 * Each tests/fuzz/fuzz_NAME.c defines fuzz(); scripts/fuzz links it with libFuzzer,
 * AddressSanitizer and UndefinedBehaviorSanitizer. A target must take any bytes: the
 * sanitizers, REQUIRE and the time limit say what is wrong. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "net/session.h"

void fuzz(const char *data, size_t len);

/* The property did not hold: abort with where. */
#define REQUIRE(cond)                                                                              \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fuzz_failed(__FILE__, __LINE__, #cond);                                    \
		}                                                                                  \
	} while (0)
_Noreturn void fuzz_failed(const char *file, int line, const char *what);

/* A file with these bytes, the same name at each call (in memory where /dev/shm is). */
const char *fuzz_file(const char *data, size_t len);

/* Feed a whole session with the bytes in pieces whose lengths the bytes themselves choose:
 * pending answers are resumed, TLS and hand-offs end it. At most 1 MiB of output is kept. */
void fuzz_session(const struct session_class *class, void *service, const char *data, size_t len);

#endif
