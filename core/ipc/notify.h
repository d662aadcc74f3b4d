#ifndef IPC_NOTIFY_H
#define IPC_NOTIFY_H

#include <stddef.h>

#include "base/loop.h"
#include "queue/queue.h"
#include "queue/queue_change.h"
#include "queue/queue_write.h"

/*
 * Words to qmgr over DIR/public/qmgr. The queue itself is the truth: a notice
 * that is lost costs time (qmgr looks through the queue when it starts and
 * every queue_run_delay), never mail.
 */
enum qmgr_message {
	QMGR_NEW =
		1, /* count, ids: these were committed. Only from our own processes. No answer. */
	QMGR_SCAN = 2,       /* some notice was lost: look through the queue. No answer. */
	QMGR_FLUSH = 3,      /* every deferred message now */
	QMGR_FLUSH_ID = 4,   /* text: this one */
	QMGR_FLUSH_SITE = 5, /* text: those with a recipient in this domain */
	/*
	 * count, ids: a command has changed or removed these in the queue. What no agent has is let
	 * go, and picked up anew if it is to be. Only from our own. Answer: how many agents have.
	 */
	QMGR_CHANGED = 6,
	QMGR_VERIFY = 7 /* is this an address? ipc/verify.h. Only from our own */
};
/* Answer to a flush: one number. */
enum qmgr_answer { QMGR_OK, QMGR_BAD /* no such id, bad domain */, QMGR_DENIED };

/* For a writer: one kept connection, made when there is something to say. dir is queue_directory.
 */
struct queue_notify *queue_notify_new(struct loop *loop, const char *dir);
/* After queue_commit(): tell qmgr of queue_committed(). Never blocks. */
void queue_notify_committed(struct queue_notify *n, const struct queue *q);

/*
 * One request and its answer, for commands; waits up to seconds. text may be NULL.
 * An enum qmgr_answer, or -1 with errno (ENOENT, ECONNREFUSED: nobody is there; EACCES; ETIMEDOUT).
 */
int queue_ask_qmgr(const char *dir, enum qmgr_message kind, const char *text, int seconds);
/* QMGR_CHANGED: its answer; -1: nobody is there, who would have to know. */
int queue_tell_changed(const char *dir, const queue_id *ids, size_t count);

#endif
