#ifndef QUEUE_QUEUE_READ_H
#define QUEUE_QUEUE_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "queue/queue_message.h"

/* Reading. */

/* 1 found, 0 no such message, -1. Texts are owned by a. */
int queue_get(struct queue *q, queue_id id, struct arena *a, struct queue_envelope *env);
/*
 * Many reads from here to queue_read_end() see one state of the queue and share
 * its locks. Short: a log that somebody reads cannot be begun anew. 0, or -1.
 */
int queue_read_begin(struct queue *q);
void queue_read_end(struct queue *q);
/* Walk messages after id (0: the first) in id order; as queue_get. */
int queue_next(struct queue *q, queue_id after, struct arena *a, struct queue_envelope *env);

/* A message as the walks below give it. */
struct queue_entry {
	queue_id id;
	int64_t next_try;
	enum queue_state state;
	unsigned flags; /* of queue_scan() alone */
};
/* The next messages after id in id order, in any state: count up to max, or -1. */
int queue_scan(struct queue *q, queue_id after, struct queue_entry *out, int max);
/*
 * The next messages after id, in id order, with a recipient in this domain that was deferred
 * before: count up to max, or -1. Only their ids are filled in.
 */
int queue_site(
	struct queue *q, const char *domain, queue_id after, struct queue_entry *out, int max);
/*
 * Deferred messages due at now in the order of (next_try, id), those after
 * *after (zeroed: from the first): count up to max, or -1.
 */
int queue_due(struct queue *q, int64_t now, const struct queue_entry *after,
	struct queue_entry *out, int max);
/* Seconds since 1970 of the earliest next_try of a deferred message after *after; 0 none; -1 error.
 */
int64_t queue_next_due(struct queue *q, const struct queue_entry *after);
/* Number of recipients that are not done, or -1; *last_r (may be NULL) the highest number given. */
int64_t queue_count_recipients(struct queue *q, queue_id id, int64_t *last_r);
/*
 * For lists: (message, recipient not done) pairs after (after, after_n), n -1: all of the
 * message's, in that order. fn gets id, state, next_try, flags, arrival, size, sender and reason of
 * env; texts are good during the call. Count up to max, or -1.
 */
int queue_list(struct queue *q, queue_id after, int64_t after_n, int max,
	void (*fn)(void *arg, const struct queue_envelope *env, const struct queue_recipient *r),
	void *arg);
/* Recipients from number n on, not done ones only when undone; count up to max, or -1. */
int queue_recipients(struct queue *q, queue_id id, int64_t from, bool undone, struct arena *a,
	struct queue_recipient *out, int max);
/* Content from offset on: bytes copied (0 at the end), or -1. Offsets within one chunk's row cost
 * one look-up. */
int64_t queue_read(struct queue *q, queue_id id, int64_t offset, void *data, size_t len);

#endif
