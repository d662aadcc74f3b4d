#ifndef MAIL_MBOX_MBOX_FORMAT_H
#define MAIL_MBOX_MBOX_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/buf.h"

/*
 * How messages stand in an mbox file.
 *
 *	From sender Tue Aug  9 14:21:58 2011
 *	header
 *	bookkeeping lines (Status, X-Status, X-Keywords, X-UID, X-IMAPbase, Content-Length)
 *
 *	body, each line /^>*From / with one more ">" (mboxrd)
 *	(empty line)
 *
 * Bookkeeping lines are not part of the message: they are not shown to clients. A message that
 * came with lines of these names gets a fence when it is written (MBOX_FENCE at the end of
 * its header): above the fence all is the message's own, below is bookkeeping.
 */
#define MBOX_FENCE "X-Pillarbox-Bookkeeping: below\n"
/* A fence that says, too, that the last line had no end: the one in the file is not its own. */
#define MBOX_FENCE_OPEN "X-Pillarbox-Bookkeeping: below, no line end\n"

/*
 * The first message of a file with this line is none, but a place of other programs for what they
 * keep about the folder: unless it has a UID of its own, or was listed before (mbox_rewrite.c).
 */
#define MBOX_PSEUDO "X-IMAP:"

/* 0: go on; anything else stops and is passed on. */
typedef int mbox_put_fn(void *arg, const char *data, size_t len);

/*
 * Writes a message's content (LF line ends) as it stands in an mbox: quoted, with
 * a fence where it needs one, and bookkeeping lines (meta, each with its LF, or "")
 * at the end of the header. Content comes in pieces of any size.
 */
struct mbox_writer {
	mbox_put_fn *put;
	void *arg;
	const char *meta;
	bool in_header, own_lines; /* own_lines: there were some that need the fence */
	bool open_end; /* set after mbox_writer_init(): the content ends without a line end */
	bool line_start;
	char last;
	size_t held_len; /* the beginning of a line, until it is known what it is */
	char held[320];
};
void mbox_writer_init(struct mbox_writer *w, const char *meta, mbox_put_fn *put, void *arg);
int mbox_writer_add(struct mbox_writer *w, const char *data, size_t len);
/* The last line gets its end, and the separating empty line follows. */
int mbox_writer_end(struct mbox_writer *w);

/* Is the line (up to its end or len) a From_ line? Its date to *when_r. */
bool mbox_is_from(const char *line, size_t len, time_t *when_r);
/*
 * Is this the beginning of a message's header: fields, at least one of them known, up to an empty
 * line or to the end of the data? Its Date to *date_r, else 0.
 */
bool mbox_is_header(const char *data, size_t len, time_t *date_r);
/* Does the line begin with ">*From ", with at least min '>'? */
bool mbox_is_quoted(const char *line, size_t len, size_t min);

/*
 * How many line ends (0 to 2) a file of size bytes lacks to end in an empty line, which may be CR
 * LF; -1 with errno.
 */
int mbox_separator(int fd, uint64_t size);

/*
 * Where the zeros begin that a file of size bytes ends in; size when there are none. They come from
 * a power cut, between the new length and the bytes: no message of an mbox ends so, and they
 * belong to none. 0, or -1 with errno.
 */
int mbox_content_end(int fd, uint64_t size, uint64_t *end_r);

/* ---- A header's bookkeeping ---- */

enum mbox_line_kind {
	MBOX_NONE,
	MBOX_STATUS,
	MBOX_X_STATUS,
	MBOX_KEYWORDS,
	MBOX_UID,
	MBOX_BASE,
	MBOX_LENGTH,
	MBOX_FENCE_LINE,
	MBOX_COUNTER /* Lines: shown, but others change it */
};
enum { MBOX_HIDDEN_MAX = 64 };

struct mbox_head {
	size_t hidden_count;
	struct {
		uint32_t at, len; /* within the header */
		uint32_t bare;    /* line ends that are not CR LF */
		enum mbox_line_kind kind;
	} hidden[MBOX_HIDDEN_MAX];
	bool last_hidden; /* continuation lines belong to hidden[hidden_count - 1] */
	unsigned flags;   /* MAIL_* */
	bool old;         /* Status: O or R */
	uint32_t uid;     /* 0 none */
	bool has_length, has_base, pseudo;
	bool open_end;                     /* the end of the last line is not the message's own */
	uint64_t length;                   /* Content-Length */
	uint32_t base_validity, base_last; /* X-IMAPbase */
	char base_keywords[512], keywords[512];
};
enum mbox_line_kind mbox_line_kind(const char *line, size_t len);
/* A line (or piece) of the header, at bytes from its start. True: it is not shown. */
bool mbox_head_line(struct mbox_head *h, uint64_t at, const char *line, size_t len, bool start);

#endif
