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
#include "queue/queue_parts.h"
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
	if (q->other != NULL && queue_read_begin(q->other) != 0) {
		queue_read_end(q);
		return -1;
	}
	return 0;
}

/*
 * Where to look first: what leaves memory is on the disk before. Who has found nothing in the first
 * part looks in then(), which is NULL for a queue of one part.
 */
static struct queue *first(struct queue *q)
{
	struct queue *memory = queue_memory(q);

	return memory != NULL ? memory : q;
}

static struct queue *then(struct queue *q)
{
	return q->other == NULL ? NULL : queue_disk(q);
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
	int rc = get_envelope(first(q), Q_GET, id, a, env);

	return rc == 0 && then(q) != NULL ? get_envelope(then(q), Q_GET, id, a, env) : rc;
}

int queue_has_source(struct queue *q, const char *name)
{
	struct db_stmt *s = db_start(q->db, Q_SOURCE_GET, "s", name);
	int rc = db_step(s);

	db_reset(s);
	if (rc == 0 && q->other != NULL) {
		return queue_has_source(q->other, name);
	}
	return rc < 0 ? queue_set_error(q) : rc;
}

/* next_of - in one part */
static int next_of(struct queue *q, queue_id after, struct arena *a, struct queue_envelope *env)
{
	int rc = get_envelope(q, Q_NEXT, after, a, env);

	return rc > 0 && env->id <= after ? out_of_order(q) : rc;
}

