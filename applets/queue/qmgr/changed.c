/*
 * changed - messages that a command has changed in the queue under our hands (postsuper)
 *
 * What waits here for its turn is let go: the queue says what is to become of it. What an agent
 * has stays until it is answered (job.let_go), and then goes back to the queue too; of a message
 * that is not in the queue any more nothing is written down or reported (job.deleted).
 */
#include "applets/queue/qmgr/changed.h"

#include "queue/queue_read.h"
#include "applets/queue/qmgr/load.h"
#include "applets/queue/qmgr/mirror.h"
#include "applets/queue/qmgr/qmgr.h"

/* is_deleted - is it gone from the queue? What cannot be read is not */
static bool is_deleted(struct qmgr *m, queue_id id)
{
	struct arena a = ARENA_INIT;
	struct queue_envelope env;
	int rc = queue_get(m->queue, id, &a, &env);

	arena_free(&a);
	return rc == 0;
}

/* mark - those that are in memory are to be let go; false: there are none */
static bool mark(struct qmgr *m, const queue_id *ids, size_t count)
{
	bool any = false;

	for (size_t i = 0; i < count; i++) {
		struct job *j = job_find(m, ids[i]);

		if (j != NULL) {
			j->let_go = true;
			any = true;
		}
	}
	return any;
}

size_t changed_take(struct qmgr *m, const queue_id *ids, size_t count)
{
	size_t busy = 0;

	if (mark(m, ids, count)) {
		transports_drop_waiting(&m->transports, false);
	}
	for (size_t i = 0; i < count; i++) {
		struct job *j = job_find(m, ids[i]);

		mirror_look(m, ids[i]);
		if (j != NULL) {
			job_end_routing(j);
		}
		if (j != NULL && !job_leave_unsent(m, j)) {
			j->deleted = is_deleted(m, ids[i]);
			busy++;
		} else {
			busy += succession_is_elders(m, ids[i]);
			load_released(m, ids[i]);
		}
	}
	transports_send(&m->transports);
	return busy;
}
