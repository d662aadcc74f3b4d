/*
 * queue_change - what happens to messages that are in the queue
 *
 * Changes are collected in memory in the order they came and carried out by
 * the next queue_commit(), in the same transaction as the messages that ended
 * meanwhile: a bounce is in the queue exactly when its cause is settled.
 */
#include "queue/queue_change.h"

#include "base/mem.h"
#include "queue/queue_handle.h"
#include "queue/queue_internal.h"
#include "queue/queue_write.h"

struct queue_change *queue_add_change(struct queue *q, enum queue_op op, queue_id id)
{
	struct queue_change *c = arena_alloc(&q->change_arena, sizeof(*c));

	c->op = op;
	c->id = id;
	*q->changes_tail = c;
	q->changes_tail = &c->next;
	return c;
}

void queue_forget_changes(struct queue *q)
{
	q->changes = NULL;
	q->changes_tail = &q->changes;
	arena_reset(&q->change_arena);
}

void queue_recipient_done(struct queue *q, queue_id id, int64_t n)
{
	queue_add_change(q, OP_DONE, id)->n = n;
}

/* keep_text - "" is stored as NULL, which takes no space */
static const char *keep_text(struct queue *q, const char *s)
{
	return s != NULL && *s != '\0' ? arena_strdup(&q->change_arena, s) : NULL;
}

void queue_recipient_deferred(
	struct queue *q, queue_id id, int64_t n, const char *dsn, const char *reason)
{
	struct queue_change *c = queue_add_change(q, OP_RECIPIENT_DEFER, id);

	c->n = n;
	c->dsn = keep_text(q, dsn);
	c->reason = keep_text(q, reason);
}

void queue_recipient_append(struct queue *q, queue_id id, const struct queue_recipient *r)
{
	struct queue_change *c = queue_add_change(q, OP_APPEND, id);

	c->recipient = arena_alloc(&q->change_arena, sizeof(*c->recipient));
	queue_copy_recipient(&q->change_arena, c->recipient, r);
}

void queue_defer(struct queue *q, queue_id id, int64_t next_try, const char *reason)
{
	struct queue_change *c = queue_add_change(q, OP_DEFER, id);

	c->when = next_try;
	c->reason = keep_text(q, reason);
}

void queue_set_state(struct queue *q, queue_id id, enum queue_state state, int64_t next_try)
{
	struct queue_change *c = queue_add_change(q, OP_STATE, id);

	c->n = (int64_t)state;
	c->when = next_try;
}

void queue_set_flags(struct queue *q, queue_id id, unsigned flags)
{
	queue_add_change(q, OP_FLAGS, id)->n = (int64_t)flags;
}

void queue_remove(struct queue *q, queue_id id)
{
	queue_add_change(q, OP_REMOVE, id);
}

void queue_drop_source(struct queue *q, const char *name)
{
	queue_add_change(q, OP_DROP_SOURCE, 0)->reason = keep_text(q, name);
}

/* delete_chunks - all content of a message */
static int delete_chunks(struct queue *q, queue_id id)
{
	return db_run(q->db, Q_CHUNK_DEL, "ii", queue_chunk_key(id, 0), queue_chunk_key(id + 1, 0));
}

int queue_delete_rows(struct queue *q, queue_id id)
{
	if (db_run(q->db, Q_MESSAGE_DEL, "u", id) != 0 ||
		db_run(q->db, Q_RECIPIENT_DEL_FIRST, "u", id) != 0 ||
		db_run(q->db, Q_RECIPIENT_DEL, "u", id) != 0 || delete_chunks(q, id) != 0) {
		return queue_set_error(q);
	}
	return 0;
}

/* drop_partial - content of a message that never ended */
static int drop_partial(struct queue *q, queue_id id)
{
	if (delete_chunks(q, id) != 0 || db_run(q->db, Q_PARTIAL_DEL, "u", id) != 0) {
		return queue_set_error(q);
	}
	return 0;
}

