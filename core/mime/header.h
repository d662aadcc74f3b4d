#ifndef MIME_HEADER_H
#define MIME_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "mime/source.h"

enum {
	MIME_HEADER_MAX = 1 << 20 /* a header that is longer ends there */
};

/* One field of a header (RFC 5322 2.2). Slices point into the header's bytes. */
struct mime_field {
	struct slice name;  /* without blanks before the colon; empty: no field */
	struct slice value; /* with its folds; without leading blanks and the last line end */
	struct slice raw;   /* all of it, with line end */
};

/*
 * The next field of *rest, which advances; false at the blank line that ends
 * the header or at the end of *rest. Start with the whole header.
 */
bool mime_field_next(struct slice *rest, struct mime_field *f);
/* First field of that name (any case). */
bool mime_field_find(struct slice header, const char *name, struct mime_field *f);

/* Append value with folds undone: line ends go, a fold's blanks stay (RFC 5322 2.2.3); blanks at
 * the end go. */
void mime_unfold(struct buf *out, struct slice value);

/*
 * The header at offset in one piece, with its blank line, at most MIME_HEADER_MAX bytes;
 * points into the source and is valid until the source is read again.
 */
struct slice mime_header_at(struct mime_source *s, uint64_t offset);

#endif
