#ifndef QUEUE_QUEUE_HOLD_H
#define QUEUE_QUEUE_HOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "queue/queue.h"

/*
 * What a process has in hand, told to the others: by record locks on DIR/queue.lock, far behind
 * its end. The kernel gives them back when the holder dies, so nobody ever waits for the dead.
 *
 *	QUEUE_HOLD_MESSAGE	a queue manager that was told to end still waits for answers about
 *				this message; its successor leaves it alone meanwhile (n is 0)
 *	QUEUE_HOLD_DELIVERY	a delivery agent has this recipient under way; it is not begun
 *				anywhere else meanwhile
 *	QUEUE_HOLD_AGENT	a delivery agent may have recipients under way that it has not said
 *				with the kind above (n: of its name; id is 0)
 *
 * Holds of one process never stand in its own way; several may hold the same.
 */
enum queue_hold { QUEUE_HOLD_MESSAGE, QUEUE_HOLD_DELIVERY, QUEUE_HOLD_AGENT };

struct queue_holds;

/* As queue_open_below(). NULL with errno: the lock file cannot be opened. */
struct queue_holds *queue_holds_open(const char *queue_directory);
void queue_holds_close(struct queue_holds *h); /* gives back all; NULL is fine */
void queue_hold(const struct queue_holds *h, enum queue_hold kind, queue_id id, int64_t n);
void queue_unhold(const struct queue_holds *h, enum queue_hold kind, queue_id id, int64_t n);
/* By another process? Where the file system has no such locks: no. */
bool queue_is_held(const struct queue_holds *h, enum queue_hold kind, queue_id id, int64_t n);
bool queue_any_held(const struct queue_holds *h, enum queue_hold kind);

/*
 * There is one queue manager (queue_claim() in queue/queue.h): it gives the place up for its
 * successor before it has ended itself; has another process taken it?
 */
void queue_unclaim(struct queue *q);
bool queue_claimed_by_other(struct queue *q);

/*
 * postsuper -r has messages on hold for a moment, with this as their next_try. When no command is
 * at it any more (it was killed) the queue manager lets them go.
 */
enum { QUEUE_REQUEUE_HOLD = -1 };
void queue_begin_requeue(struct queue *q);     /* until queue_close() */
bool queue_requeue_under_way(struct queue *q); /* in another process */

#endif
