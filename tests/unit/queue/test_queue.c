/*
 * test_queue - queue.db: messages in, states, reading back, group commit, ids
 */
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/str.h"
#include "db/db_impl.h"
#include "queue/queue.h"
#include "queue/queue_change.h"
#include "queue/queue_internal.h"
#include "queue/queue_read.h"
#include "queue/queue_write.h"
#include "unit.h"

static struct queue *open_queue(const char *dir, enum queue_open_mode mode)
{
	char *error = NULL;
	struct queue *q = queue_open(dir, mode, &error);

	if (q == NULL) {
		CHECK_STR(error, "");
	}
	REQUIRE(q != NULL);
	return q;
}

static const struct queue_envelope plain = { .sender = "a@example.com",
	.envid = "",
	.full_name = "",
	.client_name = "localhost",
	.client_addr = "127.0.0.1",
	.helo = "me",
	.proto = "ESMTP",
	.sasl_user = "",
	.reason = "",
	.flags = QUEUE_F_8BIT };

/* begin_one - a message with count recipients r0@x, r1@x ... and size bytes of content */
static struct queue_message *begin_one(struct queue *q, int count, int64_t size)
{
	struct queue_message *m = queue_begin(q, &plain);
	char line[64], address[32];

	for (int i = 0; i < count; i++) {
		struct queue_recipient r = { .address = address,
			.original = i ? "orig@x" : "",
			.orcpt = "",
			.notify = (unsigned)i & 7,
			.dsn = "",
			.reason = "" };

		snprintf(address, sizeof(address), "r%d@x", i);
		queue_add_recipient(m, &r);
	}
	for (int64_t at = 0; at < size; at += 50) {
		int64_t n = size - at < 50 ? size - at : 50;

		snprintf(line, sizeof(line), "%049lld\n", (long long)at);
		CHECK_INT(queue_write(m, line, (size_t)n), 0);
	}
	CHECK_INT(queue_written(m), size);
	return m;
}

/* done() - counts: arg points to { good, bad } */
static void count_done(void *arg, bool ok)
{
	((int *)arg)[ok ? 0 : 1]++;
}

static queue_id put_one(struct queue *q, int count, int64_t size)
{
	struct queue_message *m = begin_one(q, count, size);
	queue_id id = queue_message_id(m);

	queue_end(m, NULL, NULL);
	CHECK_INT(queue_commit(q), 0);
	return id;
}

/* check_content - the content is what begin_one() wrote, read in pieces of step bytes */
static void check_content(struct queue *q, queue_id id, int64_t size, size_t step)
{
	char *data = mem_alloc(step), want[64];
	int64_t at = 0, n;

	while ((n = queue_read(q, id, at, data, step)) > 0) {
		for (int64_t i = 0; i < n; i++, at++) {
			snprintf(want, sizeof(want), "%049lld\n", (long long)(at / 50 * 50));
			if (data[i] != want[at % 50]) {
				CHECK_INT(at, -1);
				n = -1;
				break;
			}
		}
		if (n < 0) {
			break;
		}
	}
	CHECK_INT(n, 0);
	CHECK_INT(at, size);
	mem_free(data);
}

TEST(queue, round_trip)
{
	static const int64_t sizes[] = { 0, 1, 49, 4096, QUEUE_CHUNK - 1, QUEUE_CHUNK,
		QUEUE_CHUNK + 1, 3 * QUEUE_CHUNK, 2 * 1024 * 1024 + 7 };
	struct queue *q = open_queue(unit_tmpdir(), QUEUE_CREATE);
	struct arena a = ARENA_INIT;

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		queue_id id = put_one(q, 3, sizes[i]);
		struct queue_envelope env;
		struct queue_recipient r[5];

		REQUIRE(queue_get(q, id, &a, &env) == 1);
		CHECK_INT(env.size, sizes[i]);
		CHECK_STR(env.sender, "a@example.com");
		CHECK_STR(env.client_addr, "127.0.0.1");
		CHECK_STR(env.proto, "ESMTP");
		CHECK_STR(env.envid, "");
		CHECK_INT(env.flags, QUEUE_F_8BIT);
		CHECK_INT(env.state, QUEUE_INCOMING);
		CHECK(env.arrival > 0);
		REQUIRE(queue_recipients(q, id, 0, true, &a, r, 5) == 3);
		CHECK_STR(r[2].address, "r2@x");
		CHECK_STR(r[2].original, "orig@x");
		CHECK_INT(r[2].notify, 2);
		CHECK_INT(r[2].n, 2);
		check_content(q, id, sizes[i], 8192);
		check_content(q, id, sizes[i], 100000);
	}
	queue_close(q);
	arena_free(&a);
}

