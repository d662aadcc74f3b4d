#ifndef PROTO_IMAP_READ_H
#define PROTO_IMAP_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/*
 * Collects IMAP commands from a byte stream (RFC 3501 2.2, 4.3). A command is a
 * line, or lines joined by literals:
 *
 *	a1 LOGIN {5}		text ends in an announcement: IMAP_READ_LITERAL
 *	tester {4+}		(after "+ " or, with '+', at once) its bytes follow
 *	pass			no announcement: IMAP_READ_COMMAND
 *
 * text then holds all of it, literals in place, for imap_parse.h. It can be
 * fed in pieces of any size.
 */
struct imap_reader {
	struct buf text; /* the command so far, without its last line end */
	size_t max;      /* bytes text may have; set by the owner */
	size_t line;     /* private: where the current line begins in text */
	size_t begun;    /* private: in text, of a line that is passed over */
	uint64_t size;   /* of the literal announced, or what is left of it */
	bool sync;       /* it waits for "+ " */
	int state;       /* private */
	bool refused;    /* private: what is passed over was answered */
};

enum imap_read {
	IMAP_READ_MORE,    /* more bytes are needed */
	IMAP_READ_COMMAND, /* text is a whole command; then imap_reader_reset() */
	IMAP_READ_LITERAL, /* a literal is announced: accept, refuse or stream it */
	IMAP_READ_TOO_LONG /* the command was longer than max and was passed over; text: its start
			    */
};

/* Consume from in as far as possible. After COMMAND and TOO_LONG comes imap_reader_reset(). */
enum imap_read imap_reader_next(struct imap_reader *r, struct buf *in);

/* Would the literal announced fit in text? */
bool imap_reader_fits(const struct imap_reader *r);
/* Collect it (the caller has written "+ " when it is synchronising). */
void imap_reader_accept(struct imap_reader *r);
/*
 * Do without it: a synchronising one will not come and the command is over; of another
 * the bytes and the rest of the command are passed over without a word, since the caller
 * answers the command now. text is empty.
 */
void imap_reader_refuse(struct imap_reader *r);
/* The caller took the bytes from the stream itself; the rest of the command goes to an empty text.
 */
void imap_reader_streamed(struct imap_reader *r);

/* Is it passing over a line that is too long and has no end so far? */
bool imap_reader_skipping(const struct imap_reader *r);
void imap_reader_reset(struct imap_reader *r); /* for the next command */
void imap_reader_free(struct imap_reader *r);

#endif
