/*
 * queue_write - messages on their way into the queue, and the commit
 *
 *	queue_begin -> queue_add_recipient, queue_write ... -> queue_end
 *							 -> queue_commit --> safe
 *
 * A small message lives in memory until the commit that makes it durable with
 * all others that ended in the same turn. A large one leaves piece by piece:
 * full chunks wait for the next transaction, and when a megabyte of them has
 * gathered they get one of their own. A row in "partial" stands for such a
 * message until it ends, so that what a crash leaves behind is found again
 * (queue_clean).
 */
#include "queue/queue_write.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "queue/queue_handle.h"
#include "queue/queue_internal.h"
#include "queue/queue_parts.h"

/* This much of full chunks in memory is written without waiting for the end of a message. */
enum { CHUNKS_HELD = 1024 * 1024, RECIPIENTS_FIRST = 4 };

static void copy_envelope(struct queue_message *m, const struct queue_envelope *env)
{
	queue_id id = m->env.id;
	struct arena *a = &m->arena;

	m->env = *env;
	m->env.id = id;
	m->env.sender = queue_copy_text(a, env->sender);
	m->env.envid = queue_copy_text(a, env->envid);
	m->env.full_name = queue_copy_text(a, env->full_name);
	m->env.client_name = queue_copy_text(a, env->client_name);
	m->env.client_addr = queue_copy_text(a, env->client_addr);
	m->env.helo = queue_copy_text(a, env->helo);
	m->env.proto = queue_copy_text(a, env->proto);
	m->env.sasl_user = queue_copy_text(a, env->sasl_user);
	m->env.reason = queue_copy_text(a, env->reason);
}

/* begin_in - a new message of that part */
static struct queue_message *begin_in(
	struct queue *q, struct queue *part, const struct queue_envelope *env)
{
	struct queue_message *m = mem_alloc(sizeof(*m));

	m->q = q;
	m->part = part;
	m->env.id = env->id != 0 ? env->id : queue_id_new(q);
	copy_envelope(m, env);
	if (m->env.arrival == 0) {
		m->env.arrival = clock_wall_us();
	}
	return m;
}

struct queue_message *queue_begin(struct queue *q, const struct queue_envelope *env)
{
	return begin_in(q, queue_new_part(q), env);
}

struct queue_message *queue_begin_beside(
	struct queue *q, const struct queue_envelope *env, queue_id cause)
{
	struct queue *part = queue_part_of(q, cause);

	return begin_in(q, part != NULL ? part : q, env);
}

queue_id queue_message_id(const struct queue_message *m)
{
	return m->env.id;
}

void queue_set_envelope(struct queue_message *m, const struct queue_envelope *env)
{
	int64_t arrival = m->env.arrival;

	copy_envelope(m, env);
	if (m->env.arrival == 0) {
		m->env.arrival = arrival;
	}
}

void queue_add_recipient(struct queue_message *m, const struct queue_recipient *r)
{
	struct queue_recipient *slot;

	if (m->recipient_count == m->recipient_cap) {
		size_t cap = m->recipient_cap ? m->recipient_cap * 2 : RECIPIENTS_FIRST;

		m->recipients = mem_realloc(m->recipients, cap * sizeof(*m->recipients));
		m->recipient_cap = cap;
	}
	slot = &m->recipients[m->recipient_count];
	queue_copy_recipient(&m->arena, slot, r);
	slot->n = (int64_t)m->recipient_count++;
}

void queue_set_source(struct queue_message *m, const char *name)
{
	m->source = arena_strdup(&m->arena, name);
}

size_t queue_recipient_count(const struct queue_message *m)
{
	return m->recipient_count;
}

int64_t queue_written(const struct queue_message *m)
{
	return m->size;
}

static void free_chunk(struct queue *q, struct queue_chunk *c)
{
	q->chunk_bytes -= c->data.len;
	buf_free(&c->data);
	mem_free(c);
}

/* drop_chunks - forget the waiting chunks of m, or of everybody */
static void drop_chunks(struct queue *q, const struct queue_message *m)
{
	struct queue_chunk **link = &q->chunks;

	while (*link != NULL) {
		struct queue_chunk *c = *link;

		if (m == NULL || c->message == m) {
			*link = c->next;
			free_chunk(q, c);
		} else {
			link = &c->next;
		}
	}
	q->chunks_tail = link;
}