TEST(queue, group_commit)
{
	const char *dir = unit_tmpdir();
	struct queue *q = open_queue(dir, QUEUE_CREATE), *other = open_queue(dir, QUEUE_READ);
	struct queue_message *m[5];
	struct arena a = ARENA_INIT;
	struct queue_envelope env;
	queue_id ids[5];
	const queue_id *got;
	int told[2] = { 0, 0 };
	size_t count;

	CHECK(!queue_pending(q));
	for (int i = 0; i < 5; i++) {
		m[i] = begin_one(q, 1, i * 1000);
		ids[i] = queue_message_id(m[i]);
	}
	CHECK(!queue_pending(q));
	for (int i = 0; i < 4; i++) {
		queue_end(m[i], count_done, told);
	}
	CHECK(queue_pending(q));
	CHECK_INT(queue_get(other, ids[0], &a, &env), 0);
	CHECK_INT(queue_commit(q), 0);
	CHECK(!queue_pending(q));
	CHECK_INT(told[0], 4);
	CHECK_INT(told[1], 0);
	got = queue_committed(q, &count);
	REQUIRE(count == 4);
	for (int i = 0; i < 4; i++) {
		CHECK(got[i] == ids[i]);
		CHECK_INT(queue_get(other, ids[i], &a, &env), 1);
	}
	CHECK_INT(queue_get(other, ids[4], &a, &env), 0);
	queue_abort(m[4]);
	CHECK_INT(queue_commit(q), 0);
	CHECK_INT(queue_get(other, ids[4], &a, &env), 0);
	queue_close(other);
	queue_close(q);
	arena_free(&a);
}

/* Aborted after chunks were stored: nothing stays. */
TEST(queue, abort_large)
{
	struct queue *q = open_queue(unit_tmpdir(), QUEUE_CREATE);
	struct queue_message *m = begin_one(q, 1, 3 * 1024 * 1024);
	queue_id id = queue_message_id(m);
	char c;

	CHECK_INT(queue_read(q, id, 0, &c, 1), 1); /* some of it is stored */
	queue_abort(m);
	CHECK_INT(queue_commit(q), 0);
	CHECK_INT(queue_read(q, id, QUEUE_CHUNK, &c, 1), 0);
	CHECK_INT(queue_clean(q, -1), 0);
	queue_close(q);
}

/* A writer that dies in the middle of a large message: clean finds what it left, and only that. */
TEST(queue, clean)
{
	const char *dir = unit_tmpdir();
	struct queue *q = open_queue(dir, QUEUE_CREATE);
	struct queue_message *late;
	queue_id whole = put_one(q, 1, 3 * 1024 * 1024), half, lost;
	struct arena a = ARENA_INIT;
	struct queue_envelope env;
	int told[2] = { 0, 0 }, pipe_fd[2];
	char c;

	REQUIRE(pipe(pipe_fd) == 0);
	queue_close(q);
	if (fork() == 0) {
		q = open_queue(dir, QUEUE_WRITE);
		half = queue_message_id(begin_one(q, 1, 3 * 1024 * 1024));
		_exit(write(pipe_fd[1], &half, sizeof(half)) != (ssize_t)sizeof(half));
	}
	REQUIRE(read(pipe_fd[0], &half, sizeof(half)) == (ssize_t)sizeof(half));
	wait(NULL);
	q = open_queue(dir, QUEUE_WRITE);
	CHECK_INT(queue_read(q, half, 0, &c, 1), 1);
	late = begin_one(q, 1, 3 * 1024 * 1024);
	lost = queue_message_id(late);
	CHECK_INT(queue_clean(q, 3600), 0); /* too young */
	CHECK_INT(queue_clean(q, -1), 2);   /* both unfinished ones */
	CHECK_INT(queue_clean(q, -1), 0);
	check_content(q, whole, 3 * 1024 * 1024, 65536);
	/* Whose content was cleaned away cannot become a message without it. */
	queue_end(late, count_done, told);
	CHECK_INT(queue_commit(q), 0);
	CHECK_INT(told[1], 1);
	CHECK_INT(queue_commit(q), 0);
	CHECK_INT(queue_get(q, lost, &a, &env), 0);
	CHECK_INT(queue_read(q, lost, 2 * 1024 * 1024 + 70000, &c, 1), 0);
	queue_close(q);
	arena_free(&a);
}

