#ifndef QUEUE_QUEUE_INTERNAL_H
#define QUEUE_QUEUE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"
#include "db/db.h"
#include "queue/queue_message.h"
#include "queue/queue_sql.h"

/* What the files queue*.c share; nobody else includes this. */

/* Key of chunk n of a message; n in 0 .. QUEUE_CHUNKS_MAX - 1. */
enum { QUEUE_CHUNK_BITS = 13, QUEUE_CHUNKS_MAX = 1 << QUEUE_CHUNK_BITS };

/* Buffers kept, and the largest that is: 256 KB at most. */
enum { QUEUE_POOL = 32, QUEUE_POOLED_MAX = 8192 + 64 };

static inline int64_t queue_chunk_key(queue_id id, int64_t n)
{
	return (int64_t)(id << QUEUE_CHUNK_BITS) | n;
}

/* A full chunk that waits for a transaction. */
struct queue_chunk {
	struct queue_chunk *next;
	struct queue_message *message;
	int64_t key;
	struct buf data;
};

struct queue_message {
	struct queue *q;
	struct queue *part;         /* of q: where it goes */
	struct queue_message *next; /* among the ended */
	struct arena arena;
	struct queue_envelope env;          /* texts in arena */
	struct queue_recipient *recipients; /* array, texts in arena */
	size_t recipient_count, recipient_cap;
	struct buf data;    /* the chunk being filled */
	const char *source; /* in arena, or NULL */
	int64_t size;
	int64_t chunks; /* full ones, handed to q->chunks or stored */
	bool stored;    /* some chunk is in the database already */
	bool failed;    /* a chunk could not be stored */
	bool safe;      /* its part is committed, the other is not yet */
	void (*done)(void *arg, bool ok);
	void *arg;
};

struct queue {
	struct db *db;
	char *dir, *path;
	enum queue_open_mode mode;
	int lock_fd; /* DIR/queue.lock: writers' turns (flock), the last id (bytes 0-7), qmgr's
			claim (byte 8) */
	bool locked;
	bool keep_turn; /* queue_unlock() does nothing: more is to come */
	char *kept_log; /* a damaged log that is to be looked through, or NULL */
	dev_t dev;      /* of the database we have open */
	ino_t ino;
	struct buf error;
	bool full, broken, keep_failed;
	bool damaged; /* known to be: errors are expected and not marked */

	/* Two parts (queue_parts.c): the one where new mail goes is the queue for its user. */
	struct queue *other; /* the second part, ours, or NULL */
	struct queue *front; /* of the second: the first */
	bool in_memory;      /* this part is on a file system in memory */
	bool spills;         /* what waits in memory is to go to the disk */
	bool spill_due;      /* something in memory may have begun to wait */
	bool spill_failed;   /* and that was said */
	bool above_limit;    /* the part in memory has as much as it may */
	unsigned begun;      /* messages, since it was looked at */
	queue_id reserved;   /* ids below are known on the disk to be taken */

	struct queue_message *ended, **ended_tail;
	struct queue_chunk *chunks, **chunks_tail;
	size_t chunk_bytes;
	struct queue_change *changes, **changes_tail;
	struct arena change_arena;
	queue_id *committed;
	size_t committed_count, committed_cap;

	queue_id last_id;            /* given by this process */
	queue_id block_end;          /* up to here ids are its own */
	struct buf pool[QUEUE_POOL]; /* memory of small messages, kept for the next ones */
	int pooled;
	bool clock_wrong; /* an id had to be above what the clock says: keep it in the database */

	struct db_written counted; /* of what this handle has written */
	int64_t mails;             /* committed by it, and not counted yet */
	bool reading;              /* between queue_read_begin() and queue_read_end() */
	queue_id cached_id;        /* whose chunk cached_n is in cache */
	int64_t cached_n;
	struct buf cache;
};

#endif
