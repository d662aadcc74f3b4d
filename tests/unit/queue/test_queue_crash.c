/*
 * test_queue_crash - queue.db after crashes, damage, a full disk and a file replaced under its
 * writers */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "db/db_open.h"
#include "queue/queue.h"
#include "queue/queue_change.h"
#include "queue/queue_read.h"
#include "queue/queue_write.h"
#include "queue_util.h"
#include "unit.h"

static void copy_file(const char *from_dir, const char *to_dir, const char *name)
{
	char from[600], to[600], data[65536];
	int in, out;
	ssize_t n;

	snprintf(from, sizeof(from), "%s/%s", from_dir, name);
	snprintf(to, sizeof(to), "%s/%s", to_dir, name);
	in = open(from, O_RDONLY | O_CLOEXEC);
	if (in < 0) {
		return;
	}
	out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	REQUIRE(out >= 0);
	while ((n = read(in, data, sizeof(data))) > 0) {
		REQUIRE(write(out, data, (size_t)n) == n);
	}
	close(in);
	close(out);
}

/* snapshot - what a crash at this moment would leave: the files without the shared memory */
static void snapshot(const char *from, char to[512], int number)
{
	snprintf(to, 512, "%s/copy%d", from, number);
	REQUIRE(mkdir(to, 0700) == 0);
	copy_file(from, to, "queue.db");
	copy_file(from, to, "queue.db-wal");
}

/*
 * Every id whose commit returned is in the copy, whole; one that was ended but not committed is
 * not; a change is there from its commit on.
 */
TEST(queue_crash, copies_at_commit_points)
{
	enum { ROUNDS = 12, BATCH = 5 };
	const char *dir = unit_tmpdir();
	struct queue *q = queue_util_open(dir, QUEUE_CREATE);
	queue_id ids[ROUNDS][BATCH], removed = 0;
	size_t sizes[BATCH] = { 10, 4096, 70000, 0, 1500000 };
	int told;
	char copy[512];

	for (int round = 0; round < ROUNDS; round++) {
		struct queue *c;

		for (int i = 0; i < BATCH; i++) {
			ids[round][i] = queue_util_add(q, sizes[i], &told);
		}
		if (round == 3) {
			queue_remove(q, removed = ids[0][1]);
		}
		snapshot(dir, copy, round * 2);
		c = queue_util_open(copy, QUEUE_WRITE);
		for (int i = 0; i < BATCH; i++) {
			CHECK(!queue_util_whole(c, ids[round][i], sizes[i]));
		}
		CHECK(round == 0 || queue_util_whole(c, ids[0][1], sizes[1]) == (round <= 3));
		queue_close(c);
		CHECK_INT(queue_commit(q), 0);
		snapshot(dir, copy, round * 2 + 1);
		c = queue_util_open(copy, QUEUE_WRITE);
		for (int past = 0; past <= round; past++) {
			for (int i = 0; i < BATCH; i++) {
				CHECK(queue_util_whole(c, ids[past][i], sizes[i]) ==
					(ids[past][i] != removed));
			}
		}
		queue_close(c);
	}
	queue_close(q);
}

/* kill -9 in the middle of writing: every id that was reported after its commit is there once. */
TEST(queue_crash, killed_writer)
{
	const char *dir = unit_tmpdir();
	int fds[2], status, found = 0, reported = 0;
	struct queue *q;
	queue_id id;
	pid_t pid;

	queue_close(queue_util_open(dir, QUEUE_CREATE));
	for (int round = 0; round < 5; round++) {
		REQUIRE(pipe(fds) == 0);
		pid = fork();
		if (pid == 0) {
			q = queue_util_open(dir, QUEUE_WRITE);
			for (;;) {
				queue_id batch[7];
				int told = 0;

				for (int i = 0; i < 7; i++) {
					batch[i] = queue_util_add(q, (size_t)i * 3000, &told);
				}
				if (queue_commit(q) != 0 ||
					write(fds[1], batch, sizeof(batch)) < 0) {
					_exit(1);
				}
			}
		}
		close(fds[1]);
		/* The writer is killed when so many are reported, wherever it is by then. */
		for (int i = 0; i < 60 + round * 7; i++, reported++) {
			REQUIRE(read(fds[0], &id, sizeof(id)) == (ssize_t)sizeof(id));
		}
		kill(pid, SIGKILL);
		while (read(fds[0], &id, sizeof(id)) == (ssize_t)sizeof(id)) {
			reported++;
		}
		waitpid(pid, &status, 0);
		CHECK(WIFSIGNALED(status));
		close(fds[0]);
	}
	q = queue_util_open(dir, QUEUE_WRITE);
	for (queue_id after = 0;;) {
		struct arena a = ARENA_INIT;
		struct queue_envelope env;
		int rc = queue_next(q, after, &a, &env);

		if (rc == 1) {
			after = env.id;
			found++;
			CHECK(queue_util_whole(q, env.id, (size_t)env.size));
		}
		arena_free(&a);
		if (rc != 1) {
			break;
		}
	}
	/* A batch may have been committed and not reported. */
	CHECK(found >= reported && found <= reported + 5 * 7);
	queue_close(q);
}

