/*
 * imap_read - collect commands with their literals
 *
 *	LINE --announcement--> ANNOUNCED --accept--> LITERAL --all there--> LINE
 *	  |                        `--refuse--> DRAIN --all gone--> SKIP --line end--> LINE
 *	  `--longer than max--> SKIP
 *
 * While skipping, further announcements of non-synchronising literals are followed, so that
 * their bytes are not taken for commands.
 *
 * RFC 3501 4.3, 7.5, 9; RFC 7888 (LITERAL+)
 */
#include "proto/imap_read.h"

#include <string.h>

enum { LINE, ANNOUNCED, LITERAL, DRAIN, SKIP };

enum {
	HEAD = 128, /* of what is passed over, kept to name it in the answer */
	TAIL = 32   /* of a skipped line, kept to see an announcement */
};

/* parse_announcement - does the line end in {n}, {n+} or ~{n}, outside quotes? */
static bool parse_announcement(const char *s, size_t len, uint64_t *size_r, bool *sync_r)
{
	const char *end = s + len, *p;
	bool sync = true, quoted = false;
	uint64_t n = 0;

	if (len < 3 || end[-1] != '}') {
		return false;
	}
	end--;
	if (end[-1] == '+') {
		sync = false;
		end--;
	}
	for (p = end; p > s && p[-1] >= '0' && p[-1] <= '9'; p--) {
	}
	if (p == end || p == s || p[-1] != '{' || (p - 1 > s && strchr(" (~", p[-2]) == NULL)) {
		return false;
	}
	for (len = (size_t)(p - s); len > 0; s++, len--) {
		if (*s == '\\' && quoted && len > 1) {
			s++;
			len--;
		} else if (*s == '"') {
			quoted = !quoted;
		}
	}
	if (quoted) {
		return false;
	}
	for (; p < end; p++) {
		n = n > UINT64_MAX / 10 - 10 ? UINT64_MAX / 10 : n * 10 + (uint64_t)(*p - '0');
	}
	*size_r = n;
	*sync_r = sync;
	return true;
}

/* end_line - a line is complete in text */
static enum imap_read end_line(struct imap_reader *r)
{
	if (r->text.len > r->line && r->text.data[r->text.len - 1] == '\r') {
		buf_truncate(&r->text, r->text.len - 1);
	}
	if (parse_announcement(
		    buf_str(&r->text) + r->line, r->text.len - r->line, &r->size, &r->sync)) {
		r->state = ANNOUNCED;
		return IMAP_READ_LITERAL;
	}
	return IMAP_READ_COMMAND;
}

/* read_line - move bytes up to a line end into text; true: something to report in *what */
static bool read_line(struct imap_reader *r, struct buf *in, enum imap_read *what)
{
	const char *head = buf_head(in), *lf = memchr(head, '\n', buf_unread(in));
	size_t n = lf != NULL ? (size_t)(lf - head) : buf_unread(in);

	if (r->text.len + n > r->max) {
		size_t keep = r->text.len < HEAD ? HEAD - r->text.len : 0;

		keep = keep < n ? keep : n;
		buf_add(&r->text, head, keep);
		buf_consume(in, keep);
		r->state = SKIP;
		r->begun = r->line;
		r->line = r->text.len;
		return false;
	}
	buf_add(&r->text, head, n);
	buf_consume(in, n + (lf != NULL));
	*what = lf != NULL ? end_line(r) : IMAP_READ_MORE;
	return true;
}

/* tail_announces - does the line that was passed over end in an announcement? */
static bool tail_announces(struct imap_reader *r)
{
	size_t len = r->text.len, from;

	len -= len > 0 && r->text.data[len - 1] == '\r';
	from = len > r->begun + TAIL ? len - TAIL : r->begun;
	if (from > len) {
		return false;
	}
	return parse_announcement(buf_str(&r->text) + from, len - from, &r->size, &r->sync);
}

/* skip_line - throw away up to the line end; text keeps the tail of the line behind its start */
static bool skip_line(struct imap_reader *r, struct buf *in, enum imap_read *what)
{
	const char *head = buf_head(in), *lf = memchr(head, '\n', buf_unread(in));
	size_t n = lf != NULL ? (size_t)(lf - head) : buf_unread(in), keep = n < TAIL ? n : TAIL;
	size_t have = r->text.len - r->line;

	if (have + keep > TAIL) {
		size_t drop = have + keep - TAIL;

		memmove(r->text.data + r->line, r->text.data + r->line + drop, have - drop);
		buf_truncate(&r->text, r->text.len - drop);
	}
	buf_add(&r->text, head + n - keep, keep);
	buf_consume(in, n + (lf != NULL));
	if (lf == NULL) {
		*what = IMAP_READ_MORE;
		return true;
	}
	if (tail_announces(r) && !r->sync) {
		buf_truncate(&r->text, r->line);
		r->state = DRAIN;
		return false;
	}
	buf_truncate(&r->text, r->line);
	if (r->refused) {
		imap_reader_reset(r);
		return false;
	}
	*what = IMAP_READ_TOO_LONG;
	return true;
}

enum imap_read imap_reader_next(struct imap_reader *r, struct buf *in)
{
	enum imap_read what = IMAP_READ_MORE;
	size_t n;

	for (;;) {
		n = buf_unread(in);
		switch (r->state) {
		case LINE:
			if (n == 0 || read_line(r, in, &what)) {
				return what;
			}
			break;
		case SKIP:
			if (n == 0 || skip_line(r, in, &what)) {
				return what;
			}
			break;
		case LITERAL:
		case DRAIN:
			if (n > r->size) {
				n = (size_t)r->size;
			}
			if (r->state == LITERAL) {
				buf_add(&r->text, buf_head(in), n);
			}
			buf_consume(in, n);
			r->size -= n;
			if (r->size > 0) {
				return IMAP_READ_MORE;
			}
			r->state = r->state == LITERAL ? LINE : SKIP;
			r->line = r->begun = r->text.len;
			break;
		default:
			return IMAP_READ_LITERAL;
		}
	}
}

bool imap_reader_fits(const struct imap_reader *r)
{
	return r->size <= r->max && r->text.len + r->size <= r->max;
}

bool imap_reader_skipping(const struct imap_reader *r)
{
	return r->state == SKIP && !r->refused;
}

void imap_reader_accept(struct imap_reader *r)
{
	buf_adds(&r->text, "\r\n"); /* imap_parse.h finds the literal's bytes behind it */
	r->state = LITERAL;
}

void imap_reader_refuse(struct imap_reader *r)
{
	bool comes = !r->sync;
	uint64_t size = r->size;

	imap_reader_reset(r);
	if (comes) {
		r->state = DRAIN;
		r->size = size;
		r->refused = true;
		r->begun = 0;
	}
}

void imap_reader_streamed(struct imap_reader *r)
{
	imap_reader_reset(r);
}

void imap_reader_reset(struct imap_reader *r)
{
	buf_reset(&r->text);
	buf_shrink(&r->text, 0);
	r->line = 0;
	r->size = 0;
	r->refused = false;
	r->state = LINE;
}

void imap_reader_free(struct imap_reader *r)
{
	buf_free(&r->text);
}
