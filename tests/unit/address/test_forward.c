/*
 * test_forward - .forward and :include: files: which are believed, whatever stands in their place;
 * names in forward_path
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "conf/params.h"
#include "address/forward.h"
#include "conf_util.h"
#include "unit.h"

enum { LONGEST = 256 * 1024 };

enum kind { NOTHING, PLAIN, PIPE, DIRECTORY, LINK, CIRCLE, LINK_TO_PIPE, BELOW_A_FILE };

static const char *in_dir(const char *name)
{
	static char paths[4][4096];
	static unsigned at;
	char *path = paths[at++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", unit_tmpdir(), name);
	return path;
}

static void put_file(const char *name, size_t size, mode_t mode)
{
	FILE *f = fopen(in_dir(name), "w");

	REQUIRE(f != NULL);
	for (size_t i = 0; i < size; i++) {
		putc(i % 7 == 6 ? '\0' : 'x', f);
	}
	fclose(f);
	REQUIRE(chmod(in_dir(name), mode) == 0);
}

/* put - what there is to be found, under the name */
static void put(const char *name, enum kind kind, size_t size, mode_t mode)
{
	switch (kind) {
	case NOTHING:
		break;
	case PLAIN:
		put_file(name, size, mode);
		break;
	case PIPE:
		REQUIRE(mkfifo(in_dir(name), mode) == 0);
		break;
	case DIRECTORY:
		REQUIRE(mkdir(in_dir(name), mode) == 0);
		break;
	case LINK:
		put_file("real", size, mode);
		REQUIRE(symlink(in_dir("real"), in_dir(name)) == 0);
		break;
	case CIRCLE:
		REQUIRE(symlink(in_dir(name), in_dir(name)) == 0);
		break;
	case LINK_TO_PIPE:
		REQUIRE(mkfifo(in_dir("pipe"), mode) == 0 &&
			symlink(in_dir("pipe"), in_dir(name)) == 0);
		break;
	case BELOW_A_FILE:
		break;
	}
}

static void clear(const char *name)
{
	if (unlink(in_dir(name)) != 0) {
		(void)rmdir(in_dir(name));
	}
	(void)unlink(in_dir("real"));
	(void)unlink(in_dir("pipe"));
}

static const struct row {
	const char *what;
	enum kind kind;
	size_t size;
	mode_t mode;
	int forward, include; /* 1, 0, -1 */
} rows[] = {
	{ "nothing", NOTHING, 0, 0, 0, -1 },
	{ "plain", PLAIN, 10, 0600, 1, 1 },
	{ "everybody reads it", PLAIN, 10, 0644, 1, 1 },
	{ "empty", PLAIN, 0, 0600, 1, 1 },
	{ "as long as may be", PLAIN, LONGEST, 0600, 1, 1 },
	{ "too long", PLAIN, LONGEST + 1, 0600, -1, 1 },
	{ "group writes it", PLAIN, 10, 0620, 0, 1 },
	{ "everybody writes it", PLAIN, 10, 0602, 0, 0 },
	{ "may be run", PLAIN, 10, 0755, 1, 1 },
	{ "a pipe that nobody writes", PIPE, 0, 0600, 0, 0 },
	{ "a directory", DIRECTORY, 0, 0700, 0, 0 },
	{ "a link", LINK, 10, 0600, 1, 1 },
	{ "a link to what everybody writes", LINK, 10, 0602, 0, 0 },
	{ "a link to itself", CIRCLE, 0, 0, 0, -1 },
	{ "a link to a pipe", LINK_TO_PIPE, 0, 0600, 0, 0 },
};

static struct local_user user;
static struct forward_names names;

/* as - somebody whose home is the test's directory; no two tests share what is known of him */
static void as(const char *name)
{
	user = (struct local_user){
		.name = name, .home = unit_tmpdir(), .shell = "", .uid = geteuid(), .gid = getegid()
	};
	names = (struct forward_names){ .user = &user,
		.recipient = name,
		.local = name,
		.domain = "test.example",
		.extension = "",
		.delimiter = "" };
}

static void begin(const char *lines)
{
	log_open("unit", LOG_TO_FILE);
	conf_util_load(lines);
}

