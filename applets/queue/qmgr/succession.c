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
 */
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "queue/queue_hold.h"
#include "applets/queue/qmgr/qmgr.h"

enum {
	LOOK_MS = 200,
	FIRST_LOOK_MS = 10,
	/* So long an elder without work still lists the queue, until its successor does. */
	SUCCESSOR_MS = 3000
};

/* ---- The successor ---- */

static void on_look(struct timer *t);

/* take_over - an elder let go of this message: it is gone, due later, or ours to try */
static void take_over(queue_id id)
{
	struct arena a = ARENA_INIT;
	struct queue_envelope env;
	int found = queue_get(qmgr->queue, id, &a, &env);

	if (found > 0 && env.state == QUEUE_DEFERRED && env.next_try > qmgr_now()) {
		load_due_at(env.next_try);
	} else if (found != 0) {
		load_new(&id, 1);
	}
	arena_free(&a);
}

/* look_through - messages whose holds are gone are ours now */
static void look_through(struct succession *s)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->held.count; i++) {
		queue_id id = s->held.ids[i];

		if (queue_is_held(s->holds, QUEUE_HOLD_MESSAGE, id, 0)) {
			s->held.ids[kept++] = id;
		} else {
			take_over(id);
		}
	}
	s->held.count = kept;
}

static void on_look(struct timer *t)
{
	struct succession *s = &qmgr->succession;

	s->elders = queue_any_held(s->holds, QUEUE_HOLD_MESSAGE);
	look_through(s);
	if (s->elders || s->held.count > 0) {
		loop_timer(qmgr->loop, t, LOOK_MS, on_look, NULL);
		return;
	}
	mem_free(s->held.ids);
	s->held.ids = NULL;
	s->held.room = 0;
}

void succession_begin(void)
{
	struct succession *s = &qmgr->succession;

	s->holds = queue_holds_open(param.queue_directory);
	if (s->holds == NULL) {
		log_warn("queue.lock: %m: deliveries under way at a reload are not known");
		return;
	}
	s->elders = queue_any_held(s->holds, QUEUE_HOLD_MESSAGE);
	if (s->elders) {
		loop_timer(qmgr->loop, &s->timer, LOOK_MS, on_look, NULL);
	}
}

bool succession_is_elders(queue_id id)
{
	const struct succession *s = &qmgr->succession;

	return s->elders && queue_is_held(s->holds, QUEUE_HOLD_MESSAGE, id, 0);
}

void succession_await(queue_id id)
{
	struct succession *s = &qmgr->succession;

	for (size_t i = 0; i < s->held.count; i++) {
		if (s->held.ids[i] == id) {
			return;
		}
	}
	if (s->held.count == s->held.room) {
		s->held.room = s->held.room > 0 ? s->held.room * 2 : 16;
		s->held.ids = mem_realloc(s->held.ids, s->held.room * sizeof(*s->held.ids));
	}
	s->held.ids[s->held.count++] = id;
}

/* ---- The elder ---- */

/* let_go - jobs of which no agent has anything leave memory; the others are held */
static void let_go(const struct succession *s)
{
	transport_drop_waiting();
	for (size_t i = 0; i < JOB_SLOTS; i++) {
		struct job *next;

		for (struct job *j = qmgr->jobs[i]; j != NULL; j = next) {
			next = j->hash_next;
			if (!job_leave_unsent(j) && !j->held && s->holds != NULL) {
				queue_hold(s->holds, QUEUE_HOLD_MESSAGE, j->id, 0);
				j->held = true;
			}
		}
	}
}

void succession_free(struct job *j)
{
	if (j->held) {
		queue_unhold(qmgr->succession.holds, QUEUE_HOLD_MESSAGE, j->id, 0);
	}
	j->held = false;
}

/* on_wait - is the last answer stored, and the successor there? */
static void on_wait(struct timer *t)
{
	struct succession *s = &qmgr->succession;
	bool followed = queue_claimed_by_other(qmgr->queue) || loop_now(qmgr->loop) >= s->until;

	if (followed) {
		showq_stop(false);
	}
	let_go(s);
	if (qmgr->job_count == 0 && settle_idle() && followed) {
		service_done(&qmgr->service);
		return;
	}
	s->look_ms = s->look_ms * 2 < LOOK_MS ? s->look_ms * 2 : LOOK_MS;
	loop_timer(qmgr->loop, t, s->look_ms, on_wait, NULL);
}

void succession_hand_over(void)
{
	struct succession *s = &qmgr->succession;

	if (qmgr->running) {
		loop_untimer(qmgr->loop, &s->timer);
		settle_now();
		let_go(s);
		queue_unclaim(qmgr->queue);
	}
	s->look_ms = FIRST_LOOK_MS;
	s->until = loop_now(qmgr->loop) + SUCCESSOR_MS;
	loop_timer(qmgr->loop, &s->timer, FIRST_LOOK_MS, on_wait, NULL);
}

void succession_stop(void)
{
	loop_untimer(qmgr->loop, &qmgr->succession.timer);
}
