/*
 * qmgr_state - what all parts of the queue manager need: the time, and what a failing queue means
 */
#include <time.h>

#include "base/log.h"
#include "applets/queue/qmgr/qmgr.h"

int64_t qmgr_now(void)
{
	return (int64_t)time(NULL);
}

void qmgr_queue_trouble(struct qmgr *m, const char *what)
{
	if (queue_is_broken(m->queue)) {
		log_fatal("%s: %s", what, queue_error(m->queue));
	}
	log_warn("%s: %s", what, queue_error(m->queue));
}
