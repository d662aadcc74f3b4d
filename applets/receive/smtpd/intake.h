#ifndef APPLETS_RECEIVE_SMTPD_INTAKE_H
#define APPLETS_RECEIVE_SMTPD_INTAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "applets/receive/smtpd/session_state.h"

/* A message on its way to the queue. NULL: it cannot be begun (the caller replies 451). */
struct intake *intake_begin(struct smtpd_session *s);
const char *intake_id(const struct intake *i);
time_t intake_arrival(const struct intake *i);
/* Stand-alone: the envelope, before the content. */
void intake_submit(struct intake *i, const struct smtpd_session *s);
/* Content; for the pipeline's put(). 0 or -1. */
int intake_write(void *intake, const void *data, size_t len);
/* The message is safe, or not; nothing is said when the session has given it up meanwhile. */
typedef void intake_done_fn(struct smtpd_session *s, bool ok, const char *id_text);
/*
 * The content is whole: envelope and recipients of the session's transaction
 * are added. done() will be called, in this turn or a later one.
 */
void intake_end(struct intake *i, intake_done_fn *done);
/* A message of our own that is whole: with the next commit. */
void intake_notice(struct smtpd *d, struct queue_message *m);
/* Give it up; one that waits for its commit is only told that its session is gone. */
void intake_abort(struct intake *i);
/* The transaction is over, or given up: MAIL FROM has to be given again. */
void session_reset_mail(struct smtpd_session *s);

#endif
