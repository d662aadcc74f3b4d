/*
 * test_queue_parts - a queue in memory with one on the disk: moves, walks over both, commits
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "conf/params.h"
#include "queue/queue.h"
#include "queue/queue_change.h"
#include "queue/queue_internal.h"
#include "queue/queue_parts.h"
#include "queue/queue_read.h"
#include "queue/queue_write.h"
#include "unit.h"

struct rig {
	char *memory;
	const char *durability, *directory;
	int64_t limit;
	struct queue *q;
	const char *dir;
};

static struct queue *open_rig(struct rig *r, const char *durability)
{
	char *error = NULL;
	struct queue *q;

	param.queue_durability = durability;
	q = queue_open_below(r->dir, QUEUE_CREATE, &error);
	if (q == NULL) {
		CHECK_STR(error, "");
	}
	REQUIRE(q != NULL);
	return q;
}

static void begin(struct rig *r, const char *dir)
{
	char name[] = "/dev/shm/pillarbox-unit-XXXXXX";

	if (!queue_is_memory("/dev/shm") || mkdtemp(name) == NULL) {
		unit_skip("no /dev/shm in memory");
	}
	*r = (struct rig){ .memory = mem_strdup(name),
		.durability = param.queue_durability,
		.directory = param.queue_volatile_directory,
		.limit = param.queue_volatile_limit,
		.dir = dir };
	param.queue_volatile_directory = r->memory;
	param.queue_volatile_limit = 1 << 24;
	r->q = open_rig(r, "spill");
}

static void remove_memory(struct rig *r)
{
	struct buf path = BUF_INIT;

	queue_memory_directory(r->dir, &path);
	for (size_t i = 0; queue_file_name(i) != NULL; i++) {
		size_t len = path.len;

		buf_addf(&path, "/%s", queue_file_name(i));
		(void)unlink(buf_str(&path));
		path.data[path.len = len] = '\0';
	}
	(void)rmdir(buf_str(&path));
	buf_free(&path);
}

static void end(struct rig *r)
{
	queue_close(r->q);
	remove_memory(r);
	(void)rmdir(r->memory);
	mem_free(r->memory);
	param.queue_durability = r->durability;
	param.queue_volatile_directory = r->directory;
	param.queue_volatile_limit = r->limit;
}

static struct queue_message *message(struct queue *q, size_t size)
{
	static const struct queue_envelope env = { .sender = "a@x" };
	static const struct queue_recipient to = { .address = "b@x" };
	struct queue_message *m = queue_begin(q, &env);
	char block[1000];

	memset(block, 'm', sizeof(block));
	queue_add_recipient(m, &to);
	for (size_t at = 0; at < size; at += sizeof(block)) {
		CHECK(queue_write(m, block, sizeof(block)) == 0);
	}
	return m;
}

static queue_id put(struct queue *q, size_t size)
{
	struct queue_message *m = message(q, size);
	queue_id id = queue_message_id(m);

	queue_end(m, NULL, NULL);
	CHECK(queue_commit(q) == 0);
	return id;
}

static int64_t count(struct queue *part)
{
	int64_t n = -1;

	CHECK(db_exec_int(part->db, "SELECT count(*) FROM message", &n) == 0);
	return n;
}

static bool is_whole(struct queue *q, queue_id id, int64_t size)
{
	char piece[5000];
	int64_t at = 0, n;

	while ((n = queue_read(q, id, at, piece, sizeof(piece))) > 0) {
		at += n;
	}
	return n == 0 && at == size;
}

TEST(queue_parts, deferred_leaves_memory)
{
	struct rig r;
	queue_id id, stays;

	begin(&r, unit_tmpdir());
	id = put(r.q, 200000);
	stays = put(r.q, 1000);
	CHECK_INT(count(queue_disk(r.q)), 0);
	queue_defer(r.q, id, 5000, "");
	CHECK(queue_commit(r.q) == 0);
	CHECK_INT(count(queue_disk(r.q)), 1);
	CHECK_INT(count(queue_memory(r.q)), 1);
	CHECK(queue_part_of(r.q, id) == queue_disk(r.q));
	CHECK(queue_part_of(r.q, stays) == queue_memory(r.q));
	CHECK(is_whole(r.q, id, 200000));
	CHECK(is_whole(r.q, stays, 1000));
	end(&r);
}

/* all_walks - each gives both messages, in order */
static void all_walks(struct queue *q, queue_id first, queue_id second)
{
	struct queue_entry found[4], none = { 0 };
	struct queue_envelope env;
	struct arena a = ARENA_INIT;
	int64_t messages, bytes;

	CHECK_INT(queue_scan(q, 0, found, 4), 2);
	CHECK(found[0].id == first && found[1].id == second);
	CHECK_INT(queue_scan(q, 0, found, 1), 1);
	CHECK(found[0].id == first);
	CHECK_INT(queue_scan(q, first, found, 4), 1);
	CHECK(found[0].id == second);
	CHECK(queue_next(q, 0, &a, &env) > 0 && env.id == first);
	CHECK(queue_next(q, first, &a, &env) > 0 && env.id == second);
	CHECK_INT(queue_next(q, second, &a, &env), 0);
	CHECK_INT(queue_due(q, INT64_MAX, &none, found, 4), 1);
	CHECK(queue_totals(q, &messages, &bytes) == 0);
	CHECK_INT(messages, 2);
	CHECK_INT(bytes, 6000);
	arena_free(&a);
}

struct listed {
	queue_id ids[4];
	int count;
};

