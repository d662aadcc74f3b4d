#ifndef MIME_FILTER_H
#define MIME_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/str.h"

/*
 * A message on its way out, in pieces of any size, walked through by its MIME structure as it
 * passes: header fields are shown whole to whoever wants to change them, and what is said to have
 * bytes above 127 is encoded as quoted-printable, part by part, for a host that takes seven bits
 * only (RFC 6152 3). Lines end with LF on both sides. Memory is bounded by one header field, one
 * line and the stack of boundaries, whatever the message's size. What nobody changes passes byte
 * for byte.
 */
enum mime_filter_header {
	MIME_FILTER_PRIMARY, /* of the message */
	MIME_FILTER_MIME,    /* Content-* and MIME-Version anywhere, and headers of parts */
	MIME_FILTER_NESTED   /* of a message inside (message/rfc822) */
};

enum mime_filter_verdict {
	MIME_FILTER_KEEP,
	MIME_FILTER_REPLACE, /* instead holds what goes out, without the last LF; it may be several
				fields (PREPEND: the new one, LF, the old one) */
	MIME_FILTER_DROP
};

enum {
	MIME_FILTER_DOWNGRADE = 1,          /* 8-bit parts become quoted-printable */
	MIME_FILTER_FIELD_MAX = 100 * 1024, /* a longer header field passes unseen */
	MIME_FILTER_LINE_MAX = 2048         /* body() sees longer lines in pieces */
};

/* NULL members: nobody looks. */
struct mime_filter_hooks {
	/* text: the whole field with its folds, without the last LF; its value begins at value. */
	enum mime_filter_verdict (*header)(void *arg, enum mime_filter_header kind,
		struct slice text, size_t value, struct buf *instead);
	/* A line of a body, without LF, before it is encoded. Boundaries are not shown. */
	enum mime_filter_verdict (*body)(void *arg, struct slice line, struct buf *instead);
	void *arg;
};

struct mime_filter;

/* hooks may be NULL; they are copied. */
struct mime_filter *mime_filter_new(unsigned flags, const struct mime_filter_hooks *hooks);
/* False: multiparts are nested too deep (MIME_DEPTH_MAX of mime/part.h) to be encoded. */
bool mime_filter_write(struct mime_filter *f, const char *data, size_t len, struct buf *out);
bool mime_filter_end(struct mime_filter *f, struct buf *out);
void mime_filter_free(struct mime_filter *f); /* NULL: nothing */

#endif
