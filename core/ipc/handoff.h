#ifndef IPC_HANDOFF_H
#define IPC_HANDOFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/wire.h"

/*
 * The two control messages that carry a logged-in connection: from the login
 * part to the supervisor (SERVICE_MSG_LOGIN) and from there to the mail part
 * (SERVICE_MSG_SESSION). The descriptor comes along. Strings of a message that
 * was read point into it.
 */
struct handoff_login {
	const char *service;          /* "imap", "pop3" */
	uint64_t client_pid, request; /* with the cookie: what auth granted */
	uint64_t server_pid;          /* the auth process that granted it */
	const char *cookie;
	const char *user; /* for the log until auth has confirmed it */
	const char *line; /* log line; HANDOFF_MPID stands where the mail process's pid belongs */
	const char *refusal; /* what the client is told when the hand-off fails */
	const char *rip, *session, *tag;
	const char *unread; /* bytes read ahead */
	size_t unread_len;
};

#define HANDOFF_MPID "\001"

struct handoff_session {
	const char *user, *home, *mail; /* mail: mail_location */
	uint64_t uid, gid;
	const char *rip, *session, *tag;
	const char *refusal; /* when the mail part cannot take it */
	const char *unread;
	size_t unread_len;
};

void handoff_put_login(struct buf *b, const struct handoff_login *m);
/* After the kind was read; false: malformed. */
bool handoff_get_login(struct wire *w, struct handoff_login *m);
void handoff_put_session(struct buf *b, const struct handoff_session *m);
bool handoff_get_session(struct wire *w, struct handoff_session *m);

#endif