static void free_message(struct queue_message *m)
{
	struct queue *q = m->q;

	if (m->data.cap > 0 && m->data.cap <= QUEUE_POOLED_MAX && q->pooled < QUEUE_POOL) {
		buf_reset(&m->data);
		q->pool[q->pooled++] = m->data;
	} else {
		buf_free(&m->data);
	}
	arena_free(&m->arena);
	mem_free(m->recipients);
	mem_free(m);
}

/* insert_chunks - store all waiting chunks; inside a transaction; 0 or -1 */
static int insert_chunks(struct queue *q)
{
	for (struct queue_chunk *c = q->chunks; c != NULL; c = c->next) {
		struct queue *part = c->message->part;

		if (db_run(part->db, Q_PARTIAL_ADD, "u", c->message->env.id) != 0 ||
			db_run(part->db, Q_CHUNK_ADD, "ib", c->key, (const void *)c->data.data,
				c->data.len) != 0) {
			return queue_set_error(part);
		}
	}
	return 0;
}

/* chunks_stored - what insert_chunks() wrote is committed */
static void chunks_stored(struct queue *q)
{
	for (struct queue_chunk *c = q->chunks; c != NULL; c = c->next) {
		c->message->stored = true;
	}
	drop_chunks(q, NULL);
}

/* ---- Both parts ---- */

/* concerns_disk - is there something to be written to the part on the disk? */
static bool concerns_disk(const struct queue *q, const struct queue *disk)
{
	if (q == disk) {
		return true;
	}
	for (const struct queue_chunk *c = q->chunks; c != NULL; c = c->next) {
		if (c->message->part == disk) {
			return true;
		}
	}
	for (const struct queue_message *m = q->ended; m != NULL; m = m->next) {
		if (m->part == disk) {
			return true;
		}
	}
	for (const struct queue_change *c = q->changes; c != NULL; c = c->next) {
		if (c->part == disk || c->op == OP_DROP_PARTIAL || c->op == OP_DROP_SOURCE) {
			return true;
		}
	}
	return queue_id_must_reserve(q);
}

/* find_parts - where the messages are that change; 0 or -1 */
static int find_parts(struct queue *q)
{
	for (struct queue_change *c = q->changes; c != NULL; c = c->next) {
		c->part = c->safe || c->id == 0 ? q : queue_part_of(q, c->id);
		if (c->part == NULL) {
			return -1;
		}
	}
	return 0;
}

static void rollback_parts(struct queue *q)
{
	queue_rollback_write(q);
	if (q->other != NULL) {
		queue_rollback_write(q->other);
	}
}

/*
 * begin_parts - transactions of those parts that are concerned; that in memory first, whose turn
 * keeps its messages where they are. 0 or -1
 */
static int begin_parts(struct queue *q)
{
	struct queue *memory = queue_memory(q), *disk = queue_disk(q);

	if (memory != NULL && queue_begin_write(memory) != 0) {
		return -1;
	}
	if (find_parts(q) != 0 ||
		(disk != NULL && concerns_disk(q, disk) && queue_begin_write(disk) != 0)) {
		rollback_parts(q);
		return -1;
	}
	return 0;
}

/* set_safe - what one part has is there, whatever becomes of the other's */
static void set_safe(struct queue *q, const struct queue *part)
{
	for (struct queue_message *m = q->ended; m != NULL; m = m->next) {
		m->safe = m->safe || m->part == part;
	}
	for (struct queue_change *c = q->changes; c != NULL; c = c->next) {
		c->safe = c->safe || c->part == part;
	}
}

/*
 * commit_parts - memory first: a message that begins there for one that ends on the disk is then
 * there before. all: not only chunks. 0 or -1
 */
static int commit_parts(struct queue *q, bool all)
{
	struct queue *memory = queue_memory(q), *disk = queue_disk(q);

	if (memory != NULL) {
		if (queue_commit_write(memory) != 0) {
			rollback_parts(q);
			return -1;
		}
		if (all) {
			set_safe(q, memory);
		}
	}
	return disk != NULL && db_in_transaction(disk->db) ? queue_commit_write(disk) : 0;
}

/*
 * flush_chunks - a transaction of their own; failing, every message concerned has failed. Where
 * changes wait until a commit succeeds (queue_keep_failed) some stand for messages that are ended:
 * only the writer m has failed then, the others stay for the commit.
 */
