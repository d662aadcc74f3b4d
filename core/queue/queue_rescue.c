/*
 * queue_rescue - mail out of a damaged database that was set aside
 *
 * What can still be read whole (envelope, recipients that are not done, every
 * byte of the content) goes into the new queue under the same id. The walk goes
 * from the eldest message up, over damaged pages. It sees the database mended
 * (db/db_mend.c): one that is cut short, whose header is damaged, that is empty
 * beside a whole log, or whose log goes on behind damage. The damaged file
 * stays as it is, with whatever could not be read.
 *
 * The list of the files that wait for this (queue_aside.c) is removed when they were gone through
 * and all that was found is in the new queue. Where there is no room for it (a full
 * disk) it is tried again later.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "queue/queue_handle.h"
#include "queue/queue_internal.h"
#include "queue/queue_read.h"
#include "queue/queue_repair.h"
#include "queue/queue_write.h"

enum { PATH_SIZE = 4096, RCPTS_AT_ONCE = 200, COMMIT_EVERY = 100, GAPS_MAX = 1000 };
#define ID_MAX ((queue_id)INT64_MAX >> 14)

struct rescue {
	struct queue *to, *from;
	long taken, damaged;
	bool failed; /* the new queue does not take it now */
	struct buf piece;
};

/* copy_recipients - those that are not done; their number, or -1 */
static int64_t copy_recipients(struct rescue *r, struct queue_message *m, queue_id id)
{
	struct queue_recipient found[RCPTS_AT_ONCE];
	struct arena a = ARENA_INIT;
	int64_t from = 0, total = 0;
	int count;

	do {
		count = queue_recipients(r->from, id, from, true, &a, found, RCPTS_AT_ONCE);
		for (int i = 0; i < count; i++) {
			from = found[i].n + 1;
			queue_add_recipient(m, &found[i]);
			total++;
		}
		arena_reset(&a);
	} while (count == RCPTS_AT_ONCE);
	arena_free(&a);
	return count < 0 ? -1 : total;
}

/* copy_content - 0, or -1 when it is not all there */
static int copy_content(struct rescue *r, struct queue_message *m, queue_id id, int64_t size)
{
	int64_t at = 0, n;

	while ((n = queue_read(r->from, id, at, buf_reserve(&r->piece, QUEUE_CHUNK), QUEUE_CHUNK)) >
		0) {
		if (queue_write(m, r->piece.data, (size_t)n) != 0) {
			r->failed = true;
			return -1;
		}
		at += n;
	}
	return n == 0 && at == size ? 0 : -1;
}

/* store - what was taken since the last time, durably */
static void store(struct rescue *r)
{
	if (queue_commit(r->to) == 0) {
		return;
	}
	r->failed = true;
	log_warn("%s", queue_error(r->to));
}

/* take - one message */
static void take(struct rescue *r, struct queue_envelope *env)
{
	struct queue_message *m;
	struct queue_envelope there;
	struct arena a = ARENA_INIT;
	int known = queue_get(r->to, env->id, &a, &there);

	arena_free(&a);
	r->failed = r->failed || known < 0;
	if (known != 0) {
		return; /* there: a rescue before this one was interrupted */
	}
	if (env->state > QUEUE_CORRUPT) {
		env->state = QUEUE_INCOMING;
	}
	m = queue_begin(r->to, env);
	if (copy_recipients(r, m, env->id) <= 0 || copy_content(r, m, env->id, env->size) != 0) {
		queue_abort(m);
		r->damaged += !r->failed;
		return;
	}
	queue_end(m, NULL, NULL);
	r->taken++;
	if (r->taken % COMMIT_EVERY == 0) {
		store(r);
	}
}

/* walk - all that can be reached from one end; the last id seen */
static queue_id walk(struct rescue *r, bool up, queue_id at, queue_id stop)
{
	struct arena a = ARENA_INIT;
	struct queue_envelope env;

	while (!r->failed &&
		(up ? queue_next(r->from, at, &a, &env) : queue_before(r->from, at, &a, &env)) >
			0) {
		if (up ? env.id <= at : env.id >= at || env.id <= stop) {
			break; /* a damaged tree may lead in circles */
		}
		at = env.id;
		take(r, &env);
		arena_reset(&a);
	}
	arena_free(&a);
	return at;
}

/*
 * behind_damage - the first message that can be found some way behind at, where a page cannot be
 * read: ids are times, so the way is doubled until there is one. 0: none
 */
