/*
 * test_harness - the harness itself; with UNIT_FAIL set, what it must report
 *
 * tests/flow/harness runs these with each value of UNIT_FAIL and looks at the
 * lines; without it they show the checks on what is true. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

/* wanted - whether this run is to fail in the given way */
static int wanted(const char *how)
{
	const char *value = getenv("UNIT_FAIL");

	return value != NULL && strcmp(value, how) == 0;
}

TEST(harness, checks)
{
	CHECK(!wanted("check"));
	CHECK_INT(wanted("int") ? 1 : 2, 2);
	CHECK_STR(wanted("str") ? "a\r\n" : "b", "b");
	CHECK_STR(wanted("null") ? NULL : "b", "b");
	CHECK_STR(NULL, NULL);
	CHECK_MEM("a\0b", 3, wanted("mem") ? "a\0c" : "a\0b", 3);
	CHECK_ROW("row");
	CHECK(!wanted("row"));
}

TEST(harness, ends)
{
	if (wanted("abort")) {
		abort();
	}
	if (wanted("exit")) {
		_exit(3);
	}
	if (wanted("skip")) {
		unit_skip("for a reason");
	}
	REQUIRE(!wanted("require"));
	CHECK(!wanted("require"));
}

TEST(harness, tmpdir)
{
	struct stat st;
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/sub", unit_tmpdir());
	CHECK_INT(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/sub/file", unit_tmpdir());
	file = fopen(path, "w");
	REQUIRE(file != NULL);
	fclose(file);
	CHECK(stat(unit_tmpdir(), &st) == 0 && S_ISDIR(st.st_mode));
	if (wanted("tmpdir")) {
		printf("%s\n", unit_tmpdir());
	}
	CHECK(!wanted("tmpdir"));
}
