/*
 * qmgr_util - messages with recipients as the queue manager has them in memory, without a queue
 */
#ifndef TESTS_UNIT_QMGR_UTIL_H
#define TESTS_UNIT_QMGR_UTIL_H

#include <stddef.h>

#include "applets/queue/qmgr/request.h"

enum { RCPTS_MAX = 8 };

/* A job whose recipients are u0@NAME.example, u1@NAME.example ..., numbered from 0. */
struct job *qmgr_job(queue_id id, const char *name, size_t count);
void qmgr_job_free(struct job *j);
/* A request for all of them, which wait for its answer. */
struct request *qmgr_request(struct job *j, struct dest *d);

#endif