/* ---- Damage ---- */

TEST(queue_crash, no_database)
{
	const char *dir = unit_tmpdir();
	struct queue *q = queue_util_open(dir, QUEUE_CREATE);
	int told = 0;

	queue_util_add(q, 100, &told);
	CHECK_INT(queue_commit(q), 0);
	queue_close(q);
	queue_util_overwrite(dir, 0, 8192);
	log_open("unit", LOG_TO_STDERR);
	q = queue_util_open(dir, QUEUE_CREATE);
	CHECK_INT(queue_util_aside(dir), 1);
	queue_util_add(q, 100, &told);
	CHECK_INT(queue_commit(q), 0);
	queue_close(q);
	/* Again, within the same second: both are kept. */
	queue_util_overwrite(dir, 0, 8192);
	queue_close(queue_util_open(dir, QUEUE_CREATE));
	CHECK_INT(queue_util_aside(dir), 2);
}

/* Damage met while running: an error, no further use; the next to open sets it aside. */
/*
 * Two pages are overwritten, at many places: what can be read whole is afterwards in the new queue,
 * nothing that is not whole, and nothing twice.
 */
TEST(queue_crash, rescue)
{
	enum { MAILS = 40 };
	const char *dir = unit_tmpdir();
	int best = 0, worst = MAILS;

	log_open("unit", LOG_TO_STDERR);
	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
	for (int page = 1; page <= 60; page += page < 12 ? 1 : 7) {
		char sub[512];
		struct queue *q;
		queue_id ids[MAILS];
		int told = 0, whole = 0, rows;
		struct queue_entry out[MAILS + 1];

		snprintf(sub, sizeof(sub), "%s/page%d", dir, page);
		REQUIRE(mkdir(sub, 0700) == 0);
		q = queue_util_open(sub, QUEUE_CREATE);
		for (int i = 0; i < MAILS; i++) {
			ids[i] = queue_util_add(q, (size_t)i * 300, &told);
		}
		CHECK_INT(queue_commit(q), 0);
		queue_close(q);
		queue_util_overwrite(sub, 4096 * page, 4096);
		q = queue_util_open(sub, QUEUE_CREATE);
		for (int i = 0; i < MAILS && !queue_is_broken(q); i++) {
			whole += queue_util_whole(q, ids[i], (size_t)i * 300);
		}
		CHECK(queue_is_broken(q) || whole == MAILS);
		queue_close(q);
		q = queue_util_open(sub, QUEUE_CREATE);
		if (queue_util_aside(sub) == 1) {
			queue_rescue(q);
		}
		whole = 0;
		for (int i = 0; i < MAILS; i++) {
			whole += queue_util_whole(q, ids[i], (size_t)i * 300);
		}
		rows = queue_scan(q, 0, out, MAILS + 1);
		CHECK_INT(rows, whole);
		best = whole > best ? whole : best;
		worst = whole < worst ? whole : worst;
		queue_rescue(q);
		CHECK_INT(queue_scan(q, 0, out, MAILS + 1), rows);
		queue_close(q);
	}
	CHECK_INT(best, MAILS);
	CHECK(worst < MAILS);
}

