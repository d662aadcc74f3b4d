/*
 * test_map - indexed tables, their builder, lists of tables, changes on disk
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/unixsock.h"
#include "conf/params.h"
#include "map/map.h"
#include "unit.h"

static const char *path_of(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", unit_tmpdir(), name);
	return path;
}

static const char *spec_of(const char *type, const char *name)
{
	static char spec[600];

	snprintf(spec, sizeof(spec), "%s:%s", type, path_of(name));
	return spec;
}

static void write_text(const char *name, const char *text)
{
	FILE *fp = fopen(path_of(name), "w");

	REQUIRE(fp != NULL);
	fputs(text, fp);
	fclose(fp);
}

/* get - value of a key, "(none)", or "(error)" */
static const char *get(struct map *m, const char *key)
{
	static struct buf value;
	int rc;

	buf_reset(&value);
	rc = map_get(m, key, &value);
	return rc > 0 ? buf_str(&value) : rc == 0 ? "(none)" : "(error)";
}

static struct map_builder *begin(const char *name, unsigned flags)
{
	char *error = NULL;
	struct map_builder *b = map_build_begin(path_of(name), flags, &error);

	if (b == NULL) {
		CHECK_STR(error, NULL);
	}
	REQUIRE(b != NULL);
	return b;
}

static void commit(struct map_builder *b)
{
	if (map_build_commit(b) != 0) {
		CHECK_STR(map_build_error(b), NULL);
	}
	map_build_abort(b);
}

static struct map *open_map(const char *spec)
{
	char *error = NULL;
	struct map *m = map_open(spec, 0, &error);

	if (m == NULL) {
		CHECK_STR(error, NULL);
	}
	REQUIRE(m != NULL);
	return m;
}

struct walk {
	char last[300];
	int count;
	int unsorted;
};

static int walk_row(void *arg, const char *key, const char *value)
{
	struct walk *w = arg;

	(void)value;
	if (w->count++ > 0 && strcmp(w->last, key) >= 0) {
		w->unsorted++;
	}
	str_copy(w->last, sizeof(w->last), key);
	return 0;
}

/* row - the n-th of many keys of all lengths, with long common beginnings */
static void row(unsigned n, char *key, size_t size)
{
	static const char *const stems[] = { "", "a", "user",
		"a-long-beginning-that-many-keys-share-", "\xc3\xa4", "zz" };
	unsigned h = n * 2654435761u;

	snprintf(key, size, "%s%u%.*s", stems[n % ARRAY_LEN(stems)], h, (int)(h % 60),
		"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl");
}

/* What was not there a moment ago is found at once: newaliases, then mail. */
TEST(map, a_missed_key_is_looked_for_in_the_new_file)
{
	struct map_builder *b = begin("new", 0);
	struct map *m;

	CHECK_INT(map_build_put(b, "old", "1"), 1);
	commit(b);
	param.map_check_interval = 1000;
	m = open_map(spec_of("hash", "new"));
	CHECK_STR(get(m, "team"), "(none)");
	b = begin("new", 0);
	CHECK_INT(map_build_put(b, "team", "2"), 1);
	commit(b);
	usleep(20000);
	CHECK_STR(get(m, "team"), "2");
	map_close(m);
	write_text("text", "old 1\n");
	m = open_map(spec_of("texthash", "text"));
	CHECK_STR(get(m, "old"), "1");
	CHECK_STR(get(m, "team"), "(none)");
	write_text("text", "old 1\nteam 22\n");
	usleep(20000);
	CHECK_STR(get(m, "team"), "22");
	map_close(m);
}

enum { MANY = 20000 };

