/*
 * queue_history - rows of deliveries, gathered in memory and stored together
 *
 * Bounded thrice: a day, the caller's number of rows, and HELD of them in memory while the file
 * cannot be written (a reader has it, or the disk is full); beyond that rows are dropped.
 */
#include "queue/queue_history.h"

#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "db/db_open.h"
#include "queue/queue_parts.h"

enum { HELD = 500, DAY = 86400, TEXT_MAX = 300 };

enum { H_ADD, H_OLD, H_FIRST, H_BEGIN, H_COMMIT, H_COUNT };

static const char *const sql[H_COUNT] = {
	[H_ADD] = "INSERT INTO delivery (id, time, sender, recipient, status, dsn, reason)"
		  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[H_OLD] = "DELETE FROM delivery WHERE n < ?1 OR n <= (SELECT max(n) FROM delivery) - ?2",
	/* They are in the order of time. */
	[H_FIRST] = "SELECT n FROM delivery WHERE time >= ?1 ORDER BY n LIMIT 1",
	[H_BEGIN] = "BEGIN IMMEDIATE",
	[H_COMMIT] = "COMMIT",
};

static const char schema[] =
	"CREATE TABLE IF NOT EXISTS delivery (n INTEGER PRIMARY KEY, id INTEGER NOT NULL,"
	" time INTEGER NOT NULL, sender TEXT, recipient TEXT, status TEXT, dsn TEXT, reason TEXT)";

struct queue_history {
	char *path;
	int64_t limit;
	struct db *db; /* or NULL */
	struct arena texts;
	struct queue_delivery rows[HELD];
	size_t count;
	bool said; /* that it cannot be written */
};

void queue_history_path(const char *queue_directory, struct buf *out)
{
	char *error = NULL;

	if (queue_durability(&error) > QUEUE_STRICT) {
		queue_memory_directory(queue_directory, out);
	} else {
		buf_addf(out, "%s/" QUEUE_SUBDIR, queue_directory);
	}
	mem_free(error);
	buf_adds(out, "/deliveries.db");
}

struct queue_history *queue_history_new(const char *queue_directory, int64_t rows)
{
	struct queue_history *h = mem_alloc(sizeof(*h));
	struct buf path = BUF_INIT;

	queue_history_path(queue_directory, &path);
	h->path = buf_steal(&path);
	h->limit = rows;
	return h;
}

static const char *keep(struct queue_history *h, const char *text)
{
	return text != NULL ? arena_strndup(&h->texts, text, strnlen(text, TEXT_MAX)) : "";
}

void queue_history_add(struct queue_history *h, const struct queue_delivery *d)
{
	struct queue_delivery *to;

	if (h->count == HELD) {
		queue_history_store(h);
	}
	if (h->count == HELD) {
		return;
	}
	to = &h->rows[h->count++];
	*to = *d;
	to->sender = keep(h, d->sender);
	to->recipient = keep(h, d->recipient);
	to->dsn = keep(h, d->dsn);
	to->reason = keep(h, d->reason);
}

/* open_file - what is damaged is begun anew; false: not now */
static bool open_file(struct queue_history *h)
{
	enum db_fault fault = DB_FAULT_NONE;
	char *error = NULL;

	if (h->db != NULL) {
		return true;
	}
	h->db = db_open(h->path, DB_CREATE | DB_AT_ONCE,
		"PRAGMA synchronous=OFF; PRAGMA journal_mode=TRUNCATE; PRAGMA cache_size=-64", sql,
		H_COUNT, &fault, &error);
	if (h->db != NULL && db_exec(h->db, schema) != 0) {
		fault = db_fault(h->db);
		error = mem_strdup(db_error(h->db));
		db_close(h->db);
		h->db = NULL;
	}
	if (fault == DB_FAULT_CORRUPT) {
		(void)unlink(h->path);
	}
	if (h->db == NULL && fault != DB_FAULT_BUSY && !h->said) {
		h->said = true;
		log_warn("%s: the deliveries of the day are not kept", error);
	}
	mem_free(error);
	return h->db != NULL;
}

/* drop_old - of more than a day, and beyond the number; 0 or -1 */
static int drop_old(struct queue_history *h, int64_t now)
{
	struct db_stmt *s = db_start(h->db, H_FIRST, "i", now - DAY);
	int64_t first = db_step(s) > 0 ? db_int(s, 0) : INT64_MAX;

	db_reset(s);
	return db_run(h->db, H_OLD, "ii", first, h->limit);
}

/* put - all of them; 0 or -1 */
static int put(struct queue_history *h)
{
	if (db_run(h->db, H_BEGIN, "") != 0) {
		return -1;
	}
	for (size_t i = 0; i < h->count; i++) {
		const struct queue_delivery *d = &h->rows[i];

		if (db_run(h->db, H_ADD, "uisssss", d->id, d->when, d->sender, d->recipient,
			    d->status, d->dsn, d->reason) != 0) {
			return -1;
		}
	}
	if (drop_old(h, h->rows[h->count - 1].when) != 0) {
		return -1;
	}
	return db_run(h->db, H_COMMIT, "");
}

void queue_history_store(struct queue_history *h)
{
	if (h->count == 0 || !open_file(h)) {
		return;
	}
	if (put(h) == 0) {
		h->count = 0;
		h->said = false;
		arena_reset(&h->texts);
		return;
	}
	db_rollback(h->db);
	if (db_fault(h->db) == DB_FAULT_BUSY) {
		return;
	}
	if (!h->said) {
		h->said = true;
		log_warn("%s: the deliveries of the day are not kept", db_error(h->db));
	}
	if (db_is_corrupt(h->db)) {
		(void)unlink(h->path);
	}
	db_close(h->db);
	h->db = NULL;
}

void queue_history_free(struct queue_history *h)
{
	if (h == NULL) {
		return;
	}
	queue_history_store(h);
	db_close(h->db);
	arena_free(&h->texts);
	mem_free(h->path);
	mem_free(h);
}
