#ifndef MAIL_MBOX_MBOX_TEXT_H
#define MAIL_MBOX_MBOX_TEXT_H

#include "mail/mbox/mbox_driver.h"

/* A message that is being read out of an mbox. */

enum { TEXT_PIECES = MBOX_HIDDEN_MAX + 2 };

struct text_piece { /* shown bytes that follow each other in the file */
	uint64_t shown, stored, len;
};

struct mbox_text {
	struct mail_text text;
	unsigned layout;     /* of the folder that the rest is of */
	bool quoted;         /* lines have to be unquoted on the way */
	bool filtered;       /* not all stored bytes are shown as they are */
	uint64_t start, end; /* in the file, header to end of body */
	struct text_piece pieces[TEXT_PIECES];
	size_t piece_count;
	uint64_t scan_shown, scan_stored; /* unquoting goes on from here, */
	size_t scan_piece;                /* in this piece, */
	bool scan_inside;                 /* within a line */
};

int mbox_open_text(struct mailbox *mb, uint32_t uid, struct mail_text *text);
int mbox_fill_text(struct mail_text *text, uint64_t offset);
int64_t mbox_stored(struct mailbox *mb, uint32_t uid, uint64_t offset, void *data, size_t len);

#endif
