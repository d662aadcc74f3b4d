/*
 * queue_reserve - room for emptying the queue when the disk is full
 *
 * Removing mail needs room too: the log grows first, and before it can be
 * begun anew its pages have to fit into the database. On a full disk that is a
 * knot: nothing can be taken out because nothing can be written. DIR/queue.reserve
 * holds as much as that takes: one half for the pages of a log, which is
 * checkpointed when it has so many (queue_log_pages), the other for a commit of
 * queue_batch() messages. Giving it up unties the knot.
 *
 * smtpd stops earlier (queue_minfree), so it is other programs that fill the
 * disk to the last byte.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/log.h"
#include "queue/queue_handle.h"
#include "queue/queue_internal.h"
#include "queue/queue_repair.h"

enum {
	PATH_SIZE = 4096,
	PAGE = 4096,
	LOG_PAGES = 1000, /* the most; HISTORY.md says why */
	RESERVE_MAX = 2 * LOG_PAGES * PAGE,
	RESERVE_MIN = 512 * 1024,
	RESERVE_PART = 20,  /* this part of a small file system */
	BATCH = 250,        /* more in one commit would save nothing */
	MESSAGE_COST = 8192 /* of the log, to defer one; to remove one takes less */
};

static void reserve_name(const struct queue *q, char out[PATH_SIZE])
{
	snprintf(out, PATH_SIZE, "%s/queue.reserve", q->dir);
}

/* reserve_size - for the file system the queue is on; *free_r is what it has left */
static int64_t reserve_size(const struct queue *q, int64_t *free_r)
{
	struct statvfs fs;
	int64_t size;

	*free_r = 0;
	if (statvfs(q->dir, &fs) != 0) {
		return RESERVE_MAX;
	}
	*free_r = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
	if (q->in_memory) {
		return RESERVE_MIN; /* taken from what everybody needs */
	}
	size = (int64_t)fs.f_blocks * (int64_t)fs.f_frsize / RESERVE_PART;
	return size < RESERVE_MIN ? RESERVE_MIN : size > RESERVE_MAX ? RESERVE_MAX : size;
}

int queue_log_pages(const struct queue *q)
{
	int64_t left;

	return (int)(reserve_size(q, &left) / 2 / PAGE);
}

int queue_batch(const struct queue *q)
{
	int64_t left, batch = reserve_size(q, &left) / 2 / MESSAGE_COST;
	int other = q->other != NULL ? queue_batch(q->other) : BATCH;

	return batch < other ? (int)batch : other;
}

/* keep_reserve - of one part */
static void keep_reserve(struct queue *q)
{
	char name[PATH_SIZE];
	int64_t left, size = reserve_size(q, &left);
	struct stat st;
	int fd;

	reserve_name(q, name);
	if (stat(name, &st) == 0 && st.st_blocks > 0) {
		return;
	}
	fd = left > size * 2 ? open(name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
	if (fd < 0) {
		return;
	}
	/* Blocks that are there in truth; no reserve where a file system cannot promise them. */
	if (fallocate(fd, 0, 0, size) != 0) {
		(void)unlink(name);
	}
	close(fd);
}

void queue_keep_reserve(struct queue *q)
{
	if (q->other != NULL) {
		queue_keep_reserve(q->other);
	}
	keep_reserve(q);
}

/* use_reserve - of one part; false: it has none */
static bool use_reserve(struct queue *q)
{
	char name[PATH_SIZE];
	struct stat st;

	reserve_name(q, name);
	if (stat(name, &st) != 0 || unlink(name) != 0) {
		return false;
	}
	log_warn("%s: the disk is full: %lld KB kept for this are used to empty the queue", q->path,
		(long long)st.st_size / 1024);
	if (queue_lock(q) == 0) {
		/* An error shows at the next commit. */
		(void)db_exec(q->db, "PRAGMA wal_checkpoint(RESTART)");
		queue_unlock(q);
	}
	return true;
}

bool queue_use_reserve(struct queue *q)
{
	struct queue *other = q->other;

	/* Both are asked: the error is the queue's, whichever part is full. */
	if (other != NULL && other->full && use_reserve(other)) {
		return true;
	}
	return use_reserve(q);
}