static void note(void *arg, const struct queue_envelope *env, const struct queue_recipient *r)
{
	struct listed *l = arg;

	CHECK_STR(r->address, "b@x");
	l->ids[l->count++ % 4] = env->id;
}

TEST(queue_parts, walks_see_one_queue)
{
	struct rig r;
	struct listed l = { .count = 0 };
	queue_id first, second;

	begin(&r, unit_tmpdir());
	first = put(r.q, 3000);
	second = put(r.q, 3000);
	queue_defer(r.q, second, 5000, "");
	CHECK(queue_commit(r.q) == 0);
	all_walks(r.q, first, second);
	CHECK_INT(queue_list(r.q, 0, -1, 4, note, &l), 2);
	CHECK(l.count == 2 && l.ids[0] == first && l.ids[1] == second);
	/* The elder on the disk, the younger in memory. */
	queue_remove(r.q, first);
	first = second;
	second = put(r.q, 3000);
	CHECK(queue_commit(r.q) == 0);
	all_walks(r.q, first, second);
	end(&r);
}

/* Others of the same turn have ended when the chunks of a large one are stored. */
TEST(queue_parts, chunks_go_before_the_commit)
{
	struct rig r;
	struct queue_message *small, *large;

	begin(&r, unit_tmpdir());
	small = message(r.q, 1000);
	queue_end(small, NULL, NULL);
	large = message(r.q, 1500000);
	queue_end(large, NULL, NULL);
	CHECK(queue_commit(r.q) == 0);
	CHECK_INT(count(r.q), 2);
	end(&r);
}

TEST(queue_parts, limit_and_cause)
{
	struct rig r;
	static const struct queue_envelope env = { .sender = "" };
	struct queue_message *m;
	queue_id on_disk;

	begin(&r, unit_tmpdir());
	param.queue_volatile_limit = 0;
	on_disk = put(r.q, 100);
	CHECK(queue_part_of(r.q, on_disk) == queue_disk(r.q));
	CHECK(queue_has_room(r.q));
	queue_memory(r.q)->spills = false;
	CHECK(!queue_has_room(r.q));
	queue_memory(r.q)->spills = true;
	/* What takes a message's place is where that is. */
	m = queue_begin_beside(r.q, &env, on_disk);
	CHECK(m->part == queue_disk(r.q));
	queue_abort(m);
	end(&r);
}

TEST(queue_parts, strict_again)
{
	struct rig r;
	queue_id id, later;

	begin(&r, unit_tmpdir());
	/* As after a crash: nothing has left memory. */
	id = put(r.q, 100);
	queue_memory(r.q)->spills = false;
	queue_close(r.q);
	r.q = open_rig(&r, "strict");
	CHECK(!r.q->in_memory && r.q->other != NULL);
	CHECK(queue_part_of(r.q, id) == queue_memory(r.q));
	later = put(r.q, 100);
	CHECK(later > id && (later & 1) != (id & 1));
	CHECK(queue_part_of(r.q, later) == queue_disk(r.q));
	CHECK(queue_spill(r.q, true) == 0);
	CHECK_INT(count(queue_memory(r.q)), 0);
	CHECK_INT(count(queue_disk(r.q)), 2);
	end(&r);
}

/* A crash between the two commits of a move leaves the message in both. */
TEST(queue_parts, left_in_both)
{
	struct rig r;
	struct queue_entry found[4];
	queue_id id;

	begin(&r, unit_tmpdir());
	id = put(r.q, 70000);
	queue_memory(r.q)->spills = false;
	CHECK(db_exec(r.q->db, "CREATE TEMP TABLE m AS SELECT * FROM message") == 0);
	CHECK(db_exec(r.q->db, "CREATE TEMP TABLE r AS SELECT * FROM recipient") == 0);
	CHECK(db_exec(r.q->db, "CREATE TEMP TABLE c AS SELECT * FROM chunk") == 0);
	queue_memory(r.q)->spills = true;
	CHECK(queue_spill(r.q, true) == 0);
	CHECK(db_exec(r.q->db,
		      "INSERT INTO main.message SELECT * FROM temp.m;"
		      "INSERT INTO main.recipient SELECT * FROM temp.r;"
		      "INSERT INTO main.chunk SELECT * FROM temp.c") == 0);
	CHECK_INT(count(r.q), 1);
	CHECK_INT(queue_scan(r.q, 0, found, 4), 1);
	queue_set_state(r.q, id, QUEUE_HOLD, 0);
	CHECK(queue_commit(r.q) == 0);
	CHECK(queue_spill(r.q, true) == 0);
	CHECK_INT(count(r.q), 0);
	CHECK_INT(queue_scan(r.q, 0, found, 4), 1);
	CHECK_INT(found[0].state, QUEUE_HOLD);
	CHECK(is_whole(r.q, id, 70000));
	end(&r);
}

TEST(queue_parts, places_refused)
{
	const char *was = param.queue_durability, *directory = param.queue_volatile_directory;
	char *error = NULL;

	param.queue_durability = "durable";
	CHECK(queue_open_below(unit_tmpdir(), QUEUE_CREATE, &error) == NULL);
	CHECK_STR(error, "queue_durability = durable: not strict, spill or volatile");
	mem_free(error);
	error = NULL;
	param.queue_durability = "spill";
	param.queue_volatile_directory = "/proc/self/nothing";
	CHECK(queue_open_below(unit_tmpdir(), QUEUE_CREATE, &error) == NULL);
	CHECK(error != NULL);
	mem_free(error);
	param.queue_durability = was;
	param.queue_volatile_directory = directory;
}
