/*
 * queue_damage - a look at the files of the queue before SQLite takes them as they are
 *
 * Two kinds of damage it passes over in silence, and destroys what could be
 * had: an empty database makes it delete the log beside it, and in the log it
 * believes nothing behind a frame that is not whole, and writes over it.
 *
 * The end of the log may always be torn: a crash interrupted the last commit,
 * and nobody was told that it was done. SQLite syncs one commit before it writes
 * the next, so commits behind damage, more than one of them, were acknowledged:
 * then the log is kept under the name of a database set aside, and mail that is
 * only there goes into the queue again (queue_rescue.c). A single one may be
 * either: that is said, and the log kept until the next time.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/identity.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "db/wal.h"
#include "queue/queue_handle.h"
#include "queue/queue_internal.h"
#include "queue/queue_repair.h"

enum { PATH_SIZE = 4096, HEADER = 100, VERSION_MAX = 1000, SHM_IN_USE = 128 };

static int open_part(const struct queue *q, const char *tail)
{
	char name[PATH_SIZE + 16];

	snprintf(name, sizeof(name), "%s%s", q->path, tail);
	return open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

static uint32_t get32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* is_header - what stands in every header of ours, whatever is in the database (fileformat2.html,
 * 1.3) */
static bool is_header(const unsigned char h[HEADER])
{
	return memcmp(h, "SQLite format 3\0\x10", 18) == 0 && h[18] >= 1 && h[18] <= 2 &&
		h[19] == h[18] && memcmp(h + 20, "\0\x40\x20\x20", 4) == 0 && get32(h + 44) <= 4 &&
		get32(h + 52) == 0 && get32(h + 56) <= 1 && get32(h + 60) < VERSION_MAX &&
		get32(h + 64) == 0;
}

/* has_commit - does the log hold one? */
static bool has_commit(const struct queue *q)
{
	int fd = open_part(q, "-wal");
	struct wal w;
	bool has = fd >= 0 && wal_read(fd, &w);

	if (fd >= 0) {
		close(fd);
	}
	if (has) {
		wal_free(&w);
	}
	return has;
}

int queue_check_files(struct queue *q)
{
	unsigned char h[HEADER] = { 0 };
	int fd = open_part(q, "");
	ssize_t n = fd >= 0 ? pread(fd, h, sizeof(h), 0) : 0;

	if (fd >= 0) {
		close(fd);
	}
	if (n == (ssize_t)sizeof(h) && !is_header(h)) {
		return queue_set_aside(q, "its header is damaged");
	}
	if (n < (ssize_t)sizeof(h) && n >= 0 && has_commit(q)) {
		/* What is moved is complete when the database itself has its new name. */
		if (fd < 0 && queue_make_file(q->dir, q->path) != 0) {
			return queue_set_error_text(q, strerror(errno));
		}
		return queue_set_aside(q, "it is empty or missing, and its log is not");
	}
	return 0;
}

/* is_in_use - by another process: then SQLite has read the log already */
static bool is_in_use(const struct queue *q)
{
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = SHM_IN_USE, .l_len = 1
	};
	int fd = open_part(q, "-shm");
	bool used = fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;

	if (fd >= 0) {
		close(fd);
	}
	return used;
}

/* copy_log - from the log fd, durably; 0 or -1 with errno */
static int copy_log(const struct queue *q, int fd, const char *to)
{
	char piece[16384];
	off_t at = 0;
	ssize_t n;
	int out, rc;

	(void)unlink(to);
	if (queue_make_file(q->dir, to) != 0) {
		return -1;
	}
	out = open(to, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (out < 0) {
		return -1;
	}
	while ((n = pread(fd, piece, sizeof(piece), at)) > 0 &&
		fd_write_all(out, piece, (size_t)n) == 0) {
		at += n;
	}
	rc = n == 0 ? fsync(out) : -1;
	if (close(out) != 0 || rc != 0 || dir_sync(q->dir, -1) != 0) {
		(void)unlink(to);
		return -1;
	}
	return 0;
}

/* keep_log - commits in w are behind damage, whose end was acknowledged */
static void keep_log(struct queue *q, int fd, const struct wal *w)
{
	char name[PATH_SIZE], to[PATH_SIZE + 16];

	if (!queue_free_name(q, name)) {
		return;
	}
	snprintf(to, sizeof(to), "%s-wal", name);
	if (copy_log(q, fd, to) != 0) {
		log_error("%s-wal: damaged: %u commits behind the damage are lost, and it cannot "
			  "be kept: %m",
			q->path, w->lost);
		return;
	}
	log_error("%s-wal: damaged: %u commits behind the damage are not in the queue: kept as %s, "
		  "and mail that is only there is taken from it",
		q->path, w->lost, to);
	q->kept_log = mem_strdup(to);
}

/* keep_torn - the last commit is not whole: one copy, until the next time */
static void keep_torn(const struct queue *q, int fd)
{
	char to[PATH_SIZE + 16];
	bool kept;

	snprintf(to, sizeof(to), "%s-torn", q->path);
	kept = copy_log(q, fd, to) == 0;
	log_warn("%s-wal: the last commit is not whole and left out: a crash interrupted it, or it "
		 "is damaged%s%s",
		q->path, kept ? "; kept as " : "", kept ? to : "");
}

/* check_log - with the rights of whose the queue is */
static void check_log(struct queue *q)
{
	int fd = open_part(q, "-wal");
	struct wal w;
	bool holds;

	if (fd < 0) {
		return;
	}
	if (is_in_use(q)) {
		close(fd);
		return;
	}
	holds = wal_read(fd, &w);
	if (w.lost > 1 || (w.lost > 0 && w.header_bad)) {
		keep_log(q, fd, &w);
	} else if (w.lost > 0 || w.unfinished) {
		keep_torn(q, fd);
	}
	if (holds) {
		wal_free(&w);
	}
	close(fd);
}

void queue_check_log(struct queue *q)
{
	struct identity_saved id;

	if (identity_enter_parent(&id, q->path) != 0) {
		return;
	}
	check_log(q);
	identity_leave(&id);
}