/* set_aside - as a process does that meets damage: the list first, then queue.db SUFFIX is moved */
static void set_aside(const char *dir, const char *suffix)
{
	char from[600], to[600];
	FILE *fp;

	snprintf(from, sizeof(from), "%s/queue.db.rescue", dir);
	fp = fopen(from, "w");
	REQUIRE(fp != NULL && fprintf(fp, "%s/queue.db.corrupt-1\n", dir) > 0 && fclose(fp) == 0);
	snprintf(from, sizeof(from), "%s/queue.db%s", dir, suffix);
	snprintf(to, sizeof(to), "%s/queue.db.corrupt-1%s", dir, suffix);
	REQUIRE(rename(from, to) == 0);
}

static void limit_files(rlim_t size)
{
	struct rlimit limit = { size, RLIM_INFINITY };

	signal(SIGXFSZ, SIG_IGN);
	REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

/* Root meets the damage (with `mail', say): whose the queue is has to find the mail in it. */
TEST(queue_crash, rescue_is_the_owners)
{
	enum { OWNER = 65534 };
	const char *dir = unit_tmpdir();
	char list[600];
	struct stat st;

	if (geteuid() != 0) {
		unit_skip("only root can make a file of somebody else");
	}
	REQUIRE(chown(dir, OWNER, OWNER) == 0);
	log_open("unit", LOG_TO_STDERR);
	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
	queue_close(queue_util_open(dir, QUEUE_CREATE));
	queue_util_overwrite(dir, 0, 8192);
	queue_close(queue_util_open(dir, QUEUE_CREATE));
	CHECK_INT(queue_util_aside(dir), 1);
	snprintf(list, sizeof(list), "%s/queue.db.rescue", dir);
	REQUIRE(stat(list, &st) == 0);
	CHECK_INT(st.st_uid, OWNER);
	CHECK_INT(st.st_mode & 07777, 0600);
}

/* A disk too full for a rescue: it is made up for when there is room. */
TEST(queue_crash, rescue_needs_room)
{
	enum { MAILS = 40, SIZE = 20000 };
	const char *dir = unit_tmpdir();
	struct queue *q = queue_util_open(dir, QUEUE_CREATE);
	struct queue_entry out[MAILS + 1];
	int told = 0, rows;

	for (int i = 0; i < MAILS; i++) {
		queue_util_add(q, SIZE, &told);
	}
	CHECK_INT(queue_commit(q), 0);
	queue_close(q);
	log_open("unit", LOG_TO_STDERR);
	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
	set_aside(dir, "");
	q = queue_util_open(dir, QUEUE_CREATE);
	queue_keep_failed(q, true);
	limit_files(300 * 1024);
	queue_rescue(q);
	CHECK(queue_scan(q, 0, out, MAILS + 1) < MAILS);
	CHECK(queue_commit(q) == 0 || queue_is_full(q));
	limit_files(RLIM_INFINITY);
	queue_rescue(q);
	rows = queue_scan(q, 0, out, MAILS + 1);
	CHECK_INT(rows, MAILS);
	for (int i = 0; i < rows; i++) {
		CHECK(queue_util_whole(q, out[i].id, SIZE));
	}
	queue_close(q);
}

/* Killed after the first of the renames, when the log alone was moved: the mail in it is found. */
TEST(queue_crash, half_set_aside)
{
	const char *dir = unit_tmpdir();
	struct queue *q;
	queue_id id = 0;
	int told = 0, id_pipe[2];
	pid_t pid;

	REQUIRE(pipe(id_pipe) == 0);
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid == 0) { /* ends without closing: its mail is in the log alone */
		q = queue_util_open(dir, QUEUE_CREATE);
		id = queue_util_add(q, 4096, &told);
		if (queue_commit(q) != 0 || write(id_pipe[1], &id, sizeof(id)) != sizeof(id)) {
			_exit(1);
		}
		_exit(0);
	}
	REQUIRE(read(id_pipe[0], &id, sizeof(id)) == sizeof(id) && waitpid(pid, NULL, 0) == pid);
	log_open("unit", LOG_TO_STDERR);
	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
	set_aside(dir, "-wal");
	q = queue_util_open(dir, QUEUE_CREATE);
	CHECK_INT(queue_util_aside(dir), 1);
	queue_rescue(q);
	CHECK(queue_util_whole(q, id, 4096));
	queue_close(q);
}

