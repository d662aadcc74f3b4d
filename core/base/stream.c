/*
 * stream - a connection that carries messages
 *
 *	socket -> (filter.wire_in -> filter) -> in -> line(), frame(), data()
 *	socket <- (filter.wire_out <- filter) <- out <- the owner
 *
 * All that the loop reports is one turn of the stream: send what waits, read once, give the whole
 * messages to the owner, send what they have put into out. While a turn lasts the input stands in
 * the turn (struct stream_turn) and not in the stream, and stream_close() marks the turn as gone:
 * so a callback may close the stream or free its memory, and the message that it holds stays valid.
 *
 * A peer that goes away while we send may have said why before: a failed write closes nothing, but
 * the rest is read first (an SMTP server's 421, a worker's last log line).
 *
 * Timers are lazy: bytes that move only note the time; when the timer comes due it is set again for
 * what is left.
 *
 * No descriptors pass here: where they do (master and its children), the sockets are SEQPACKET, for
 * in a stream of bytes nothing says which message a descriptor came with.
 */
#include "base/stream.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/stream_filter.h"
#include "base/unixsock.h"

enum {
	GIVE = 8,          /* beside the loop's events: messages that rested are due */
	SEND_HIGH = 65536, /* stream_send() through a filter keeps this much back at most */
	HOUR_MS = 3600000,
};

struct stream_turn {
	struct buf in;
	size_t size; /* of the message that is being given */
	bool gone;   /* the stream was closed: nothing of it may be touched */
};

static void on_ready(struct watch *w, unsigned events);
static void on_timer(struct timer *t);
static void on_resume(struct loop_hook *h);

/* ---- What it waits for ---- */

static int64_t now_ms(const struct stream *s)
{
	return s->loop != NULL ? loop_now(s->loop) : clock_ms();
}

size_t stream_unsent(const struct stream *s)
{
	return buf_unread(&s->out) + (s->filter != NULL ? buf_unread(&s->filter->wire_out) : 0);
}

/* can_send - bytes that only wait for the socket; before the handshake, out waits for the filter */
static bool can_send(const struct stream *s)
{
	const struct stream_filter *f = s->filter;

	return f == NULL ? buf_unread(&s->out) > 0
			 : buf_unread(&f->wire_out) > 0 || (f->up && buf_unread(&s->out) > 0);
}

static bool wants_input(const struct stream *s)
{
	return !s->paused && (s->class->data == NULL || buf_unread(&s->in) < s->class->in_max);
}

static unsigned wanted(const struct stream *s)
{
	unsigned events = wants_input(s) ? LOOP_READ : 0u;

	if (s->lost != STREAM_OPEN) {
		/* Always ready: what is left to read is read, and then it ends. */
		return events != 0 ? events | LOOP_WRITE : 0;
	}
	if (can_send(s) || ((s->drain_due || s->finishing) && stream_unsent(s) == 0)) {
		events |= LOOP_WRITE;
	}
	return events;
}

static void set_watch(struct stream *s)
{
	unsigned events = wanted(s);

	if (s->loop == NULL || s->fd < 0 || s->turn != NULL) {
		return;
	}
	if (events == 0 && s->hung_up) {
		/* A hang-up is reported again and again; until somebody reads, nobody is told. */
		loop_unwatch(s->loop, &s->watch);
	} else if (s->watch.fd >= 0) {
		loop_want(s->loop, &s->watch, events);
	} else {
		loop_watch(s->loop, &s->watch, s->fd, events, on_ready, s);
	}
}

static void set_timer(struct stream *s)
{
	int64_t due = s->deadline, left;

	if (s->loop == NULL || s->fd < 0) {
		return;
	}
	if (s->idle > 0 && (due == 0 || s->active + s->idle < due)) {
		due = s->active + s->idle;
	}
	if (due == 0) {
		loop_untimer(s->loop, &s->timer);
	} else {
		left = due - clock_ms();
		loop_timer(s->loop, &s->timer, left > 0 ? left : 0, on_timer, s);
	}
}

