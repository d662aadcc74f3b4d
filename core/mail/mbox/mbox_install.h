#ifndef MAIL_MBOX_MBOX_INSTALL_H
#define MAIL_MBOX_MBOX_INSTALL_H

#include "mail/mbox/mbox_driver.h"

/* The end of a mailbox file, from a position on, gets other bytes; all or nothing. */
struct mbox_install {
	struct mailbox *mb;
	int fd;         /* the file under construction */
	char *path;     /* its name */
	bool by_rename; /* it holds the whole mailbox and takes its name; else only the end */
	uint64_t start, length; /* of the new end; bytes so far */
	uint64_t old_size;      /* of the mailbox */
	struct buf hold;
	char *chunk;
};

/* whole: a new file may take the mailbox's place, where that can be; it needs room for all. */
int mbox_install_begin(struct mbox_install *in, struct mailbox *mb, uint64_t start, bool whole);
/* Bytes of the mailbox as it is. 0 or -1. */
int mbox_install_copy(struct mbox_install *in, uint64_t at, uint64_t len);
int mbox_install_add(struct mbox_install *in, const void *data, size_t len);
/* From its return on the mailbox has the new end, durably. 0; -1: nothing changed. */
int mbox_install_end(struct mbox_install *in);
int mbox_install_abort(struct mbox_install *in); /* -1 */

/* Part of a mailbox file. */
struct mbox_part {
	uint64_t at, len;
};
/*
 * From offset start on only these parts are kept (ascending, none twice), durably, with next to no
 * room on the disk. 0; -1: what a later mbox_journal_recover() finishes, or nothing happened.
 */
int mbox_slide(struct mailbox *mb, uint64_t start, const struct mbox_part *kept, size_t count);

#endif
