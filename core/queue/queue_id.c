/*
 * queue_id - queue ids: 50 bits of microseconds, never the same twice
 *
 * The last id taken by any process stands in the first 8 bytes of
 * DIR/queue.lock (big-endian), and is read and raised under a record lock of
 * that file. A process takes all ids of some milliseconds at once, so that under load
 * most ids cost no system call. A new id is the clock, or the last one plus one where the clock
 * has not moved on, was set back, or does not exist (a router before NTP). An
 * id that came back would make local delivery take a new mail for one that
 * it delivered already.
 *
 * The file is not synced. That is only of interest where the clock is behind
 * the last id: then the id goes to the database with the mail (meta.last_id).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "queue/queue_handle.h"
#include "queue/queue_internal.h"

/* 2024-01-01 00:00 UTC in microseconds since 1970. */
#define ID_EPOCH INT64_C(1704067200000000)
#define ID_LIMIT (INT64_C(1) << 50)
/* The clock is not believed beyond this, so that counting on from it stays below the limit. */
#define ID_CLOCK_MAX (ID_LIMIT - (INT64_C(1) << 40))
/* Ids (microseconds) that are taken at once. */
#define ID_BLOCK 4000
/* Ids of mail in memory that the disk knows beforehand. */
#define ID_RESERVED (1 << 20)
/* So far behind the last id the clock must have been set back, not read by two at once. */
#define ID_BEHIND INT64_C(10000000)

/* clock_id - the id that the clock stands for, at least 1 */
static int64_t clock_id(void)
{
	struct timespec ts;
	int64_t us;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (ts.tv_sec < ID_EPOCH / 1000000) {
		return 1;
	}
	us = (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000 - ID_EPOCH;
	return us < 1 ? 1 : us > ID_CLOCK_MAX ? ID_CLOCK_MAX : us;
}

static int64_t load_last(int fd)
{
	unsigned char raw[8];
	uint64_t v = 0;

	if (pread(fd, raw, sizeof(raw), 0) != (ssize_t)sizeof(raw)) {
		return 0;
	}
	for (int i = 0; i < 8; i++) {
		v = v << 8 | raw[i];
	}
	return v < (uint64_t)ID_LIMIT ? (int64_t)v : 0;
}

static void store_last(int fd, int64_t v)
{
	unsigned char raw[8];

	for (int i = 0; i < 8; i++) {
		raw[i] = (unsigned char)((uint64_t)v >> (56 - 8 * i));
	}
	/* When it cannot be written (disk full on the first), ids still rise within each process.
	 */
	(void)!pwrite(fd, raw, sizeof(raw), 0);
}

/* lock_record - the record lock of the counter; the writers' turn (flock) is another lock */
static void lock_record(int fd, short type)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = 0, .l_len = 8 };

	while (fcntl(fd, F_OFD_SETLKW, &lock) != 0 && errno == EINTR) {
		continue;
	}
}

/* take_block - ids from here to q->block_end are ours alone */
static int64_t take_block(struct queue *q, int64_t now)
{
	int64_t last = (int64_t)q->last_id, shared, first;

	if (q->lock_fd < 0) { /* QUEUE_READ: nobody else hears of them */
		q->block_end = (queue_id)ID_LIMIT;
		return now > last ? now : last + 1;
	}
	lock_record(q->lock_fd, F_WRLCK);
	shared = load_last(q->lock_fd);
	last = shared > last ? shared : last;
	first = now > last ? now : last + 1;
	q->block_end = (queue_id)(first + ID_BLOCK);
	store_last(q->lock_fd, first + ID_BLOCK);
	lock_record(q->lock_fd, F_UNLCK);
	return first;
}

/* of_part - the next one of those that this part of the queue has to itself (queue_parts.c) */
static int64_t of_part(const struct queue *q, int64_t id)
{
	return id + ((id & 1) == (q->in_memory ? 1 : 0));
}

queue_id queue_id_new(struct queue *q)
{
	int64_t now = clock_id(), id = (int64_t)q->last_id + 1;

	id = of_part(q, now > id ? now : id);
	if (q->last_id == 0 || (queue_id)id > q->block_end) {
		id = of_part(q, take_block(q, now));
	}
	if (id >= ID_LIMIT) {
		id = 1; /* cannot come about: 2^40 ids beyond the last believed second */
	}
	if (id - now > ID_BEHIND) {
		q->clock_wrong = true;
	}
	q->last_id = (queue_id)id;
	return (queue_id)id;
}

void queue_id_load(struct queue *q)
{
	queue_id_above(q, q);
}

void queue_id_above(struct queue *q, struct queue *other)
{
	struct db_stmt *s = db_start(other->db, Q_LAST_ID, "");
	int64_t known = db_step(s) > 0 ? db_int(s, 0) : 0;

	db_reset(s);
	if (q->lock_fd < 0 || known <= 0 || known >= ID_LIMIT) {
		return;
	}
	lock_record(q->lock_fd, F_WRLCK);
	if (load_last(q->lock_fd) < known) {
		store_last(q->lock_fd, known);
	}
	lock_record(q->lock_fd, F_UNLCK);
}

bool queue_id_must_reserve(const struct queue *q)
{
	return q->clock_wrong && q->in_memory && q->other != NULL && q->last_id >= q->reserved;
}

int queue_id_save(struct queue *q)
{
	if (!q->clock_wrong) {
		return 0;
	}
	/* What memory knew is gone with the power: seldom, and for many ids at once. */
	if (queue_id_must_reserve(q)) {
		q->reserved = q->last_id + ID_RESERVED;
		if (db_run(q->other->db, Q_SET_LAST_ID, "u", q->reserved) != 0) {
			q->reserved = 0;
			return queue_set_error(q->other);
		}
	}
	return db_run(q->db, Q_SET_LAST_ID, "u", q->last_id) == 0 ? 0 : queue_set_error(q);
}

void queue_id_text(queue_id id, char out[QUEUE_ID_TEXT])
{
	snprintf(out, QUEUE_ID_TEXT, "%010llX", (unsigned long long)id);
}

int64_t queue_id_time(queue_id id)
{
	return ((int64_t)id + ID_EPOCH) / 1000000;
}

bool queue_id_parse(const char *text, queue_id *id_r)
{
	uint64_t v = 0;
	size_t len = 0;

	for (; text[len] != '\0'; len++) {
		char c = text[len];
		int digit = c >= '0' && c <= '9' ? c - '0'
			: c >= 'A' && c <= 'F'   ? c - 'A' + 10
			: c >= 'a' && c <= 'f'   ? c - 'a' + 10
						 : -1;

		if (digit < 0 || len >= QUEUE_ID_TEXT - 1) {
			return false;
		}
		v = v << 4 | (unsigned)digit;
		if (v >= (uint64_t)ID_LIMIT) {
			return false;
		}
	}
	if (len == 0 || v == 0) {
		return false;
	}
	*id_r = v;
	return true;
}
