#ifndef APPLETS_QUEUE_LISTING_H
#define APPLETS_QUEUE_LISTING_H

#include <stdbool.h>

#include "ipc/showq.h"

/*
 * The list as text for people (Postfix's, byte for byte) or one JSON object a
 * message. Wire messages of ipc/showq.h go in, text is added to out.
 */
struct listing {
	bool json;
	bool long_ids; /* enable_long_queue_ids: wider columns */
	struct buf *out;

	/* The listing's own; zero at first. */
	int64_t count, bytes;
	bool open; /* a message whose recipients come now */
	size_t recipients;
	struct buf reason; /* shown last, for this message */
};

/* 1 taken, 0 it was the end, -1 malformed or out of order; LIST_DENIED is -1 with *denied_r. */
int listing_take(struct listing *l, struct wire *w, bool *denied_r);
/* The trailer, or "Mail queue is empty". */
void listing_end(struct listing *l);
void listing_free(struct listing *l);

#endif