TEST(map, many_rows_come_back)
{
	struct map_builder *b = begin("many", 0);
	struct walk w = { .count = 0 };
	char key[300], value[40];
	struct map *m;

	for (unsigned n = 0; n < MANY; n++) {
		row(n, key, sizeof(key));
		snprintf(value, sizeof(value), "value %u", n);
		CHECK_INT(map_build_put(b, key, value), 1);
	}
	row(5, key, sizeof(key));
	CHECK_INT(map_build_put(b, key, "other"), 0);
	commit(b);
	m = open_map(spec_of("hash", "many"));
	for (unsigned n = 0; n < MANY; n++) {
		row(n, key, sizeof(key));
		snprintf(value, sizeof(value), "value %u", n);
		CHECK_STR(get(m, key), value);
		/* Neighbours of keys are not there. */
		str_copy(key + strlen(key), 3, "!");
		CHECK_STR(get(m, key), "(none)");
		key[strlen(key) - 2] = '\0';
		CHECK(strcmp(get(m, key), value) != 0);
	}
	CHECK_STR(get(m, ""), "(none)");
	CHECK_STR(get(m, "\xff\xff"), "(none)");
	CHECK_INT(map_each(m, walk_row, &w), 0);
	CHECK_INT(w.count, MANY);
	CHECK_INT(w.unsorted, 0);
	map_close(m);
}

TEST(map, adding_and_deleting)
{
	struct map_builder *b = begin("t", 0);
	char key[300];
	struct map *m;

	for (unsigned n = 0; n < 3000; n++) {
		row(n, key, sizeof(key));
		map_build_put(b, key, "old");
	}
	commit(b);
	b = begin("t", MAP_INCREMENTAL | MAP_REPLACE_DUP);
	for (unsigned n = 0; n < 3000; n++) {
		row(n, key, sizeof(key));
		if (n % 3 == 0) {
			CHECK_INT(map_build_del(b, key), 1);
		} else if (n % 3 == 1) {
			CHECK_INT(map_build_put(b, key, "new"), 0);
		}
		if (n % 3 == 0) {
			CHECK_INT(map_build_del(b, key), 0);
		}
	}
	CHECK_INT(map_build_put(b, "added", "x"), 1);
	commit(b);
	m = open_map(spec_of("hash", "t"));
	for (unsigned n = 0; n < 3000; n++) {
		static const char *const want[] = { "(none)", "new", "old" };

		row(n, key, sizeof(key));
		CHECK_STR(get(m, key), want[n % 3]);
	}
	CHECK_STR(get(m, "added"), "x");
	map_close(m);
}

TEST(map, odd_rows)
{
	struct map_builder *b = begin("odd", 0);
	char *big = mem_alloc(300001);
	struct buf value = BUF_INIT;
	struct map *m;

	memset(big, 'v', 300000);
	CHECK_INT(map_build_put(b, "k", ""), 1);
	CHECK_INT(map_build_put(b, "big", big), 1);
	CHECK_INT(map_build_put(b, big, "long key"), 1);
	CHECK_INT(map_build_put(b, "", "empty key"), 1);
	CHECK_INT(map_build_put(b, "z", "last"), 1);
	commit(b);
	m = open_map(spec_of("btree", "odd"));
	CHECK_STR(get(m, "k"), "");
	CHECK_INT(map_get(m, "big", &value), 1);
	CHECK_INT((long long)value.len, 300000);
	CHECK_STR(get(m, big), "long key");
	CHECK_STR(get(m, ""), "empty key");
	CHECK_STR(get(m, "Z"), "last");
	map_close(m);
	m = open_map(spec_of("cdb", "odd"));
	CHECK_STR(get(m, "z"), "last");
	map_close(m);
	buf_free(&value);
	mem_free(big);
}

TEST(map, empty_table)
{
	struct map *m;
	struct walk w = { .count = 0 };

	commit(begin("empty", 0));
	m = open_map(spec_of("hash", "empty"));
	CHECK_STR(get(m, "a"), "(none)");
	CHECK_INT(map_each(m, walk_row, &w), 0);
	CHECK_INT(w.count, 0);
	map_close(m);
}