TEST(queue_crash, damage_while_running)
{
	const char *dir = unit_tmpdir();
	struct queue *q = queue_util_open(dir, QUEUE_CREATE);
	int told = 0;

	for (int i = 0; i < 300; i++) {
		queue_util_add(q, 4096, &told);
	}
	CHECK_INT(queue_commit(q), 0);
	queue_close(q);
	CHECK_INT(queue_util_aside(dir), 0);
	/* All but the first page; the header and the schema are sound. */
	queue_util_overwrite(dir, 4096 * 9, 4096 * 200);
	q = queue_util_open(dir, QUEUE_CREATE);
	CHECK_INT(queue_util_aside(dir), 0);
	for (int i = 0; i < 300 && !queue_is_broken(q); i++) {
		struct queue_entry out[300];

		queue_util_add(q, 4096, &told);
		(void)queue_commit(q);
		(void)queue_scan(q, 0, out, 300);
	}
	CHECK(queue_is_broken(q));
	CHECK(strstr(queue_error(q), "malformed") != NULL);
	queue_close(q);
	log_open("unit", LOG_TO_STDERR);
	q = queue_util_open(dir, QUEUE_CREATE);
	CHECK_INT(queue_util_aside(dir), 1);
	told = 0;
	queue_util_add(q, 4096, &told);
	CHECK_INT(queue_commit(q), 0);
	CHECK_INT(told, 1);
	queue_close(q);
	queue_close(queue_util_open(dir, QUEUE_WRITE));
	CHECK_INT(queue_util_aside(dir), 1);
}

/* A mark without damage: the database is used again. */
TEST(queue_crash, mark_without_damage)
{
	const char *dir = unit_tmpdir();
	struct queue *q = queue_util_open(dir, QUEUE_CREATE);
	int told = 0;
	queue_id id = queue_util_add(q, 4096, &told);
	char path[600];

	CHECK_INT(queue_commit(q), 0);
	queue_close(q);
	snprintf(path, sizeof(path), "%s/queue.db.bad", dir);
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	log_open("unit", LOG_TO_STDERR);
	q = queue_util_open(dir, QUEUE_WRITE);
	CHECK(queue_util_whole(q, id, 4096));
	CHECK(access(path, F_OK) != 0);
	queue_close(q);
}

/* The file was set aside by another process: nothing more is written to the old one. */
TEST(queue_crash, replaced_under_us)
{
	const char *dir = unit_tmpdir();
	struct queue *q = queue_util_open(dir, QUEUE_CREATE);
	struct queue *reader = queue_util_open(dir, QUEUE_READ);
	struct arena a = ARENA_INIT;
	struct queue_envelope env;
	char from[600], to[600];
	int told = 0;

	queue_util_add(q, 100, &told);
	CHECK_INT(queue_commit(q), 0);
	snprintf(from, sizeof(from), "%s/queue.db", dir);
	snprintf(to, sizeof(to), "%s/elsewhere", dir);
	REQUIRE(rename(from, to) == 0);
	queue_util_add(q, 100, &told);
	CHECK_INT(queue_commit(q), -1);
	CHECK_INT(told, -1);
	CHECK(queue_is_broken(q));
	CHECK(strstr(queue_error(q), "replaced") != NULL);
	CHECK_INT(queue_get(reader, 12345, &a, &env), -1);
	CHECK(queue_is_broken(reader));
	queue_close(reader);
	queue_close(q);
}

TEST(queue_crash, newer_schema)
{
	static const char *const none[] = { "" };
	const char *dir = unit_tmpdir();
	char path[600], *error = NULL;
	struct db *db;

	queue_close(queue_util_open(dir, QUEUE_CREATE));
	snprintf(path, sizeof(path), "%s/queue.db", dir);
	db = db_open(path, DB_WRITE, NULL, none, 0, NULL, &error);
	REQUIRE(db != NULL);
	CHECK_INT(db_exec(db, "PRAGMA user_version=99"), 0);
	db_close(db);
	for (int mode = QUEUE_READ; mode <= QUEUE_CREATE; mode++) {
		error = NULL;
		CHECK(queue_open(dir, (enum queue_open_mode)mode, &error) == NULL);
		REQUIRE(error != NULL);
		CHECK(strstr(error, "newer") != NULL && strstr(error, path) != NULL);
		mem_free(error);
	}
	CHECK_INT(queue_util_aside(dir), 0);
}

