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
static void take_over(struct qmgr *m, queue_id id)
{
	struct arena a = ARENA_INIT;
	struct queue_envelope env;
	int found = queue_get(m->queue, id, &a, &env);

	if (found > 0 && env.state == QUEUE_DEFERRED && env.next_try > qmgr_now()) {
		load_due_at(m, env.next_try);
	} else if (found != 0) {
		load_new(m, &id, 1);
	}
	arena_free(&a);
}

/* look_through - messages whose holds are gone are ours now */
static void look_through(struct qmgr *m, struct succession *s)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->held.count; i++) {
		queue_id id = s->held.ids[i];

		if (queue_is_held(s->holds, QUEUE_HOLD_MESSAGE, id, 0)) {
			s->held.ids[kept++] = id;
		} else {
			take_over(m, id);
		}
	}
	s->held.count = kept;
}

static void on_look(struct timer *t)
{
	struct qmgr *m = t->owner;
	struct succession *s = &m->succession;

	s->elders = queue_any_held(s->holds, QUEUE_HOLD_MESSAGE);
	look_through(m, s);
	if (s->elders || s->held.count > 0) {
		loop_timer(m->loop, t, LOOK_MS, on_look, m);
		return;
	}
	mem_free(s->held.ids);
	s->held.ids = NULL;
	s->held.room = 0;
}

void succession_begin(struct qmgr *m)
{
	struct succession *s = &m->succession;

	s->holds = queue_holds_open(param.queue_directory);
	if (s->holds == NULL) {
		log_warn("queue.lock: %m: deliveries under way at a reload are not known");
		return;
	}
	s->elders = queue_any_held(s->holds, QUEUE_HOLD_MESSAGE);
	if (s->elders) {
		loop_timer(m->loop, &s->timer, LOOK_MS, on_look, m);
	}
}

bool succession_is_elders(struct qmgr *m, queue_id id)
{
	const struct succession *s = &m->succession;

	return s->elders && queue_is_held(s->holds, QUEUE_HOLD_MESSAGE, id, 0);
}

void succession_await(struct qmgr *m, queue_id id)
{
	struct succession *s = &m->succession;

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
static void let_go(struct qmgr *m, const struct succession *s)
{
	transport_drop_waiting(m);
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

void succession_free(struct qmgr *m, struct job *j)
{
	if (j->held) {
		queue_unhold(m->succession.holds, QUEUE_HOLD_MESSAGE, j->id, 0);
	}
	j->held = false;
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

void succession_end(struct qmgr *m)
{
	mem_free(m->succession.held.ids);
	queue_holds_close(m->succession.holds);
}
