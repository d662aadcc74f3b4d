#ifndef APPLETS_DAEMON_PRIVILEGES_H
#define APPLETS_DAEMON_PRIVILEGES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"

/*
 * What each kind of process may do and hold, as one table: a process gives up by its row what the
 * row does not leave it, and `postfix check -v` prints the same rows (as they are where root starts
 * them; what an ordinary user starts is all his).
 */
enum process_kind {
	PROCESS_SUPERVISOR, /* master, dovecot */
	PROCESS_LOCAL,
	PROCESS_DELIVERY, /* local's children that became a user */
	PROCESS_COMMAND,  /* of a user's .forward or an alias: as he would run it himself */
	PROCESS_KEEPER,   /* local's, which waits for a command whatever becomes of local */
	PROCESS_QUEUE,    /* smtpd, qmgr, pickup ... */
	PROCESS_LOGIN,
	PROCESS_MAIL, /* imapd and pop3d behind the login */
	PROCESS_AUTH,
	PROCESS_READER, /* of auth: reads what only root may */
	PROCESS_KINDS
};

/* Who a process becomes. */
struct identity {
	uid_t uid;
	gid_t gid;
	const gid_t *groups; /* all supplementary ones */
	size_t group_count;
	gid_t lock_group; /* lock_group_use() takes it for moments; (gid_t)-1 */
	const char *root; /* directory that it is to see as /; NULL: all */
	const char *name; /* for errors */
};

/*
 * Become who, for good, and give up what kind does not leave: capabilities and their bounding set,
 * new privileges by exec, being looked into by others of that uid. log_fatal when that fails. Not
 * as root: nobody else can be become, the rest is done.
 */
void privileges_take(enum process_kind kind, const struct identity *who);
/* Once everything is open: the system calls that kind does not need are refused from now on. */
void privileges_seal(enum process_kind kind);
/* After fork: close every descriptor but the standard ones and these. */
void privileges_keep_only(const int *fds, size_t count);

/* privileges_filter.c: is there a filter for this kind in this build? */
bool privileges_filter_there(enum process_kind kind);
void privileges_filter(enum process_kind kind);

/* Who a process runs as. */
enum process_user { USER_ROOT, USER_QUEUE, USER_LOGIN, USER_INTERNAL, USER_OF_MAIL, PROCESS_USERS };

/* The rows as text, a line each below a head line, columns two blanks apart; users: their names. */
void privileges_print(struct buf *out, const char *const users[PROCESS_USERS]);

#endif
