/*
 * queue_read - looking at the queue: envelopes, walks, recipients, content
 *
 * No statement is left in the middle between calls, because an open read keeps
 * the write-ahead log from being begun anew. The chunk read last is kept, so
 * that reading on in small pieces costs one look-up for 64 KB.
 */
#include "queue/queue_read.h"

#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "queue/queue_handle.h"
#include "queue/queue_internal.h"
#include "queue/queue_repair.h"
#include "queue/queue_write.h"

int queue_read_begin(struct queue *q)
{
	if (q->reading) {
		return 0;
	}
	if (db_run(q->db, Q_BEGIN_READ, "") != 0) {
		return queue_set_error(q);
	}
	q->reading = true;
	return 0;
}

/* missing - nothing was found: 0, or -1 when that is because the file was replaced under us */
static int missing(struct queue *q)
{
	struct stat st;

	if (stat(q->path, &st) == 0 && st.st_dev == q->dev && st.st_ino == q->ino) {
		return 0;
	}
	q->broken = true;
	return queue_set_error_text(q, "the file was replaced or removed while in use");
}

/* out_of_order - rows that do not follow each other: a damaged tree leads in circles; -1 */
static int out_of_order(struct queue *q)
{
	if (!q->broken) {
		queue_mark(q);
	}
	q->broken = true;
	return queue_set_error_text(q, "damaged: rows are out of order");
}

static const char *column_text(struct arena *a, struct db_stmt *s, int column)
{
	size_t len;
	const char *text = db_blob(s, column, &len);

	return len > 0 ? arena_strndup(a, text, len) : "";
}

static void fill_envelope(struct db_stmt *s, struct arena *a, struct queue_envelope *env)
{
	env->id = (queue_id)db_int(s, 0);
	env->state = (enum queue_state)db_int(s, 1);
	env->next_try = db_int(s, 2);
	env->attempts = (int)db_int(s, 3);
	env->flags = (unsigned)db_int(s, 4);
	env->arrival = db_int(s, 5);
	env->size = db_int(s, 6);
	env->sender = column_text(a, s, 7);
	env->envid = column_text(a, s, 8);
	env->full_name = column_text(a, s, 9);
	env->client_name = column_text(a, s, 10);
	env->client_addr = column_text(a, s, 11);
	env->helo = column_text(a, s, 12);
	env->proto = column_text(a, s, 13);
	env->sasl_user = column_text(a, s, 14);
	env->reason = column_text(a, s, 15);
}

static int get_envelope(
	struct queue *q, int statement, queue_id id, struct arena *a, struct queue_envelope *env)
{
	struct db_stmt *s = db_start(q->db, statement, "u", id);
	int rc = db_step(s);

	if (rc > 0) {
		fill_envelope(s, a, env);
		db_reset(s);
		return 1;
	}
	return rc < 0 ? queue_set_error(q) : missing(q);
}

int queue_get(struct queue *q, queue_id id, struct arena *a, struct queue_envelope *env)
{
	return get_envelope(q, Q_GET, id, a, env);
}

int queue_has_source(struct queue *q, const char *name)
{
	struct db_stmt *s = db_start(q->db, Q_SOURCE_GET, "s", name);
	int rc = db_step(s);

	db_reset(s);
	return rc < 0 ? queue_set_error(q) : rc;
}

int queue_next(struct queue *q, queue_id after, struct arena *a, struct queue_envelope *env)
{
	int rc = get_envelope(q, Q_NEXT, after, a, env);

	return rc > 0 && env->id <= after ? out_of_order(q) : rc;
}

int queue_before(struct queue *q, queue_id before, struct arena *a, struct queue_envelope *env)
{
	int rc = get_envelope(q, Q_BEFORE, before, a, env);

	return rc > 0 && env->id >= before ? out_of_order(q) : rc;
}

static bool by_id(const struct queue_entry *a, const struct queue_entry *b)
{
	return a->id < b->id;
}

static bool by_time(const struct queue_entry *a, const struct queue_entry *b)
{
	return a->next_try < b->next_try || (a->next_try == b->next_try && a->id < b->id);
}

/* fill_entries - rows of id, next_try, state behind `after' in an order */
static int fill_entries(struct queue *q, struct db_stmt *s, const struct queue_entry *after,
	bool (*follows)(const struct queue_entry *, const struct queue_entry *),
	struct queue_entry *out)
{
	int count = 0, rc;

	while ((rc = db_step(s)) > 0) {
		out[count].id = (queue_id)db_int(s, 0);
		out[count].next_try = db_int(s, 1);
		out[count].state = (enum queue_state)db_int(s, 2);
		if (!follows(count > 0 ? &out[count - 1] : after, &out[count])) {
			db_reset(s);
			return out_of_order(q);
		}
		count++;
	}
	if (rc < 0) {
		return queue_set_error(q);
	}
	return count > 0 ? count : missing(q);
}

int queue_scan(struct queue *q, queue_id after, struct queue_entry *out, int max)
{
	const struct queue_entry from = { .id = after };

	return fill_entries(q, db_start(q->db, Q_SCAN, "ud", after, max), &from, by_id, out);
}

int queue_site(
	struct queue *q, const char *domain, queue_id after, struct queue_entry *out, int max)
{
	struct db_stmt *s = db_start(q->db, Q_SITE, "sud", domain, after, max);
	int count = 0, rc;

	while ((rc = db_step(s)) > 0) {
		out[count] = (struct queue_entry){ .id = (queue_id)db_int(s, 0) };
		if (out[count].id <= (count > 0 ? out[count - 1].id : after)) {
			db_reset(s);
			return out_of_order(q);
		}
		count++;
	}
	return rc < 0 ? queue_set_error(q) : count;
}

