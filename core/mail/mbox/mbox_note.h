#ifndef MAIL_MBOX_MBOX_NOTE_H
#define MAIL_MBOX_MBOX_NOTE_H

#include "mail/mbox/mbox_driver.h"

/*
 * What is appended to a mailbox file is noted before, durably, so that a piece of it, which is all
 * that a crash may leave, is known for what it is and taken out (mbox_torn.c). The
 * mailbox is locked exclusively.
 */
enum {
	NOTE_GRAIN = 512, /* a disk writes as much at once, or nothing of it */
	NOTE_PART_MAX = 256 * 1024,
	NOTE_MAX = 16 << 20 /* of a note */
};

/*
 * INDEX.append-ID (ID: the folder's number in the index), written over and over: the head, first
 * bytes of what is appended, a sum of 32 bits of each part of it, and the messages. What is
 * appended is parted as the file is on the disk, every grain bytes of it.
 */
struct mbox_note_head {
	char magic[8];       /* zeros: it has ended */
	uint64_t sum;        /* of the note, with 0 here */
	uint64_t inode;      /* of the mailbox */
	uint64_t start, end; /* of what is appended */
	uint64_t grain;
	uint64_t first_len, sums_len, items_len;
};

/* A message, and how it begins: its From_ line as far as there is room. */
struct mbox_note_item {
	uint64_t start, len;
	char from[48];
};

struct mbox_note {
	uint64_t start, at; /* where the append begins, and how far it is known */
	uint32_t grain;     /* each part of the file of that size has a sum */
	uint64_t sum;       /* of the part that at is in */
	struct buf sums;    /* of those before it, 32 bits each */
	struct buf first;   /* its first bytes, NOTE_GRAIN at most */
	struct buf items;   /* struct mbox_note_item, of each message */
	bool in_from;       /* in the From_ line of the last one */
};

/* What comes next is appended from start on, and has about size bytes. */
void mbox_note_begin(struct mbox_note *n, uint64_t start, uint64_t size);
/* What comes next is a message, with its From_ line. */
void mbox_note_item(struct mbox_note *n);
/* The bytes, in their order. */
void mbox_note_add(struct mbox_note *n, const char *data, size_t len);
/*
 * All of it is known: the note is on the disk, and the bytes may be written. Without a note (the
 * index is in memory, or it cannot be written, which is logged) that is so as well.
 */
void mbox_note_write(struct mbox_note *n, struct mailbox *mb);
void mbox_note_free(struct mbox_note *n);
/* They are on the disk, or were taken back. */
void mbox_note_end(const struct mailbox *mb);
/*
 * The file is about to be changed elsewhere, so what a note says of its end would be wrong: that
 * the last one has ended is on the disk before that change.
 */
void mbox_note_settle(const struct mailbox *mb);

/* Its descriptor, which stays open behind mbox_note_write(). */
void mbox_note_close(const struct mailbox *mb);

/* Was there no mbox_note_end()? */
bool mbox_note_left(const struct mailbox *mb);
/* All bytes of that note; caller frees. NULL: it cannot be read, which is logged. */
char *mbox_note_read(const struct mailbox *mb, size_t *len_r);
/* Then a piece goes, and what others put behind it stays: 1 done, 0 nothing to do, -1. */
int mbox_torn_recover(struct mailbox *mb);

#endif
