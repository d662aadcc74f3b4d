#ifndef MAIL_MBOX_MBOX_DRIVER_H
#define MAIL_MBOX_MBOX_DRIVER_H

#include "mail/lock/lock.h"
#include "mail/mail_driver.h"
#include "mail/mbox/mbox_scan.h"

/* What the files of the mbox driver share. */

enum mbox_state {
	MBOX_INDEXED = 1,   /* the folder was read once */
	MBOX_UNVERIFIED = 2 /* mail was seen to be appended; whether all before it is as it was was
			       not looked at */
};

enum { MBOX_LOCK_MS = 10000, MBOX_LOCK_SYNC_MS = 1000 };

/*
 * Lock the file (opened again when it was replaced) and look at it: 0 or -1. Missing INBOX: made
 * when exclusive.
 */
int mbox_lock(struct mailbox *mb, bool exclusive, int timeout_ms);
void mbox_unlock(struct mailbox *mb);
/* Is the descriptor of the file that the index knows? Another process may have put a new one in its
 * place. */
bool mbox_is_open(const struct mailbox *mb);
/* Within a change and with the lock: the file as it is now is what the index knows. */
int mbox_take_sig(struct mailbox *mb);
/*
 * Within a change: the file's messages from offset on, to end, are new; they get UIDs, and all
 * flags they have in the file.
 */
int mbox_add_from(struct mailbox *mb, uint64_t offset, uint64_t end);
/* The driver's functions (mail/mail_driver.h). */
int mbox_sync(struct mailbox *mb, bool full);
void mbox_close(struct mailbox *mb);
void mbox_watch(struct mailbox *mb, int inotify_fd);
int mbox_prepare(struct mailbox *mb);
int mbox_write_flags(struct mailbox *mb, const uint8_t *marks);
int mbox_flush(struct mailbox *mb);
int mbox_expunge(struct mailbox *mb, uint8_t *marks);
int mbox_append(struct mailbox *mb, struct mail_append *a);
int mbox_settle(struct mailbox *mb);
bool mbox_exists(const char *path, bool *selectable_r);
int mbox_create(struct mailstore *ms, const char *path, bool directory);
int mbox_remove(struct mailstore *ms, const char *path);
int mbox_move(struct mailstore *ms, const char *from, const char *to);
int mbox_list(struct mailstore *ms, struct folder_list *out);
/* Index of the message nearest to the file's end. */
uint32_t mbox_last_in_file(const struct mailbox *mb);
/* Gaps from offsets; pages of those that changed are written. */
void mbox_regap(struct mailbox *mb);

/*
 * match[i]: which of the count old messages found[i] is, or UINT32_MAX. Each old one at most once.
 */
void mbox_match(const struct mbox_msg *old, uint32_t count, const struct mbox_found *found,
	uint32_t found_count, uint32_t *match);

/*
 * Bookkeeping lines of a message (keywords of the folder) as they are written; first: with
 * X-IMAPbase.
 */
void mbox_meta(struct buf *out, const struct mailbox *mb, const struct mbox_msg *m, bool first);
/*
 * Rewrite the file: without the messages marked (drop, may be NULL), dirty flags written, these
 * only as far as at most limit bytes have to move. Within a change, with the exclusive lock.
 */
int mbox_rewrite(struct mailbox *mb, const uint8_t *drop, uint64_t limit);

#endif
