#ifndef APPLETS_QMGR_CHANGED_H
#define APPLETS_QMGR_CHANGED_H

#include <stddef.h>

#include "queue/queue.h"

struct qmgr;

/* A command has changed these in the queue (QMGR_CHANGED): how many of them agents have. */
size_t changed_take(struct qmgr *m, const queue_id *ids, size_t count);

#endif
