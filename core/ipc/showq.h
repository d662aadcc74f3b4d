#ifndef IPC_SHOWQ_H
#define IPC_SHOWQ_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/wire.h"
#include "queue/queue.h"

/*
 * The list of the queue as qmgr gives it to postqueue over public/showq: wire
 * messages, the last one LIST_END. A message is followed by its recipients.
 */
enum list_kind {
	LIST_END = 0,
	LIST_MESSAGE = 1,   /* struct list_message */
	LIST_RECIPIENT = 2, /* address, reason */
	LIST_DENIED = 3     /* the peer is no authorized_mailq_users */
};

enum list_queue {
	LIST_ACTIVE,
	LIST_INCOMING,
	LIST_DEFERRED,
	LIST_HOLD,
	LIST_MAILDROP,
	LIST_CORRUPT
};
const char *list_queue_name(enum list_queue q); /* "active", as in Postfix's directories */

struct list_message {
	enum list_queue queue;
	const char *id;  /* as text; a maildrop file has its name */
	int64_t arrival; /* seconds since 1970 */
	int64_t size;
	bool forced_expire;
	const char *sender;
	const char *reason; /* of the message as a whole, or "" */
};

void list_put_end(struct buf *b, enum list_kind kind);

/* Where a walk through the queue stands; zeroed: at its beginning. */
struct list_walk {
	bool dropped; /* the maildrop was put */
	queue_id id;
	int64_t n;
	queue_id shown;                            /* whose LIST_MESSAGE was put */
	bool (*is_active)(void *arg, queue_id id); /* NULL: none is */
	void *arg;
	struct buf *out; /* while walking */
};

/*
 * Put the maildrop, then up to max recipients and the messages they belong to; q NULL: no queue.
 * 1 there may be more, 0 the end, -1 queue_error().
 */
int list_walk(struct list_walk *w, struct queue *q, struct buf *out, int max);

#endif
