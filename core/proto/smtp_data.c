/*
 * smtp_data - message data from the wire to LF line ends
 *
 *	            CRLF                  "."             CR              LF
 *	  TEXT --> CR --> LINE ------------> DOT -----> DOT_CR -------> END
 *	    \  LF          | other            | other     | other
 *	     +--> LINE_LF -+----> TEXT <------+-----------+
 *
 * The dot at the start of a line is taken away whatever follows (RFC 5321
 * 4.5.2), also after a bare LF. Lines are found with memchr() and copied
 * whole, so the usual message passes with two calls a line; only what lies
 * on a border between two reads goes byte by byte.
 *
 * RFC 5321 2.3.8, 4.1.1.4, 4.5.2; RFC 3030.
 */
#include "proto/smtp_data.h"

#include <string.h>

enum { CRS_HELD_MAX = 64 }; /* a longer run of CRs is data up to its last ones */

void smtp_data_init(struct smtp_data *d, unsigned flags)
{
	memset(d, 0, sizeof(*d));
	d->flags = flags;
	d->state = SMTP_DATA_LINE;
}

/* release_crs - CRs that did not end a line are data after all */
static void release_crs(struct smtp_data *d, struct buf *out)
{
	for (; d->crs > 0; d->crs--) {
		buf_addc(out, '\r');
	}
}

/* end_line - LF came; the CRs before it go */
static void end_line(struct smtp_data *d, struct buf *out)
{
	if (d->crs == 0) {
		d->bare_lf++;
	}
	d->state = d->crs > 0 ? SMTP_DATA_LINE : SMTP_DATA_LINE_LF;
	d->crs = 0;
	buf_addc(out, '\n');
}

/* take_text - c inside a line */
static void take_text(struct smtp_data *d, char c, struct buf *out)
{
	if (c == '\n') {
		end_line(d, out);
	} else if (c == '\r') {
		d->state = SMTP_DATA_CR;
		if (d->crs == CRS_HELD_MAX) {
			buf_addc(out, '\r');
		} else {
			d->crs++;
		}
	} else {
		release_crs(d, out);
		buf_addc(out, c);
		d->state = SMTP_DATA_TEXT;
	}
}

/* take_byte - one byte through the drawing above */
static void take_byte(struct smtp_data *d, char c, struct buf *out)
{
	bool lenient = (d->flags & SMTP_DATA_LENIENT) != 0;

	switch (d->state) {
	case SMTP_DATA_LINE:
	case SMTP_DATA_LINE_LF:
		if (c == '.' && (d->flags & SMTP_DATA_BDAT) == 0) {
			/* After a bare LF the dot is stuffing but can never end the message. */
			d->state = d->state == SMTP_DATA_LINE || lenient ? SMTP_DATA_DOT
									 : SMTP_DATA_TEXT;
			return;
		}
		break;
	case SMTP_DATA_DOT:
		if (c == '\r') {
			d->crs = 1;
			d->state = SMTP_DATA_DOT_CR;
			return;
		}
		if (c == '\n' && lenient) {
			d->bare_lf++;
			d->state = SMTP_DATA_END;
			return;
		}
		break;
	case SMTP_DATA_DOT_CR:
		if (c == '\n') {
			d->crs = 0;
			d->state = SMTP_DATA_END;
			return;
		}
		break;
	case SMTP_DATA_TEXT:
	case SMTP_DATA_CR:
	case SMTP_DATA_END:
		break;
	}
	take_text(d, c, out);
}

/* take_lines - whole lines and the text of the last one at once; how many bytes were taken */
static size_t take_lines(struct smtp_data *d, const char *in, size_t len, struct buf *out)
{
	size_t done = 0;

	while (done < len) {
		const char *p = in + done, *lf;
		size_t line, text;

		if (d->state == SMTP_DATA_DOT || d->state == SMTP_DATA_DOT_CR ||
			d->state == SMTP_DATA_CR) {
			break;
		}
		if (*p == '.' && d->state != SMTP_DATA_TEXT && (d->flags & SMTP_DATA_BDAT) == 0) {
			break;
		}
		lf = memchr(p, '\n', len - done);
		line = lf != NULL ? (size_t)(lf - p) : len - done;
		text = line;
		while (text > 0 && p[text - 1] == '\r' && line - text < CRS_HELD_MAX) {
			text--;
		}
		buf_add(out, p, text);
		if (lf == NULL) {
			if (text > 0) {
				d->state = SMTP_DATA_TEXT;
			}
			done += text;
			if (text < line) {
				break; /* CRs at the end of what we have: byte by byte */
			}
			continue;
		}
		d->crs = (unsigned)(line - text > 1 ? 1 : line - text);
		end_line(d, out);
		done += line + 1;
	}
	return done;
}

size_t smtp_data_feed(struct smtp_data *d, const char *in, size_t len, struct buf *out)
{
	size_t done = 0;

	while (done < len && d->state != SMTP_DATA_END) {
		done += take_lines(d, in + done, len - done, out);
		if (done < len) {
			take_byte(d, in[done++], out);
		}
	}
	return done;
}

void smtp_data_finish(struct smtp_data *d, struct buf *out)
{
	bool open = d->state == SMTP_DATA_TEXT || d->state == SMTP_DATA_CR;

	release_crs(d, out);
	if (open) {
		buf_addc(out, '\n');
	}
	d->state = SMTP_DATA_END;
}