/* ---- Beginning and end ---- */

void stream_init(struct stream *s, struct loop *loop, const struct stream_class *class, void *owner)
{
	memset(s, 0, sizeof(*s));
	s->loop = loop;
	s->class = class;
	s->owner = owner;
	s->fd = -1;
	s->watch.fd = -1;
}

void stream_open(struct stream *s, int fd)
{
	stream_close(s);
	s->fd = fd;
	s->error = 0;
	s->text = NULL;
	s->lost = STREAM_OPEN;
	s->deadline = s->idle = 0;
	s->active = now_ms(s);
	s->paused = s->finishing = s->hung_up = s->drain_due = false;
	set_watch(s);
}

int stream_connect(struct stream *s, const char *path)
{
	int fd = unix_connect(path);

	if (fd < 0) {
		return -1;
	}
	stream_open(s, fd);
	return 0;
}

static void free_filter(struct stream *s)
{
	struct stream_filter *f = s->filter;

	s->filter = NULL;
	if (f != NULL) {
		buf_free(&f->wire_in);
		buf_free(&f->wire_out);
		f->class->free(f);
	}
}

/* drop_out - what was to be sent, and its memory */
static void drop_out(struct stream *s)
{
	if (s->secret && s->out.data != NULL) {
		forget(s->out.data, s->out.cap);
	}
	buf_free(&s->out);
}

void stream_close(struct stream *s)
{
	if (s->turn != NULL) {
		s->turn->gone = true;
		s->turn = NULL;
	}
	if (s->fd >= 0 && s->loop != NULL) {
		loop_unwatch(s->loop, &s->watch);
		loop_untimer(s->loop, &s->timer);
		loop_unhook(s->loop, &s->resume);
	}
	if (s->fd >= 0) {
		close(s->fd);
		s->fd = -1;
	}
	free_filter(s);
	buf_free(&s->in);
	drop_out(s);
}

/* end - close it and tell the owner, who may free it */
static void end(struct stream *s, enum stream_end why)
{
	void (*closed)(struct stream * s, enum stream_end why) = s->class->closed;

	stream_close(s);
	if (closed != NULL) {
		closed(s, why);
	}
}

void stream_use(struct stream *s, const struct stream_class *class, void *owner)
{
	s->class = class;
	s->owner = owner;
	set_watch(s);
}

/* ---- Bytes ---- */