static void flush_chunks(struct queue *q, const struct queue_message *m)
{
	if (begin_parts(q) == 0) {
		if (insert_chunks(q) != 0) {
			rollback_parts(q);
		} else if (commit_parts(q, false) == 0) {
			chunks_stored(q);
			return;
		}
	}
	for (struct queue_chunk *c = q->chunks; c != NULL; c = c->next) {
		c->message->failed = c->message->failed || !q->keep_failed || c->message == m;
	}
	drop_chunks(q, q->keep_failed ? m : NULL);
}

/* hand_chunk - the full chunk of m joins those that wait; 0 or -1 */
static int hand_chunk(struct queue_message *m)
{
	struct queue *q = m->q;
	struct queue_chunk *c;

	if (m->chunks >= QUEUE_CHUNKS_MAX - 1) {
		m->failed = true;
		return queue_set_error_text(q, "message is too large for the queue (512 MB)");
	}
	c = mem_alloc(sizeof(*c));
	c->message = m;
	c->key = queue_chunk_key(m->env.id, m->chunks++);
	c->data = m->data;
	memset(&m->data, 0, sizeof(m->data));
	q->chunk_bytes += c->data.len;
	*q->chunks_tail = c;
	q->chunks_tail = &c->next;
	if (q->chunk_bytes >= CHUNKS_HELD) {
		flush_chunks(q, m);
	}
	return m->failed ? -1 : 0;
}

int queue_write(struct queue_message *m, const void *data, size_t len)
{
	const char *from = data;

	if (m->data.cap == 0 && m->q->pooled > 0) {
		m->data = m->q->pool[--m->q->pooled];
	}
	while (len > 0 && !m->failed) {
		size_t room = QUEUE_CHUNK - m->data.len;
		size_t n = len < room ? len : room;

		buf_add(&m->data, from, n);
		m->size += (int64_t)n;
		from += n;
		len -= n;
		if (m->data.len == QUEUE_CHUNK && hand_chunk(m) != 0) {
			return -1;
		}
	}
	return m->failed ? -1 : 0;
}

void queue_end(struct queue_message *m, void (*done)(void *arg, bool ok), void *arg)
{
	struct queue *q = m->q;

	m->done = done;
	m->arg = arg;
	*q->ended_tail = m;
	q->ended_tail = &m->next;
}

void queue_abort(struct queue_message *m)
{
	struct queue *q = m->q;

	drop_chunks(q, m);
	if (m->stored) {
		queue_add_change(q, OP_DROP_PARTIAL, m->env.id);
	}
	free_message(m);
}

bool queue_pending(const struct queue *q)
{
	return q->ended != NULL || q->changes != NULL;
}

/* chunks_complete - are all full chunks there? 1, 0 (cleaned away under us), -1 */
static int chunks_complete(const struct queue_message *m)
{
	struct db_stmt *s = db_start(m->part->db, Q_CHUNK_COUNT, "ii",
		queue_chunk_key(m->env.id, 0), queue_chunk_key(m->env.id + 1, 0));
	int64_t count = db_step(s) > 0 ? db_int(s, 0) : -1;

	db_reset(s);
	if (count < 0) {
		return queue_set_error(m->part);
	}
	return count == m->chunks;
}

static int insert_envelope(struct queue *q, const struct queue_message *m)
{
	const struct queue_envelope *e = &m->env;
	int state = e->flags & QUEUE_F_HOLD ? QUEUE_HOLD : (int)e->state;

	m->q->spill_due = m->q->spill_due || (q->in_memory && state != QUEUE_INCOMING);
	return db_run(q->db, Q_MESSAGE_ADD, "udidiiisssssssss", e->id, state, e->next_try,
		e->attempts, (int64_t)e->flags, e->arrival, m->size, e->sender, e->envid,
		e->full_name, e->client_name, e->client_addr, e->helo, e->proto, e->sasl_user,
		e->reason);
}

/* insert_source - 1, 0 when it is there already (failed), -1 */
static int insert_source(struct queue *q, const struct queue_message *m)
{
	if (db_run(q->db, Q_SOURCE_ADD, "su", m->source, m->env.id) == 0) {
		return 1;
	}
	if (db_fault(q->db) != DB_FAULT_CONSTRAINT) {
		return queue_set_error(q);
	}
	log_error("%s: its message is in the queue already", m->source);
	return 0;
}

