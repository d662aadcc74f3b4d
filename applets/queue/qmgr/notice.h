#ifndef APPLETS_QMGR_NOTICE_H
#define APPLETS_QMGR_NOTICE_H

#include <stdbool.h>
#include <stddef.h>

#include "applets/queue/qmgr/job.h"

struct qmgr;

/*
 * Queue what has to be said about the job's recipients in RCPT_BOUNCED (in
 * RCPT_DEFERRED for a delay). 0, or -1: it could not be queued, the recipients have to stay.
 */
int notice_failure(struct qmgr *m, struct job *j);
int notice_delay(struct qmgr *m, struct job *j);
int notice_success(struct qmgr *m, struct job *j);
/* The message again, from another sender to others (owner-alias). 0 or -1. */
int notice_forward(
	struct qmgr *m, struct job *j, const char *sender, const char **to, size_t count);
bool notice_wants(const struct rcpt *r, unsigned what); /* DSN_FAILURE ... */

#endif
