/*
 * fuzz_queue - queue.db as somebody damaged it: it opens, or is set aside, or says why not; what
 * can be read is read, and what is added afterwards is there
 *
 * The input changes a sound database of four messages (fuzz_patch).
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "queue/queue.h"
#include "queue/queue_change.h"
#include "queue/queue_read.h"
#include "queue/queue_write.h"
#include "fuzz.h"

enum { MESSAGES = 4, WALK_MAX = 1000 };

static char *sound;
static size_t sound_len;

static queue_id add_message(struct queue *q, size_t size)
{
	struct queue_envelope env = { .sender = "a@b.example",
		.envid = "",
		.full_name = "",
		.client_name = "c.example",
		.client_addr = "192.0.2.1",
		.helo = "h",
		.proto = "SMTP",
		.sasl_user = "",
		.reason = "" };
	struct queue_recipient r = {
		.address = "u@example", .original = "", .orcpt = "", .dsn = "", .reason = ""
	};
	struct queue_message *m = queue_begin(q, &env);
	queue_id id = queue_message_id(m);
	char line[] = "Subject: a line of some length, as they are in messages\n";

	for (r.n = 0; r.n < 2; r.n++) {
		queue_add_recipient(m, &r);
	}
	for (size_t done = 0; done < size; done += sizeof(line) - 1) {
		(void)queue_write(m, line, sizeof(line) - 1);
	}
	queue_end(m, NULL, NULL);
	return id;
}

/* make_sound - the database that inputs damage */
static void make_sound(void)
{
	char *error = NULL;
	struct queue *q = queue_open(fuzz_dir(), QUEUE_CREATE, &error);
	queue_id ids[MESSAGES];

	REQUIRE(q != NULL);
	for (size_t i = 0; i < MESSAGES; i++) {
		ids[i] = add_message(q, i == 0 ? 100000 : 300);
	}
	REQUIRE(queue_commit(q) == 0);
	queue_recipient_deferred(q, ids[1], 0, "4.4.1", "later");
	queue_defer(q, ids[1], 2000000000, "connection refused");
	queue_set_state(q, ids[2], QUEUE_HOLD, 0);
	queue_recipient_done(q, ids[3], 1);
	REQUIRE(queue_commit(q) == 0);
	queue_close(q);
	sound = file_read(fuzz_path("queue.db"), 1 << 20, &sound_len);
	REQUIRE(sound != NULL);
}

static void listed(void *arg, const struct queue_envelope *env, const struct queue_recipient *r)
{
	REQUIRE(env->sender != NULL && env->reason != NULL && r->address != NULL);
	++*(int *)arg;
}

/* read_message - its recipients and bytes */
static void read_message(struct queue *q, queue_id id, struct arena *a)
{
	struct queue_recipient found[10];
	char piece[5000];
	int64_t at = 0, n;

	REQUIRE(queue_recipients(q, id, 0, false, a, found, 10) <= 10);
	for (int turns = 0;
		turns < WALK_MAX && (n = queue_read(q, id, at, piece, sizeof(piece))) > 0;
		turns++) {
		REQUIRE(n <= (int64_t)sizeof(piece));
		at += n;
	}
}

/* walk - all that mailq, postcat and the queue manager look at; messages seen */
static int walk(struct queue *q)
{
	struct queue_entry due[50], after = { 0 };
	struct queue_envelope env;
	struct arena a = ARENA_INIT;
	queue_id id = 0;
	int64_t count, bytes;
	int seen = 0, rows = 0;

	for (; seen < WALK_MAX && queue_next(q, id, &a, &env) == 1; seen++) {
		REQUIRE(env.id > id && env.sender != NULL && env.proto != NULL);
		id = env.id;
		read_message(q, id, &a);
		arena_reset(&a);
	}
	(void)queue_totals(q, &count, &bytes);
	(void)queue_list(q, 0, -1, WALK_MAX, listed, &rows);
	REQUIRE(queue_scan(q, 0, due, 50) <= 50);
	REQUIRE(queue_due(q, INT64_MAX, &after, due, 50) <= 50);
	(void)queue_next_due(q, &after);
	arena_free(&a);
	return seen;
}

/* set_aside - is there a damaged database, whole? */
static bool set_aside(size_t size)
{
	DIR *d = opendir(fuzz_dir());
	const struct dirent *e;
	bool found = false;
	size_t len;

	REQUIRE(d != NULL);
	while (!found && (e = readdir(d)) != NULL) {
		char *text;

		if (strncmp(e->d_name, "queue.db.corrupt-", 17) != 0 ||
			strstr(e->d_name, "-wal") != NULL || strstr(e->d_name, "-shm") != NULL) {
			continue;
		}
		text = file_read(fuzz_path(e->d_name), 1 << 24, &len);
		found = text != NULL && len >= size;
		mem_free(text);
	}
	closedir(d);
	return found;
}

/* use - as the daemons do; false: the handle is broken, and another one has to be opened */
static bool use(struct queue *q)
{
	struct queue_envelope env;
	struct arena a = ARENA_INIT;
	queue_id id;
	bool good;

	queue_rescue(q);
	walk(q);
	id = add_message(q, 200);
	queue_clean(q, 0);
	good = queue_commit(q) == 0 && queue_get(q, id, &a, &env) == 1;
	REQUIRE(good || *queue_error(q) != '\0');
	walk(q);
	if (good) {
		queue_defer(q, id, 2000000000, "why");
		queue_remove(q, id);
		good = queue_commit(q) == 0;
	}
	good = good && !queue_is_broken(q);
	arena_free(&a);
	return good;
}

void fuzz(const char *data, size_t len)
{
	char *bytes, *error = NULL;
	bool good = false;
	size_t size;

	if (sound == NULL) {
		make_sound();
	}
	fuzz_clear();
	bytes = mem_alloc(sound_len);
	memcpy(bytes, sound, sound_len);
	size = fuzz_patch(bytes, sound_len, data, len);
	fuzz_put("queue.db", bytes, size);
	/* A broken one is set aside by the next to open it. */
	for (int tries = 0; tries < 4 && !good; tries++) {
		struct queue *q = queue_open(fuzz_dir(), QUEUE_CREATE, &error);

		if (q == NULL) {
			REQUIRE(error != NULL && error[0] != '\0');
			mem_free(error);
			error = NULL;
			break;
		}
		if (len == 0) {
			REQUIRE(walk(q) == MESSAGES);
		}
		good = use(q);
		queue_close(q);
	}
	REQUIRE(size < sound_len || access(fuzz_path("queue.db"), F_OK) == 0 || set_aside(size));
	mem_free(bytes);
}
