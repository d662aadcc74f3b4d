/*
 * test_queue_damage - mail out of queues that SQLite itself would not read, or would destroy
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "queue/queue_read.h"
#include "queue/queue_write.h"
#include "queue_util.h"
#include "unit.h"

enum { MAILS = 30, FRAME = 24 + 4096 };

static char *file_of(const char *dir, const char *name)
{
	static char path[600];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static size_t size_of(int i)
{
	return (size_t)i * 400;
}

/* log_to - what is said goes there */
static void log_to(const char *dir)
{
	log_open("unit", LOG_TO_STDERR);
	REQUIRE(log_open_file(file_of(dir, "log")) == 0);
}

static bool said(const char *dir, const char *text)
{
	char *log = file_read(file_of(dir, "log"), 1 << 20, NULL);
	bool found = log != NULL && strstr(log, text) != NULL;

	mem_free(log);
	return found;
}

/* fill - MAILS messages, a commit each; killed: they stay in the log alone */
static void fill(const char *dir, bool killed, queue_id ids[MAILS])
{
	int fds[2], told = 0, status;
	pid_t pid;

	REQUIRE(pipe(fds) == 0);
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid == 0) {
		struct queue *q = queue_util_open(dir, QUEUE_CREATE);

		for (int i = 0; i < MAILS; i++) {
			ids[i] = queue_util_add(q, size_of(i), &told);
			if (queue_commit(q) != 0) {
				_exit(1);
			}
		}
		if (!killed) {
			queue_close(q);
		}
		_exit(write(fds[1], ids, MAILS * sizeof(*ids)) < 0);
	}
	REQUIRE(read(fds[0], ids, MAILS * sizeof(*ids)) == (ssize_t)(MAILS * sizeof(*ids)));
	REQUIRE(waitpid(pid, &status, 0) == pid && status == 0);
	close(fds[0]);
	close(fds[1]);
}

/* count_whole - of the messages, after a rescue; none is there that is not whole */
static int count_whole(const char *dir, const queue_id ids[MAILS])
{
	struct queue *q = queue_util_open(dir, QUEUE_CREATE);
	struct queue_entry out[MAILS + 1];
	int whole = 0;

	queue_rescue(q);
	for (int i = 0; i < MAILS; i++) {
		whole += queue_util_whole(q, ids[i], size_of(i));
	}
	CHECK_INT(queue_scan(q, 0, out, MAILS + 1), whole);
	queue_close(q);
	return whole;
}

static void flip(const char *dir, const char *name, off_t at, int bits)
{
	int fd = open(file_of(dir, name), O_RDWR | O_CLOEXEC);
	char c;

	REQUIRE(fd >= 0 && pread(fd, &c, 1, at) == 1);
	c ^= (char)bits;
	REQUIRE(pwrite(fd, &c, 1, at) == 1);
	close(fd);
}

static off_t length_of(const char *dir, const char *name)
{
	struct stat st;

	REQUIRE(stat(file_of(dir, name), &st) == 0);
	return st.st_size;
}

/* The file ends too early, as after a copy that was not complete. */
TEST(queue_damage, cut_short)
{
	const char *dir = unit_tmpdir();
	queue_id ids[MAILS];
	int whole;

	log_to(dir);
	fill(dir, false, ids);
	REQUIRE(truncate(file_of(dir, "queue.db"), length_of(dir, "queue.db") - 4096) == 0);
	whole = count_whole(dir, ids);
	CHECK(whole >= MAILS - 2);
	CHECK_INT(queue_util_aside(dir), 1);
	CHECK(said(dir, "taken from it into the new queue"));
}

/* Each byte of the header, and three at once. */
TEST(queue_damage, header)
{
	queue_id ids[MAILS];
	char dir[560];

	log_to(unit_tmpdir());
	for (off_t at = 0; at < 100; at += at < 24 ? 1 : 3) {
		snprintf(dir, sizeof(dir), "%s/%d", unit_tmpdir(), (int)at);
		REQUIRE(mkdir(dir, 0700) == 0);
		fill(dir, false, ids);
		for (off_t n = at; n < at + 3 && n < 100; n++) {
			flip(dir, "queue.db", n, 0x5a);
		}
		CHECK_INT(count_whole(dir, ids), MAILS);
	}
}

/* All of the first page: the tables are where they are in every queue. */
TEST(queue_damage, first_page)
{
	const char *dir = unit_tmpdir();
	queue_id ids[MAILS];

	log_to(dir);
	fill(dir, false, ids);
	for (off_t at = 0; at < 4096; at += 5) {
		flip(dir, "queue.db", at, 0x5a);
	}
	CHECK_INT(count_whole(dir, ids), MAILS);
}

/* An empty database, or none, beside a whole log: SQLite would delete the log. */
static void without_database(bool empty)
{
	const char *dir = unit_tmpdir();
	queue_id ids[MAILS];

	log_to(dir);
	fill(dir, true, ids);
	if (empty) {
		REQUIRE(truncate(file_of(dir, "queue.db"), 0) == 0);
	} else {
		REQUIRE(unlink(file_of(dir, "queue.db")) == 0);
	}
	CHECK_INT(count_whole(dir, ids), MAILS);
	CHECK_INT(queue_util_aside(dir), 1);
	CHECK(said(dir, "its log is not"));
	CHECK_INT(count_whole(dir, ids), MAILS);
	CHECK_INT(queue_util_aside(dir), 1);
}

TEST(queue_damage, empty_database)
{
	without_database(true);
}

TEST(queue_damage, no_database)
{
	without_database(false);
}

/* A bit of the log is another: the commits behind it are said, kept, and their mail is there. */
TEST(queue_damage, log_bits)
{
	enum { PLACES = 12 };
	queue_id ids[MAILS];
	char dir[560];
	int worst = MAILS;

	for (int i = 0; i < PLACES; i++) {
		int whole;
		off_t at, step;

		snprintf(dir, sizeof(dir), "%s/%d", unit_tmpdir(), i);
		REQUIRE(mkdir(dir, 0700) == 0);
		log_to(dir);
		fill(dir, true, ids);
		/* From the header on to before the end, in pages and in frames' headers. */
		step = length_of(dir, "queue.db-wal") / FRAME * i / (PLACES + 2);
		at = i == 0 ? 17 : 32 + step * FRAME + (i % 2 != 0 ? 24 + 3000 : i * 2);
		flip(dir, "queue.db-wal", at, 4);
		whole = count_whole(dir, ids);
		worst = whole < worst ? whole : worst;
		CHECK(said(dir, "behind the damage are not in the queue"));
		CHECK_INT(count_whole(dir, ids), whole);
	}
	/* One message may have been in the page that is damaged. */
	CHECK(worst >= MAILS - 2);
}

/* The last commit was being written: nothing is damaged, nothing set aside; it is said. */
TEST(queue_damage, torn_end)
{
	const char *dir = unit_tmpdir();
	queue_id ids[MAILS];

	log_to(dir);
	fill(dir, true, ids);
	flip(dir, "queue.db-wal", length_of(dir, "queue.db-wal") - 100, 4);
	CHECK_INT(count_whole(dir, ids), MAILS - 1);
	CHECK(said(dir, "the last commit is not whole"));
	CHECK(!said(dir, "damaged: "));
	CHECK_INT(queue_util_aside(dir), 0);
	/* And not again: the log goes on from there. */
	CHECK(unlink(file_of(dir, "log")) == 0);
	log_to(dir);
	CHECK_INT(count_whole(dir, ids), MAILS - 1);
	CHECK(!said(dir, "not whole"));
}
