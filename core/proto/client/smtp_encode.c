/*
 * smtp_encode - message content on its way out: line ends, dots, long lines
 *
 * RFC 5321 4.5.2, 4.5.3.1.6
 */
#include "proto/client/smtp_encode.h"

#include <string.h>

/* put_text - a piece of a line, without its end */
static void put_text(struct smtp_encoder *e, const char *p, size_t len, struct buf *out)
{
	if (e->column == 0 && *p == '.') {
		buf_addc(out, '.');
	}
	while (e->limit > 1 && len > e->limit - e->column) {
		size_t room = e->limit - e->column;

		/* Only where something follows: a line that is just full is left alone. */
		buf_add(out, p, room);
		buf_add(out, "\r\n ", 3);
		p += room;
		len -= room;
		e->column = 1;
		e->broken = true;
	}
	buf_add(out, p, len);
	e->column += len;
}

void smtp_encode(struct smtp_encoder *e, const char *data, size_t len, struct buf *out)
{
	const char *end = data + len;

	while (data < end) {
		const char *lf = memchr(data, '\n', (size_t)(end - data));
		const char *stop = lf != NULL ? lf : end;

		if (stop > data) {
			put_text(e, data, (size_t)(stop - data), out);
		}
		if (lf != NULL) {
			buf_add(out, "\r\n", 2);
			e->column = 0;
			stop++;
		}
		data = stop;
	}
}

void smtp_encode_end(struct smtp_encoder *e, struct buf *out)
{
	if (e->column > 0) {
		buf_add(out, "\r\n", 2);
		e->column = 0;
	}
	buf_add(out, ".\r\n", 3);
}
