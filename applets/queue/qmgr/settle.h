#ifndef APPLETS_QMGR_SETTLE_H
#define APPLETS_QMGR_SETTLE_H

#include <stdbool.h>

#include "applets/queue/qmgr/job.h"

struct qmgr;

/* An answer came for it: it is settled at the end of this turn. */
void settle_touch(struct qmgr *m, struct job *j);
void settle_init(struct qmgr *m); /* the queue is open */
void settle_soon(struct qmgr *m); /* a commit is due at the end of this turn or a little later */
void settle_now(struct qmgr *m);
bool settle_idle(struct qmgr *m); /* nothing waits for a commit */

#endif
