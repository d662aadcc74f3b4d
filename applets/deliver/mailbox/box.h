#ifndef APPLETS_MAILBOX_BOX_H
#define APPLETS_MAILBOX_BOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/hash.h"
#include "base/loop.h"
#include "address/user.h"
#include "ipc/delivery.h"
#include "deliver/deliver.h"
#include "applets/deliver/agent/agent.h"

/*
 * Mailboxes that messages are on their way to, for local and virtual.
 *
 *	box.c			jobs wait for their mailbox; a batch of them is delivered at once
 *	worker.c		as root: a child for each user, which delivers batches
 *	  worker_child.c	what that child does
 */
struct worker;
struct worker_events;

/* All of an agent. */
struct boxes {
	struct agent_host *host;
	int64_t size_limit;
	bool root;         /* deliveries are made by children of the users */
	struct hash all;   /* by whose it is and its path */
	struct box *dirty; /* with jobs to begin at the end of the turn */
	struct loop_hook turn;
	struct timer turn_timer; /* for those that found no child */
	const struct worker_events *events;
	struct worker *workers;
	size_t worker_count;
};

/* A mailbox, and with whose rights it is written. */
struct box_place {
	const char *path; /* '/' at the end: a maildir */
	struct local_user user;
	bool file;      /* somebody has named it: it may be another's, and its name is said */
	bool any_owner; /* it may be another's */
	bool spool;     /* below mail_spool_directory: its group is needed for locks */
	bool no_user;   /* of somebody who is no user of this host */
	bool parents;   /* directories above a maildir are made, too */
};

/* A message on its way into one. Its owner's, until done(). */
struct box_job {
	struct box_job *next;
	struct agent_request *request;
	const char *sender, *recipient, *original;
	bool suspect;         /* may have been delivered before */
	int64_t locked_since; /* loop_now() when it first met a lock, 0: it did not */
	/* The texts are gone afterwards. */
	void (*done)(
		struct box_job *j, enum delivery_status status, const char *dsn, const char *text);
};

void boxes_init(struct boxes *m, struct agent_host *host, int64_t size_limit);
void box_add(struct boxes *m, struct box_job *j, const struct box_place *place);
/* A child has ended: true if it was one of ours. */
bool boxes_child_ended(struct boxes *m, pid_t pid);
void boxes_free(struct boxes *m);

#endif
