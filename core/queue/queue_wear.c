/*
 * queue_wear - bytes and syncs, counted where all writers meet
 *
 * Four numbers in DIR/queue.lock behind the counter of ids, big-endian, changed in the writers'
 * turn with what this handle has written since it did so last. The file is not synced.
 */
#include "queue/queue_wear.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/identity.h"
#include "queue/queue_handle.h"
#include "queue/queue_internal.h"

enum { AT = 64, NUMBERS = 4, SIZE = NUMBERS * 8 };

/* get - 0, or -1: not there */
static int get(int fd, int64_t n[NUMBERS])
{
	unsigned char raw[SIZE];

	if (pread(fd, raw, SIZE, AT) != SIZE) {
		return -1;
	}
	for (int i = 0; i < NUMBERS; i++) {
		uint64_t v = 0;

		for (int k = 0; k < 8; k++) {
			v = v << 8 | raw[i * 8 + k];
		}
		n[i] = (int64_t)(v & INT64_MAX);
	}
	return 0;
}

void queue_wear_add(struct queue *q)
{
	struct db_written now = db_written(q->db);
	int64_t n[NUMBERS] = { 0 };
	unsigned char raw[SIZE];

	if (get(q->lock_fd, n) != 0 || n[0] == 0) {
		n[0] = (int64_t)time(NULL);
	}
	n[1] += q->mails;
	n[2] += now.bytes - q->counted.bytes;
	n[3] += now.syncs - q->counted.syncs;
	q->counted = now;
	q->mails = 0;
	for (int i = 0; i < SIZE; i++) {
		raw[i] = (unsigned char)((uint64_t)n[i / 8] >> (56 - i % 8 * 8));
	}
	(void)!pwrite(q->lock_fd, raw, SIZE, AT);
}

int queue_wear(const char *dir, struct queue_wear *out)
{
	struct buf path = BUF_INIT;
	int64_t n[NUMBERS];
	int fd, rc;

	buf_addf(&path, "%s/queue.lock", dir);
	fd = identity_open(buf_str(&path), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
	buf_free(&path);
	if (fd < 0) {
		return -1;
	}
	rc = get(fd, n);
	close(fd);
	*out = (struct queue_wear){ n[0], n[1], n[2], n[3] };
	errno = rc != 0 ? ENODATA : 0;
	return rc;
}
