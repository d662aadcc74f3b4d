/*
 * queue_aside - a damaged queue.db is moved out of the way, never deleted
 *
 * queue.db and its -wal and -shm become queue.db.corrupt-TIME and the same with
 * -wal and -shm, so that what is in them can still be looked for. Damage that
 * is met while running is left as a mark (queue.db.bad) for the process that
 * opens the queue next; that one looks closely before it believes it, because
 * a bad cable or a bit of memory may have been the cause.
 *
 * Processes that still have the old file open notice at their next commit that
 * the name leads elsewhere (queue_lock()).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "queue/queue_internal.h"

enum { PATH_SIZE = 4096, TRIES = 100 };

static bool is_free(const char *name, const char *tail)
{
	char path[PATH_SIZE + 16];
	struct stat st;

	snprintf(path, sizeof(path), "%s%s", name, tail);
	return lstat(path, &st) != 0 && errno == ENOENT;
}

/* queue_free_name - a name for the database that neither it nor its log has; false when 100 damaged
 * ones of this second lie there */
bool queue_free_name(const struct queue *q, char out[PATH_SIZE])
{
	struct tm tm;
	char stamp[32];
	time_t now = time(NULL);

	gmtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%d-%H%M%S", &tm);
	for (int i = 0; i < TRIES; i++) {
		int n = i == 0 ? snprintf(out, PATH_SIZE, "%s.corrupt-%s", q->path, stamp)
			       : snprintf(out, PATH_SIZE, "%s.corrupt-%s.%d", q->path, stamp, i);

		if (n >= PATH_SIZE) {
			return false;
		}
		if (is_free(out, "") && is_free(out, "-wal")) {
			return true;
		}
	}
	return false;
}

int queue_move_aside(struct queue *q, const char *to)
{
	static const char *const suffixes[] = { "-wal", "-shm", "-journal", "" };
	char from_name[PATH_SIZE + 16], to_name[PATH_SIZE + 16];

	/* The database goes last: while it is there the move is known to be unfinished. */
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		snprintf(from_name, sizeof(from_name), "%s%s", q->path, suffixes[i]);
		snprintf(to_name, sizeof(to_name), "%s%s", to, suffixes[i]);
		if (rename(from_name, to_name) != 0 && errno != ENOENT) {
			return queue_set_error_text(q, strerror(errno));
		}
	}
	if (dir_sync(q->dir, -1) != 0) {
		log_warn("%s: cannot sync it: %m", q->dir);
	}
	return 0;
}

int queue_set_aside(struct queue *q, const char *why)
{
	char to[PATH_SIZE];

	if (!queue_free_name(q, to)) {
		return queue_set_error_text(q, "cannot be set aside: no free name");
	}
	/* First: a crash in between must not leave mail in a file that nobody looks into. */
	queue_rescue_later(q, to);
	if (queue_move_aside(q, to) != 0) {
		return -1;
	}
	log_error("%s: %s: set aside as %s", q->path, why, to);
	queue_unmark(q);
	return 0;
}

static void mark_name(const struct queue *q, char out[PATH_SIZE])
{
	snprintf(out, PATH_SIZE, "%s.bad", q->path);
}

bool queue_is_marked(const struct queue *q)
{
	char name[PATH_SIZE];
	struct stat st;

	mark_name(q, name);
	return lstat(name, &st) == 0;
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
