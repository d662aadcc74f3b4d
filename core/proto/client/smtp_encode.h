#ifndef PROTO_CLIENT_SMTP_ENCODE_H
#define PROTO_CLIENT_SMTP_ENCODE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/*
 * The queue's bytes (lines end with LF) as SMTP's DATA wants them: CRLF, a dot more where a line
 * begins with one, no line longer than the limit (longer ones go on behind CR LF SPACE, RFC 5321
 * 4.5.3.1.6 and Postfix's smtp_line_length_limit), the final dot. Pieces of any size.
 */
struct smtp_encoder {
	size_t limit;  /* bytes of a line without its end and without the added dot; 0: none */
	size_t column; /* bytes of the line so far */
	bool broken;   /* a line was */
};

/* Grows out by less than 2 * len + 2 * (len / (limit - 1) + 1). */
void smtp_encode(struct smtp_encoder *e, const char *data, size_t len, struct buf *out);
/* The end of a last line that has none, and the final dot. */
void smtp_encode_end(struct smtp_encoder *e, struct buf *out);

#endif
