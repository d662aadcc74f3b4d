#ifndef MAIL_MBOX_MBOX_JOURNAL_H
#define MAIL_MBOX_MBOX_JOURNAL_H

#include <sys/stat.h>

#include "mail/mbox/mbox_driver.h"

/*
 * The journal of a mailbox file whose end is about to get other bytes; mbox_journal.c has the
 * format. Functions return 0, or -1 with errno. The mailbox is locked exclusively.
 */
/* JOURNAL_CONTENT: where the new end begins in it. */
enum { JOURNAL_CHUNK = 256 * 1024, JOURNAL_CONTENT = 32 * 1024 };

/* The directory part of path ("." when it has none), to out. */
void mbox_directory(struct buf *out, const char *path);
/* Where the journal of this file is; caller frees. */
char *mbox_journal_path(const struct mailbox *mb, const struct stat *st);
/*
 * The new end (length bytes, from offset start of the mailbox on) is in the file fd at
 * JOURNAL_CONTENT: make it whole and durable, and give it its name (temporary is what it is
 * called now). From here on the change happens, whatever happens.
 */
int mbox_journal_commit(const struct mailbox *mb, int fd, const char *temporary, const char *path,
	uint64_t start, uint64_t length);
/* Its bytes over the mailbox's, and the new length, durably. chunk: JOURNAL_CHUNK bytes. */
int mbox_journal_apply(int fd, int mailbox, uint64_t start, uint64_t length, char *chunk);
/*
 * What is kept of a mailbox moves towards its beginning, a piece at a time; mbox_slide.c. Each
 * returns 0, or -1 with errno: then the journal, if it has its name, says how to go on.
 */
struct mbox_slide {
	struct mailbox *mb;
	int fd;                 /* the journal */
	char *path, *temporary; /* its name, and before the first piece */
	uint64_t number;        /* of the last head, 0 none */
	uint64_t at;            /* where the next piece goes */
	size_t room;            /* longest piece */
};
/* len bytes go to s->at, durably with the next call; from offset rest on nothing was moved yet. */
int mbox_slide_put(struct mbox_slide *s, const char *data, size_t len, uint64_t rest);
/* All is moved: the mailbox ends at s->at. */
int mbox_slide_end(struct mbox_slide *s);
/*
 * Remove what changes left that were killed before they had begun: journals without their name in
 * the directory of index.db at path that nobody has written to for an hour, and notes of appends
 * (mbox_note.h) that nobody has for a month.
 */
void mbox_journal_sweep(const char *path);
/* The change is made: the journal goes, durably, as it must not come back. */
void mbox_journal_drop(const char *path);
/* Is there one of a change that a crash interrupted? */
bool mbox_journal_left(struct mailbox *mb);
/* Finish it: 1 done, 0 nothing, -1. */
int mbox_journal_recover(struct mailbox *mb);

/* FNV-1a, 64 bits, of more bytes: against torn writes, not against people. */
#define MBOX_SUM_INIT 0xcbf29ce484222325u
uint64_t mbox_sum(uint64_t sum, const void *data, size_t len);

#endif