static bool would_block(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* failed - errno, as an end */
static enum stream_end failed(struct stream *s)
{
	s->error = errno;
	return errno == EPIPE || errno == ECONNRESET ? STREAM_LOST : STREAM_ERROR;
}

/* pass - through the filter, both ways; whether it goes on */
static enum stream_end pass(struct stream *s)
{
	struct stream_filter *f = s->filter;
	int rc = f->class->process(f, &s->in, &s->out);

	buf_shrink(&f->wire_in, 0);
	if (rc < 0) {
		s->text = f->class->error(f);
		return STREAM_TLS;
	}
	return rc > 0 ? STREAM_OPEN : STREAM_EOF;
}

/* write_all - as much of b as the socket takes; errors are noted */
static void write_all(struct stream *s, struct buf *b)
{
	while (buf_unread(b) > 0) {
		ssize_t n = send(s->fd, buf_head(b), buf_unread(b), MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0 && would_block()) {
			s->drain_due = true;
			return;
		}
		if (n < 0) {
			s->lost = s->lost == STREAM_OPEN ? failed(s) : s->lost;
			return;
		}
		buf_consume(b, (size_t)n);
		s->active = now_ms(s);
	}
}

/* push - send what can be sent; 0, or -1: the peer takes no more, and what waited is dropped */
static int push(struct stream *s)
{
	struct stream_filter *f = s->filter;

	if (s->fd < 0) {
		return -1;
	}
	if (s->lost == STREAM_OPEN) {
		if (f != NULL && (!f->up || buf_unread(&s->out) > 0)) {
			s->lost = pass(s);
		}
		/* Also when that failed: it may have an alert to send. */
		write_all(s, f != NULL ? &f->wire_out : &s->out);
	}
	if (s->lost != STREAM_OPEN) {
		drop_out(s);
		if (f != NULL) {
			buf_free(&f->wire_out);
		}
		return -1;
	}
	if (s->secret && buf_unread(&s->out) == 0) {
		drop_out(s);
	}
	buf_shrink(&s->out, s->class->out_keep);
	if (f != NULL) {
		buf_shrink(&f->wire_out, 0);
	}
	return 0;
}

int stream_flush(struct stream *s)
{
	int rc = push(s);

	set_watch(s);
	return rc;
}

/* send_filtered - bytes are copied anyway; no more than SEND_HIGH wait */
static ssize_t send_filtered(struct stream *s, const void *data, size_t len)
{
	if (stream_unsent(s) >= SEND_HIGH) {
		s->drain_due = true;
		return 0;
	}
	buf_add(&s->out, data, len);
	return push(s) == 0 ? (ssize_t)len : -1;
}

static ssize_t send_plain(struct stream *s, const void *data, size_t len)
{
	ssize_t n = 0;

	if (push(s) != 0) {
		return -1;
	}
	if (buf_unread(&s->out) == 0) {
		n = send(s->fd, data, len, MSG_NOSIGNAL);
	}
	if (n < 0 && !would_block()) {
		s->lost = failed(s);
		return -1;
	}
	n = n > 0 ? n : 0;
	s->active = n > 0 ? now_ms(s) : s->active;
	s->drain_due = s->drain_due || (size_t)n < len;
	return n;
}

ssize_t stream_send(struct stream *s, const void *data, size_t len)
{
	ssize_t n = s->filter != NULL ? send_filtered(s, data, len) : send_plain(s, data, len);

	set_watch(s);
	return n;
}

void stream_more(struct stream *s)
{
	s->drain_due = true;
	set_watch(s);
}

void stream_finish(struct stream *s)
{
	s->finishing = true;
	(void)stream_flush(s);
}

/* read_once - STREAM_OPEN, and *came_r says whether there was something; or how it ended */
static enum stream_end read_once(struct stream *s, bool *came_r)
{
	struct buf *b = s->filter != NULL ? &s->filter->wire_in : &s->in;
	ssize_t n = read(s->fd, buf_reserve(b, s->class->read_size), s->class->read_size);

	*came_r = n > 0;
	if (n > 0) {
		buf_added(b, (size_t)n);
		s->active = now_ms(s);
		return STREAM_OPEN;
	}
	buf_shrink(b, 0);
	if (n == 0) {
		return STREAM_EOF;
	}
	return would_block() ? s->lost : failed(s);
}

/* ---- Messages ---- */

/* give_line - 1: one was given; 0: there is no whole one; -1: refused; -2: too long */
static int give_line(struct stream *s, struct stream_turn *t)
{
	char *text = t->in.data + t->in.pos;
	char *lf = memchr(text, '\n', buf_unread(&t->in));
	size_t len = lf != NULL ? (size_t)(lf - text) : buf_unread(&t->in);

	if (len > s->class->in_max) {
		return -2;
	}
	if (lf == NULL) {
		return 0;
	}
	*lf = '\0';
	t->size = len + 1;
	return s->class->line(s, text, len) ? 1 : -1;
}

/* give_frame - as give_line(); a length that is too much is known before the bytes have come */
static int give_frame(struct stream *s, struct stream_turn *t)
{
	struct wire w;
	int rc = wire_next(&t->in, &w, &t->size);

	if (rc < 0 || wire_announced(&t->in) > s->class->in_max) {
		return -2;
	}
	return rc == 0 ? 0 : s->class->frame(s, &w) ? 1 : -1;
}

/* give_one - the next message; values as give_line() */
static int give_one(struct stream *s, struct stream_turn *t)
{
	int rc;

	if (buf_unread(&t->in) == 0) {
		return 0;
	}
	if (s->class->data != NULL) {
		return s->class->data(s, &t->in) ? 0 : -1;
	}
	if (s->class->line == NULL && s->class->frame == NULL) {
		return -1;
	}
	rc = s->class->line != NULL ? give_line(s, t) : give_frame(s, t);
	if (rc > 0 && !t->gone) {
		buf_consume(&t->in, t->size);
	}
	return rc;
}

/* give - the whole messages that are there; false: the stream is gone */
static bool give(struct stream *s, struct stream_turn *t)
{
	int rc;

	t->in = s->in;
	memset(&s->in, 0, sizeof(s->in));
	do {
		rc = give_one(s, t);
	} while (rc > 0 && !t->gone && !s->paused);
	if (t->gone) {
		buf_free(&t->in);
		return false;
	}
	/* A filter that was called meanwhile may have added to what was left. */
	buf_add(&t->in, buf_head(&s->in), buf_unread(&s->in));
	buf_free(&s->in);
	s->in = t->in;
	memset(&t->in, 0, sizeof(t->in));
	if (rc < 0) {
		end(s, rc == -1 ? STREAM_MALFORMED : STREAM_TOO_LONG);
		return false;
	}
	if (s->class->taken != NULL) {
		s->class->taken(s);
	}
	return !t->gone;
}

bool stream_has_more(const struct stream *s)
{
	return s->turn != NULL && buf_unread(&s->turn->in) > s->turn->size;
}

void stream_pause(struct stream *s, bool on)
{
	s->paused = on;
	if (!on && s->loop != NULL && s->fd >= 0 && buf_unread(&s->in) > 0) {
		loop_at_end(s->loop, &s->resume, on_resume, s);
	}
	set_watch(s);
}

/* ---- Turns ---- */

/* write_turn - the socket takes something; false: the stream is gone */
static bool write_turn(struct stream *s, struct stream_turn *t)
{
	if (push(s) != 0 || stream_unsent(s) > 0) {
		return true;
	}
	if (s->finishing) {
		if (s->filter != NULL) {
			s->filter->class->say_end(s->filter);
			write_all(s, &s->filter->wire_out);
		}
		end(s, STREAM_DONE);
		return false;
	}
	if (s->drain_due) {
		s->drain_due = false;
		if (s->class->drained != NULL) {
			s->class->drained(s);
		}
	}
	return !t->gone;
}

/* secure - the handshake is done, or goes on; false: the stream is gone */
static bool secure(struct stream *s, struct stream_turn *t)
{
	struct stream_filter *f = s->filter;

	if (!f->up && f->class->is_up(f)) {
		f->up = true;
		if (s->class->secured != NULL) {
			s->class->secured(s);
		}
	}
	return !t->gone;
}

/* hang_up - the peer is gone while nothing is read; false: the stream is, too */
static bool hang_up(struct stream *s)
{
	int error = 0;
	socklen_t len = sizeof(error);

	s->hung_up = true;
	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error != 0) {
		errno = error;
		end(s, failed(s));
		return false;
	}
	return true;
}

