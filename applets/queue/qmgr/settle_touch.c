/*
 * settle_touch - messages that had an answer this turn are remembered until its end
 */
#include "applets/queue/qmgr/qmgr.h"
#include "applets/queue/qmgr/settle.h"

void settle_soon(struct qmgr *m)
{
	loop_at_end(m->loop, &m->turn_end, m->at_turn_end, m);
}

void settle_touch(struct qmgr *m, struct job *j)
{
	if (j->touched) {
		return;
	}
	j->touched = true;
	j->touched_next = NULL;
	*m->touched_tail = j;
	m->touched_tail = &j->touched_next;
	settle_soon(m);
}

bool settle_idle(struct qmgr *m)
{
	return m->touched == NULL && m->unsettled == NULL && !queue_pending(m->queue);
}