static queue_id behind_damage(struct rescue *r, queue_id at)
{
	struct arena a = ARENA_INIT;
	struct queue_envelope env;
	queue_id found = 0;

	for (queue_id step = 1000; found == 0 && at + step < ID_MAX; step *= 2) {
		if (queue_next(r->from, at + step, &a, &env) > 0 && env.id > at) {
			found = env.id;
		}
	}
	arena_free(&a);
	return found;
}

/* walk_all - up to the end, over damaged pages; behind each of them also down to it */
static void walk_all(struct rescue *r)
{
	queue_id at = walk(r, true, 0, 0), next;

	for (int gaps = 0; gaps < GAPS_MAX && !r->failed; gaps++) {
		next = behind_damage(r, at);
		if (next == 0) {
			break;
		}
		walk(r, false, next + 1, at);
		at = walk(r, true, next, 0);
	}
	walk(r, false, ID_MAX, at);
}

/* open_damaged - by its own first page, or else that of the queue that takes its place */
static struct queue *open_damaged(struct queue *q, const char *path, const char *wal)
{
	unsigned char page[DB_PAGE];
	char *error = NULL;
	struct queue *from = queue_open_damaged(path, wal, NULL, &error);

	if (from == NULL && queue_lock(q) == 0) {
		bool have = db_first_page(q->db, page);

		queue_unlock(q);
		if (have) {
			mem_free(error);
			error = NULL;
			from = queue_open_damaged(path, wal, page, &error);
		}
	}
	if (from == NULL) {
		log_warn("%s: nothing can be read from it: %s", path,
			error != NULL ? error : queue_error(q));
	}
	mem_free(error);
	return from;
}

/* rescue_from - false: not all that can be had is in the new queue yet */
static bool rescue_from(struct queue *q, const char *path, const char *wal, const char *name)
{
	struct rescue r = { .to = q, .from = open_damaged(q, path, wal) };

	if (r.from == NULL) {
		return true;
	}
	walk_all(&r);
	store(&r);
	if (r.failed) {
		log_warn("%s: not all of its messages could be taken from it: tried again later",
			name);
	} else {
		log_info("%s: %ld message%s taken from it into the new queue, %ld damaged", name,
			r.taken, r.taken == 1 ? "" : "s", r.damaged);
	}
	queue_close(r.from);
	buf_free(&r.piece);
	return !r.failed;
}

/* rescue_file - a file of the list, with its log */
static bool rescue_file(struct queue *q, const char *path)
{
	char wal[PATH_SIZE + 16];

	if (access(path, F_OK) != 0 && errno == ENOENT) {
		return true; /* a crash came before it was moved there: it got another name */
	}
	snprintf(wal, sizeof(wal), "%s-wal", path);
	return rescue_from(q, path, wal, path);
}

void queue_rescue_log(struct queue *q)
{
	if (q->kept_log == NULL) {
		return;
	}
	/* Till the end nobody else may write, and nothing be copied back into the pages we read. */
	q->keep_turn = true;
	if (db_exec(q->db, "PRAGMA wal_autocheckpoint=0") == 0) {
		(void)rescue_from(q, q->path, q->kept_log, q->kept_log);
	}
	q->keep_turn = false;
	mem_free(q->kept_log);
	q->kept_log = NULL;
}

/* rescue_part - what one part of the queue has a list of */
static void rescue_part(struct queue *q)
{
	char name[PATH_SIZE];
	struct slice rest, line;
	bool done = true, keep = q->keep_failed;
	char *text;

	queue_list_name(q, name);
	if (queue_pending(q)) {
		return;
	}
	text = file_read(name, QUEUE_LIST_MAX, NULL);
	if (text == NULL) {
		if (errno != ENOENT) {
			log_warn("%s: %m: the mail in damaged queues that it names is not looked "
				 "for",
				name);
		}
		return;
	}
	/* What cannot be stored is read again from where it is, and not kept in memory. */
	q->keep_failed = false;
	rest = slice_of(text);
	while ((line = slice_word(&rest, "\n")).ptr != NULL) {
		char *path = queue_listed_path(q, line);

		done = (path == NULL || rescue_file(q, path)) && done;
		mem_free(path);
	}
	q->keep_failed = keep;
	mem_free(text);
	if (done && !queue_is_broken(q) && unlink(name) != 0 && errno != ENOENT) {
		log_warn("%s: %m", name);
	}
}

void queue_rescue(struct queue *q)
{
	rescue_part(q);
	if (q->other != NULL) {
		rescue_part(q->other);
	}
}
