#ifndef QUEUE_QUEUE_CHANGE_H
#define QUEUE_QUEUE_CHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "queue/queue_message.h"

/* Changing: collected like writes, carried out by queue_commit(). */

void queue_recipient_done(struct queue *q, queue_id id, int64_t n);
void queue_recipient_deferred(
	struct queue *q, queue_id id, int64_t n, const char *dsn, const char *reason);
/* One more recipient of a message that is in the queue; r->n is the caller's to choose. */
void queue_recipient_append(struct queue *q, queue_id id, const struct queue_recipient *r);
/* Deferred until next_try; attempts is raised by one. reason "" clears it. */
void queue_defer(struct queue *q, queue_id id, int64_t next_try, const char *reason);
void queue_set_state(struct queue *q, queue_id id, enum queue_state state, int64_t next_try);
void queue_set_flags(struct queue *q, queue_id id, unsigned flags); /* added to those it has */
void queue_remove(struct queue *q, queue_id id);

#endif