/* apply - a change, in one part of the queue; 0 or -1 */
static int apply(struct queue *q, const struct queue_change *c)
{
	int rc = 0;

	switch (c->op) {
	case OP_DONE:
		rc = db_run(q->db, Q_RECIPIENT_DONE, "ui", c->id, c->n);
		break;
	case OP_RECIPIENT_DEFER:
		rc = db_run(q->db, Q_RECIPIENT_DEFER, "uiss", c->id, c->n, c->dsn, c->reason);
		break;
	case OP_APPEND:
		return queue_insert_recipient(q, c->id, c->recipient);
	case OP_DEFER:
		rc = db_run(q->db, Q_DEFER, "uis", c->id, c->when, c->reason);
		break;
	case OP_STATE:
		rc = db_run(q->db, Q_STATE, "uii", c->id, c->n, c->when);
		break;
	case OP_FLAGS:
		rc = db_run(q->db, Q_FLAGS, "ui", c->id, c->n);
		break;
	case OP_REMOVE:
		return queue_delete_rows(q, c->id);
	case OP_DROP_PARTIAL:
		return drop_partial(q, c->id);
	case OP_DROP_SOURCE:
		rc = db_run(q->db, Q_SOURCE_DEL, "s", c->reason);
		break;
	}
	return rc == 0 ? 0 : queue_set_error(q);
}

int queue_apply_changes(struct queue *q)
{
	for (const struct queue_change *c = q->changes; c != NULL; c = c->next) {
		bool both = c->op == OP_DROP_PARTIAL || c->op == OP_DROP_SOURCE;

		if (!c->safe && apply(c->part, c) != 0) {
			return -1;
		}
		/* What is no message may be in either; to take it out twice does no harm. */
		if (both && q->other != NULL && (apply(q, c) != 0 || apply(q->other, c) != 0)) {
			return -1;
		}
		/* It may wait from here on: not in memory then. */
		q->spill_due = q->spill_due ||
			(c->part->in_memory && (c->op == OP_DEFER || c->op == OP_STATE));
	}
	return 0;
}

/* next_partial - the first unfinished message after one and before another; 1, 0, -1 */
static int next_partial(
	struct queue *q, queue_id after, queue_id before, queue_id *id_r, bool *ended_r)
{
	struct db_stmt *s = db_start(q->db, Q_PARTIAL_OLD, "uu", after, before);
	int rc = db_step(s);

	if (rc > 0) {
		*id_r = (queue_id)db_int(s, 0);
	}
	db_reset(s);
	if (rc > 0) {
		s = db_start(q->db, Q_MESSAGE_EXISTS, "u", *id_r);
		rc = db_step(s);
		*ended_r = rc > 0;
		db_reset(s);
		rc = rc < 0 ? -1 : 1;
	}
	return rc < 0 ? queue_set_error(q) : rc;
}

/* clean_before - drop unfinished messages with ids below; inside a transaction; count or -1 */
static int clean_before(struct queue *q, queue_id before)
{
	queue_id id = 0;
	bool ended = false;
	int count = 0, rc;

	while ((rc = next_partial(q, id, before, &id, &ended)) > 0) {
		/* A message that did end must keep its content whatever "partial" says. */
		if (ended ? db_run(q->db, Q_PARTIAL_DEL, "u", id) != 0 : drop_partial(q, id) != 0) {
			return queue_set_error(q);
		}
		count += !ended;
	}
	return rc < 0 ? -1 : count;
}

/* clean_part - one of them; count or -1 */
static int clean_part(struct queue *q, int64_t before)
{
	int count;

	if (queue_begin_write(q) != 0) {
		return -1;
	}
	count = clean_before(q, (queue_id)before);
	if (count < 0) {
		queue_rollback_write(q);
		return -1;
	}
	return queue_commit_write(q) == 0 ? count : -1;
}

int queue_clean(struct queue *q, int64_t age)
{
	int64_t before = (int64_t)queue_id_new(q) - age * 1000000;
	int count = 0, more = 0;

	if (before <= 0) {
		return 0;
	}
	count = clean_part(q, before);
	more = q->other != NULL && count >= 0 ? clean_part(q->other, before) : 0;
	return more < 0 ? -1 : count + more;
}
