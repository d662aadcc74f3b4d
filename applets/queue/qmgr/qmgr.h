#ifndef APPLETS_QMGR_QMGR_H
#define APPLETS_QMGR_QMGR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/clock_steps.h"
#include "base/loop.h"
#include "queue/queue.h"
#include "queue/queue_change.h"
#include "queue/queue_read.h"
#include "queue/queue_write.h"
#include "applets/daemon/service.h"
#include "applets/queue/qmgr/job.h"
#include "applets/queue/qmgr/load.h"
#include "applets/queue/qmgr/mirror.h"
#include "applets/queue/qmgr/peer.h"
#include "applets/queue/qmgr/succession.h"
#include "applets/queue/qmgr/transport.h"

/*
 * The queue manager's parts and what they share. Each file calls those below it, never back:
 *
 *	qmgr.c		start and stop; control.c, showq_service.c: who asks from outside
 *	succession.c	a reload: what is under way stays with the elder until it is answered
 *	changed.c	what postsuper has changed in the queue under our hands
 *	settle.c	what a turn's answers mean for the queue; the commit
 *	mirror.c	marker files of what is deferred, for commands that count files
 *	load.c		which message next: incoming, due, flushed
 *	job_load.c	a message becomes active; elders.c: unless another queue manager has it
 *	dispatch.c	recipients are routed, results come back
 *	transport.c	which request goes to the agent next, fair between destinations
 *	agent.c		the wire to one delivery process
 *	dest.c		one destination: its queue, its window, its death
 *	verify/		address probes: who asks, what is known, what comes back
 *	job_answer.c	what an answer means for a recipient
 *	settle_touch.c	what had an answer is settled at the end of the turn
 *	history.c	what was delivered in the last day
 *	notice.c	bounces, delay warnings, success reports
 *	post.c		such a message on its way into the queue
 *	job.c		active messages and their recipients in memory; request.c: some of those
 *
 *	queue.db -> job -> recipients -> route -> request -> agent
 *	   ^		      ^				       |
 *	   +--- settle -------+--------- answers --------------+
 */

/* jobs are found by the upper bits of a product */
enum { JOB_BITS = 12, JOB_SLOTS = 1 << JOB_BITS };

struct qmgr {
	struct service service;
	struct loop *loop;
	struct queue *queue;
	int64_t started; /* seconds since 1970 */
	struct clock_steps clock;
	queue_id start_id; /* ids below may have been under way before */

	struct job *jobs[JOB_SLOTS];
	size_t job_count, rcpt_count;
	size_t post_count; /* notices and copies on their way */
	struct job *touched, **touched_tail;
	struct job *unsettled, **unsettled_tail;
	struct loop_hook turn_end;
	void (*at_turn_end)(struct loop_hook *h); /* settle.c */
	struct timer commit_timer;
	int64_t last_commit; /* loop milliseconds */
	int batch;           /* jobs that one commit settles at most */
	bool commit_failed;  /* nothing new is begun until one succeeds */

	struct arena scratch;          /* of one call in job_load.c, which resets it */
	struct arena routing;          /* ... and in dispatch.c */
	struct routing *spare;         /* for the next job, which hardly ever needs it */
	struct queue_recipient *found; /* room for a part of a message's recipients */

	struct transports transports;
	struct load load;
	struct succession succession;
	struct mirror mirror;
	struct peers control, showq;
	struct verify *verify;         /* verify/; NULL: nobody has asked yet */
	size_t probe_count;            /* jobs that are probes */
	struct queue_history *history; /* or NULL: none yet */
	struct timer history_timer;

	bool running; /* this process is the queue manager (queue_claim) */
	bool stopping;
	bool soon;       /* not for a successor, but for good */
	int64_t stop_by; /* loop milliseconds */
	struct timer stop_timer, claim_timer;
};

/* Seconds since 1970. */
int64_t qmgr_now(void);
/* log_fatal() when the queue cannot be used any more, a warning otherwise. */
void qmgr_queue_trouble(struct qmgr *m, const char *what);

#endif
