#ifndef MAIL_MAILBOX_MOVE_H
#define MAIL_MAILBOX_MOVE_H

#include "mail/mailbox_view.h"

/* Moves that a crash may cut short: mailbox_move.c. */

struct mail_moved {
	const uint32_t *uids; /* ascending */
	size_t count;
};
/*
 * Note down, durably, that these are about to be copied to the other folder and then removed. A
 * descriptor for move_note_end(), once they are (or are not to be); -1: there is no note, and a
 * crash may leave them in both.
 */
int move_note_begin(struct mailbox_view *v, struct mailbox *to, const struct mail_moved *moved);
void move_note_end(int fd);
/* Finish what a note says that somebody left who is no more. Before a view of mb is made. */
void move_finish(struct mailstore *ms, struct mailbox *mb);

#endif
