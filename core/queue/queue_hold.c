/*
 * queue_hold - what a process has in hand, as record locks that others can see
 *
 *	offset of queue.lock
 *	0 .. 7		the last id (queue_id.c)
 *	8		the queue manager's claim
 *	MESSAGE + id	a message of a queue manager that ends
 *	AGENT + n	a delivery agent that may have more in hand than it says
 *	DELIVERY + id << 11 | n % 2048
 *			a recipient of a delivery agent (one that is taken for another only waits)
 *
 * Shared locks of an open file description of its own (F_OFD_SETLK): they do not end with other
 * descriptors of the file, and a reader's rights are enough.
 */
#include "queue/queue_hold.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/identity.h"
#include "base/mem.h"
#include "queue/queue_internal.h"
#include "queue/queue_parts.h"

enum { N_BITS = 11 };

/* Ids have 50 bits. */
#define ID_RANGE (INT64_C(1) << 50)

struct queue_holds {
	int fd;
};

static const struct {
	int64_t start, len;
} regions[] = {
	[QUEUE_HOLD_MESSAGE] = { INT64_C(1) << 52, ID_RANGE },
	[QUEUE_HOLD_AGENT] = { INT64_C(1) << 53, 1 << 16 },
	[QUEUE_HOLD_DELIVERY] = { INT64_C(1) << 62, ID_RANGE << N_BITS },
};

/* open_lock_file - as its directory's owner where we are root; -1 with errno */
static int open_lock_file(const char *path)
{
	struct identity_saved id;
	int fd = -1, saved;

	if (identity_enter_parent(&id, path) != 0) {
		return -1;
	}
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	saved = errno;
	identity_leave(&id);
	errno = saved;
	return fd;
}

struct queue_holds *queue_holds_open(const char *queue_directory)
{
	struct queue_holds *h;
	struct buf path = BUF_INIT;
	int fd;

	buf_addf(&path, "%s/" QUEUE_SUBDIR "/queue.lock", queue_directory);
	fd = open_lock_file(buf_str(&path));
	buf_free(&path);
	if (fd < 0) {
		return NULL;
	}
	h = mem_alloc(sizeof(*h));
	h->fd = fd;
	return h;
}

void queue_holds_close(struct queue_holds *h)
{
	if (h == NULL) {
		return;
	}
	close(h->fd);
	mem_free(h);
}

/* place - the one byte that stands for it */
static struct flock place(enum queue_hold kind, queue_id id, int64_t n, short type)
{
	int64_t at = 0;

	switch (kind) {
	case QUEUE_HOLD_MESSAGE:
		at = (int64_t)id;
		break;
	case QUEUE_HOLD_AGENT:
		at = n & 0xffff;
		break;
	case QUEUE_HOLD_DELIVERY:
		at = (int64_t)(id << N_BITS) | (n & ((1 << N_BITS) - 1));
		break;
	}
	return (struct flock){ .l_type = type,
		.l_whence = SEEK_SET,
		.l_start = regions[kind].start + at,
		.l_len = 1 };
}

static void set_lock(const struct queue_holds *h, struct flock lock)
{
	/* Shared and without waiting: it fails only where there are no such locks at all. */
	while (fcntl(h->fd, F_OFD_SETLK, &lock) != 0 && errno == EINTR) {
		continue;
	}
}

void queue_hold(const struct queue_holds *h, enum queue_hold kind, queue_id id, int64_t n)
{
	set_lock(h, place(kind, id, n, F_RDLCK));
}

void queue_unhold(const struct queue_holds *h, enum queue_hold kind, queue_id id, int64_t n)
{
	set_lock(h, place(kind, id, n, F_UNLCK));
}

/* has_lock - does somebody else's stand in the way of this one? */
static bool has_lock(int fd, struct flock lock)
{
	return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

bool queue_is_held(const struct queue_holds *h, enum queue_hold kind, queue_id id, int64_t n)
{
	return has_lock(h->fd, place(kind, id, n, F_WRLCK));
}

bool queue_any_held(const struct queue_holds *h, enum queue_hold kind)
{
	return has_lock(h->fd,
		(struct flock){ .l_type = F_WRLCK,
			.l_whence = SEEK_SET,
			.l_start = regions[kind].start,
			.l_len = regions[kind].len });
}

/* ---- The queue manager's claim ---- */

static struct flock claim(short type)
{
	return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = 8, .l_len = 1 };
}

bool queue_claim(struct queue *q)
{
	struct flock lock = claim(F_WRLCK);

	return fcntl(queue_disk(q)->lock_fd, F_OFD_SETLK, &lock) == 0;
}

void queue_unclaim(struct queue *q)
{
	struct flock lock = claim(F_UNLCK);

	(void)fcntl(queue_disk(q)->lock_fd, F_OFD_SETLK, &lock);
}

bool queue_claimed_by_other(struct queue *q)
{
	return has_lock(queue_disk(q)->lock_fd, claim(F_WRLCK));
}

/* requeue - the byte behind the claim, shared by the commands that are at it */
static struct flock requeue(short type)
{
	return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = 9, .l_len = 1 };
}

void queue_begin_requeue(struct queue *q)
{
	struct flock lock = requeue(F_RDLCK);

	/* Not to be had: then a look of the queue manager's may let go what is put in anew. */
	(void)fcntl(queue_disk(q)->lock_fd, F_OFD_SETLK, &lock);
}

bool queue_requeue_under_way(struct queue *q)
{
	return has_lock(queue_disk(q)->lock_fd, requeue(F_WRLCK));
}
