#ifndef ADDRESS_FORWARD_H
#define ADDRESS_FORWARD_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "address/user.h"

/*
 * ~/.forward, and other files that say where mail goes: read with the rights of their
 * owner. A process that is root takes them on for the time of reading.
 */

/* What $name stands for in forward_path, luser_relay, mailbox_command. */
struct forward_names {
	const struct local_user *user; /* $user $home $shell */
	const char *recipient;         /* $recipient: the whole address */
	const char *local, *domain;
	const char *extension; /* without the delimiter, "" none */
	const char *delimiter; /* the one that was there, "" none */
	struct hash *warned;   /* files warned of, once each; NULL: do not warn */
};

/* text with its $names, as it is safe in a path or address: other bytes become '_'. */
const char *forward_expand(struct arena *a, const char *text, const struct forward_names *n);

/*
 * The user's file after param.forward_path. 1 its text and path; 0 there is none,
 * or it is not trusted (not owned by the user or root, writable by others: warned of); -1 it is
 * there and cannot be read now, reason in *error_r (owned by a).
 */
int forward_read(struct arena *a, const struct forward_names *n, struct buf *text,
	const char **path_r, const char **error_r);

/*
 * An :include: file. as: whose rights, NULL: those we have. *owner_r: as whom what it names is
 * delivered (its owner, default_privs for root's). 1; 0 not trusted or no absolute path
 * (permanent),
 * -1 temporary: *error_r says why.
 */
int include_read(struct arena *a, const char *path, const struct local_user *as, struct buf *text,
	struct local_user *owner_r, const char **error_r);

/* The user of param.default_privs: 1, or -1 when there is none (not running as root: ourselves). */
int default_user(struct arena *a, struct local_user *u);

#endif
