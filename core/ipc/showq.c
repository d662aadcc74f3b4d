/*
 * showq - the queue as wire messages, from qmgr to postqueue
 *
 * The same walk serves postqueue itself when the mail system is down and root
 * reads the queue directly.
 */
#include "ipc/showq.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/params.h"
#include "queue/queue_read.h"
#include "ipc/pickup_request.h"

/* Files looked at for one list, bytes read of each: its recipients, if they are many, are cut off.
 */
enum { DROPS_MAX = 1000, DROP_READ = 16384, DROP_NAME = 32, PATH_SIZE = 4096 };

const char *list_queue_name(enum list_queue q)
{
	switch (q) {
	case LIST_ACTIVE:
		return "active";
	case LIST_INCOMING:
		return "incoming";
	case LIST_DEFERRED:
		return "deferred";
	case LIST_HOLD:
		return "hold";
	case LIST_MAILDROP:
		return "maildrop";
	case LIST_CORRUPT:
		return "corrupt";
	}
	return "unknown";
}

/* list_put_message - one message of the list; its recipients follow */
static void list_put_message(struct buf *b, const struct list_message *m)
{
	size_t mark = wire_begin(b);

	wire_put_int(b, LIST_MESSAGE);
	wire_put_int(b, m->queue);
	wire_put_str(b, m->id);
	wire_put_int(b, (uint64_t)m->arrival);
	wire_put_int(b, (uint64_t)m->size);
	wire_put_int(b, m->forced_expire);
	wire_put_str(b, m->sender);
	wire_put_str(b, m->reason);
	wire_end(b, mark);
}

static void list_put_recipient(struct buf *b, const char *address, const char *reason)
{
	size_t mark = wire_begin(b);

	wire_put_int(b, LIST_RECIPIENT);
	wire_put_str(b, address);
	wire_put_str(b, reason);
	wire_end(b, mark);
}

void list_put_end(struct buf *b, enum list_kind kind)
{
	size_t mark = wire_begin(b);

	wire_put_int(b, kind);
	wire_end(b, mark);
}

static enum list_queue queue_of(const struct list_walk *w, const struct queue_envelope *env)
{
	if (w->is_active != NULL && w->is_active(w->arg, env->id)) {
		return LIST_ACTIVE;
	}
	switch (env->state) {
	case QUEUE_INCOMING:
		return LIST_INCOMING;
	case QUEUE_DEFERRED:
		return LIST_DEFERRED;
	case QUEUE_HOLD:
		return LIST_HOLD;
	case QUEUE_CORRUPT:
		break;
	}
	return LIST_CORRUPT;
}

static void put_row(void *arg, const struct queue_envelope *env, const struct queue_recipient *r)
{
	struct list_walk *w = arg;
	char id[QUEUE_ID_TEXT];

	if (w->shown != env->id) {
		struct list_message m = { .queue = queue_of(w, env),
			.id = id,
			.arrival = env->arrival / 1000000,
			.size = env->size,
			.forced_expire = (env->flags & QUEUE_F_EXPIRE) != 0,
			.sender = env->sender,
			.reason = env->reason };

		queue_id_text(env->id, id);
		list_put_message(w->out, &m);
		w->shown = env->id;
	}
	list_put_recipient(w->out, r->address, r->reason);
	w->id = env->id;
	w->n = r->n;
}

/* put_envelope - what the file says before its content */
static void put_envelope(struct buf *out, struct buf *in, const char *name, const struct stat *st)
{
	struct list_message lm = { .queue = LIST_MAILDROP,
		.id = name,
		.arrival = (int64_t)st->st_mtime,
		.size = (int64_t)st->st_size,
		.reason = "" };
	struct pickup_message m;
	bool begun = false;
	size_t size;

	while (pickup_get(in, &m, &size) > 0 &&
		(m.kind == PICKUP_BEGIN || m.kind == PICKUP_RECIPIENT)) {
		if (m.kind == PICKUP_BEGIN && !begun) {
			lm.sender = m.sender;
			list_put_message(out, &lm);
			begun = true;
		} else if (m.kind == PICKUP_RECIPIENT && begun) {
			list_put_recipient(out, m.address, "");
		}
		buf_consume(in, size);
	}
}

static void put_drop(struct buf *out, int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	struct buf in = BUF_INIT;
	struct stat st;
	ssize_t n;

	if (fd < 0) {
		return;
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		n = read(fd, buf_reserve(&in, DROP_READ), DROP_READ);
		if (n > 0) {
			buf_added(&in, (size_t)n);
			put_envelope(out, &in, name, &st);
		}
	}
	close(fd);
	buf_free(&in);
}

/* list_maildrop - the maildrop's files, which pickup has not taken yet; those that can be read */
static void list_maildrop(struct buf *out)
{
	char path[PATH_SIZE];
	struct dirent *e;
	DIR *d;
	int count = 0;

	snprintf(path, sizeof(path), "%s/maildrop", param.queue_directory);
	d = opendir(path);
	if (d == NULL) {
		return;
	}
	while (count < DROPS_MAX && (e = readdir(d)) != NULL) {
		if (strlen(e->d_name) != DROP_NAME ||
			strspn(e->d_name, "0123456789ABCDEF") != DROP_NAME) {
			continue;
		}
		put_drop(out, dirfd(d), e->d_name);
		count++;
	}
	closedir(d);
}

int list_walk(struct list_walk *w, struct queue *q, struct buf *out, int max)
{
	int count;

	if (!w->dropped) {
		list_maildrop(out);
	}
	w->dropped = true;
	if (q == NULL) {
		return 0;
	}
	w->out = out;
	count = queue_list(q, w->id, w->id == 0 ? -1 : w->n, max, put_row, w);
	return count < 0 ? -1 : count == max;
}