/* read_turn - one read and what comes of it; false: the stream is gone */
static bool read_turn(struct stream *s, struct stream_turn *t)
{
	size_t before = buf_unread(&s->in);
	bool came;
	enum stream_end why = read_once(s, &came);

	if (came && s->filter != NULL) {
		why = pass(s);
		if (why != STREAM_TLS && !secure(s, t)) {
			return false;
		}
	}
	if (buf_unread(&s->in) > before && !s->paused && !give(s, t)) {
		return false;
	}
	buf_shrink(&s->in, 0);
	if (why != STREAM_OPEN) {
		if (why == STREAM_TLS && s->filter != NULL) {
			write_all(s, &s->filter->wire_out); /* the alert, if it fits */
		}
		end(s, why);
		return false;
	}
	return true;
}

static void dispatch(struct stream *s, struct stream_turn *t, unsigned events)
{
	if ((events & LOOP_WRITE) != 0 && !write_turn(s, t)) {
		return;
	}
	if ((events & GIVE) != 0 && !s->paused && buf_unread(&s->in) > 0 && !give(s, t)) {
		return;
	}
	if (s->lost != STREAM_OPEN) {
		events |= LOOP_READ;
	}
	if (wants_input(s)) {
		if ((events & (LOOP_READ | LOOP_HANGUP)) != 0 && !read_turn(s, t)) {
			return;
		}
	} else if ((events & LOOP_HANGUP) != 0 && !hang_up(s)) {
		return;
	}
	(void)push(s);
}

