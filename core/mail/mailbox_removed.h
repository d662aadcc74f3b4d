#ifndef MAIL_MAILBOX_REMOVED_H
#define MAIL_MAILBOX_REMOVED_H

#include "mail/mailbox_state.h"

/*
 * These messages are about to be removed: those that a delivery agent of ours put there lately are
 * written down (removed.c). mb->ms is set, and has no error afterwards.
 */
void mailbox_note_removed(struct mailbox *mb, const uint32_t *uids, size_t count);
/*
 * The removal failed: what was written down of those that can still be read says nothing any more.
 * An error of mb->ms stays.
 */
void mailbox_note_kept(struct mailbox *mb, const uint32_t *uids, size_t count);

#endif
