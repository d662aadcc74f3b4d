#ifndef APPLETS_QMGR_JOB_ANSWER_H
#define APPLETS_QMGR_JOB_ANSWER_H

#include "applets/queue/qmgr/job.h"

/* An answer, from an agent or by us. The texts of a are copied. */
void job_answer(struct qmgr *m, struct job *j, struct rcpt *r, const struct delivery_answer *a);
/* The same, and the log line that agents write themselves. relay "none". */
void job_fail(struct qmgr *m, struct job *j, struct rcpt *r, enum delivery_status status,
	const char *dsn, const char *text);

#endif
