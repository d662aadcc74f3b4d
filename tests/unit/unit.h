/* unit.h - the harness of the unit tests, which run inside the binary
 *
 *	#include "unit.h"
 *
 *	TEST(buf, grows)
 *	{
 *		CHECK_INT(buf_len(&b), 3);
 *		CHECK_STR(buf_str(&b), "abc");
 *	}
 *
 * `pillarbox unit [-l] [FILTER]...` prints `ok SUITE.NAME` or `not ok
 * SUITE.NAME: file:line: what` for each. Every test runs in a process of its
 * own with a time limit, so a crash is one failed test. A failed CHECK goes on
 * (all that differs is reported); REQUIRE ends the test. CHECKs may stand in
 * helper functions. Table-driven tests use CHECK_ROW to name the row. */
#ifndef TESTS_UNIT_UNIT_H
#define TESTS_UNIT_UNIT_H

#include <stddef.h>

struct unit_test {
	const char *suite;
	const char *name;
	void (*run)(void);
	struct unit_test *next;
};

/* Define and register a test; the body follows. */
#define TEST(suite_, name_)                                                        \
	static void test_##suite_##_##name_(void);                                 \
	static struct unit_test unit_##suite_##_##name_ = { #suite_, #name_,       \
		test_##suite_##_##name_, NULL };                                   \
	__attribute__((constructor)) static void register_##suite_##_##name_(void) \
	{                                                                          \
		unit_register(&unit_##suite_##_##name_);                           \
	}                                                                          \
	static void test_##suite_##_##name_(void)

#define CHECK(cond) unit_check((cond) != 0, __FILE__, __LINE__, #cond)
#define CHECK_INT(got, want) unit_check_int((got), (want), __FILE__, __LINE__, #got)
#define CHECK_STR(got, want) unit_check_str((got), (want), __FILE__, __LINE__, #got)
#define CHECK_MEM(got, got_len, want, want_len) \
	unit_check_mem((got), (got_len), (want), (want_len), __FILE__, __LINE__, #got)

/* Name the row of a table that the next CHECKs are about (shown on failure);
 * the string is not copied. NULL ends it. */
#define CHECK_ROW(text) unit_row(text)

/* Like CHECK, but the test ends here: for what the rest cannot do without. */
#define REQUIRE(cond)                                                    \
	do {                                                             \
		if (!unit_check((cond) != 0, __FILE__, __LINE__, #cond)) \
			unit_abort();                                    \
	} while (0)

/* End the test as skipped, with the reason. */
_Noreturn void unit_skip(const char *why);

/* A directory of this test's own, made at the first call and removed with all
 * in it when the test has ended. Never NULL. */
const char *unit_tmpdir(void);
/* A file in it with this text; its path, until the next call. */
const char *unit_file(const char *name, const char *text);

/* What the macros call. The checks return 1 if all is well, else 0. NULL is
 * a legal string and equal only to NULL. */
void unit_register(struct unit_test *test);
int unit_check(int good, const char *file, int line, const char *text);
int unit_check_int(long long got, long long want, const char *file, int line, const char *text);
int unit_check_str(const char *got, const char *want, const char *file, int line, const char *text);
int unit_check_mem(const void *got, size_t got_len, const void *want, size_t want_len,
	const char *file, int line, const char *text);
void unit_row(const char *text);
_Noreturn void unit_abort(void);
/* How many checks have failed in this process: for a child that a test has forked. */
int unit_failures(void);

#endif
