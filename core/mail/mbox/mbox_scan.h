#ifndef MAIL_MBOX_MBOX_SCAN_H
#define MAIL_MBOX_MBOX_SCAN_H

#include "base/arena.h"
#include "mail/mbox/mbox_format.h"
#include "mail/mbox/mbox_lines.h"
#include "mail/mbox/mbox_state.h"

/* A message as found in the file. */
struct mbox_found {
	struct mbox_msg m;    /* offset, lengths, size, print, bits, flags, received; no UID */
	uint32_t uid;         /* of X-UID, 0 none */
	bool old;             /* Status says it was seen or listed before */
	const char *keywords; /* names, blank-separated; NULL none; of the scan's arena */
};

struct mbox_scan {
	struct mbox_lines lines;
	struct arena *arena;
	uint64_t lead; /* bytes before the first message */
	bool junk;     /* ... and there is text in them */
	bool listed;   /* what begins here is known to be a message, not folder-internal data */
	const struct mbox_msg *known; /* ... as these, which are listed already, are */
	uint32_t known_count;
	bool has_base; /* X-IMAPbase was found: */
	uint32_t base_validity, base_last;
	const char *base_keywords;
};

/* From offset at (the beginning of the file, or of a From_ line) to end. */
void mbox_scan_open(struct mbox_scan *s, int fd, uint64_t at, uint64_t end, struct arena *a);
void mbox_scan_close(struct mbox_scan *s);
/* 1 and the next message, 0 at the end, -1 with errno. */
int mbox_scan_next(struct mbox_scan *s, struct mbox_found *out);
/* Only the bookkeeping of a header of head_len bytes at offset: 0, or -1 with errno. */
int mbox_scan_head(int fd, uint64_t offset, uint64_t head_len, struct mbox_head *h);

#endif
