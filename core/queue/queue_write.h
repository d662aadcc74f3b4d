#ifndef QUEUE_QUEUE_WRITE_H
#define QUEUE_QUEUE_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "queue/queue_message.h"

/* Writing: many messages at once, group commit. */

/* A new message; envelope's texts are copied; id and arrival are made when 0. */
struct queue_message *queue_begin(struct queue *q, const struct queue_envelope *env);
/* The same for one that takes the place of a message in the queue (a notice, a forwarded copy): it
 * goes where that is, so that one commit has both or neither. */
struct queue_message *queue_begin_beside(
	struct queue *q, const struct queue_envelope *env, queue_id cause);
queue_id queue_message_id(const struct queue_message *m);
/* Change the envelope until queue_end() (size is counted, id stays). */
void queue_set_envelope(struct queue_message *m, const struct queue_envelope *env);
void queue_add_recipient(struct queue_message *m, const struct queue_recipient *r);
size_t queue_recipient_count(const struct queue_message *m);
/*
 * Content, LF line ends. At most QUEUE_CHUNK bytes are held in memory; full
 * chunks leave with the next commit, or at once when many wait. 0, or -1.
 */
int queue_write(struct queue_message *m, const void *data, size_t len);
int64_t queue_written(const struct queue_message *m);
/*
 * The message is whole. It becomes durable with the next queue_commit(), which
 * then calls done(arg, ok) and forgets m. Not to be aborted after this.
 */
void queue_end(struct queue_message *m, void (*done)(void *arg, bool ok), void *arg);
/*
 * A name that is kept with the message in the same commit and stays when the
 * message goes: whoever took it from somewhere can find out after a crash that
 * he did (maildrop files). At most one a message.
 */
void queue_set_source(struct queue_message *m, const char *name);
int queue_has_source(struct queue *q, const char *name);   /* 1, 0, -1 */
void queue_drop_source(struct queue *q, const char *name); /* with the next commit */
/* Forget a message that was not ended; chunks already written are removed. */
void queue_abort(struct queue_message *m);
/* Is there anything that a commit would make durable? */
bool queue_pending(const struct queue *q); /* an ended message or a change */
/* One transaction, one fsync. From its return on the mail is safe. 0, or -1: every ended message is
 * told ok = false. */
int queue_commit(struct queue *q);
/* Ids that were committed by the last queue_commit(): for telling qmgr. */
const queue_id *queue_committed(const struct queue *q, size_t *count_r);

#endif
