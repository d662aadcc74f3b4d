/*
 * requeue - a message put into the queue anew
 *
 * What it was when it came stays: sender, arrival, client, what its sender wants to be told. Its
 * recipients go through the tables again, as in Postfix; another Received header has the new id.
 */
#include "applets/queue/requeue.h"

#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "queue/queue_change.h"
#include "queue/queue_read.h"
#include "queue/queue_write.h"
#include "ipc/notify.h"
#include "message/cleanup.h"

enum { WAIT_MS = 10000, LOOK_MS = 50, RCPTS_AT_ONCE = 200 };

bool requeue_wait(queue_id id)
{
	const struct timespec pause = { 0, LOOK_MS * 1000000L };
	int64_t until = clock_ms() + WAIT_MS;

	while (queue_tell_changed(param.queue_directory, &id, 1) > 0) {
		if (clock_ms() >= until) {
			return false;
		}
		nanosleep(&pause, NULL);
	}
	return true;
}

/* add_recipients - those that are not done, expanded; false: not now */
static bool add_recipients(struct queue *q, struct queue_message *m, queue_id id)
{
	struct queue_recipient r[RCPTS_AT_ONCE];
	struct arena a = ARENA_INIT;
	struct hash seen = { 0 };
	int64_t from = 0;
	bool good = true;
	int count;

	do {
		count = queue_recipients(q, id, from, true, &a, r, RCPTS_AT_ONCE);
		for (int i = 0; i < count && good; i++) {
			from = r[i].n + 1;
			if (r[i].dsn[0] == '2') {
				continue; /* a report of an expansion */
			}
			r[i].dsn = r[i].reason = "";
			good = cleanup_add_recipient(m, &seen, &r[i]);
		}
		arena_reset(&a);
	} while (good && count == RCPTS_AT_ONCE);
	arena_free(&a);
	hash_free(&seen, NULL);
	return good && count >= 0 && queue_recipient_count(m) > 0;
}

/* copy_content - with one more Received header; 0 or -1 */
static int copy_content(struct queue *q, struct queue_message *m, queue_id id, const char *text)
{
	const struct cleanup_trace trace = { .helo = "",
		.client_name = "",
		.client_addr = "",
		.uid = geteuid(),
		.proto = "",
		.queue_id = text,
		.when = (time_t)(clock_wall_us() / 1000000) };
	struct buf b = BUF_INIT;
	int64_t at = 0, n = 0;
	int rc;

	cleanup_received(&b, &trace);
	rc = queue_write(m, b.data, b.len);
	while (rc == 0 &&
		(n = queue_read(q, id, at, buf_reserve(&b, QUEUE_CHUNK), QUEUE_CHUNK)) > 0) {
		rc = queue_write(m, buf_str(&b) + b.len, (size_t)n);
		at += n;
	}
	buf_free(&b);
	return rc == 0 && n == 0 ? 0 : -1;
}

/* begin - the new one, with the old one's envelope */
static queue_id begin(struct queue *q, queue_id id, struct queue_envelope *env)
{
	char text[QUEUE_ID_TEXT], old[QUEUE_ID_TEXT];
	struct queue_message *m;
	queue_id made;

	env->id = 0;
	env->state = QUEUE_INCOMING;
	env->next_try = 0;
	env->attempts = 0;
	env->flags &= ~(unsigned)(QUEUE_F_EXPIRE | QUEUE_F_WARNED | QUEUE_F_HOLD);
	env->flags |= QUEUE_F_REQUEUED;
	env->reason = "";
	m = queue_begin_beside(q, env, id);
	made = queue_message_id(m);
	queue_id_text(made, text);
	queue_id_text(id, old);
	if (!add_recipients(q, m, id) || copy_content(q, m, id, text) != 0) {
		log_warn("%s: it cannot be put in anew: a table does not answer, or nobody is left",
			old);
		queue_abort(m);
		return 0;
	}
	queue_end(m, NULL, NULL);
	queue_remove(q, id);
	log_debug(1, "%s: uid=%ld from=<%s> orig_id=%s", text, (long)geteuid(), env->sender, old);
	return made;
}

queue_id requeue_begin(struct queue *q, queue_id id)
{
	struct arena a = ARENA_INIT;
	struct queue_envelope env;
	queue_id made = 0;

	if (queue_get(q, id, &a, &env) > 0) {
		made = begin(q, id, &env);
	}
	arena_free(&a);
	return made;
}
