#ifndef APPLETS_QMGR_VERIFY_H
#define APPLETS_QMGR_VERIFY_H

#include <stdbool.h>

#include "base/wire.h"

struct qmgr;
struct job;
struct peer;

/*
 * Address verification, as verify(8): probes are messages with QUEUE_F_PROBE, which go as far as
 * RCPT and are not kept when they fail; what they find out is in verify_cache.h.
 */
/* A QMGR_VERIFY of ipc/verify.h: it is answered now or later. False: malformed. */
bool verify_take(struct qmgr *m, struct peer *p, struct wire *w);
void verify_forget(struct peer *p); /* it waits for no answer any more */
/* All recipients of a probe have their answer. */
void verify_result(struct qmgr *m, const struct job *j);
void verify_free(struct qmgr *m); /* all of it, at the end */

#endif
