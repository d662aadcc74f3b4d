#ifndef APPLETS_QUEUE_REQUEUE_H
#define APPLETS_QUEUE_REQUEUE_H

#include <stdbool.h>

#include "queue/queue.h"

/* postsuper -r: a message put in anew under another id. Needs route_init(). */

/* It is on hold: true when the queue manager has no more of it, false after a while. */
bool requeue_wait(queue_id id);
/*
 * A copy with the recipients that are not done, rewritten and expanded as of now, and the original
 * removed, both with the next queue_commit(). The new id; 0: it is gone, or a table does not
 * answer.
 */
queue_id requeue_begin(struct queue *q, queue_id id);

#endif