TEST(queue, changes)
{
	const char *dir = unit_tmpdir();
	struct queue *q = open_queue(dir, QUEUE_CREATE), *other = open_queue(dir, QUEUE_READ);
	queue_id id = put_one(q, 3, 100), second;
	struct arena a = ARENA_INIT;
	struct queue_envelope env;
	struct queue_recipient r[9];
	struct queue_recipient more = {
		.n = 3, .address = "new@y", .original = "r0@x", .orcpt = "", .dsn = "", .reason = ""
	};
	int64_t last;

	queue_recipient_done(q, id, 0);
	queue_recipient_deferred(q, id, 1, "4.2.2", "mailbox full");
	queue_recipient_append(q, id, &more);
	queue_defer(q, id, 5000, "some wait");
	CHECK(queue_pending(q));
	CHECK_INT(queue_recipients(other, id, 0, true, &a, r, 9), 3);
	CHECK_INT(queue_commit(q), 0);
	REQUIRE(queue_recipients(other, id, 0, true, &a, r, 9) == 3);
	CHECK_INT(r[0].n, 1);
	CHECK_STR(r[0].dsn, "4.2.2");
	CHECK_STR(r[0].reason, "mailbox full");
	CHECK_STR(r[2].address, "new@y");
	CHECK_STR(r[2].original, "r0@x");
	CHECK_INT(queue_recipients(other, id, 0, false, &a, r, 9), 4);
	CHECK_INT(queue_recipients(other, id, 2, true, &a, r, 1), 1);
	CHECK_INT(r[0].n, 2);
	CHECK_INT(queue_count_recipients(other, id, &last), 3);
	CHECK_INT(last, 3);
	REQUIRE(queue_get(other, id, &a, &env) == 1);
	CHECK_INT(env.state, QUEUE_DEFERRED);
	CHECK_INT(env.next_try, 5000);
	CHECK_INT(env.attempts, 1);
	CHECK_STR(env.reason, "some wait");

	/* A message and the end of another in one transaction. */
	queue_set_flags(q, id, QUEUE_F_WARNED);
	CHECK_INT(queue_commit(q), 0);
	REQUIRE(queue_get(other, id, &a, &env) == 1);
	CHECK_INT(env.flags, QUEUE_F_8BIT | QUEUE_F_WARNED);
	queue_remove(q, id);
	second = put_one(q, 1, 10);
	CHECK_INT(queue_get(other, id, &a, &env), 0);
	CHECK_INT(queue_recipients(other, id, 0, false, &a, r, 9), 0);
	CHECK_INT(queue_read(other, id, 0, r, 1), 0);
	CHECK_INT(queue_get(other, second, &a, &env), 1);
	queue_set_state(q, second, QUEUE_HOLD, 0);
	CHECK_INT(queue_commit(q), 0);
	REQUIRE(queue_get(other, second, &a, &env) == 1);
	CHECK_INT(env.state, QUEUE_HOLD);
	queue_close(other);
	queue_close(q);
	arena_free(&a);
}

TEST(queue, walks)
{
	struct queue *q = open_queue(unit_tmpdir(), QUEUE_CREATE);
	struct queue_entry out[10], after = { 0 };
	struct queue_envelope env;
	struct arena a = ARENA_INIT;
	queue_id ids[6];
	int64_t count, bytes;

	for (int i = 0; i < 6; i++) {
		ids[i] = put_one(q, 1, 10);
	}
	queue_defer(q, ids[1], 300, "");
	queue_defer(q, ids[2], 100, "");
	queue_defer(q, ids[3], 200, "");
	queue_defer(q, ids[4], 100, "");
	queue_set_state(q, ids[5], QUEUE_HOLD, 0);
	CHECK_INT(queue_commit(q), 0);

	REQUIRE(queue_scan(q, 0, out, 10) == 6);
	CHECK(out[0].id == ids[0] && out[0].state == QUEUE_INCOMING);
	CHECK(out[1].id == ids[1] && out[1].state == QUEUE_DEFERRED && out[1].next_try == 300);
	CHECK(out[5].state == QUEUE_HOLD);
	CHECK_INT(queue_scan(q, ids[3], out, 1), 1);
	CHECK(out[0].id == ids[4]);

	CHECK_INT(queue_next_due(q, &after), 100);
	REQUIRE(queue_due(q, 250, &after, out, 10) == 3);
	CHECK(out[0].id == ids[2] && out[1].id == ids[4] && out[2].id == ids[3]);
	REQUIRE(queue_due(q, 250, &out[0], out, 1) == 1);
	CHECK(out[0].id == ids[4]);
	REQUIRE(queue_due(q, 1000, &out[0], out, 10) == 2);
	CHECK(out[1].id == ids[1]);
	CHECK_INT(queue_next_due(q, &out[0]), 300);
	CHECK_INT(queue_next_due(q, &out[1]), 0);
	CHECK_INT(queue_due(q, 50, &after, out, 10), 0);

	REQUIRE(queue_next(q, 0, &a, &env) == 1);
	CHECK(env.id == ids[0]);
	REQUIRE(queue_next(q, ids[4], &a, &env) == 1);
	CHECK(env.id == ids[5]);
	CHECK_INT(queue_next(q, ids[5], &a, &env), 0);
	CHECK_INT(queue_totals(q, &count, &bytes), 0);
	CHECK_INT(count, 6);
	CHECK_INT(bytes, 60);
	queue_close(q);
	arena_free(&a);
}

