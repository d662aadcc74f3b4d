#ifndef MIME_TRANSFER_H
#define MIME_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/str.h"

/* Content-Transfer-Encoding (RFC 2045 6), both ways, in pieces of any size. */
enum mime_encoding {
	MIME_7BIT,
	MIME_8BIT,
	MIME_BINARY,
	MIME_BASE64,
	MIME_QP,
	MIME_UUENCODE, /* x-uuencode and its other names: decoding only */
	MIME_UNKNOWN   /* passes through unchanged */
};

enum mime_encoding mime_encoding_parse(struct slice value);

struct mime_decoder {
	enum mime_encoding encoding;
	unsigned bits, count; /* base64: bits held, letters of the group so far */
	bool ended;           /* base64: padding was seen; uuencode: end line */
	bool begun;           /* uuencode */
	char held[256]; /* QP: blanks at the line's end, an unfinished '='; uuencode: a line */
	size_t held_len;
};

void mime_decode_init(struct mime_decoder *d, enum mime_encoding encoding);
/* Bytes that are no part of the encoding are passed over (base64) or taken as they are
 * (quoted-printable). */
void mime_decode(struct mime_decoder *d, const char *data, size_t len, struct buf *out);
void mime_decode_end(struct mime_decoder *d, struct buf *out);

struct mime_encoder {
	enum mime_encoding encoding; /* MIME_BASE64 or MIME_QP; others pass through */
	unsigned char held[3];
	size_t held_len;
	size_t column;
};

/*
 * Lines of at most 76 with LF out. QP keeps line ends (LF) as line ends; base64 encodes the
 * bytes as they are: text for it needs CRLF (RFC 2045 6.8), which the caller sees to.
 */
void mime_encode_init(struct mime_encoder *e, enum mime_encoding encoding);
void mime_encode(struct mime_encoder *e, const char *data, size_t len, struct buf *out);
void mime_encode_end(struct mime_encoder *e, struct buf *out);

#endif
