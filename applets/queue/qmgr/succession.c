/*
 * succession - how one queue manager follows another, while agents are still at work
 *
 *	the elder, told to end (reload)		its successor
 *	  stores what it knows			  waits for the claim
 *	  drops what no agent has
 *	  holds each message that one has
 *	  gives up the claim		----->	  begins: takes all mail but what is held
 *	  waits for answers, stores them,	  looks every LOOK_MS which holds are gone,
 *	  lets go of each message		  and takes those messages too
 *	  ends with the last one
 *
 * Neither waits for the other: new mail goes on within milliseconds, however long a delivery
 * command takes, and nothing is sent twice. The holds are the kernel's (queue/queue_hold.h): when
 * the elder is killed they are gone, and its messages are looked for in the mailbox as after any
 * crash. There may be several elders, one for each reload within a slow delivery.
 *
 * Here is the elder; its successor is in elders.c.
 */
#include "applets/queue/qmgr/succession.h"

#include "queue/queue_hold.h"
#include "applets/queue/qmgr/qmgr.h"
#include "applets/queue/qmgr/settle.h"
#include "applets/queue/qmgr/qmgr_sockets.h"

enum {
	LOOK_MS = 200,
	FIRST_LOOK_MS = 10,
	/* So long an elder without work still lists the queue, until its successor does. */
	SUCCESSOR_MS = 3000
};

/* let_go - jobs of which no agent has anything leave memory; the others are held */
static void let_go(struct qmgr *m, const struct succession *s)
{
	transports_drop_waiting(&m->transports, true);
	for (size_t i = 0; i < JOB_SLOTS; i++) {
		struct job *next;

		for (struct job *j = m->jobs[i]; j != NULL; j = next) {
			next = j->hash_next;
			if (!job_leave_unsent(m, j) && !j->held && s->holds != NULL) {
				queue_hold(s->holds, QUEUE_HOLD_MESSAGE, j->id, 0);
				j->held = true;
			}
		}
	}
}

/* on_wait - is the last answer stored, and the successor there? */
static void on_wait(struct timer *t)
{
	struct qmgr *m = t->owner;
	struct succession *s = &m->succession;
	bool followed = queue_claimed_by_other(m->queue) || loop_now(m->loop) >= s->until;

	if (followed) {
		showq_stop(m, false);
	}
	let_go(m, s);
	if (m->job_count == 0 && settle_idle(m) && followed) {
		service_done(&m->service);
		return;
	}
	s->look_ms = s->look_ms * 2 < LOOK_MS ? s->look_ms * 2 : LOOK_MS;
	loop_timer(m->loop, t, s->look_ms, on_wait, m);
}

void succession_hand_over(struct qmgr *m)
{
	struct succession *s = &m->succession;

	if (m->running) {
		loop_untimer(m->loop, &s->timer);
		settle_now(m);
		let_go(m, s);
		queue_unclaim(m->queue);
	}
	s->look_ms = FIRST_LOOK_MS;
	s->until = loop_now(m->loop) + SUCCESSOR_MS;
	loop_timer(m->loop, &s->timer, FIRST_LOOK_MS, on_wait, m);
}

void succession_stop(struct qmgr *m)
{
	loop_untimer(m->loop, &m->succession.timer);
}
