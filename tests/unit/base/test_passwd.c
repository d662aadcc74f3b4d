/*
 * test_passwd - a passwd(5) file in memory: what counts as a line, and when it is read again
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/passwd.h"
#include "unit.h"

static const char *path_of(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", unit_tmpdir(), name);
	return path;
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	REQUIRE(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

TEST(passwd, lines)
{
	static struct passwd_table t; /* nobody frees one: a process has it to its end */
	const char *path = path_of("passwd"), *line = NULL;

	write_file(path,
		"root:x:0:0::/root:/bin/sh\n"
		"# no:x:1:1\n"
		":x:2:2\n"
		"nothing\n"
		"\n"
		"empty:\n"
		"twice:first\n"
		"twice:second\n"
		"last:x:3:3");
	CHECK_INT(passwd_table_find(&t, path, "root", &line), 1);
	CHECK_STR(line, "x:0:0::/root:/bin/sh");
	CHECK_INT(passwd_table_find(&t, path, "empty", &line), 1);
	CHECK_STR(line, "");
	/* As getpwnam(3): the first. */
	CHECK_INT(passwd_table_find(&t, path, "twice", &line), 1);
	CHECK_STR(line, "first");
	CHECK_INT(passwd_table_find(&t, path, "last", &line), 1);
	CHECK_STR(line, "x:3:3");
	CHECK_INT(passwd_table_find(&t, path, "", &line), 0);
	CHECK_INT(passwd_table_find(&t, path, "# no", &line), 0);
	CHECK_INT(passwd_table_find(&t, path, "nothing", &line), 0);
	CHECK_INT(passwd_table_find(&t, path, "Root", &line), 0);
}

TEST(passwd, changed_and_away)
{
	static struct passwd_table t; /* nobody frees one: a process has it to its end */
	char path[256], other[256];
	const char *line = NULL;

	snprintf(path, sizeof(path), "%s", path_of("passwd"));
	snprintf(other, sizeof(other), "%s", path_of("other"));
	CHECK_INT(passwd_table_find(&t, path, "a", &line), -1);
	CHECK_INT(errno, ENOENT);
	write_file(path, "a:1\n");
	write_file(other, "b:2\n");
	/* There is nothing to wait for: what could not be read is looked for again. */
	CHECK_INT(passwd_table_find(&t, path, "a", &line), 1);
	/* Another path is another file at once. */
	CHECK_INT(passwd_table_find(&t, other, "a", &line), 0);
	CHECK_INT(passwd_table_find(&t, other, "b", &line), 1);
	/* The same size, put in its place: seen when a second has passed. */
	CHECK_INT(passwd_table_find(&t, path, "a", &line), 1);
	write_file(other, "c:3\n");
	REQUIRE(rename(other, path) == 0);
	t.looked = 0;
	CHECK_INT(passwd_table_find(&t, path, "a", &line), 0);
	CHECK_INT(passwd_table_find(&t, path, "c", &line), 1);
	CHECK_STR(line, "3");
	REQUIRE(unlink(path) == 0);
	t.looked = 0;
	CHECK_INT(passwd_table_find(&t, path, "c", &line), -1);
	CHECK_INT(errno, ENOENT);
}

/* stamp - the time of change, of a file that was not changed at it */
static void stamp(const char *path, time_t seconds, long nanoseconds)
{
	const struct timespec times[2] = { { seconds, nanoseconds }, { seconds, nanoseconds } };

	REQUIRE(utimensat(AT_FDCWD, path, times, 0) == 0);
}

/* Of its size, its time and its number each alone tells that it is another. */
TEST(passwd, any_sign_of_change)
{
	static struct passwd_table t; /* nobody frees one: a process has it to its end */
	char path[256], other[256];
	const char *line = NULL;

	snprintf(path, sizeof(path), "%s", path_of("passwd"));
	snprintf(other, sizeof(other), "%s", path_of("other"));
	write_file(path, "a:1\n");
	stamp(path, 1000000000, 1);
	CHECK_INT(passwd_table_find(&t, path, "a", &line), 1);
	write_file(path, "b:1\n");
	stamp(path, 1000000000, 2);
	/* Looked at a moment ago: not asked again in this second. */
	t.looked = time(NULL);
	CHECK_INT(passwd_table_find(&t, path, "b", &line), 0);
	t.looked = 0;
	CHECK_INT(passwd_table_find(&t, path, "b", &line), 1);
	write_file(path, "c:1\n");
	stamp(path, 1000000001, 2);
	t.looked = 0;
	CHECK_INT(passwd_table_find(&t, path, "c", &line), 1);
	write_file(other, "d:1\n");
	stamp(other, 1000000001, 2);
	REQUIRE(rename(other, path) == 0);
	t.looked = 0;
	CHECK_INT(passwd_table_find(&t, path, "d", &line), 1);
	write_file(path, "e:10\n");
	stamp(path, 1000000001, 2);
	t.looked = 0;
	CHECK_INT(passwd_table_find(&t, path, "e", &line), 1);
}
