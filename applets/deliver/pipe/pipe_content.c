/*
 * pipe_content - a message on its way to a command: lines above it, lines changed, line ends
 *
 *	content (LF) --> "." before "."   --> eol at each line's end
 *			 ">" before "From "
 */
#include <string.h>
#include <time.h>

#include "base/date.h"
#include "applets/deliver/pipe/pipe_spec.h"

static const char from_word[] = "From ";

enum { FROM_LEN = sizeof(from_word) - 1 };

/* put_clean - an address, which ends no line */
static void put_clean(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		buf_addc(out, c < 0x20 || c == 0x7f ? '?' : (char)c);
	}
}

static void put_header(
	struct buf *out, const struct pipe_spec *s, const char *name, const char *value)
{
	buf_adds(out, name);
	put_clean(out, value);
	buf_adds(out, s->eol);
}

void pipe_head(struct buf *out, const struct pipe_spec *s, const char *sender,
	const char *recipient, const char *original)
{
	char date[DATE_SIZE];

	sender = sender[0] != '\0' ? sender : s->null_sender;
	if ((s->flags & PIPE_FROM) != 0) {
		date_asctime(date, time(NULL));
		buf_adds(out, from_word);
		put_clean(out, sender);
		buf_addf(out, "  %s%s", date, s->eol);
	}
	if ((s->flags & PIPE_RETURN) != 0) {
		buf_adds(out, "Return-Path: <");
		put_clean(out, sender);
		buf_addf(out, ">%s", s->eol);
	}
	if ((s->flags & PIPE_ORIGINAL) != 0) {
		put_header(out, s, "X-Original-To: ", original);
	}
	if ((s->flags & PIPE_DELIVERED) != 0) {
		put_header(out, s, "Delivered-To: ", recipient);
	}
}

/* begin_line - it is known now how the line begins: "From " or not */
static void begin_line(struct pipe_content *c, struct buf *out, bool from)
{
	if (from && (c->spec->flags & PIPE_FROM_LINE) != 0) {
		buf_addc(out, '>');
	}
	buf_add(out, from_word, c->from);
	c->inside = c->inside || c->from > 0;
	c->from = 0;
}

/* line_start - the first bytes of a line: how many were taken */
static size_t line_start(struct pipe_content *c, struct buf *out, const char *data, size_t len)
{
	size_t n = 0;

	while (n < len && c->from < FROM_LEN && data[n] == from_word[c->from]) {
		c->from++;
		n++;
	}
	if (n == len && c->from < FROM_LEN) {
		return n; /* what comes next will tell */
	}
	if (c->from == 0 && data[n] == '.' && (c->spec->flags & PIPE_DOT) != 0) {
		buf_addc(out, '.');
	}
	begin_line(c, out, c->from == FROM_LEN);
	c->inside = true;
	return n;
}

static void at_end(struct pipe_content *c, struct buf *out)
{
	begin_line(c, out, false);
	if (c->inside) {
		buf_adds(out, c->spec->eol);
		c->inside = false;
	}
	if ((c->spec->flags & PIPE_BLANK) != 0) {
		buf_adds(out, c->spec->eol);
	}
}

void pipe_convert(struct pipe_content *c, struct buf *out, const char *data, size_t len)
{
	const char *end = data + len, *nl;

	if (len == 0) {
		at_end(c, out);
		return;
	}
	while (data < end) {
		if (!c->inside) {
			data += line_start(c, out, data, (size_t)(end - data));
			if (data == end) {
				break;
			}
		}
		nl = memchr(data, '\n', (size_t)(end - data));
		buf_add(out, data, (size_t)((nl != NULL ? nl : end) - data));
		data = nl != NULL ? nl + 1 : end;
		if (nl != NULL) {
			buf_adds(out, c->spec->eol);
			c->inside = false;
		}
	}
}