/* A new file is used from the next look-up on; a missing one is an error until it is there. */
TEST(map, changes_are_picked_up)
{
	struct map *m = open_map(spec_of("hash", "c"));
	struct map_builder *b;

	CHECK_STR(get(m, "a"), "(error)");
	CHECK(strstr(map_error(m), "c.db: No such file or directory") != NULL);
	write_text("c", "a one\n");
	CHECK_STR(get(m, "a"), "(error)");
	CHECK(strstr(map_error(m), "run \"postmap hash:") != NULL);
	b = begin("c", 0);
	map_build_put(b, "a", "one");
	CHECK_STR(get(m, "a"), "(error)");
	commit(b);
	CHECK_STR(get(m, "a"), "one");
	b = begin("c", 0);
	map_build_put(b, "a", "two");
	commit(b);
	CHECK_STR(get(m, "a"), "two");
	/* Not committed: nothing changes, and nothing is left. */
	b = begin("c", 0);
	map_build_put(b, "a", "three");
	map_build_abort(b);
	CHECK_STR(get(m, "a"), "two");
	write_text("c.db", "this is no database at all, but long enough to be looked at as one");
	CHECK_STR(get(m, "a"), "(error)");
	CHECK(strstr(map_error(m), "is not a table of ours") != NULL);
	CHECK(unlink(path_of("c.db")) == 0);
	CHECK_STR(get(m, "a"), "(error)");
	map_close(m);
}

TEST(map, text_tables_are_read_again)
{
	struct map *text, *rules;
	char spec[600];

	write_text("t", "A one\n");
	write_text("r", "/a/ one\n");
	text = open_map(spec_of("texthash", "t"));
	snprintf(spec, sizeof(spec), "regexp:%s", path_of("r"));
	rules = open_map(spec);
	CHECK_STR(get(text, "a"), "one");
	CHECK_STR(get(rules, "a"), "one");
	write_text("t", "a twotwo\n");
	write_text("r", "/a/ twotwo\n");
	CHECK_STR(get(text, "a"), "twotwo");
	CHECK_STR(get(rules, "a"), "twotwo");
	CHECK(unlink(path_of("t")) == 0 && unlink(path_of("r")) == 0);
	CHECK_STR(get(text, "a"), "(error)");
	CHECK_STR(get(rules, "a"), "(error)");
	map_close(text);
	map_close(rules);
}

TEST(map, damaged_blocks_are_errors)
{
	struct map_builder *b = begin("d", 0);
	struct map *m = open_map(spec_of("hash", "d"));
	unsigned char page[4096];
	FILE *fp;

	map_build_put(b, "key", "value");
	map_build_put(b, "kez", "value");
	commit(b);
	CHECK_STR(get(m, "key"), "value");
	map_close(m);
	fp = fopen(path_of("d.db"), "r+");
	REQUIRE(fp != NULL);
	/* The only row of the table is at the end of its page; its lengths become nonsense. */
	REQUIRE(fseek(fp, 4096, SEEK_SET) == 0 && fread(page, 1, sizeof(page), fp) == sizeof(page));
	for (size_t i = sizeof(page) - 20; i < sizeof(page); i++) {
		page[i] = 0xff;
	}
	REQUIRE(fseek(fp, 4096, SEEK_SET) == 0 &&
		fwrite(page, 1, sizeof(page), fp) == sizeof(page));
	fclose(fp);
	m = open_map(spec_of("hash", "d"));
	CHECK_STR(get(m, "kez"), "(error)");
	map_close(m);
}

static const struct {
	const char *list, *key, *want;
} lists[] = {
	{ "", "a", "(none)" },
	{ " , ", "a", "(none)" },
	{ "inline:{a=1} inline:{a=2, b=3}", "a", "1" },
	{ "inline:{a=1},inline:{a=2, b=3}", "b", "3" },
	{ "inline:{a=1}, inline:{a=2, {b = 3 4}}", "b", "3 4" },
	{ "proxy:inline:{a=1}", "A", "1" },
	{ "regexp:{{/^x, y$/ z}}, static:s", "x, y", "z" },
	{ "inline:{a=1}, fail:x", "a", "1" },
	{ "inline:{a=1}, fail:x", "b", "(error)" },
	{ "inline:{a=1}, ldap:x", "a", "1" },
	{ "inline:{a=1}, ldap:x", "b", "(error)" },
	{ "inline:{a=1}, inline:{b=2", "b", "(error)" },
};

