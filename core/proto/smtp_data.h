#ifndef PROTO_SMTP_DATA_H
#define PROTO_SMTP_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/*
 * Message data on its way in: a resumable filter from wire bytes to the LF
 * line ends that the queue keeps. Two forms: DATA (dot-stuffed, ends with
 * CRLF "." CRLF, RFC 5321 4.5.2) and BDAT chunks (counted, RFC 3030).
 *
 *	CR LF		ends a line
 *	LF alone	ends a line too, but never counts towards the end of data (unless
 *			SMTP_DATA_LENIENT); seen in bare_lf
 *	CR CR LF	ends a line; the surplus CRs go (RFC 5321 2.3.8 forbids them)
 *	CR elsewhere	is data
 *
 * So LF.LF, LF.CRLF, CRLF.LF, CR.CR and CRLF.CR never end a message: what a
 * sender took for content cannot become the next command here.
 */
enum smtp_data_state {
	SMTP_DATA_LINE,    /* at a line's start; the line before, if any, ended with CRLF */
	SMTP_DATA_LINE_LF, /* the same after a bare LF */
	SMTP_DATA_TEXT,
	SMTP_DATA_CR,     /* crs CRs are held back */
	SMTP_DATA_DOT,    /* "." at a line's start was taken away */
	SMTP_DATA_DOT_CR, /* "." CR */
	SMTP_DATA_END
};

enum {
	SMTP_DATA_LENIENT = 1, /* any of CRLF and LF around the dot ends the message */
	SMTP_DATA_BDAT = 2
};

struct smtp_data {
	enum smtp_data_state state;
	unsigned flags;
	unsigned crs;     /* CRs held back */
	uint64_t bare_lf; /* how many were seen */
};

void smtp_data_init(struct smtp_data *d, unsigned flags);
/*
 * Takes bytes, appends content to out, returns how many were taken: all, or up to
 * and with the end of data (state is then SMTP_DATA_END). out grows by at most
 * len + the CRs held back.
 */
size_t smtp_data_feed(struct smtp_data *d, const char *in, size_t len, struct buf *out);
/*
 * The last BDAT chunk is in: what was held back goes out, and a last line without its end
 * gets one.
 */
void smtp_data_finish(struct smtp_data *d, struct buf *out);

#endif
