/*
 * queue - a handle of queue.db, from its making to its end
 *
 * The mail is safe from the moment queue_commit() returns 0: WAL with
 * synchronous=FULL, the log is synced once for each commit. How the queue is
 * opened is in queue_open.c, the writers' turns are in queue_handle.c.
 *
 * The log is copied back into the database within a turn only: when a commit
 * makes it long, and by the last one who closes. Readers never do that.
 */
#include "queue/queue.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "queue/queue_handle.h"
#include "queue/queue_hold.h"
#include "queue/queue_internal.h"
#include "queue/queue_parts.h"
#include "queue/queue_read.h"
#include "queue/queue_repair.h"
#include "queue/queue_write.h"

struct queue *queue_new(const char *dir, char *path, enum queue_open_mode mode)
{
	struct queue *q = mem_alloc(sizeof(*q));

	q->dir = mem_strdup(dir);
	q->path = path;
	q->mode = mode;
	q->lock_fd = -1;
	q->cached_n = -1;
	q->ended_tail = &q->ended;
	q->chunks_tail = &q->chunks;
	q->changes_tail = &q->changes;
	return q;
}

struct queue *queue_give_up(struct queue *q, char **error_r)
{
	*error_r = mem_strdup(buf_str(&q->error));
	queue_close(q);
	return NULL;
}

struct queue *queue_open_damaged(
	const char *path, const char *wal, const unsigned char *first_page, char **error_r)
{
	struct queue *q = queue_new("", mem_strdup(path), QUEUE_READ);
	char *error = NULL;
	int64_t tables = 0;
	struct stat st = { 0 };

	q->damaged = true;
	(void)stat(path, &st);
	q->dev = st.st_dev;
	q->ino = st.st_ino;
	q->db = db_open_mended(path, wal, first_page, queue_sql, Q_COUNT, NULL, &error);
	if (q->db != NULL &&
		db_exec_int(q->db,
			"SELECT count(*) FROM sqlite_master WHERE name IN ('message', 'recipient', "
			"'chunk')",
			&tables) == 0 &&
		tables == 3) {
		return q;
	}
	buf_adds(&q->error, error != NULL ? error : "its tables are not known");
	mem_free(error);
	return queue_give_up(q, error_r);
}

int64_t queue_schema(void)
{
	return queue_migrations[queue_migration_count - 1].version;
}

const char *queue_file_name(size_t n)
{
	static const char names[][17] = { "queue.db", "queue.db-wal", "queue.db-shm",
		"queue.db-journal", "queue.db.rescue", "queue.lock" };

	return n < ARRAY_LEN(names) ? names[n] : NULL;
}

void queue_close(struct queue *q)
{
	if (q == NULL) {
		return;
	}
	queue_forget(q);
	queue_read_end(q);
	/* Without a queue manager the system is stopped, or stopping. */
	if (q->other != NULL && q->lock_fd >= 0 && !q->broken && !queue_claimed_by_other(q)) {
		(void)queue_spill(q, true);
	}
	queue_close(q->other);
	/* The last to close copies the log back: in the writers' turn, as all of that. */
	if (q->db != NULL && q->lock_fd >= 0) {
		queue_take_turn(q);
	}
	db_close(q->db);
	if (q->lock_fd >= 0) {
		close(q->lock_fd);
	}
	arena_free(&q->change_arena);
	mem_free(q->committed);
	buf_free(&q->cache);
	buf_free(&q->error);
	mem_free(q->kept_log);
	mem_free(q->path);
	mem_free(q->dir);
	mem_free(q);
}