/* insert_message - all rows of an ended message; 1, 0 when this one alone cannot be (failed), -1 */
static int insert_message(const struct queue_message *m)
{
	struct queue *q = m->part;

	if (m->source != NULL) {
		int rc = insert_source(q, m);

		if (rc <= 0) {
			return rc;
		}
	}
	if (m->chunks > 0) {
		int rc = m->failed ? 0 : chunks_complete(m);

		if (rc <= 0) {
			return rc;
		}
		if (db_run(q->db, Q_PARTIAL_DEL, "u", m->env.id) != 0) {
			return queue_set_error(q);
		}
	}
	if (insert_envelope(q, m) != 0) {
		if (db_fault(q->db) != DB_FAULT_CONSTRAINT) {
			return queue_set_error(q);
		}
		log_error("%s: a message of this id is in the queue already", db_error(q->db));
		return 0;
	}
	q->mails++;
	if (m->data.len > 0 &&
		db_run(q->db, Q_CHUNK_ADD, "ib", queue_chunk_key(m->env.id, m->chunks),
			(const void *)m->data.data, m->data.len) != 0) {
		return queue_set_error(q);
	}
	for (size_t i = 0; i < m->recipient_count; i++) {
		if (queue_insert_recipient(q, m->env.id, &m->recipients[i]) != 0) {
			return -1;
		}
	}
	return 1;
}

/* insert_all - everything that waits; 0 or -1 */
static int insert_all(struct queue *q)
{
	if (insert_chunks(q) != 0) {
		return -1;
	}
	for (struct queue_message *m = q->ended; m != NULL; m = m->next) {
		int rc = m->safe ? 1 : insert_message(m);

		if (rc < 0) {
			return -1;
		}
		if (rc == 0) {
			m->failed = true;
		}
	}
	if (queue_apply_changes(q) != 0) {
		return -1;
	}
	return queue_id_save(q);
}

/* reserve_committed - room for the ids of all ended messages: after the commit nothing may fail */
static void reserve_committed(struct queue *q)
{
	size_t count = 0;

	for (const struct queue_message *m = q->ended; m != NULL; m = m->next) {
		count++;
	}
	if (count > q->committed_cap) {
		q->committed = mem_realloc(q->committed, count * 2 * sizeof(*q->committed));
		q->committed_cap = count * 2;
	}
}

/* tell_ended - every ended message hears how it went, and is gone; the callbacks may begin new ones
 */
static void tell_ended(struct queue *q, bool ok)
{
	struct queue_message *m = q->ended, *next;

	q->ended = NULL;
	q->ended_tail = &q->ended;
	for (; m != NULL; m = next) {
		bool good = (ok || m->safe) && !m->failed;

		next = m->next;
		if (good) {
			q->committed[q->committed_count++] = m->env.id;
		} else {
			drop_chunks(q, m);
			if (m->stored) {
				queue_add_change(q, OP_DROP_PARTIAL, m->env.id);
			}
		}
		if (m->done != NULL) {
			m->done(m->arg, good);
		}
		free_message(m);
	}
}

void queue_forget(struct queue *q)
{
	tell_ended(q, false);
	drop_chunks(q, NULL);
	queue_forget_changes(q);
	while (q->pooled > 0) {
		buf_free(&q->pool[--q->pooled]);
	}
}

/* write_all - the transaction; 0 or -1 */
static int write_all(struct queue *q)
{
	if (begin_parts(q) != 0) {
		return -1;
	}
	if (insert_all(q) != 0) {
		rollback_parts(q);
		return -1;
	}
	return commit_parts(q, true);
}

int queue_commit(struct queue *q)
{
	q->committed_count = 0;
	if (!queue_pending(q)) {
		return 0;
	}
	reserve_committed(q);
	if (write_all(q) != 0) {
		if (!q->keep_failed) {
			queue_forget_changes(q);
			tell_ended(q, false);
		}
		return -1;
	}
	/* The mail is safe from here. */
	chunks_stored(q);
	queue_forget_changes(q);
	if (q->spill_due) {
		(void)queue_spill(q, false);
	}
	tell_ended(q, true);
	return 0;
}

const queue_id *queue_committed(const struct queue *q, size_t *count_r)
{
	*count_r = q->committed_count;
	return q->committed;
}