static void begin_turn(struct stream *s, struct stream_turn *t)
{
	memset(t, 0, sizeof(*t));
	s->turn = t;
}

/*
 * run - a turn; false: the stream was closed in it. Room to read is made before: memory that runs
 * out may end the work that we are called for by a jump (base/mem.h), but not inside the turn.
 */
static bool run(struct stream *s, unsigned events)
{
	struct stream_turn t;

	if ((events & LOOP_READ) != 0 && wants_input(s)) {
		(void)buf_reserve(
			s->filter != NULL ? &s->filter->wire_in : &s->in, s->class->read_size);
	}
	begin_turn(s, &t);
	dispatch(s, &t, events);
	if (t.gone) {
		return false;
	}
	s->turn = NULL;
	set_watch(s);
	return true;
}

static void on_ready(struct watch *w, unsigned events)
{
	(void)run(w->owner, events);
}

static void on_resume(struct loop_hook *h)
{
	(void)run(h->owner, GIVE);
}

void stream_filter(struct stream *s, struct stream_filter *f)
{
	free_filter(s);
	/* What came in the clear before was not said under TLS (RFC 3207 4.2). */
	buf_free(&s->in);
	s->filter = f;
	(void)stream_flush(s);
}

/* ---- Deadlines ---- */

static void on_timer(struct timer *t)
{
	struct stream *s = t->owner;
	int64_t now = now_ms(s);
	bool over;

	if (s->paused && stream_unsent(s) == 0) {
		s->active = now; /* our own turn: the peer is not late */
	}
	over = (s->deadline > 0 && now >= s->deadline) ||
		(s->idle > 0 && now - s->active >= s->idle);
	if (over) {
		end(s, STREAM_TIMEOUT);
	} else {
		set_timer(s);
	}
}

void stream_deadline(struct stream *s, int64_t ms)
{
	s->deadline = ms > 0 ? clock_ms() + ms : 0;
	set_timer(s);
}

void stream_idle(struct stream *s, int64_t ms)
{
	s->idle = ms;
	s->active = clock_ms();
	set_timer(s);
}

/* ---- Without the loop ---- */

int stream_wait(struct stream *s, int64_t until)
{
	unsigned events = wanted(s), ready = 0;
	struct pollfd p = { .fd = s->fd,
		.events = (short)((events & LOOP_READ ? POLLIN : 0) |
			(events & LOOP_WRITE ? POLLOUT : 0)) };
	int rc;

	if (s->fd < 0) {
		return -1;
	}
	if (s->turn != NULL) {
		log_panic("stream_wait inside a callback");
	}
	do {
		int64_t left = until - clock_ms();

		rc = poll(&p, 1, left <= 0 ? 0 : left < HOUR_MS ? (int)left : HOUR_MS);
	} while ((rc < 0 && errno == EINTR) || (rc == 0 && clock_ms() < until));
	if (rc <= 0) {
		return 0;
	}
	ready |= p.revents & (POLLIN | POLLHUP | POLLERR) ? LOOP_READ : 0u;
	ready |= p.revents & (POLLOUT | POLLHUP | POLLERR) ? LOOP_WRITE : 0u;
	ready &= events;
	ready |= p.revents & (POLLHUP | POLLERR) ? LOOP_HANGUP : 0u;
	return run(s, ready) ? 1 : -1;
}
