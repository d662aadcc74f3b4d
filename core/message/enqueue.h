#ifndef MESSAGE_ENQUEUE_H
#define MESSAGE_ENQUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/loop.h"
#include "queue/queue.h"
#include "queue/queue_change.h"
#include "queue/queue_write.h"
#include "ipc/pickup_request.h"

/*
 * A local submission on its way into queue.db: pickup's and direct
 * sendmail's common part. Fed with the messages of ipc/pickup_request.h; its content goes through
 * the stages of message/pipeline.h. Durable with the next queue_commit().
 */
struct enqueue;

/*
 * uid is the submitter. source: name kept with the message (queue_set_source()), or NULL. loop is
 * for the stages; resumed(arg) is called from it when enqueue_waits() is over.
 */
struct enqueue *enqueue_new(struct queue *q, uid_t uid, const char *source, struct loop *loop,
	void (*resumed)(void *arg), void *arg);
/*
 * The next message. 0; 1: a table has yet to answer (map/map_wait.h), the same message once more
 * then; -1: malformed or out of order. Errors that do not
 * concern the form (too big, ...) show in enqueue_result() at the end.
 */
int enqueue_take(struct enqueue *e, const struct pickup_message *m);
/*
 * What was taken waits in a stage: give no more, and ask nothing, until resumed(). Never
 * true of what is refused already.
 */
bool enqueue_waits(const struct enqueue *e);
/*
 * END was taken: is there anything against it? PICKUP_OK: call enqueue_commit(). *text_r is
 * set otherwise, valid as long as e.
 */
enum pickup_status enqueue_result(struct enqueue *e, const char **text_r);
/*
 * Hand the message to the next queue_commit(); done() hears of it and e is gone after it.
 * Logs "ID: uid=0 from=<root>" and "ID: message-id=<>".
 */
void enqueue_commit(struct enqueue *e, void (*done)(void *arg, bool ok, const char *id), void *arg);
const char *enqueue_id(const struct enqueue *e);
/* Give up; not after enqueue_commit(). */
void enqueue_free(struct enqueue *e);

#endif