int queue_next(struct queue *q, queue_id after, struct arena *a, struct queue_envelope *env)
{
	struct queue_envelope other;
	int rc = next_of(q, after, a, env), more;

	if (rc < 0 || q->other == NULL) {
		return rc;
	}
	more = next_of(q->other, after, a, &other);
	if (more > 0 && (rc == 0 || other.id < env->id)) {
		*env = other;
	}
	return more != 0 ? more : rc;
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

/* What a walk asks each part for. */
struct entries_wanted {
	struct queue_entry after;
	const char *domain;
	int64_t now;
	int max;
	bool (*follows)(const struct queue_entry *, const struct queue_entry *);
};

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
		out[count].flags = (unsigned)db_int(s, 3);
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

/* merge - n of one part and m of the other in order, the first max of them; their number */
static int merge(struct queue_entry *out, int n, const struct queue_entry *other, int m, int max,
	bool (*follows)(const struct queue_entry *, const struct queue_entry *))
{
	struct queue_entry *own = mem_calloc((size_t)max, sizeof(*own));
	int i = 0, k = 0, count = 0;

	memcpy(own, out, (size_t)n * sizeof(*own));
	while (count < max && (i < n || k < m)) {
		if (k == m || (i < n && follows(&own[i], &other[k]))) {
			out[count++] = own[i++];
		} else {
			i += i < n && own[i].id == other[k].id;
			out[count++] = other[k++];
		}
	}
	mem_free(own);
	return count;
}

/*
 * with_other - count entries of the first part are in out; those of the other, as fn finds them,
 * join. count or -1
 */
static int with_other(struct queue *q,
	int (*fn)(struct queue *, const struct entries_wanted *, struct queue_entry *),
	const struct entries_wanted *w, struct queue_entry *out)
{
	int count = fn(q, w, out), more;
	struct queue_entry *other;

	if (count < 0 || q->other == NULL) {
		return count;
	}
	other = mem_calloc((size_t)w->max, sizeof(*other));
	more = fn(q->other, w, other);
	if (more > 0) {
		count = merge(out, count, other, more, w->max, w->follows);
	}
	mem_free(other);
	return more < 0 ? -1 : count;
}

static int scan_part(struct queue *q, const struct entries_wanted *w, struct queue_entry *out)
{
	struct db_stmt *s = db_start(q->db, Q_SCAN, "ud", w->after.id, w->max);

	return fill_entries(q, s, &w->after, by_id, out);
}

int queue_scan(struct queue *q, queue_id after, struct queue_entry *out, int max)
{
	const struct entries_wanted w = { .after.id = after, .max = max, .follows = by_id };

	return with_other(q, scan_part, &w, out);
}

static int site_part(struct queue *q, const struct entries_wanted *w, struct queue_entry *out)
{
	const char *domain = w->domain;
	queue_id after = w->after.id;
	int max = w->max;
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

int queue_site(
	struct queue *q, const char *domain, queue_id after, struct queue_entry *out, int max)
{
	const struct entries_wanted w = {
		.domain = domain, .after.id = after, .max = max, .follows = by_id
	};

	return with_other(q, site_part, &w, out);
}

/* A list of one part, row by row. */
struct list_side {
	struct queue *q;
	struct db_stmt *s;
	int rc; /* of the last step */
	queue_id id;
	int64_t n;
};

/* list_step - to the next row, which has to follow on the last */
static void list_step(struct list_side *side)
{
	queue_id id = side->id;
	int64_t n = side->n;

	side->rc = db_step(side->s);
	if (side->rc < 0) {
		queue_set_error(side->q);
	}
	if (side->rc <= 0) {
		return;
	}
	side->id = (queue_id)db_int(side->s, 0);
	side->n = db_int(side->s, 8);
	if (side->id < id || (side->id == id && side->n <= n)) {
		side->rc = out_of_order(side->q);
	}
}

static void list_begin(
	struct list_side *side, struct queue *q, queue_id after, int64_t after_n, int max)
{
	*side = (struct list_side){ .q = q, .id = after, .n = after_n };
	if (q != NULL) {
		side->s = db_start(q->db, Q_LIST, "uid", after, after_n, max);
		list_step(side);
	}
}

static void list_give(const struct list_side *side,
	void (*fn)(void *arg, const struct queue_envelope *env, const struct queue_recipient *r),
	void *arg)
{
	struct db_stmt *s = side->s;
	struct queue_envelope env = { .id = side->id,
		.state = (enum queue_state)db_int(s, 1),
		.next_try = db_int(s, 2),
		.flags = (unsigned)db_int(s, 3),
		.arrival = db_int(s, 4),
		.size = db_int(s, 5),
		.sender = db_text(s, 6),
		.reason = db_text(s, 7) };
	struct queue_recipient r = { .n = side->n,
		.address = db_text(s, 9),
		.original = db_text(s, 10),
		.dsn = db_text(s, 11),
		.reason = db_text(s, 12),
		.orcpt = "" };

	fn(arg, &env, &r);
}

int queue_list(struct queue *q, queue_id after, int64_t after_n, int max,
	void (*fn)(void *arg, const struct queue_envelope *env, const struct queue_recipient *r),
	void *arg)
{
	struct list_side a, b;
	int count = 0;

	list_begin(&a, q, after, after_n, max);
	list_begin(&b, q->other, after, after_n, max);
	while (count < max && a.rc >= 0 && b.rc >= 0 && (a.rc > 0 || b.rc > 0)) {
		struct list_side *side = b.rc == 0 || (a.rc > 0 && a.id <= b.id) ? &a : &b;

		list_give(side, fn, arg);
		count++;
		list_step(side);
	}
	db_reset(a.s);
	if (b.s != NULL) {
		db_reset(b.s);
	}
	return a.rc < 0 || b.rc < 0 ? -1 : count;
}

static int due_part(struct queue *q, const struct entries_wanted *w, struct queue_entry *out)
{
	struct db_stmt *s =
		db_start(q->db, Q_DUE, "iuid", w->after.next_try, w->after.id, w->now, w->max);

	return fill_entries(q, s, &w->after, by_time, out);
}

int queue_due(struct queue *q, int64_t now, const struct queue_entry *after,
	struct queue_entry *out, int max)
{
	/* after may lie in out */
	const struct entries_wanted w = {
		.now = now, .after = *after, .max = max, .follows = by_time
	};

	return with_other(q, due_part, &w, out);
}

int64_t queue_next_due(struct queue *q, const struct queue_entry *after)
{
	struct db_stmt *s = db_start(q->db, Q_DUE_FIRST, "iu", after->next_try, after->id);
	int rc = db_step(s);
	int64_t when = rc > 0 ? db_int(s, 0) : 0, other = 0;

	db_reset(s);
	if (rc >= 0 && q->other != NULL) {
		other = queue_next_due(q->other, after);
	}
	if (other < 0 || rc < 0) {
		return rc < 0 ? queue_set_error(q) : -1;
	}
	return when == 0 || (other > 0 && other < when) ? other : when;
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
	struct queue *part = queue_part_of(q, id);
	int64_t count = part != NULL ? get_number(part, Q_RECIPIENT_COUNT, id, 0) : -1;

	if (count >= 0 && last_r != NULL) {
		*last_r = get_number(part, Q_RECIPIENT_LAST, id, 0);
		if (*last_r < 0) {
			return -1;
		}
	}
	return count;
}

/* recipients_of - in one part */
static int recipients_of(struct queue *q, queue_id id, int64_t from, bool undone, struct arena *a,
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

int queue_recipients(struct queue *q, queue_id id, int64_t from, bool undone, struct arena *a,
	struct queue_recipient *out, int max)
{
	int count = recipients_of(first(q), id, from, undone, a, out, max);

	return count == 0 && then(q) != NULL ? recipients_of(then(q), id, from, undone, a, out, max)
					     : count;
}

/* chunk_of - chunk n of a message in one part, into q's cache; 1, 0 there is none, -1 */
static int chunk_of(struct queue *part, struct queue *q, queue_id id, int64_t n)
{
	struct db_stmt *s = db_start(part->db, Q_CHUNK, "i", queue_chunk_key(id, n));
	int rc = db_step(s);
	const void *data;
	size_t len;

	if (rc > 0) {
		data = db_blob(s, 0, &len);
		buf_add(&q->cache, data, len);
		q->cached_id = id;
		q->cached_n = n;
		db_reset(s);
		return 1;
	}
	return rc < 0 ? queue_set_error(part) : missing(part);
}

/* load_chunk - chunk n of a message into the cache; 1, 0 there is none, -1 */
static int load_chunk(struct queue *q, queue_id id, int64_t n)
{
	int rc;

	if (q->cached_id == id && q->cached_n == n) {
		return 1;
	}
	q->cached_n = -1;
	buf_reset(&q->cache);
	rc = chunk_of(first(q), q, id, n);
	return rc == 0 && then(q) != NULL ? chunk_of(then(q), q, id, n) : rc;
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
	if (rc > 0 && q->other != NULL) {
		int64_t count, bytes;

		if (queue_totals(q->other, &count, &bytes) != 0) {
			return -1;
		}
		*count_r += count;
		*bytes_r += bytes;
	}
	return rc > 0 ? 0 : queue_set_error(q);
}