TEST(map, lists)
{
	struct buf value = BUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		struct maps *ms = maps_open(lists[i].list, 0);
		int rc = maps_get(ms, lists[i].key, &value);

		CHECK_ROW(lists[i].list);
		CHECK_STR(rc > 0 ? buf_str(&value) : rc == 0 ? "(none)" : "(error)", lists[i].want);
		CHECK_INT(maps_empty(ms), i < 2);
		maps_close(ms);
	}
	buf_free(&value);
}

static const char *const bad_specs[] = { "ldap:x", "nosuch:x", "inline:x", "inline:{}",
	"inline:{a}", "inline:{=b}", "inline:{{a=b}", "unix:shadow", "unionmap:x", "pipemap:{}",
	"proxy:nosuch:x", "unionmap:{static:a, nosuch:b}", "tcp:host", "tcp::25",
	"socketmap:inet:x", "socketmap:x" };

TEST(map, specifications_that_mean_nothing)
{
	struct buf deep = BUF_INIT;
	char *error = NULL;

	for (size_t i = 0; i < ARRAY_LEN(bad_specs); i++) {
		CHECK_ROW(bad_specs[i]);
		CHECK(map_open(bad_specs[i], 0, &error) == NULL);
		CHECK(error != NULL && *error != '\0');
		mem_free(error);
		error = NULL;
	}
	for (int i = 0; i < 100000; i++) {
		buf_adds(&deep, "proxy:");
	}
	CHECK(map_open(deep.data, 0, &error) == NULL);
	mem_free(error);
	buf_free(&deep);
}

/* play_server - in a child: each request gets the next answer, all by themselves in one write */
static pid_t play_server(int listener, const char *const *answers, const size_t *lens)
{
	pid_t pid = fork();
	char in[1000];

	REQUIRE(pid >= 0);
	if (pid > 0) {
		return pid;
	}
	alarm(20);
	(void)fd_set_nonblock(listener, false);
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		while (fd >= 0 && read(fd, in, sizeof(in)) > 0) {
			(void)!write(fd, *answers, *lens);
			answers++;
			lens++;
			if (**answers == '+') { /* nobody asked for that */
				(void)!write(fd, *answers + 1, *lens - 1);
				answers++;
				lens++;
			}
		}
		close(fd);
	}
}

/* An answer is that to the question, it is a text, and a part of one is none. */
TEST(map, odd_answers_of_servers)
{
	static const char *const answers[] = { "4:OK a,", "+4:OK z,", "4:OK b,4:OK z,", "4:OK c,",
		"6:OK d\0e,", "0:,", "9:NOTFOUND ,", "" };
	static const size_t lens[] = { 7, 8, 14, 7, 9, 3, 12, 0 };
	static const char *const wants[] = { "a", "b", "c", "(error)", "(error)", "(none)" };
	char spec[600];
	int listener = unix_listen(path_of("server"), 0600);
	pid_t pid;
	struct map *m;

	REQUIRE(listener >= 0);
	pid = play_server(listener, answers, lens);
	snprintf(spec, sizeof(spec), "socketmap:unix:%s:name", path_of("server"));
	m = open_map(spec);
	for (size_t i = 0; i < ARRAY_LEN(wants); i++) {
		CHECK_ROW(wants[i]);
		CHECK_STR(get(m, "k"), wants[i]);
		usleep(50000); /* so that what was not asked for is there */
		CHECK(strcmp(wants[i], "(error)") != 0 || *map_error(m) != '\0');
	}
	map_close(m);
	kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	close(listener);
}

