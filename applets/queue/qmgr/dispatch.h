#ifndef APPLETS_QMGR_DISPATCH_H
#define APPLETS_QMGR_DISPATCH_H

#include "applets/queue/qmgr/job.h"

struct qmgr;

void dispatch_init(struct qmgr *m);
/*
 * Route the recipients in state RCPT_NEW and hand them to their transports. Those whose tables have
 * yet to answer stay NEW and follow by themselves.
 */
void dispatch_submit(struct qmgr *m, struct job *j);

#endif
