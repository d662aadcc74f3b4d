#ifndef MAIL_MBOX_MBOX_STATE_H
#define MAIL_MBOX_MBOX_STATE_H

#include "mail/mailbox_state.h"

/* What the mbox driver knows of a message and of a folder. */

enum mbox_bits {
	/* The header has lines of ours and other programs' bookkeeping, not shown. */
	MSG_HIDDEN = 1,
	MSG_QUOTED = 2,    /* has lines that were quoted as ">From " */
	MSG_DIRTY = 4,     /* flags are newer here than in the file */
	MSG_SAVED_UID = 8, /* the file has the UID */
	MSG_LATE = 32      /* dirty, and not worth rewriting the file for */
};

struct mbox_msg {
	struct msg msg;
	uint32_t from_len; /* the From_ line */
	uint32_t head_len; /* header with its empty line, as stored */
	uint32_t tail_len; /* the separating empty line, 0 to 2 */
	uint32_t cut;      /* bytes not shown (bookkeeping, quoting) */
	uint64_t len;      /* From_ line to separator */
	uint64_t offset;   /* of the From_ line; not kept in the index */
	/* Offset less the end of the message before; not 0 when other programs reordered. */
	int64_t gap;
	uint64_t print; /* fingerprint of header and body */
};

/* mb.f.sig is device, inode, size, mtime (ns), bytes before the first From_ line. */
struct mbox_box {
	struct mailbox mb;
	int fd; /* -1 none */
	bool fd_writable;
	int64_t fd_dev, fd_ino; /* which file fd is */
	int note_fd;            /* of mbox_note.h; -1 none */
	struct mailbox_lock *lock;
	int64_t checked_ms; /* when the file was last looked at */
	unsigned layout;    /* raised when offsets changed */
};

static inline struct mbox_box *mbox_box(const struct mailbox *mb)
{
	return (struct mbox_box *)mb;
}

/* Message i of mb. */
static inline struct mbox_msg *mbox_msg(const struct mailbox *mb, uint32_t i)
{
	return (struct mbox_msg *)mb->msgs + i;
}

#endif
