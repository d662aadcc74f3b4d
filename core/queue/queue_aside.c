/*
 * queue_aside - a damaged queue.db is moved out of the way, never deleted
 *
 * queue.db and its -wal and -shm become queue.db.corrupt-TIME and the same with
 * -wal and -shm, so that what is in them can still be looked for.
 *
 * DIR/queue.db.rescue names the files that wait for their mail to be taken out (queue_rescue.c),
 * in DIR: directories in it are not believed. It is written before the files are moved, so that
 * a move that a crash interrupted can be completed.
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
#include "base/mem.h"
#include "base/str.h"
#include "queue/queue_handle.h"
#include "queue/queue_internal.h"
#include "queue/queue_repair.h"

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

/* queue_move_aside - the database and its companions, to a path that was chosen; under the lock */
static int queue_move_aside(struct queue *q, const char *to)
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

void queue_list_name(const struct queue *q, char out[PATH_SIZE])
{
	snprintf(out, PATH_SIZE, "%s.rescue", q->path);
}

char *queue_listed_path(const struct queue *q, struct slice line)
{
	char *text = mem_strndup(line.ptr, line.len);
	const char *slash = strrchr(text, '/'), *name = slash != NULL ? slash + 1 : text;
	struct buf path = BUF_INIT;

	if (str_starts(name, "queue.db.")) {
		buf_addf(&path, "%s/%s", q->dir, name);
	}
	mem_free(text);
	return path.len > 0 ? buf_steal(&path) : NULL;
}

void queue_rescue_later(const struct queue *q, const char *path)
{
	char name[PATH_SIZE];
	struct buf line = BUF_INIT;
	int fd = -1;

	queue_list_name(q, name);
	/* Its own line, also behind one that was not written to its end. */
	buf_addf(&line, "\n%s\n", strrchr(path, '/') + 1);
	/* The queue manager has to read it, also when it was root who met the damage. */
	if (queue_make_file(q->dir, name) == 0) {
		fd = open(name, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	}
	if (fd < 0 || fd_write_all(fd, line.data, line.len) != 0 || fsync(fd) != 0 ||
		dir_sync(q->dir, fd) != 0) {
		log_warn("%s: %m: the mail in %s is not looked for", name, path);
	}
	if (fd >= 0) {
		close(fd);
	}
	buf_free(&line);
}

/* is_half_moved - has a companion that name, and the database itself, which goes last, has not? */
static bool is_half_moved(const char *name)
{
	static const char *const companions[] = { "-wal", "-shm", "-journal" };
	char path[PATH_SIZE + 16];

	for (size_t i = 0; i < ARRAY_LEN(companions); i++) {
		snprintf(path, sizeof(path), "%s%s", name, companions[i]);
		if (access(path, F_OK) == 0) {
			return access(name, F_OK) != 0;
		}
	}
	return false;
}

void queue_finish_aside(struct queue *q)
{
	char list[PATH_SIZE], *text;
	struct slice rest, line;

	queue_list_name(q, list);
	text = file_read(list, QUEUE_LIST_MAX, NULL);
	if (text == NULL) {
		return;
	}
	rest = slice_of(text);
	while ((line = slice_word(&rest, "\n")).ptr != NULL) {
		char *name = queue_listed_path(q, line);

		if (name != NULL && is_half_moved(name) && queue_move_aside(q, name) == 0) {
			log_warn("%s: the move to %s, which a crash had interrupted, is complete",
				q->path, name);
		}
		mem_free(name);
	}
	mem_free(text);
}
