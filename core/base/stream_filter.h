#ifndef BASE_STREAM_FILTER_H
#define BASE_STREAM_FILTER_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/stream.h"

/* What a stream's bytes pass through on their way: TLS (net/stream_tls.h). */
struct stream_filter {
	const struct stream_filter_class *class;
	struct buf wire_in, wire_out;
	bool up; /* the stream's note: secured() was called */
};

struct stream_filter_class {
	/*
	 * Move what can be moved: from wire_in to in, from out to wire_out (out only once the
	 * handshake is done). 1: open; 0: the peer has closed in order; -1: failed.
	 */
	int (*process)(struct stream_filter *f, struct buf *in, struct buf *out);
	bool (*is_up)(const struct stream_filter *f);
	void (*say_end)(struct stream_filter *f);            /* the last words, into wire_out */
	const char *(*error)(const struct stream_filter *f); /* a constant */
	void (*free)(struct stream_filter *f);
};

/*
 * All bytes from now on pass through f, which is the stream's. What is in out is sent through it
 * after the handshake; what came in before is dropped, for it was not said under TLS.
 */
void stream_filter(struct stream *s, struct stream_filter *f);

#endif
