#ifndef QUEUE_QUEUE_HISTORY_H
#define QUEUE_QUEUE_HISTORY_H

#include "base/buf.h"
#include "queue/queue.h"

/*
 * What became of the mail of the last day, for postqueue --sql: deliveries.db beside the queue's
 * part for new mail. For people only: no promise hangs on it, it is not synced, and what a power
 * cut or a kill takes is gone. Rows are gathered and stored together.
 */
struct queue_history;

struct queue_delivery {
	queue_id id;
	int64_t when; /* seconds since 1970 */
	const char *sender, *recipient;
	const char *status; /* "delivered", "relayed", "bounced" */
	const char *dsn, *reason;
};

/* The path of the file. */
void queue_history_path(const char *queue_directory, struct buf *out);
/* Of a day, and of so many rows at most. Nothing is opened yet. */
struct queue_history *queue_history_new(const char *queue_directory, int64_t rows);
/* Texts are copied, and cut. */
void queue_history_add(struct queue_history *h, const struct queue_delivery *d);
/* To the file, where nobody reads it just now; what does not get there waits, up to a bound. */
void queue_history_store(struct queue_history *h);
void queue_history_free(struct queue_history *h); /* stores; NULL is fine */

#endif
