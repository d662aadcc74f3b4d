#ifndef APPLETS_RECEIVE_SMTPD_TRANSCRIPT_H
#define APPLETS_RECEIVE_SMTPD_TRANSCRIPT_H

#include "base/str.h"
#include "applets/receive/smtpd/session_state.h"

/*
 * What a session said, mailed to error_notice_recipient when it met an error of a class that
 * notify_classes names (policy, protocol, resource, software; bounce goes to
 * bounce_notice_recipient).
 */

enum {
	CLASS_POLICY = 1,
	CLASS_PROTOCOL = 2,
	CLASS_RESOURCE = 4,
	CLASS_SOFTWARE = 8,
	CLASS_BOUNCE = 16
};

/* Of notify_classes, for struct smtpd: which are told. */
unsigned transcript_classes(void);
/* A line of the client's; secret: what it holds is not written down. */
void transcript_in(struct smtpd_session *s, struct slice line, bool secret);
/* A reply of ours, without CRLF. */
void transcript_out(struct smtpd_session *s, const char *reply);
/* The session is over: the notice, if one is due, goes into the queue. */
void transcript_end(struct smtpd_session *s);

#endif
