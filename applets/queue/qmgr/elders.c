/*
 * elders - queue managers before this one whose agents are still at work (succession.c)
 */
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "queue/queue_hold.h"
#include "applets/queue/qmgr/qmgr.h"
#include "applets/queue/qmgr/succession.h"

enum { LOOK_MS = 200 };

/* look_through - messages whose holds are gone are ours now */
static void look_through(struct qmgr *m, struct succession *s)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->held.count; i++) {
		queue_id id = s->held.ids[i];

		if (queue_is_held(s->holds, QUEUE_HOLD_MESSAGE, id, 0)) {
			s->held.ids[kept++] = id;
		} else {
			s->released(m, id);
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

void succession_begin(struct qmgr *m, void (*released)(struct qmgr *m, queue_id id))
{
	struct succession *s = &m->succession;

	s->released = released;
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

void succession_free(struct qmgr *m)
{
	mem_free(m->succession.held.ids);
	queue_holds_close(m->succession.holds);
}
