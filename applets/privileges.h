#ifndef APPLETS_PRIVILEGES_H
#define APPLETS_PRIVILEGES_H

#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"

/*
 * What each kind of process may do and hold, as one table: a process gives up by its row what the
 * row does not leave it, and `postfix check -v` prints the same rows.
 */
enum process_kind {
	PROCESS_SUPERVISOR,	/* master, dovecot */
	PROCESS_LOCAL,
	PROCESS_DELIVERY,	/* local's children that became a user */
	PROCESS_QUEUE,		/* smtpd, qmgr, pickup ... */
	PROCESS_LOGIN,
	PROCESS_MAIL,		/* imapd and pop3d behind the login */
	PROCESS_AUTH,
	PROCESS_KINDS
};

/* Who a process becomes. */
struct identity {
	uid_t uid;
	gid_t gid;
	const gid_t *groups;		/* all supplementary ones */
	size_t group_count;
	gid_t lock_group;		/* lock_group_use() takes it for moments; (gid_t)-1 */
	const char *name;		/* for errors */
};

/*
 * Become who, for good, and give up what kind does not leave: capabilities and their bounding set,
 * new privileges by exec, being looked into by others of that uid. log_fatal when that fails. Not
 * as root: nobody else can be become, the rest is done.
 */
void privileges_take(enum process_kind kind, const struct identity *who);

/* The rows as text, a line each, with a head line; a line begins with before. */
void privileges_print(struct buf *out, const char *before);

#endif
