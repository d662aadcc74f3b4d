/* queue_rescue - mail out of a damaged database that was set aside
 *
 * What can still be read whole (envelope, recipients that are not done, every
 * byte of the content) goes into the new queue under the same id. The walk goes
 * from the eldest message up to the first damaged page, then from the newest
 * down. The damaged file stays as it is, with whatever could not be read.
 *
 * DIR/queue.db.rescue names the files that wait for this; queue_set_aside()
 * writes it, and it is removed when they were gone through.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/unixsock.h"

#include "store/queue_internal.h"

enum { PATH_SIZE = 4096, LIST_MAX = 65536, RCPTS_AT_ONCE = 200, COMMIT_EVERY = 100 };

struct rescue {
	struct queue *to, *from;
	long taken, damaged;
	struct buf piece;
};

static void list_name(const struct queue *q, char out[PATH_SIZE])
{
	snprintf(out, PATH_SIZE, "%s.rescue", q->path);
}

void queue_rescue_later(const struct queue *q, const char *path)
{
	char name[PATH_SIZE];
	int fd;

	list_name(q, name);
	fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || fd_write_all(fd, path, strlen(path)) != 0 || fd_write_all(fd, "\n", 1) != 0)
		log_warn("%s: %m: the mail in %s is not looked for", name, path);
	if (fd >= 0)
		close(fd);
}

/* copy_recipients - those that are not done; their number, or -1 */
static int64_t copy_recipients(struct rescue *r, struct queue_message *m, queue_id id)
{
	struct queue_recipient found[RCPTS_AT_ONCE];
	struct arena a = ARENA_INIT;
	int64_t from = 0, total = 0;
	int count;

	do {
		count = queue_recipients(r->from, id, from, true, &a, found, RCPTS_AT_ONCE);
		for (int i = 0; i < count; i++) {
			from = found[i].n + 1;
			queue_add_recipient(m, &found[i]);
			total++;
		}
		arena_reset(&a);
	} while (count == RCPTS_AT_ONCE);
	arena_free(&a);
	return count < 0 ? -1 : total;
}

/* copy_content - 0, or -1 when it is not all there */
static int copy_content(struct rescue *r, struct queue_message *m, queue_id id, int64_t size)
{
	int64_t at = 0, n;

	while ((n = queue_read(r->from, id, at, buf_reserve(&r->piece, QUEUE_CHUNK), QUEUE_CHUNK)) >
		0) {
		if (queue_write(m, r->piece.data, (size_t)n) != 0)
			return -1;
		at += n;
	}
	return n == 0 && at == size ? 0 : -1;
}

/* take - one message */
static void take(struct rescue *r, struct queue_envelope *env)
{
	struct queue_message *m;
	struct queue_envelope there;
	struct arena a = ARENA_INIT;
	int known = queue_get(r->to, env->id, &a, &there);

	arena_free(&a);
	if (known > 0)
		return;		/* a rescue before this one was interrupted */
	if (env->state > QUEUE_CORRUPT)
		env->state = QUEUE_INCOMING;
	m = queue_begin(r->to, env);
	if (copy_recipients(r, m, env->id) <= 0 || copy_content(r, m, env->id, env->size) != 0) {
		queue_abort(m);
		r->damaged++;
		return;
	}
	queue_end(m, NULL, NULL);
	r->taken++;
	if (r->taken % COMMIT_EVERY == 0 && queue_commit(r->to) != 0)
		log_warn("%s", queue_error(r->to));
}

/* walk - all that can be reached from one end; the last id seen */
static queue_id walk(struct rescue *r, bool up, queue_id at, queue_id stop)
{
	struct arena a = ARENA_INIT;
	struct queue_envelope env;

	while ((up ? queue_next(r->from, at, &a, &env) : queue_before(r->from, at, &a, &env)) > 0) {
		if (up ? env.id <= at : env.id >= at || env.id <= stop)
			break;	/* a damaged tree may lead in circles */
		at = env.id;
		take(r, &env);
		arena_reset(&a);
	}
	arena_free(&a);
	return at;
}

static void rescue_file(struct queue *q, const char *path)
{
	struct rescue r = { .to = q };
	char *error = NULL;
	queue_id last;

	r.from = queue_open_damaged(path, &error);
	if (r.from == NULL) {
		log_warn("%s: nothing can be read from it: %s", path, error);
		mem_free(error);
		return;
	}
	last = walk(&r, true, 0, 0);
	walk(&r, false, (queue_id)INT64_MAX >> 14, last);
	if (queue_commit(q) != 0)
		log_warn("%s", queue_error(q));
	log_info("%s: %ld message%s taken from it into the new queue, %ld damaged", path, r.taken,
		r.taken == 1 ? "" : "s", r.damaged);
	queue_close(r.from);
	buf_free(&r.piece);
}

void queue_rescue(struct queue *q)
{
	char name[PATH_SIZE];
	struct slice rest, line;
	char *text;

	list_name(q, name);
	text = file_read(name, LIST_MAX, NULL);
	if (text == NULL)
		return;
	rest = slice_of(text);
	while ((line = slice_word(&rest, "\n")).ptr != NULL) {
		char *path = mem_strndup(line.ptr, line.len);

		rescue_file(q, path);
		mem_free(path);
	}
	mem_free(text);
	if (!queue_is_broken(q) && unlink(name) != 0 && errno != ENOENT)
		log_warn("%s: %m", name);
}
