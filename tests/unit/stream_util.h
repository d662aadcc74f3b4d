/*
 * stream_util - a stream at a socket pair, and an owner that notes what it is told and may go away
 * in any callback
 */
#ifndef TESTS_UNIT_STREAM_UTIL_H
#define TESTS_UNIT_STREAM_UTIL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/loop.h"
#include "base/stream.h"

enum { TURNS_MAX = 400, TURN_MS = 5, LINE_MAX = 16 };

/* What a callback does besides noting that it was called. */
enum act { ACT_NONE, ACT_CLOSE, ACT_FREE, ACT_REOPEN, ACT_REFUSE, ACT_PAUSE, ACT_SWITCH };

struct rig {
	struct loop *loop;
	struct stream *s; /* NULL: freed */
	int peer;
	struct buf heard; /* "line;" of each message, "!" after each read, "^" when drained */
	enum stream_end why;
	int ended, drained, secured;
	enum act on_message, on_taken, on_drained, on_secured, on_closed;
	const struct stream_class *next; /* ACT_SWITCH */
	bool more;
};

/* A new socket pair: one end is rig's peer, the other is returned. */
int rig_pair(struct rig *r);
/* A stream of one of the classes below (what they hear goes into heard), open to peer. */
void rig_open(struct rig *r, const struct stream_class *class);
void rig_close(struct rig *r);
extern const struct stream_class rig_lines, rig_frames, rig_silent;
extern const struct stream_class rig_pairs; /* data, of which pairs of bytes are taken */

void rig_say(const struct rig *r, const void *data, size_t len); /* as the peer */
void rig_settle(struct rig *r);    /* turns until nothing happens any more */
void rig_until_end(struct rig *r); /* turns until closed() */
/* What was heard since the last call, without the signs of taken(). */
const char *rig_hear(struct rig *r, char out[256]);
void rig_read_all(const struct rig *r, struct buf *b); /* what the peer can read now */

void rig_frame(struct buf *b, const char *text);
void rig_fill(struct buf *b, size_t len); /* text that is different everywhere */

#endif
