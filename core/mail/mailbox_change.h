#ifndef MAIL_MAILBOX_CHANGE_H
#define MAIL_MAILBOX_CHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a session changes in a folder that it has open: flags, what is removed, what is copied. */
struct mailbox_view;

enum flag_op { FLAGS_SET, FLAGS_ADD, FLAGS_REMOVE };
/*
 * Change flags of many messages (uids ascending) in one transaction. With
 * unchanged_since (not ~0) messages with a higher modseq are left alone and
 * reported in failed (uids, caller's buffer of count). The views hear of it at
 * their next sync (the caller's too). Written to the files at once or, for mbox, at the
 * latest at close (index.db is durable at once).
 */
int mailbox_store(struct mailbox_view *v, const uint32_t *uids, size_t count, enum flag_op op,
	unsigned flags, uint64_t keywords, uint64_t unchanged_since, uint32_t *failed,
	size_t *failed_count_r);
/*
 * Have an mbox say that the messages were listed ("Status: O"), as other mail programs do when they
 * leave. 0 or -1; a maildir does it by itself.
 */
int mailbox_listed(struct mailbox_view *v, const uint32_t *uids, size_t count);
/*
 * A message was read to its end, and is of this size (with CR LF line ends): if the name of its
 * maildir file said another, the index has the right one from now on. 0 or -1.
 */
int mailbox_correct_size(struct mailbox_view *v, uint32_t uid, uint64_t size);
/* Remove messages from the files. uids NULL: all \Deleted; otherwise those of the list (only
 * \Deleted ones unless force). */
int mailbox_expunge(struct mailbox_view *v, const uint32_t *uids, size_t count, bool force);
/* What becomes of a copy when another session has removed some of its messages meanwhile. */
enum mail_copy {
	MAIL_COPY_ALL,     /* none is copied (RFC 3501 6.4.7) */
	MAIL_COPY_PRESENT, /* the others are (UID COPY, RFC 3501 6.4.8) */
	MAIL_MOVE          /* the others are, and removed here (RFC 6851) */
};
/*
 * UIDs given are in *new_uids_r, in the order of uids, 0 for a message that was not copied (caller
 * frees); uid_validity of the destination. One lock, one fsync. 0, or -1 with mailstore_errno(); 1
 * is -1 of a move because another process is moving from the same folder: worth trying again soon.
 */
int mailbox_copy(struct mailbox_view *v, const uint32_t *uids, size_t count, const char *to,
	enum mail_copy how, uint32_t **new_uids_r, uint32_t *uid_validity_r);

#endif
