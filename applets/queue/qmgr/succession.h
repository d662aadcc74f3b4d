#ifndef APPLETS_QMGR_SUCCESSION_H
#define APPLETS_QMGR_SUCCESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "queue/queue.h"

struct qmgr;
struct queue_holds;

/* Other queue managers (elders.c, succession.c). */
struct succession {
	struct queue_holds *holds;
	void (*released)(struct qmgr *m, queue_id id);
	bool elders; /* some are alive and hold messages */
	struct {     /* messages that were met and are an elder's */
		queue_id *ids;
		size_t count, room;
	} held;
	struct timer timer;
	int64_t until; /* loop milliseconds: so long we list the queue */
	int look_ms;
};

/*
 * This process is the queue manager: are there elders? released() is told of messages that were
 * awaited.
 */
void succession_begin(struct qmgr *m, void (*released)(struct qmgr *m, queue_id id));
void succession_free(struct qmgr *m);
/* Another one still has this message in hand. */
bool succession_is_elders(struct qmgr *m, queue_id id);
void succession_await(struct qmgr *m, queue_id id); /* tell of it when that one lets go of it */
/* A reload: leave all to the successor but what agents have; service_done() when they answered. */
void succession_hand_over(struct qmgr *m);
void succession_stop(struct qmgr *m); /* no longer: SIGTERM */

#endif
