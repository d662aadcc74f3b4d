#ifndef MAIL_STORE_H
#define MAIL_STORE_H

#include "base/buf.h"
#include "mail/index/index.h"
#include "mail/mailbox.h"

/*
 * What the files of the mail store share: mailbox*.c are the common part (views, numbering, flags),
 * index/ the memory; mbox/ and maildir/ are drivers (mail_driver.h). The world outside includes
 * mailbox.h.
 *
 * Order of locks, always: the mailbox file's, then the index's.
 */
struct mail_driver;
struct mailbox;

/* One user's mail, shared by all sessions of this process. */
struct store {
	struct store *next;
	int refs;
	char *key;        /* name, home and location */
	char *home;       /* "" none */
	char *root;       /* where the folders are */
	char *inbox;      /* where the INBOX is */
	bool status_only; /* mailstore_status_only() */
	const struct mail_driver *driver;
	struct index *index;
	struct mailbox *open; /* folders that are open, and the one kept */
	struct mailbox *kept; /* closed last, refs 0: opened again it need not be loaded */
};

struct mailstore {
	struct store *store;
	enum mail_error code;
	struct buf error;
};

/* ---- Errors: -1 for the caller to return ---- */

int store_fail(struct mailstore *ms, enum mail_error code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/*
 * A system call on path failed with errno; need: what would be needed ("read and write"), for
 * EACCES.
 */
int store_fail_sys(struct mailstore *ms, const char *path, const char *what, const char *need);
int store_fail_index(struct mailstore *ms);

#endif
