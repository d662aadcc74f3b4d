/*
 * queue_open - opening queue.db: locked, looked at, mended or set aside, brought up to date
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "queue/queue_handle.h"
#include "queue/queue_internal.h"
#include "queue/queue_repair.h"

/* 4 KB pages, SQLite's default, wrote the fewest bytes a mail (HISTORY.md). temp_store: a container
 * may have no /tmp. */
static const char pragmas[] =
	"PRAGMA synchronous=FULL; PRAGMA cache_size=-1024; PRAGMA temp_store=MEMORY";

/* set_log - when the log is copied back, and what a long reader may leave of its length */
static int set_log(struct queue *q)
{
	int pages = queue_log_pages(q);
	char text[128];

	snprintf(text, sizeof(text), "PRAGMA wal_autocheckpoint=%d; PRAGMA journal_size_limit=%d",
		pages, pages * 4096 * 4);
	return db_exec(q->db, text) == 0 ? 0 : queue_set_error(q);
}

/* open_lock - DIR/queue.lock; 0 or -1 */
static int open_lock(struct queue *q)
{
	struct buf path = BUF_INIT;

	buf_addf(&path, "%s/queue.lock", q->dir);
	if (queue_make_file(q->dir, buf_str(&path)) == 0) {
		q->lock_fd = open(buf_str(&path), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	}
	if (q->lock_fd < 0) {
		buf_reset(&q->error);
		buf_addf(&q->error, "%s: %s", buf_str(&path), strerror(errno));
	}
	buf_free(&path);
	return q->lock_fd >= 0 ? 0 : -1;
}

/* open_db - the database itself; 0 or -1, *fault_r says what was wrong */
static int open_db(struct queue *q, enum db_fault *fault_r)
{
	unsigned flags = q->mode == QUEUE_READ ? DB_READ : DB_WRITE | DB_WAL | DB_COMBINE;
	char *error = NULL;
	struct stat st;

	if (q->mode == QUEUE_CREATE && queue_make_file(q->dir, q->path) != 0) {
		*fault_r = DB_FAULT_OTHER;
		return queue_set_error_text(q, strerror(errno));
	}
	q->db = db_open(q->path, flags, pragmas, queue_sql, Q_COUNT, fault_r, &error);
	if (q->db == NULL) {
		buf_reset(&q->error);
		buf_adds(&q->error, error);
		mem_free(error);
		return -1;
	}
	if (stat(q->path, &st) != 0) {
		*fault_r = DB_FAULT_OTHER;
		return queue_set_error_text(q, strerror(errno));
	}
	q->dev = st.st_dev;
	q->ino = st.st_ino;
	return 0;
}

/* is_sound - does the damage that somebody met show in a thorough look? */
static bool is_sound(struct queue *q)
{
	char *error = NULL;
	struct db *db = db_open(q->path, DB_READ, NULL, NULL, 0, NULL, &error);
	struct db_stmt *check;
	bool sound;

	if (db == NULL) {
		mem_free(error);
		return false;
	}
	check = db_prepare(db, "PRAGMA integrity_check(1)");
	sound = check != NULL && db_step(check) > 0 && strcmp(db_text(check, 0), "ok") == 0;
	if (check != NULL) {
		db_finish(check);
	}
	db_close(db);
	return sound;
}

/* check_mark - damage was met by a process before us; 0, or -1 when it cannot be set aside */
static int check_mark(struct queue *q)
{
	if (!queue_is_marked(q)) {
		return 0;
	}
	if (access(q->path, F_OK) == 0 && !is_sound(q)) {
		return queue_set_aside(q, "database disk image is malformed");
	}
	log_warn("%s: a process found it damaged, but a check finds it sound: used again", q->path);
	queue_unmark(q);
	return 0;
}

/* open_writer - for QUEUE_WRITE and QUEUE_CREATE, in our turn; 0 or -1 */
static int open_writer(struct queue *q)
{
	enum db_fault fault;
	int rc;

	queue_finish_aside(q);
	if (check_mark(q) != 0 || queue_check_files(q) != 0) {
		return -1;
	}
	queue_check_log(q);
	rc = open_db(q, &fault);
	if (rc != 0 && fault == DB_FAULT_CORRUPT) {
		rc = queue_set_aside(q, "file is not a database or is damaged");
		if (rc == 0) {
			rc = open_db(q, &fault);
		}
	}
	if (rc != 0) {
		return -1;
	}
	if (db_migrate(q->db, queue_migrations, queue_migration_count) != 0) {
		return queue_set_error(q);
	}
	queue_id_load(q);
	queue_rescue_log(q);
	return set_log(q);
}

/* open_reader - QUEUE_READ: changes nothing; 0 or -1 */
static int open_reader(struct queue *q)
{
	int64_t version, known = queue_migrations[queue_migration_count - 1].version;
	enum db_fault fault;

	if (open_db(q, &fault) != 0) {
		return -1;
	}
	if (db_exec_int(q->db, "PRAGMA user_version", &version) != 0) {
		return queue_set_error(q);
	}
	if (version > known) {
		return queue_set_error_text(q, "schema is newer than this program's");
	}
	if (version < known) {
		return queue_set_error_text(
			q, "schema is old or empty: start the mail system to bring it up");
	}
	return 0;
}

struct queue *queue_open_part(
	const char *dir, enum queue_open_mode mode, bool in_memory, char **error_r)
{
	struct buf path = BUF_INIT;
	struct queue *q;
	int rc;

	buf_addf(&path, "%s/queue.db", dir);
	q = queue_new(dir, buf_steal(&path), mode);
	q->in_memory = in_memory;
	if (mode == QUEUE_READ) {
		rc = open_reader(q);
	} else {
		rc = open_lock(q);
		if (rc == 0) {
			queue_take_turn(q);
			rc = open_writer(q);
			queue_unlock(q);
		}
	}
	return rc == 0 ? q : queue_give_up(q, error_r);
}

struct queue *queue_open(const char *dir, enum queue_open_mode mode, char **error_r)
{
	return queue_open_part(dir, mode, false, error_r);
}
