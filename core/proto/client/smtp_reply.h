#ifndef PROTO_CLIENT_SMTP_REPLY_H
#define PROTO_CLIENT_SMTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/*
 * Replies of a server as they come in, piece by piece (RFC 5321 4.2): lines of any end, with or
 * without text. Whatever the server sends, memory is bounded: a line is kept up to a limit and the
 * rest of it passed over, the text of all lines together to the same limit; a reply that does not
 * end within SMTP_REPLY_MAX bytes is no reply.
 */
enum { SMTP_REPLY_LINE = 2048, SMTP_REPLY_MAX = 1 << 20 };

enum smtp_reply_result {
	SMTP_REPLY_MORE,
	SMTP_REPLY_WHOLE,
	SMTP_REPLY_GARBAGE, /* strict: a line that has no code; text is it */
	SMTP_REPLY_ENDLESS
};

struct smtp_reply {
	int code;        /* of the last line */
	char dsn[12];    /* of the last line: "5.1.1"; "5.0.0" where it has none; "5.5.0" where the
			    code is none of 2xx, 4xx, 5xx */
	struct buf text; /* all lines with their codes, joined by LF; fit to be logged */
	/* The rest is private. */
	struct buf line;
	size_t total; /* bytes of this reply so far */
	bool taken;   /* the next byte begins a new reply */
	bool cut;     /* bytes of a line were passed over */
};

struct smtp_reply_options {
	size_t line_limit;                           /* 0: SMTP_REPLY_LINE */
	bool strict;                                 /* what has no code is not passed over */
	void (*filter)(void *arg, struct buf *line); /* each line, without its end; NULL: none */
	void *arg;
};

/* Takes bytes of in up to the end of a reply. */
enum smtp_reply_result smtp_reply_take(
	struct smtp_reply *r, struct buf *in, const struct smtp_reply_options *options);
void smtp_reply_free(struct smtp_reply *r);

#endif
