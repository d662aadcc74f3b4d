#ifndef APPLETS_QMGR_HISTORY_H
#define APPLETS_QMGR_HISTORY_H

#include "ipc/delivery.h"
#include "applets/queue/qmgr/job.h"

struct qmgr;

/* An answer that ends the way of a recipient: a row for postqueue --sql, if those are kept. */
void history_note(
	struct qmgr *m, const struct job *j, const struct rcpt *r, const struct delivery_answer *a);
/* The last rows, and the end. */
void history_free(struct qmgr *m);

#endif