TEST(queue_crash, missing)
{
	const char *dir = unit_tmpdir();
	char path[600], *error = NULL;

	CHECK(queue_open(dir, QUEUE_READ, &error) == NULL);
	CHECK(error != NULL && strstr(error, "queue.db") != NULL);
	mem_free(error);
	error = NULL;
	snprintf(path, sizeof(path), "%s/nowhere", dir);
	CHECK(queue_open(path, QUEUE_CREATE, &error) == NULL);
	CHECK(error != NULL && strstr(error, "nowhere") != NULL &&
		strstr(error, "No such file") != NULL);
	mem_free(error);
}

/* ---- A full disk ---- */

/* No file may grow beyond 300 KB: what does not fit is refused, what was there stays, and with room
 * it goes on. */
TEST(queue_crash, full)
{
	struct queue *q = queue_util_open(unit_tmpdir(), QUEUE_CREATE);
	int told = 0;
	queue_id first = queue_util_add(q, 4096, &told), second, third;

	CHECK_INT(queue_commit(q), 0);
	limit_files(300 * 1024);
	second = queue_util_add(q, 900 * 1024, &told); /* in memory until the commit */
	CHECK_INT(queue_commit(q), -1);
	CHECK_INT(told, -1);
	if (!queue_is_full(q)) {
		CHECK_STR(queue_error(q), "disk full");
	}
	CHECK(!queue_is_broken(q));
	told = 0;
	third = queue_util_add(q, 5 * 1024 * 1024, &told); /* leaves in pieces */
	(void)queue_commit(q);
	CHECK_INT(told, -1);
	CHECK(queue_is_full(q));
	limit_files(RLIM_INFINITY);
	CHECK_INT(queue_commit(q), 0);
	CHECK(queue_util_whole(q, first, 4096));
	CHECK(!queue_util_whole(q, second, 900 * 1024));
	CHECK(!queue_util_whole(q, third, 5 * 1024 * 1024));
	second = queue_util_add(q, 900 * 1024, &told);
	CHECK_INT(queue_commit(q), 0);
	CHECK_INT(told, 1);
	CHECK(queue_util_whole(q, second, 900 * 1024));
	queue_close(q);
}

/* What is ended does not go when another's bytes find no room: changes may stand for it. */
TEST(queue_crash, full_under_another)
{
	struct queue *q = queue_util_open(unit_tmpdir(), QUEUE_CREATE);
	int told = 0, other = 0;
	queue_id first = queue_util_add(q, 4096, &told), second, third;

	CHECK_INT(queue_commit(q), 0);
	queue_keep_failed(q, true);
	limit_files(100 * 1024);
	told = 0;
	second = queue_util_add(q, 200 * 1024, &told);
	queue_remove(q, first);
	third = queue_util_add(q, 5 * 1024 * 1024, &other);
	limit_files(RLIM_INFINITY);
	CHECK_INT(queue_commit(q), 0);
	CHECK_INT(told, 1);
	CHECK_INT(other, -1);
	CHECK(!queue_util_whole(q, first, 4096));
	CHECK(queue_util_whole(q, second, 200 * 1024));
	CHECK(!queue_util_whole(q, third, 5 * 1024 * 1024));
	queue_close(q);
}

/* With queue_keep_failed() what failed is done as soon as there is room. */
TEST(queue_crash, full_and_kept)
{
	struct queue *q = queue_util_open(unit_tmpdir(), QUEUE_CREATE);
	int told = 0;
	queue_id first = queue_util_add(q, 4096, &told), second;

	CHECK_INT(queue_commit(q), 0);
	queue_keep_failed(q, true);
	limit_files(100 * 1024);
	told = 0;
	second = queue_util_add(q, 700 * 1024, &told);
	queue_remove(q, first);
	CHECK_INT(queue_commit(q), -1);
	CHECK_INT(queue_commit(q), -1);
	CHECK_INT(told, 0);
	CHECK(queue_pending(q));
	CHECK(queue_util_whole(q, first, 4096));
	limit_files(RLIM_INFINITY);
	CHECK_INT(queue_commit(q), 0);
	CHECK_INT(told, 1);
	CHECK(!queue_util_whole(q, first, 4096));
	CHECK(queue_util_whole(q, second, 700 * 1024));
	queue_close(q);
}
