#ifndef MAIL_MAILBOX_MOVE_H
#define MAIL_MAILBOX_MOVE_H

#include "mail/mailbox_view.h"

/* Moves that a crash may cut short: mailbox_move.c. */

struct mail_moved {
	const uint32_t *uids; /* ascending */
	size_t count;
};

struct move_note {
	struct mailbox *mb; /* NULL: there is no note, and a crash may leave mail in both folders */
	char *path;
	bool made; /* the file: its name is not on the disk yet */
	bool open; /* the caller's: copied and not removed, so the next one has to finish it */
};
/*
 * Before a move reads its messages: nobody else moves from this folder until move_note_end(), what
 * was left of an earlier move is finished, and the folder's state is the newest. 0; or -1 with
 * mailstore_errno(), and nothing is to be ended; 1 is -1 because somebody else is moving this
 * moment.
 */
int move_note_begin(struct mailbox_view *v, struct move_note *note);
/* Note down, durably, that these are about to be copied to the other folder and then removed. */
void move_note_write(struct move_note *note, const struct mailbox_view *v, struct mailbox *to,
	const struct mail_moved *moved);
void move_note_end(struct move_note *note);
/* The folder with this number is deleted. */
void move_note_remove(struct mailstore *ms, int64_t folder);
/* Finish what a note says that somebody left who is no more. Before a view of mb is made. */
void move_finish(struct mailstore *ms, struct mailbox *mb);

#endif