/*
 * The database is moved away under a writer, and another stands in its place or none does: what
 * nobody would find is not said to be in the queue.
 */
TEST(queue, moved_away)
{
	static const char *const names[] = { "queue.db", "queue.db-wal", "queue.db-shm" };
	const char *dir = unit_tmpdir();

	for (int replaced = 0; replaced < 2; replaced++) {
		struct queue *q = open_queue(dir, QUEUE_CREATE), *other;
		struct queue_message *m;
		struct arena a = ARENA_INIT;
		struct queue_envelope env;
		int told[2] = { 0, 0 };
		queue_id id;

		put_one(q, 1, 100);
		for (size_t i = 0; i < ARRAY_LEN(names); i++) {
			char from[512], to[512];

			snprintf(from, sizeof(from), "%s/%s", dir, names[i]);
			snprintf(to, sizeof(to), "%s/%d.%s", dir, replaced, names[i]);
			REQUIRE(rename(from, to) == 0);
		}
		other = replaced ? open_queue(dir, QUEUE_CREATE) : NULL;
		m = begin_one(q, 1, 100);
		id = queue_message_id(m);
		queue_end(m, count_done, told);
		CHECK_INT(queue_commit(q), -1);
		CHECK_INT(told[0], 0);
		CHECK_INT(told[1], 1);
		CHECK(queue_is_broken(q));
		CHECK(str_ends(queue_error(q), "the file was replaced or removed while in use"));
		if (other != NULL) {
			CHECK_INT(queue_get(other, id, &a, &env), 0);
		}
		queue_close(other);
		queue_close(q);
		arena_free(&a);
	}
}

/* ---- Ids ---- */

TEST(queue, id_text)
{
	static const struct {
		const char *text;
		queue_id id; /* 0: refused */
	} rows[] = {
		{ "0000000001", 1 },
		{ "5CFBB21DB", 0x5CFBB21DB },
		{ "3FFFFFFFFFFFF", 0x3FFFFFFFFFFFF },
		{ "4000000000000", 0 },
		{ "", 0 },
		{ "0", 0 },
		{ "XYZ", 0 },
		{ "12 ", 0 },
		{ "-1", 0 },
		{ "5cfbb21db", 0x5CFBB21DB },
		{ "00000000000000000000001", 0 },
		{ "../../etc", 0 },
	};
	char text[QUEUE_ID_TEXT];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		queue_id id = 0;

		CHECK_ROW(rows[i].text);
		CHECK_INT(queue_id_parse(rows[i].text, &id), rows[i].id != 0);
		CHECK(id == rows[i].id);
	}
	CHECK_ROW(NULL);
	queue_id_text(0x5CFBB21DB, text);
	CHECK_STR(text, "05CFBB21DB");
	queue_id_text(0x3FFFFFFFFFFFF, text);
	CHECK_STR(text, "3FFFFFFFFFFFF");
}

static int compare_ids(const void *a, const void *b)
{
	queue_id x = *(const queue_id *)a, y = *(const queue_id *)b;

	return x < y ? -1 : x > y;
}