TEST(map, odd_answers_of_tcp_servers)
{
	static const char *const answers[] = { "200 a%20b\r\n", "200 ab%00c\n", "200 ab%2\n",
		"2\0\0 x\n", "200 c\n", "" };
	static const size_t lens[] = { 11, 11, 9, 6, 6, 0 };
	static const char *const wants[] = { "a b", "(error)", "(error)", "(error)", "c" };
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	char spec[600];
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct buf value = BUF_INIT;
	pid_t pid;
	struct map *m;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	REQUIRE(listener >= 0 && bind(listener, (struct sockaddr *)&addr, len) == 0);
	REQUIRE(listen(listener, 5) == 0);
	REQUIRE(getsockname(listener, (struct sockaddr *)&addr, &len) == 0);
	pid = play_server(listener, answers, lens);
	snprintf(spec, sizeof(spec), "tcp:127.0.0.1:%d", ntohs(addr.sin_port));
	m = open_map(spec);
	for (size_t i = 0; i < ARRAY_LEN(wants); i++) {
		int rc;

		CHECK_ROW(wants[i]);
		buf_reset(&value);
		rc = map_get(m, "k", &value);
		CHECK_STR(rc > 0 ? buf_str(&value) : "(error)", wants[i]);
		CHECK(rc > 0 || (value.len == 0 && strlen(map_error(m)) > 3));
	}
	map_close(m);
	buf_free(&value);
	kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	close(listener);
}

TEST(map, modes)
{
	struct stat st;

	write_text("m", "");
	CHECK(chmod(path_of("m"), 0604) == 0);
	commit(begin("m", 0));
	REQUIRE(stat(path_of("m.db"), &st) == 0);
	CHECK_INT(st.st_mode & 0137, 0);
	/*
	 * Other than root we cannot give the file to the daemons' group: the source's mode rules.
	 */
	if (geteuid() != 0) {
		CHECK_INT(st.st_mode & 0777, 0600);
	}
}

/* A table that is mounted by itself is written over; its readers get no wrong answer meanwhile. */
TEST(map, mounted_table)
{
	enum { ROUNDS = 40, ROWS = 2000 };
	char key[32], from[512];
	struct map *m;
	int status, rc = 0;
	pid_t pid;

	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
		unit_skip("a mount needs root and a kernel that lets it");
	}
	write_text("t", "");
	commit(begin("t", 0));
	snprintf(from, sizeof(from), "%s", path_of("other"));
	write_text("other", "");
	REQUIRE(rename(path_of("t.db"), from) == 0);
	write_text("t.db", "");
	REQUIRE(mount(from, path_of("t.db"), NULL, MS_BIND, NULL) == 0);
	pid = fork();
	REQUIRE(pid >= 0);
	for (int round = 0; pid == 0 && round < ROUNDS; round++) {
		struct map_builder *b = begin("t", 0);

		map_build_put(b, "always", "here");
		for (int i = 0; i < ROWS * (1 + round % 3); i++) {
			snprintf(key, sizeof(key), "%c%d", "abz"[round % 3], i);
			map_build_put(b, key, "value");
		}
		if (map_build_commit(b) != 0) {
			_exit(1);
		}
		map_build_abort(b);
	}
	if (pid == 0) {
		_exit(0);
	}
	log_open("unit", LOG_TO_STDERR);
	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
	m = open_map(spec_of("hash", "t"));
	param.map_check_interval = 0;
	for (bool seen = false; rc == 0; rc = waitpid(pid, &status, WNOHANG)) {
		const char *value = get(m, "always");

		seen = seen || strcmp(value, "here") == 0;
		CHECK(!seen || strcmp(value, "here") == 0 || strcmp(value, "(error)") == 0);
	}
	CHECK(rc == pid && status == 0);
	CHECK_STR(get(m, "always"), "here");
	CHECK_STR(get(m, "a1"), ROUNDS % 3 == 1 ? "value" : "(none)");
	map_close(m);
	umount2(path_of("t.db"), MNT_DETACH);
}