int queue_list(struct queue *q, queue_id after, int64_t after_n, int max,
	void (*fn)(void *arg, const struct queue_envelope *env, const struct queue_recipient *r),
	void *arg)
{
	struct db_stmt *s = db_start(q->db, Q_LIST, "uid", after, after_n, max);
	int count = 0, rc;

	while ((rc = db_step(s)) > 0) {
		struct queue_envelope env = { .id = (queue_id)db_int(s, 0),
			.state = (enum queue_state)db_int(s, 1),
			.next_try = db_int(s, 2),
			.flags = (unsigned)db_int(s, 3),
			.arrival = db_int(s, 4),
			.size = db_int(s, 5),
			.sender = db_text(s, 6),
			.reason = db_text(s, 7) };
		struct queue_recipient r = { .n = db_int(s, 8),
			.address = db_text(s, 9),
			.original = db_text(s, 10),
			.dsn = db_text(s, 11),
			.reason = db_text(s, 12),
			.orcpt = "" };

		if (env.id < after || (env.id == after && r.n <= after_n)) {
			db_reset(s);
			return out_of_order(q);
		}
		after = env.id;
		after_n = r.n;
		fn(arg, &env, &r);
		count++;
	}
	return rc < 0 ? queue_set_error(q) : count;
}

int queue_due(struct queue *q, int64_t now, const struct queue_entry *after,
	struct queue_entry *out, int max)
{
	const struct queue_entry from = *after; /* may lie in out */

	return fill_entries(q, db_start(q->db, Q_DUE, "iuid", from.next_try, from.id, now, max),
		&from, by_time, out);
}

int64_t queue_next_due(struct queue *q, const struct queue_entry *after)
{
	struct db_stmt *s = db_start(q->db, Q_DUE_FIRST, "iu", after->next_try, after->id);
	int rc = db_step(s);
	int64_t when = rc > 0 ? db_int(s, 0) : 0;

	db_reset(s);
	return rc < 0 ? queue_set_error(q) : when;
}

/* get_number - the one number a statement about a message gives; none when there is no row; -1 */
static int64_t get_number(struct queue *q, int statement, queue_id id, int64_t none)
{
	struct db_stmt *s = db_start(q->db, statement, "u", id);
	int rc = db_step(s);
	int64_t n = rc > 0 ? db_int(s, 0) : none;

	db_reset(s);
	return rc < 0 ? queue_set_error(q) : n;
}

int64_t queue_count_recipients(struct queue *q, queue_id id, int64_t *last_r)
{
	int64_t count = get_number(q, Q_RECIPIENT_COUNT, id, 0);

	if (count >= 0 && last_r != NULL) {
		*last_r = get_number(q, Q_RECIPIENT_LAST, id, 0);
		if (*last_r < 0) {
			return -1;
		}
	}
	return count;
}

int queue_recipients(struct queue *q, queue_id id, int64_t from, bool undone, struct arena *a,
	struct queue_recipient *out, int max)
{
	struct db_stmt *s = db_start(q->db, Q_RECIPIENTS, "uidd", id, from, undone ? 0 : 1, max);
	int count = 0, rc;

	while ((rc = db_step(s)) > 0) {
		struct queue_recipient *r = &out[count];

		r->n = db_int(s, 0);
		if (r->n < from || r->n == INT64_MAX) {
			db_reset(s);
			return out_of_order(q);
		}
		from = r->n + 1;
		count++;
		r->done = db_int(s, 1) != 0;
		r->notify = (unsigned)db_int(s, 2);
		r->address = column_text(a, s, 3);
		r->original = column_text(a, s, 4);
		r->orcpt = column_text(a, s, 5);
		r->dsn = column_text(a, s, 6);
		r->reason = column_text(a, s, 7);
	}
	return rc < 0 ? queue_set_error(q) : count;
}

/* load_chunk - chunk n of a message into the cache; 1, 0 there is none, -1 */
static int load_chunk(struct queue *q, queue_id id, int64_t n)
{
	struct db_stmt *s;
	const void *data;
	size_t len;
	int rc;

	if (q->cached_id == id && q->cached_n == n) {
		return 1;
	}
	q->cached_n = -1;
	buf_reset(&q->cache);
	s = db_start(q->db, Q_CHUNK, "i", queue_chunk_key(id, n));
	rc = db_step(s);
	if (rc > 0) {
		data = db_blob(s, 0, &len);
		buf_add(&q->cache, data, len);
		q->cached_id = id;
		q->cached_n = n;
		db_reset(s);
		return 1;
	}
	return rc < 0 ? queue_set_error(q) : missing(q);
}

int64_t queue_read(struct queue *q, queue_id id, int64_t offset, void *data, size_t len)
{
	size_t copied = 0;

	while (copied < len) {
		int64_t at = offset + (int64_t)copied, n = at / QUEUE_CHUNK;
		size_t within = (size_t)(at % QUEUE_CHUNK), piece;
		int rc = n < QUEUE_CHUNKS_MAX ? load_chunk(q, id, n) : 0;

		if (rc < 0) {
			return -1;
		}
		if (rc == 0 || within >= q->cache.len) {
			break;
		}
		piece = q->cache.len - within;
		piece = piece < len - copied ? piece : len - copied;
		memcpy((char *)data + copied, q->cache.data + within, piece);
		copied += piece;
	}
	return (int64_t)copied;
}

int queue_totals(struct queue *q, int64_t *count_r, int64_t *bytes_r)
{
	struct db_stmt *s = db_start(q->db, Q_TOTALS, "");
	int rc = db_step(s);

	if (rc > 0) {
		*count_r = db_int(s, 0);
		*bytes_r = db_int(s, 1);
	}
	db_reset(s);
	return rc > 0 ? 0 : queue_set_error(q);
}
