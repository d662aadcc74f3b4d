/*
 * queue - opening queue.db, its errors, and the writers' turns
 *
 * The mail is safe from the moment queue_commit() returns 0: WAL with
 * synchronous=FULL, the log is synced once for each commit.
 *
 * Several processes write: smtpd, qmgr, pickup. SQLite lets one at a time and
 * makes the others poll; under load one of them would wait up to 0.7 s while
 * the rest go on. So each takes flock() of DIR/queue.lock for its commit: the
 * kernel keeps the order and wakes the next one at once (measured with three
 * writers: as many commits a second as one writer alone, longest wait 13 ms).
 * The kernel also gives the lock back when its holder dies. The lock's file
 * is also the counter of ids (queue_id.c).
 *
 * The log is copied back into the database within a turn only: when a commit
 * makes it long, and by the last one who closes. Readers never do that.
 *
 * While it holds the lock a writer checks that the name still leads to the
 * file it has open: a damaged database is set aside by renaming, and nothing
 * must be written to the old one.
 */
#include "queue/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "queue/queue_internal.h"

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

int queue_set_error_text(struct queue *q, const char *text)
{
	buf_reset(&q->error);
	buf_addf(&q->error, "%s: %s", q->path, text);
	return -1;
}

int queue_set_error(struct queue *q)
{
	buf_reset(&q->error);
	buf_adds(&q->error, db_error(q->db));
	q->full = db_is_full(q->db);
	if (db_is_corrupt(q->db) && !q->broken) {
		q->broken = true;
		queue_mark(q);
	}
	return -1;
}

const char *queue_error(const struct queue *q)
{
	return buf_str(&q->error);
}

bool queue_is_full(const struct queue *q)
{
	return q->full;
}

bool queue_is_broken(const struct queue *q)
{
	return q->broken;
}

void queue_keep_failed(struct queue *q, bool on)
{
	q->keep_failed = on;
}

/* ---- Turns ---- */

/* check_file - does the name still lead to what we have open? 0 or -1 */
static int check_file(struct queue *q)
{
	struct stat st;

	if (stat(q->path, &st) == 0 && st.st_dev == q->dev && st.st_ino == q->ino) {
		return 0;
	}
	q->broken = true;
	return queue_set_error_text(q, "the file was replaced or removed while in use");
}

static void take_turn(struct queue *q)
{
	/* Where flock is not to be had SQLite's own locks still keep writers apart. */
	while (flock(q->lock_fd, LOCK_EX) != 0 && errno == EINTR) {
		continue;
	}
	q->locked = true;
}

int queue_lock(struct queue *q)
{
	take_turn(q);
	q->full = false;
	if (check_file(q) != 0) {
		queue_unlock(q);
		return -1;
	}
	return 0;
}

void queue_unlock(struct queue *q)
{
	if (q->keep_turn) {
		return;
	}
	if (q->locked) {
		(void)flock(q->lock_fd, LOCK_UN);
	}
	q->locked = false;
}

int queue_begin_write(struct queue *q)
{
	/* Also what an allocation that failed in the middle (mem_guard) may have left open. */
	queue_read_end(q);
	db_rollback(q->db);
	if (queue_lock(q) != 0) {
		return -1;
	}
	if (db_run(q->db, Q_BEGIN, "") == 0) {
		return 0;
	}
	queue_set_error(q);
	queue_unlock(q);
	return -1;
}

int queue_commit_write(struct queue *q)
{
	int rc = 0;

	if (db_run(q->db, Q_COMMIT, "") != 0) {
		queue_set_error(q);
		db_rollback(q->db);
		rc = -1;
	}
	queue_unlock(q);
	return rc;
}

void queue_rollback_write(struct queue *q)
{
	db_rollback(q->db);
	queue_unlock(q);
}

/* ---- Opening ---- */

/* own_file - root makes the queue's files for mail_owner, whose the directory is */
static void own_file(const char *dir, int fd)
{
	struct stat st;

	if (geteuid() == 0 && stat(dir, &st) == 0 && st.st_uid != 0 &&
		fchown(fd, st.st_uid, st.st_gid) != 0) {
		log_warn("%s: cannot give a queue file to the directory's owner: %m", dir);
	}
}

int queue_make_file(const char *dir, const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0) {
		return errno == EEXIST ? 0 : -1;
	}
	own_file(dir, fd);
	close(fd);
	return 0;
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

/* new_queue - nothing is open yet; path is q's from here */
static struct queue *new_queue(const char *dir, char *path, enum queue_open_mode mode)
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

/* give_up - a queue that could not be opened: NULL, with its error */
static struct queue *give_up(struct queue *q, char **error_r)
{
	*error_r = mem_strdup(buf_str(&q->error));
	queue_close(q);
	return NULL;
}

struct queue *queue_open_damaged(
	const char *path, const char *wal, const unsigned char *first_page, char **error_r)
{
	struct queue *q = new_queue("", mem_strdup(path), QUEUE_READ);
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
	return give_up(q, error_r);
}

int64_t queue_schema(void)
{
	return queue_migrations[queue_migration_count - 1].version;
}

const char *queue_file_name(size_t n)
{
	static const char *const names[] = { "queue.db", "queue.db-wal", "queue.db-shm",
		"queue.db-journal", "queue.db.rescue", "queue.lock" };

	return n < ARRAY_LEN(names) ? names[n] : NULL;
}

struct queue *queue_open(const char *dir, enum queue_open_mode mode, char **error_r)
{
	struct buf path = BUF_INIT;
	struct queue *q;
	int rc;

	buf_addf(&path, "%s/queue.db", dir);
	q = new_queue(dir, buf_steal(&path), mode);
	if (mode == QUEUE_READ) {
		rc = open_reader(q);
	} else {
		rc = open_lock(q);
		if (rc == 0) {
			take_turn(q);
			rc = open_writer(q);
			queue_unlock(q);
		}
	}
	return rc == 0 ? q : give_up(q, error_r);
}

struct queue *queue_open_below(
	const char *queue_directory, enum queue_open_mode mode, char **error_r)
{
	struct buf dir = BUF_INIT;
	struct queue *q;

	buf_addf(&dir, "%s/" QUEUE_SUBDIR, queue_directory);
	/* For one user's server, begun without `postfix start`. What is wrong shows below. */
	if (mode == QUEUE_CREATE) {
		(void)mkdir(buf_str(&dir), 0700);
	}
	q = queue_open(buf_str(&dir), mode, error_r);
	buf_free(&dir);
	return q;
}

void queue_close(struct queue *q)
{
	if (q == NULL) {
		return;
	}
	queue_forget(q);
	queue_read_end(q);
	/* The last to close copies the log back: in the writers' turn, as all of that. */
	if (q->db != NULL && q->lock_fd >= 0) {
		take_turn(q);
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