/* Four processes draw as fast as they can: no id twice. */
TEST(queue, id_unique)
{
	enum { PROCESSES = 4, EACH = 5000 };
	const char *dir = unit_tmpdir();
	static queue_id all[PROCESSES * EACH];
	int pipes[PROCESSES][2];
	int twice = 0;

	queue_close(open_queue(dir, QUEUE_CREATE));
	for (int p = 0; p < PROCESSES; p++) {
		REQUIRE(pipe(pipes[p]) == 0);
		if (fork() == 0) {
			struct queue *q = open_queue(dir, QUEUE_WRITE);
			queue_id last = 0;

			for (int i = 0; i < EACH; i++) {
				all[i] = queue_id_new(q);
				if (all[i] <= last) {
					_exit(1);
				}
				last = all[i];
			}
			for (size_t done = 0; done < EACH * sizeof(queue_id);) {
				ssize_t n = write(pipes[p][1], (char *)all + done,
					EACH * sizeof(queue_id) - done);

				if (n <= 0) {
					_exit(1);
				}
				done += (size_t)n;
			}
			_exit(0);
		}
	}
	for (int p = 0; p < PROCESSES; p++) {
		char *to = (char *)&all[p * EACH];

		for (size_t done = 0; done < EACH * sizeof(queue_id);) {
			ssize_t n = read(pipes[p][0], to + done, EACH * sizeof(queue_id) - done);

			REQUIRE(n > 0);
			done += (size_t)n;
		}
	}
	while (wait(NULL) > 0) {
		continue;
	}
	qsort(all, PROCESSES * EACH, sizeof(all[0]), compare_ids);
	for (int i = 1; i < PROCESSES * EACH; i++) {
		twice += all[i] == all[i - 1];
	}
	CHECK_INT(twice, 0);
}

/* The counter's file is lost and the clock stands before the newest mail: ids still rise above it.
 */
TEST(queue, id_above_what_is_there)
{
	const char *dir = unit_tmpdir();
	struct queue *q = open_queue(dir, QUEUE_CREATE);
	struct queue_envelope env = plain;
	struct queue_message *m;
	queue_id future, next;
	char path[512];

	future = queue_id_new(q) + (queue_id)3600 * 1000000;
	env.id = future;
	m = queue_begin(q, &env);
	queue_end(m, NULL, NULL);
	CHECK_INT(queue_commit(q), 0);
	queue_close(q);
	snprintf(path, sizeof(path), "%s/queue.lock", dir);
	REQUIRE(truncate(path, 0) == 0);
	q = open_queue(dir, QUEUE_WRITE);
	next = put_one(q, 1, 10);
	CHECK(next > future);
	/* Both are gone and the counter is lost again: the database remembers. */
	queue_remove(q, future);
	queue_remove(q, next);
	CHECK_INT(queue_commit(q), 0);
	queue_close(q);
	REQUIRE(truncate(path, 0) == 0);
	q = open_queue(dir, QUEUE_WRITE);
	CHECK(queue_id_new(q) > next);
	queue_close(q);
}

/* Compiling costs more than running mostly does: each statement is compiled once. */
TEST(queue, compiled_once)
{
	struct queue *q = open_queue(unit_tmpdir(), QUEUE_CREATE);
	struct arena a = ARENA_INIT;
	struct queue_recipient r[2];
	struct queue_entry e = { 0 };
	queue_id id[3];
	int used = 0;

	for (size_t i = 0; i < ARRAY_LEN(id); i++) {
		id[i] = put_one(q, 2, 10);
	}
	for (size_t i = 0; i < ARRAY_LEN(id); i++) {
		CHECK_INT(queue_recipients(q, id[i], (int64_t)i, i > 1, &a, r, 2),
			i == 0 ? 2 : i == 1);
		CHECK(queue_count_recipients(q, id[i], NULL) == 2);
		CHECK(queue_site(q, i == 0 ? "x" : "y", id[i], &e, 1) == 0);
		queue_recipient_deferred(q, id[i], 0, "4.0.0", "later");
		queue_defer(q, id[i], (int64_t)i + 1, "");
		CHECK_INT(queue_commit(q), 0);
		CHECK_INT(queue_due(q, (int64_t)i + 1, &(struct queue_entry){ 0 }, &e, 1), 1);
		CHECK(queue_next_due(q, &(struct queue_entry){ .next_try = (int64_t)i }) > 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(id); i++) {
		queue_recipient_done(q, id[i], 0);
		CHECK_INT(queue_commit(q), 0);
		queue_remove(q, id[i]);
		CHECK_INT(queue_commit(q), 0);
	}
	for (size_t i = 0; i < q->db->count; i++) {
		sqlite3_stmt *s = q->db->stmts[i].handle;

		used += s != NULL;
		if (s != NULL && sqlite3_stmt_status(s, SQLITE_STMTSTATUS_REPREPARE, 0) > 0) {
			CHECK_STR(sqlite3_sql(s), "compiled once");
		}
	}
	CHECK(used > 15);
	arena_free(&a);
	queue_close(q);
}
