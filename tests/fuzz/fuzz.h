/* fuzz.h - what the fuzz targets share
 *
 * Each tests/fuzz/fuzz_NAME.c defines fuzz(); scripts/fuzz links it with libFuzzer,
 * AddressSanitizer and UndefinedBehaviorSanitizer. A target must take any bytes: the
 * sanitizers, REQUIRE and the time limit say what is wrong. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "net/session.h"

void fuzz(const char *data, size_t len);

/* The property did not hold: abort with where. */
#define REQUIRE(cond)                                           \
	do {                                                    \
		if (!(cond)) {                                  \
			fuzz_failed(__FILE__, __LINE__, #cond); \
		}                                               \
	} while (0)
_Noreturn void fuzz_failed(const char *file, int line, const char *what);

/*
 * A directory for the target's files (below FUZZ_TMP, or /tmp), which goes at exit; without what
 * was put there; the path of a name in it (four of them stay); a file of that name with these
 * bytes; one of always the same name.
 */
const char *fuzz_dir(void);
void fuzz_clear(void);
const char *fuzz_path(const char *name);
const char *fuzz_put(const char *name, const char *data, size_t len);
const char *fuzz_file(const char *data, size_t len);

/* The input up to the next line "%%", which is taken too. */
struct slice fuzz_part(struct slice *rest);

/*
 * Damage a file's bytes as the input says: three bytes where, one how much (31: the file ends
 * here), then what. The new size. So a database needs no seeds and each input is a few bytes.
 */
size_t fuzz_patch(char *base, size_t size, const char *data, size_t len);

/* Feed a whole session with the bytes in pieces whose lengths the bytes themselves choose:
 * pending answers are resumed, TLS and hand-offs end it. At most 1 MiB of output is kept. */
void fuzz_session(const struct session_class *class, void *service, const char *data, size_t len);

#endif
