/*
 * queue_handle - what every part of the queue needs of its handle: errors, turns, the mark
 *
 * Several processes write: smtpd, qmgr, pickup. SQLite lets one at a time and
 * makes the others poll; under load one of them would wait up to 0.7 s while
 * the rest go on. So each takes flock() of DIR/queue.lock for its commit: the
 * kernel keeps the order and wakes the next one at once (measured with three
 * writers: as many commits a second as one writer alone, longest wait 13 ms).
 * The kernel also gives the lock back when its holder dies. The lock's file
 * is also the counter of ids (queue_id.c).
 *
 * While it holds the lock a writer checks that the name still leads to the
 * file it has open: a damaged database is set aside by renaming, and nothing
 * must be written to the old one.
 *
 * Damage that is met while running is left as a mark (queue.db.bad) for the process that
 * opens the queue next; that one looks closely before it believes it, because
 * a bad cable or a bit of memory may have been the cause.
 */
#include "queue/queue_handle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "queue/queue_internal.h"
#include "queue/queue_read.h"

enum { PATH_SIZE = 4096 };

static void mark_name(const struct queue *q, char out[PATH_SIZE])
{
	snprintf(out, PATH_SIZE, "%s.bad", q->path);
}

bool queue_is_marked(const struct queue *q)
{
	char name[PATH_SIZE];
	struct stat st;

	mark_name(q, name);
	return lstat(name, &st) == 0 || (q->other != NULL && queue_is_marked(q->other));
}

void queue_mark(const struct queue *q)
{
	char name[PATH_SIZE];

	if (q->damaged) {
		return;
	}
	mark_name(q, name);
	(void)queue_make_file(q->dir, name);
}

void queue_unmark(const struct queue *q)
{
	char name[PATH_SIZE];

	mark_name(q, name);
	(void)unlink(name);
}

/* tell_front - the error of a second part is the queue's; -1 */
static int tell_front(const struct queue *q)
{
	if (q->front != NULL) {
		buf_reset(&q->front->error);
		buf_add(&q->front->error, q->error.data, q->error.len);
		q->front->full = q->full;
		q->front->broken = q->front->broken || q->broken;
	}
	return -1;
}

int queue_set_error_text(struct queue *q, const char *text)
{
	buf_reset(&q->error);
	buf_addf(&q->error, "%s: %s", q->path, text);
	return tell_front(q);
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
	return tell_front(q);
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

void queue_take_turn(struct queue *q)
{
	/* Where flock is not to be had SQLite's own locks still keep writers apart. */
	while (flock(q->lock_fd, LOCK_EX) != 0 && errno == EINTR) {
		continue;
	}
	q->locked = true;
}

int queue_lock(struct queue *q)
{
	queue_take_turn(q);
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
		q->mails = 0;
		rc = -1;
	} else {
		queue_wear_add(q);
	}
	queue_unlock(q);
	return rc;
}

void queue_rollback_write(struct queue *q)
{
	db_rollback(q->db);
	q->mails = 0;
	queue_unlock(q);
}

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

void queue_read_end(struct queue *q)
{
	if (q->reading && db_run(q->db, Q_COMMIT, "") != 0) {
		db_rollback(q->db);
	}
	q->reading = false;
	if (q->other != NULL) {
		queue_read_end(q->other);
	}
}
