#ifndef APPLETS_QMGR_NOTICE_H
#define APPLETS_QMGR_NOTICE_H

#include <stdbool.h>
#include <stddef.h>

#include "applets/queue/qmgr/job.h"

struct post;
struct qmgr;

/*
 * Write what has to be said about the job's recipients in RCPT_BOUNCED (in RCPT_DEFERRED for a
 * delay; in RCPT_DONE for a success). 0: notice_end() goes with what settles them; 1: a stage
 * waits, the job is touched when it goes on, and this is called once more then; -1: it could not
 * be written, the recipients have to stay. A success is reported or not, once: its recipients need
 * no more. A trace is all of it, whatever became of it.
 */
int notice_failure(struct qmgr *m, struct job *j);
int notice_delay(struct qmgr *m, struct job *j);
int notice_success(struct qmgr *m, struct job *j);
int notice_trace(struct qmgr *m, struct job *j);
/* The job's changes are written down: what is whole and about them is in the same commit. */
void notice_end(struct job *j);
/* The message again, from another sender to others (owner-alias). NULL: it cannot be read. */
struct post *notice_forward(struct qmgr *m, struct job *j, const char *sender, const char **to,
	size_t count, void (*ready)(struct post *p));
/* Is its sender to be told that it was delivered: asked for, or after a warning of its delay? */
bool notice_wants_success(const struct job *j, const struct rcpt *r);

#endif
