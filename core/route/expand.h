#ifndef ROUTE_EXPAND_H
#define ROUTE_EXPAND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "address/user.h"

/*
 * What a local recipient means: aliases, :include: files and .forward followed to
 * mailboxes, files, commands and addresses elsewhere.
 *
 *	name+ext -> alias_maps (name+ext, name) -> items ...
 *	         -> user: .forward -> items ...
 *	            | mailbox_transport | mailbox_command | home_mailbox | spool
 *	         -> fallback_transport | luser_relay | unknown
 *
 * expand_init() opens alias_maps after conf_load(); route_init() comes before it.
 */
void expand_init(void);
void expand_free(void);

enum target_kind {
	TARGET_MAILBOX, /* value: path, '/' at the end: maildir */
	TARGET_FILE,    /* the same, but the file may belong to anybody */
	TARGET_COMMAND, /* value: command line */
	TARGET_PASS,    /* value: transport:nexthop that delivers for us */
	TARGET_REMOTE,  /* value: address for another transport or another table */
	TARGET_DISCARD, /* /dev/null, an empty list; value: what the log says */
	TARGET_FAIL,    /* value: why; dsn */
	TARGET_DEFER
};

struct target {
	enum target_kind kind;
	const char *address; /* to= of the log: the address that led here */
	const char *value;
	const char *dsn;
	struct local_user user;                 /* whose rights it is delivered with */
	const char *local, *extension, *domain; /* of address, for a command's environment */
	/* below mail_spool_directory: its group is needed for locks */
	bool spool;
	/* address leads here when it is tried as a recipient of its own */
	bool again;
	struct target *next;
};

struct expansion {
	struct target *first, *last;
	size_t count;
	const char *owner; /* envelope sender after owner-alias, or NULL */
};

struct expand_env {
	/* Was the message delivered to this address before (Delivered-To header)? NULL: no. */
	bool (*delivered)(void *arg, const char *address);
	void *arg;
};

/*
 * At least one target, duplicates dropped. Everything is owned by a. May be done again
 * (map/map_wait.h): nothing is changed, files are only read.
 */
void expand_recipient(
	struct arena *a, const struct expand_env *env, const char *address, struct expansion *out);

#endif
