#ifndef BASE_STREAM_H
#define BASE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/loop.h"
#include "base/wire.h"

/*
 * A connection that carries messages: descriptor, watch, buffers, framing, deadlines, and TLS by a
 * filter. It is embedded in its owner's struct, as a watch is, and may be closed and its memory
 * freed at any moment, also inside its callbacks. An idle stream owns no buffer.
 *
 * Who asks is answered, who waits is called: what a function here finds out, it returns; callbacks
 * come from the loop (or stream_wait) alone.
 */
enum stream_end {
	STREAM_OPEN,
	STREAM_EOF,       /* the peer has closed */
	STREAM_LOST,      /* it went away: reset, broken pipe */
	STREAM_ERROR,     /* another error of the system */
	STREAM_MALFORMED, /* a callback said false */
	STREAM_TOO_LONG,  /* a line or frame above in_max */
	STREAM_TIMEOUT,
	STREAM_TLS,  /* the filter failed */
	STREAM_DONE, /* stream_finish(): all was sent */
};

struct stream;

struct stream_class {
	/*
	 * One of three, which says how input is framed (none: the peer has nothing to say). False:
	 * this is not what we speak. A message is valid until the callback returns, whatever
	 * becomes of the stream meanwhile.
	 */
	bool (*line)(struct stream *s, char *text, size_t len); /* NUL is in the place of LF */
	bool (*frame)(struct stream *s, struct wire *w);        /* as in base/wire.h */
	bool (*data)(struct stream *s, struct buf *in);         /* what is left is offered again */
	/* The rest may be NULL. */
	void (*taken)(struct stream *s); /* after all messages of one read */
	/* What had to wait is sent now, or nothing waits and stream_more() has asked for this. */
	void (*drained)(struct stream *s);
	void (*secured)(struct stream *s); /* the filter's handshake is done */
	/* It is closed already; this may open it again or free it. */
	void (*closed)(struct stream *s, enum stream_end why);
	size_t read_size; /* bytes of one read(2) */
	size_t in_max;    /* longest line or frame; of data: reading rests from here on */
	size_t out_keep;  /* an empty output buffer up to this size is kept */
};

struct stream {
	void *owner;
	struct buf out;       /* messages are put here, then stream_flush() */
	int fd;               /* -1: closed */
	enum stream_end lost; /* sending failed so: what the peer has said is read, then it ends */
	int error;            /* errno, of STREAM_LOST and STREAM_ERROR */
	bool secret;          /* what is put into out is wiped when it is sent, or given up */
	const char *text;     /* private from here on; of STREAM_TLS */
	struct loop *loop;
	const struct stream_class *class;
	struct watch watch;
	struct timer timer;
	struct loop_hook resume;
	struct buf in;
	struct stream_filter *filter;
	struct stream_turn *turn;
	int64_t deadline, idle, active; /* milliseconds; 0: none */
	bool paused, finishing, hung_up, drain_due;
};

/* A closed stream. loop NULL: stream_wait() alone moves it; it has no deadlines and no pauses. */
void stream_init(
	struct stream *s, struct loop *loop, const struct stream_class *class, void *owner);
/* fd is the stream's from now on: non-blocking, a socket, or a pipe to read from. */
void stream_open(struct stream *s, int fd);
/* A unix socket: 0, or -1 with errno (EAGAIN: its backlog is full). */
int stream_connect(struct stream *s, const char *path);
void stream_close(struct stream *s); /* at once, without a callback; a closed one: nothing */
/* Another class and owner from the next message on. */
void stream_use(struct stream *s, const struct stream_class *class, void *owner);

/*
 * Send what is in out as far as it goes, the loop does the rest: 0. -1: the peer takes no more;
 * close it, or wait for closed(), which comes when its last words are read. What callbacks put into
 * out is sent when they have returned.
 */
int stream_flush(struct stream *s);
/*
 * Straight from the caller's memory, when nothing waits: how many bytes went, or -1 as above. After
 * less than len, drained() is called when there is room.
 */
ssize_t stream_send(struct stream *s, const void *data, size_t len);
size_t stream_unsent(const struct stream *s); /* bytes */
void stream_more(struct stream *s);           /* drained() is wanted in a turn to come */
void stream_finish(struct stream *s);         /* once all is sent: closed() with STREAM_DONE */

/* No reading and no messages while on. Off also offers again what data() has left. */
void stream_pause(struct stream *s, bool on);
bool stream_has_more(const struct stream *s); /* inside line(), frame(): more than this one came */

/* STREAM_TIMEOUT after so many milliseconds; or when for so long no byte moved. 0: never. */
void stream_deadline(struct stream *s, int64_t ms);
void stream_idle(struct stream *s, int64_t ms);

/*
 * Without the loop's help: wait until something moves, not longer than until (of clock_ms), and
 * call what is to be called. 1: it moved; 0: the time is over; -1: it is closed. Not from inside
 * its callbacks.
 */
int stream_wait(struct stream *s, int64_t until);

/* Why it ended, for people; valid until it is opened again. */
const char *stream_text(const struct stream *s, enum stream_end why);

#endif
