#ifndef DELIVER_DELIVER_IMPL_H
#define DELIVER_DELIVER_IMPL_H

/* What the files of deliver share; nobody else includes this. */

#include <sys/types.h>

#include "mail/lock/lock.h"
#include "deliver/deliver.h"

enum { DELIVER_CHUNK = 64 * 1024 };

/* 0: go on; anything else stops and is passed on. */
typedef int deliver_put(void *arg, const char *data, size_t len);
enum { DELIVER_UNREADABLE = -2 };

/* ---- deliver_text.c ---- */

/* The lines added above the content. */
int deliver_put_header(const struct deliver_item *it, deliver_put *put, void *arg);
/* The From_ line. */
int deliver_put_from(const struct deliver_item *it, time_t now, deliver_put *put, void *arg);
/*
 * The content; with quote as it stands in an mbox (mail/mbox/mbox_format.h), and a blank line at
 * the end. 0, put's result, or DELIVER_UNREADABLE.
 */
int deliver_put_content(const struct deliver_item *it, bool quote, deliver_put *put, void *arg);

void deliver_set(struct deliver_item *it, enum deliver_status status, const char *dsn,
	const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/*
 * Every undecided item; what failed on path with errno err: dsn and defer or fail follow
 * from it.
 */
void deliver_set_errno(
	struct deliver_item *items, size_t count, const char *what, const char *path, int err);
/* Every undecided item, when nobody wants it any more (how->wanted); true: so it is. */
bool deliver_unwanted(const struct deliver_how *how, struct deliver_item *items, size_t count);
bool deliver_any_suspect(const struct deliver_item *items, size_t count);

/*
 * An mbox, open and locked; fd -1 with errno (why_r a fixed text for the log). created_r
 * may be NULL.
 */
struct deliver_mbox {
	int fd;
	struct mailbox_lock *lock;
	off_t size;
	bool created;
};
int deliver_mbox_open(struct deliver_mbox *m, const char *path, const struct deliver_how *how,
	bool create, const char **why_r);
void deliver_mbox_close(struct deliver_mbox *m);

int deliver_mbox_batch(
	const char *path, const struct deliver_how *how, struct deliver_item *items, size_t count);
int deliver_maildir_batch(
	const char *path, const struct deliver_how *how, struct deliver_item *items, size_t count);

/*
 * Look for the suspect and repair items in the mbox, decide those that are there, cut off a
 * torn tail
 * (m->size follows). 0, or -1 with errno.
 */
int deliver_find(struct deliver_mbox *m, struct deliver_item *items, size_t count);
/*
 * Decide those suspects that are not in the mailbox at path because somebody has taken them out
 * since. Behind the look for them, under the same lock.
 */
void deliver_find_removed(
	const char *path, const struct deliver_how *how, struct deliver_item *items, size_t count);
/* Cut off zeros at the very end, which a power cut left (mbox_content_end). 0, or -1 with errno. */
int deliver_cut_zeros(struct deliver_mbox *m);
/* The work of deliver_probe() on an open mbox. */
int deliver_find_tail(struct deliver_mbox *m, char id[DELIVER_ID_SIZE]);

#endif