TEST(forward, what_is_believed)
{
	begin("forward_path = $home/.forward\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a = ARENA_INIT;
		struct buf text = BUF_INIT;
		struct local_user owner;
		const char *path = "", *error = NULL;

		CHECK_ROW(rows[i].what);
		as(rows[i].what);
		put(".forward", rows[i].kind, rows[i].size, rows[i].mode);
		CHECK_INT(forward_read(&a, &names, &text, &path, &error), rows[i].forward);
		CHECK((error != NULL) == (rows[i].forward < 0));
		if (rows[i].forward > 0) {
			CHECK_INT((long long)text.len, (long long)rows[i].size);
			CHECK_STR(path, in_dir(".forward"));
		}
		buf_reset(&text);
		error = NULL;
		CHECK_INT(include_read(&a, in_dir(".forward"), NULL, &text, &owner, &error),
			rows[i].include);
		CHECK((error != NULL) == (rows[i].include != 1));
		if (rows[i].include > 0) {
			CHECK_INT((long long)text.len, (long long)rows[i].size);
		}
		clear(".forward");
		buf_free(&text);
		arena_free(&a);
	}
	CHECK_ROW(NULL);
}

TEST(forward, include_needs_a_whole_path)
{
	struct arena a = ARENA_INIT;
	struct buf text = BUF_INIT;
	struct local_user owner;
	const char *error = NULL;

	begin("");
	put_file("list", 10, 0600);
	REQUIRE(chdir(unit_tmpdir()) == 0);
	CHECK_INT(include_read(&a, "list", NULL, &text, &owner, &error), 0);
	CHECK_STR(error, ":include:list uses a relative path");
	buf_free(&text);
	arena_free(&a);
}

/* One path after the other: what is not believed is passed over, what cannot be read is not. */
TEST(forward, several_paths)
{
	struct arena a = ARENA_INIT;
	struct buf text = BUF_INIT;
	const char *path = "", *error = NULL;

	begin("forward_path = $home/one, relative, $home/two$nothing, $home/three\n");
	put_file("one", 3, 0622);
	put_file("three", 5, 0600);
	as("several");
	CHECK_INT(forward_read(&a, &names, &text, &path, &error), 1);
	CHECK_STR(path, in_dir("three"));
	CHECK_INT((long long)text.len, 5);
	put_file("two", LONGEST + 1, 0600);
	CHECK_INT(forward_read(&a, &names, &text, &path, &error), -1);
	CHECK(error != NULL && strstr(error, "two") != NULL);
	buf_free(&text);
	arena_free(&a);
}

/* Nobody without a home that is one, and no path, has a file. */
TEST(forward, nowhere)
{
	struct arena a = ARENA_INIT;
	struct buf text = BUF_INIT;
	const char *path = "", *error = NULL;

	begin("forward_path = $home/.forward\n");
	put_file(".forward", 3, 0600);
	REQUIRE(chdir(unit_tmpdir()) == 0);
	as("nowhere");
	user.home = "";
	CHECK_INT(forward_read(&a, &names, &text, &path, &error), 0);
	user.home = ".";
	CHECK_INT(forward_read(&a, &names, &text, &path, &error), 0);
	begin("forward_path =\n");
	user.home = unit_tmpdir();
	CHECK_INT(forward_read(&a, &names, &text, &path, &error), 0);
	buf_free(&text);
	arena_free(&a);
}

/* What the sender chose leads nowhere else. */
TEST(forward, names_in_paths)
{
	static const struct {
		const char *text, *extension, *want;
	} paths[] = {
		{ "$home/.f${recipient_delimiter}${extension}", "list", "/home/u/.f+list" },
		{ "$home/.f$extension", "../../etc/x", "/home/u/.f.._.._etc_x" },
		{ "$user-$local-$domain", "", "u-lo_cal-d.example" },
		{ "${extension?with}${extension:without}", "e", "with" },
		{ "${extension?with}${extension:without}", "", "without" },
		{ "$recipient", "", "a_b_c@d.example" },
		{ "$shell$nothing.", "", "/bin/sh." },
		{ "a\tb$extension", "x\ny", "a\tbx_y" },
	};
	struct arena a = ARENA_INIT;

	begin("");
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		CHECK_ROW(paths[i].text);
		as("u");
		user.home = "/home/u";
		user.shell = "/bin/sh";
		names.local = "lo/cal";
		names.domain = "d.example";
		names.recipient = "a/b;c@d.example";
		names.extension = paths[i].extension;
		names.delimiter = *paths[i].extension != '\0' ? "+" : "";
		CHECK_STR(forward_expand(&a, paths[i].text, &names), paths[i].want);
	}
	CHECK_ROW(NULL);
	arena_free(&a);
}
