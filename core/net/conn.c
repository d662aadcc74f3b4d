/*
 * conn - one connection's turns: read, TLS, session, write
 *
 * A turn starts with an event (input, room for output, a timer, resume) and
 * ends with everything sent that the peer takes, in one write where possible.
 *
 *   LOOKUP -> HANDSHAKE (tls_first) -> OPEN -> CLOSING -> (LINGER) -> DEAD
 *		   ^-- TLS_START <--------/ \-> HANDOFF -> DEAD, or RELAY with TLS
 *
 * During a turn input and output stand in memory that the server lends, so
 * an idle connection owns no buffer and a busy one allocates nothing; only
 * what could not be consumed or sent moves into buffers of its own.
 *
 * Each turn runs inside a mem_guard: when memory is short the session hears
 * SESSION_EV_NO_MEMORY, says its last line, and only that connection ends.
 *
 * Timers are lazy: bytes that move only note the time; when the timer comes
 * due it is set again for what is left. The heap is not touched by traffic.
 */
#include "net/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

enum {
	READ_SIZE = 65536,  /* one read(2) */
	BURSTS = 16,        /* DRAINED rounds in one turn: others wait meanwhile */
	CLOSE_SECONDS = 10, /* to take the last output */
	LINGER_SECONDS = 2,
	OUT_HIGH_DEFAULT = 65536
};

static void on_ready(struct watch *w, unsigned events);
static void on_timer(struct timer *t);
static void feed_all(struct conn *c);

size_t conn_pending(const struct conn *c)
{
	/* During a handshake the greeting waits in out for the keys. */
	return (c->state != CONN_HANDSHAKE ? buf_unread(&c->out) : 0) +
		(c->tls != NULL ? buf_unread(&c->tls->wire_out) : 0);
}

/* ---- The session's side ---- */

static void close_session(struct conn *c)
{
	void *session = c->session;

	c->session = NULL;
	if (session != NULL) {
		c->server->config.class->close(session);
	}
}

/* obey - do what the session wants next */
static void obey(struct conn *c, enum session_want want)
{
	c->waiting = false;
	switch (want) {
	case SESSION_READ:
		break;
	case SESSION_WAIT:
		c->waiting = true;
		break;
	case SESSION_TLS:
		c->state = CONN_TLS_START;
		break;
	case SESSION_HANDOFF:
		c->state = CONN_HANDOFF;
		break;
	case SESSION_CLOSE:
		c->state = CONN_CLOSING;
		break;
	}
}

/* tell - an event for the session; its answer counts */
static void tell(struct conn *c, enum session_event event)
{
	if (c->session != NULL) {
		obey(c, c->server->config.class->event(c->session, event, &c->out));
		if (buf_unread(&c->out) > c->io.out_high) {
			c->over_high = true;
		}
	}
}

void conn_broken(struct conn *c, enum session_event event, const char *text)
{
	bool heard =
		c->state == CONN_OPEN || c->state == CONN_HANDSHAKE || c->state == CONN_TLS_START;

	c->state = CONN_DEAD;
	c->io.error = text;
	if (heard) {
		/* A session that closed by itself has had its last word. */
		tell(c, event);
		c->state = CONN_DEAD;
	}
}

/* feed_all - feed the session while it makes progress and its output is not too much */
static void feed_all(struct conn *c)
{
	const struct session_class *class = c->server->config.class;

	while (c->state == CONN_OPEN && (!c->waiting || c->resumed) && !c->over_high) {
		size_t in = buf_unread(&c->in), out = buf_unread(&c->out);
		bool resumed = c->resumed;

		if (in == 0 && !resumed) {
			break;
		}
		c->resumed = false;
		obey(c, class->feed(c->session, &c->in, &c->out));
		if (buf_unread(&c->out) > c->io.out_high) {
			c->over_high = true;
		}
		if (!resumed && buf_unread(&c->in) == in && buf_unread(&c->out) == out) {
			break;
		}
	}
	if (c->state != CONN_OPEN || c->waiting || c->over_high) {
		return;
	}
	if (c->eof && !c->eof_told) {
		c->eof_told = true;
		tell(c, SESSION_EV_EOF);
	}
	if (c->eof && c->state == CONN_OPEN && !c->waiting && !c->over_high) {
		c->state = CONN_CLOSING;
	} else if (c->state == CONN_OPEN && !c->waiting && c->server->config.in_high > 0 &&
		buf_unread(&c->in) >= (size_t)c->server->config.in_high) {
		/* The session wants more than it can ever get. */
		c->io.error = "too much input without an end";
		tell(c, SESSION_EV_ERROR);
		c->state = CONN_CLOSING;
	}
}

/* drive - feed, send, and go on while the peer takes everything at once */
static void drive(struct conn *c)
{
	int bursts = 0;

	for (;;) {
		feed_all(c);
		if (c->state == CONN_DEAD || !conn_flush(c)) {
			return;
		}
		if (c->state != CONN_OPEN || !c->over_high || conn_pending(c) > 0 ||
			(c->out_fd < 0 && ++bursts > BURSTS)) {
			return;
		}
		c->over_high = false;
		tell(c, SESSION_EV_DRAINED);
	}
}

/* open_session - greet; a session that refuses leaves only its output */
static void open_session(struct conn *c)
{
	c->session = c->server->config.class->open(&c->io, c->service, &c->out);
	if (c->session == NULL) {
		c->state = CONN_CLOSING;
	}
}

/* ---- Bytes ---- */

static bool would_block(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* write_some - one write; -1: broken */
static int write_some(struct conn *c, struct buf *b)
{
	int fd = c->out_fd >= 0 ? c->out_fd : c->fd;
	ssize_t n;

	do {
		n = write(fd, buf_head(b), buf_unread(b));
		if (n > 0) {
			buf_consume(b, (size_t)n);
			c->active = loop_now(c->server->loop);
		}
	} while (c->out_fd >= 0 && n > 0 && buf_unread(b) > 0); /* stdio blocks: write it all */
	return n < 0 && !would_block() ? -1 : 0;
}

bool conn_flush(struct conn *c)
{
	size_t before = buf_unread(&c->out);
	struct buf *b = &c->out;

	if (c->tls != NULL) {
		int rc = tls_process(
			c->tls->engine, &c->tls->wire_in, &c->in, &c->out, &c->tls->wire_out);

		c->io.bytes_out += before - buf_unread(&c->out);
		b = &c->tls->wire_out;
		if (rc == 0) {
			c->eof = true;
		} else if (rc < 0 && c->state != CONN_HANDSHAKE) {
			conn_broken(c, SESSION_EV_ERROR, tls_error(c->tls->engine));
			return false;
		}
	}
	if (buf_unread(b) > 0 && write_some(c, b) != 0) {
		conn_broken(c, SESSION_EV_ERROR, strerror(errno));
		return false;
	}
	if (c->tls == NULL) {
		c->io.bytes_out += before - buf_unread(&c->out);
	}
	return true;
}

/* read_some - one read into in (through TLS); false: broken */
static bool read_some(struct conn *c)
{
	struct buf *b = &c->in;
	size_t before = buf_unread(&c->in);
	ssize_t n;

	if (c->tls != NULL) {
		b = &c->server->scratch_wire;
		buf_reset(b);
	}
	n = read(c->fd, buf_reserve(b, READ_SIZE), READ_SIZE);
	if (n < 0 && would_block()) {
		return true;
	}
	if (n < 0) {
		conn_broken(c,
			c->state == CONN_HANDSHAKE ? SESSION_EV_TLS_FAILED : SESSION_EV_ERROR,
			strerror(errno));
		return false;
	}
	if (n == 0) {
		c->eof = true;
		return true;
	}
	buf_added(b, (size_t)n);
	c->active = loop_now(c->server->loop);
	if (c->tls != NULL) {
		buf_add(&c->tls->wire_in, buf_head(b), buf_unread(b));
		buf_shrink(b, READ_SIZE * 2);
		return true;
	}
	c->io.bytes_in += buf_unread(&c->in) - before;
	return true;
}

/* ---- TLS ---- */

static void tls_begin(struct conn *c)
{
	struct tls_context *ctx = c->server->config.tls;

	if (ctx == NULL) {
		log_error("%s: TLS is not configured", c->server->config.class->name);
		c->state = CONN_CLOSING;
		return;
	}
	/* What came in the clear behind STARTTLS was not said under TLS (RFC 3207 4.2, RFC 2595 4).
	 */
	buf_reset(&c->in);
	if (tls_context_refresh(ctx) == TLS_DENIED && c->server->config.tls_denied != NULL) {
		c->server->config.tls_denied(c->server->config.tls_denied_arg);
	}
	c->tls = mem_alloc(sizeof(*c->tls));
	c->tls->engine = tls_new_server(ctx);
	c->state = CONN_HANDSHAKE;
}

static void tls_fail(struct conn *c, const char *why)
{
	struct buf *wire = &c->tls->wire_out;

	if (buf_unread(wire) > 0) {
		(void)!write(c->fd, buf_head(wire), buf_unread(wire)); /* the alert, if it fits */
	}
	conn_broken(c, SESSION_EV_TLS_FAILED, why);
}

/* tls_turn - wire_in through the engine; false: the connection is gone */
static bool tls_turn(struct conn *c)
{
	size_t in = buf_unread(&c->in), out = buf_unread(&c->out);
	int rc = tls_process(c->tls->engine, &c->tls->wire_in, &c->in, &c->out, &c->tls->wire_out);

	c->io.bytes_in += buf_unread(&c->in) - in;
	c->io.bytes_out += out - buf_unread(&c->out);
	buf_shrink(&c->tls->wire_in, 0);
	if (c->state == CONN_HANDSHAKE && !tls_is_up(c->tls->engine)) {
		if (rc < 0) {
			tls_fail(c, tls_error(c->tls->engine));
			return false;
		}
		if (rc == 0 || c->eof) {
			tls_fail(c, "Connection closed");
			return false;
		}
		return conn_flush(c);
	}
	if (c->state == CONN_HANDSHAKE) {
		c->io.tls = true;
		c->io.tls_version = tls_version_name(c->tls->engine);
		c->io.tls_cipher = tls_cipher_name(c->tls->engine);
		c->io.tls_bits = tls_cipher_bits(c->tls->engine);
		c->state = CONN_OPEN;
		tell(c, SESSION_EV_TLS_UP);
	}
	if (rc < 0) {
		conn_broken(c, SESSION_EV_ERROR, tls_error(c->tls->engine));
		return false;
	}
	if (rc == 0) {
		c->eof = true;
	}
	return true;
}

/* ---- States that end a session's hold on the connection ---- */

/* hand_off - the descriptor, or one end of a relay, goes to the server's owner */
static void hand_off(struct conn *c)
{
	struct server *s = c->server;
	int fd = c->fd;

	if (c->tls != NULL) {
		if (!relay_start(c, &fd)) {
			conn_broken(c, SESSION_EV_ERROR, strerror(errno));
			return;
		}
		c->state = CONN_RELAY;
	} else {
		loop_unwatch(s->loop, &c->watch);
		c->fd = -1;
		c->state = CONN_DEAD;
	}
	s->config.handoff(s, &c->io, fd, &c->in);
	buf_reset(&c->in);
	close_session(c);
	if (c->state == CONN_RELAY) {
		relay_turn(c);
	}
}

/* say_goodbye - the last output is out: close_notify, linger or end */
static void say_goodbye(struct conn *c)
{
	bool unread = buf_unread(&c->in) > 0;

	close_session(c);
	if (c->tls != NULL && !c->notify_sent) {
		c->notify_sent = true;
		tls_close_notify(c->tls->engine, &c->tls->wire_out);
		(void)!write(c->fd, buf_head(&c->tls->wire_out), buf_unread(&c->tls->wire_out));
		buf_reset(&c->tls->wire_out);
	}
	if (unread && !c->eof && c->out_fd < 0 && shutdown(c->fd, SHUT_WR) == 0) {
		/* Closing with unread input sends a reset, which may overtake our last reply. */
		buf_reset(&c->in);
		c->state = CONN_LINGER;
		loop_timer(c->server->loop, &c->timer, LINGER_SECONDS * 1000, on_timer, c);
		return;
	}
	c->state = CONN_DEAD;
}

/* advance - move on from states that only wait for output to leave */
static void advance(struct conn *c)
{
	if (c->state != CONN_DEAD && c->state != CONN_RELAY && conn_pending(c) > 0) {
		if (c->state == CONN_CLOSING || c->state == CONN_HANDOFF ||
			c->state == CONN_TLS_START) {
			/* Close and hand-off must not wait for ever. */
			loop_timer(c->server->loop, &c->timer, CLOSE_SECONDS * 1000, on_timer, c);
		}
		return;
	}
	switch (c->state) {
	case CONN_TLS_START:
		tls_begin(c);
		break;
	case CONN_HANDOFF:
		if (c->server->config.handoff == NULL || c->out_fd >= 0) {
			c->state = CONN_DEAD;
			break;
		}
		hand_off(c);
		break;
	case CONN_CLOSING:
		say_goodbye(c);
		break;
	case CONN_LOOKUP:
	case CONN_OPEN:
	case CONN_HANDSHAKE:
	case CONN_RELAY:
	case CONN_LINGER:
	case CONN_DEAD:
		break;
	}
}

/* ---- The turn ---- */

/* lend - let the connection use the server's buffers for this turn */
static void lend(struct conn *c)
{
	struct server *s = c->server;

	if (c->in.cap == 0 && s->scratch_in.cap > 0) {
		c->in = s->scratch_in;
		memset(&s->scratch_in, 0, sizeof(s->scratch_in));
	}
	if (c->out.cap == 0 && s->scratch_out.cap > 0) {
		c->out = s->scratch_out;
		memset(&s->scratch_out, 0, sizeof(s->scratch_out));
	}
}

/* give_back - the buffer returns to the server; what is left in it moves to a smaller one */
static void give_back(struct buf *b, struct buf *scratch)
{
	struct buf left = BUF_INIT;

	if (b->cap == 0) {
		return;
	}
	if (buf_unread(b) > 0) {
		if (buf_unread(b) + 256 > b->cap / 2) {
			return; /* well used: keep it */
		}
		buf_add(&left, buf_head(b), buf_unread(b));
	}
	buf_reset(b);
	if (scratch->cap == 0 && b->cap <= READ_SIZE * 4) {
		*scratch = *b;
	} else {
		mem_free(b->data);
	}
	*b = left;
}

/* want_events - ask the loop only for what has changed */
static void want_events(struct conn *c)
{
	struct loop *loop = c->server->loop;
	size_t high = c->server->config.in_high > 0 ? (size_t)c->server->config.in_high : READ_SIZE;
	unsigned events = 0;

	switch (c->state) {
	case CONN_OPEN:
		if (!c->eof && !c->over_high && buf_unread(&c->in) < high) {
			events |= LOOP_READ;
		}
		break;
	case CONN_HANDSHAKE:
	case CONN_LINGER:
		events |= LOOP_READ;
		break;
	case CONN_RELAY:
		if (!c->eof && buf_unread(&c->in) < READ_SIZE) {
			events |= LOOP_READ;
		}
		relay_want(c);
		break;
	case CONN_LOOKUP:
	case CONN_TLS_START:
	case CONN_HANDOFF:
	case CONN_CLOSING:
	case CONN_DEAD:
		break;
	}
	if (c->out_fd < 0 && (conn_pending(c) > 0 || (c->state == CONN_OPEN && c->over_high))) {
		events |= LOOP_WRITE;
	}
	if (c->file_in) {
		if (events & LOOP_READ) {
			loop_timer(loop, &c->timer, 0, on_timer, c);
		}
	} else if (c->watch.fd < 0) {
		if (events != 0) {
			loop_watch(loop, &c->watch, c->fd, events, on_ready, c);
		}
	} else if (c->watch.events != events) {
		loop_want(loop, &c->watch, events);
	}
}

/* set_timeout - arm the timer unless it comes due early enough */
static void set_timeout(struct conn *c)
{
	int64_t now = loop_now(c->server->loop);
	int64_t due = c->active + (int64_t)c->io.timeout * 1000;

	if ((c->state != CONN_OPEN && c->state != CONN_HANDSHAKE) || c->file_in) {
		return;
	}
	if (c->io.timeout <= 0) {
		loop_untimer(c->server->loop, &c->timer);
	} else if (c->timer.slot == 0 || c->timer.due > due) {
		loop_timer(c->server->loop, &c->timer, due > now ? due - now : 0, on_timer, c);
	}
}

static void no_memory(struct conn *c)
{
	struct mem_guard g;

	if (mem_guard_enter(&g) == 0) {
		if (c->session != NULL && c->state != CONN_DEAD) {
			c->state = CONN_CLOSING;
			c->io.error = "out of memory";
			(void)c->server->config.class->event(
				c->session, SESSION_EV_NO_MEMORY, &c->out);
			(void)conn_flush(c);
		}
	}
	mem_guard_leave(&g);
	c->state = CONN_DEAD;
}

void conn_run(struct conn *c, void (*fn)(struct conn *c, unsigned arg), unsigned arg)
{
	struct server *s = c->server;
	struct mem_guard g;

	c->running = true;
	lend(c);
	if (mem_guard_enter(&g) == 0) {
		fn(c, arg);
		/* Each state is left once at most. */
		for (int i = 0; i < 4; i++) {
			enum conn_state before = c->state;

			advance(c);
			if (c->state == before) {
				break;
			}
		}
		if (c->state != CONN_DEAD) {
			give_back(&c->in, &s->scratch_in);
			give_back(&c->out, &s->scratch_out);
			want_events(c);
			set_timeout(c);
		}
		mem_guard_leave(&g);
	} else {
		mem_guard_leave(&g);
		no_memory(c);
	}
	c->running = false;
	if (c->state == CONN_DEAD) {
		conn_free(c);
	} else if (s->stopping && !c->shut_told) {
		conn_shutdown(c);
	}
}

/* ---- What starts a turn ---- */

/* input_gone - a hang-up while nothing is read: a real error, or a far end that is done */
static void input_gone(struct conn *c)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0 && err != 0) {
		conn_broken(c,
			c->state == CONN_HANDSHAKE ? SESSION_EV_TLS_FAILED : SESSION_EV_ERROR,
			strerror(err));
		return;
	}
	/* Level-triggered hang-ups repeat; watch again when bytes are wanted again. */
	loop_unwatch(c->server->loop, &c->watch);
	if (c->state == CONN_CLOSING || c->state == CONN_LINGER) {
		c->state = CONN_DEAD;
	}
}

/* read_off - lingering: throw input away until the peer closes */
static void read_off(struct conn *c)
{
	char junk[4096];

	for (int i = 0; i < 16; i++) {
		ssize_t n = read(c->fd, junk, sizeof(junk));

		if (n < 0 && would_block()) {
			return;
		}
		if (n <= 0) {
			c->state = CONN_DEAD;
			return;
		}
	}
}

/*
 * acknowledge - the session took input and waits for more without a word. A client that wrote in
 * two pieces (a literal, then its line end) may hold the second back until the first is
 * acknowledged, and the kernel would take 40 ms for that.
 */
static void acknowledge(struct conn *c)
{
	static const int on = 1;

	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

static void ready_turn(struct conn *c, unsigned events)
{
	uint64_t in = c->io.bytes_in, out = c->io.bytes_out;

	if (c->state == CONN_LINGER) {
		read_off(c);
		return;
	}
	if ((events & LOOP_WRITE) && !conn_flush(c)) {
		return;
	}
	if (events & (LOOP_READ | LOOP_HANGUP)) {
		if (c->file_in ? c->eof : !(c->watch.events & LOOP_READ)) {
			input_gone(c);
		} else if (!read_some(c)) {
			return;
		}
	}
	if (c->tls != NULL && c->state != CONN_DEAD && !tls_turn(c)) {
		return;
	}
	if (c->state == CONN_RELAY) {
		relay_turn(c);
		return;
	}
	if (c->state == CONN_OPEN) {
		if (c->over_high && conn_pending(c) == 0) {
			c->over_high = false;
			tell(c, SESSION_EV_DRAINED);
		}
		drive(c);
	}
	if (c->state == CONN_OPEN && !c->waiting && c->io.bytes_in != in &&
		c->io.bytes_out == out) {
		acknowledge(c);
	}
}

static void on_ready(struct watch *w, unsigned events)
{
	conn_run(w->owner, ready_turn, events);
}

static void timeout_turn(struct conn *c, unsigned arg)
{
	int64_t left = c->active + (int64_t)c->io.timeout * 1000 - loop_now(c->server->loop);

	(void)arg;
	switch (c->state) {
	case CONN_OPEN:
		if (c->waiting && conn_pending(c) == 0) {
			/* Our own turn to speak: the peer is not late. */
			c->active = loop_now(c->server->loop);
			return;
		}
		if (left > 0) {
			return; /* set_timeout() arms it again */
		}
		tell(c, SESSION_EV_TIMEOUT);
		c->active = loop_now(c->server->loop);
		drive(c);
		break;
	case CONN_HANDSHAKE:
		if (left <= 0) {
			conn_broken(c, SESSION_EV_TLS_FAILED, "Connection timed out");
		}
		break;
	case CONN_TLS_START:
	case CONN_HANDOFF:
	case CONN_CLOSING:
		conn_broken(c, SESSION_EV_ERROR, "Connection timed out");
		break;
	case CONN_LINGER:
		c->state = CONN_DEAD;
		break;
	case CONN_LOOKUP:
	case CONN_RELAY:
	case CONN_DEAD:
		break;
	}
}

static void on_timer(struct timer *t)
{
	struct conn *c = t->owner;

	if (c->file_in && c->state == CONN_OPEN) {
		conn_run(c, ready_turn, LOOP_READ);
	} else {
		conn_run(c, timeout_turn, 0);
	}
}

static void resume_turn(struct conn *c, unsigned arg)
{
	(void)arg;
	if (c->state == CONN_OPEN) {
		drive(c);
	}
}

void conn_resumed(struct conn *c)
{
	conn_run(c, resume_turn, 0);
}

static void resume(struct session_io *io)
{
	struct conn *c = io->driver;

	c->resumed = true;
	server_queue_resume(c);
}

static bool hung_up(struct session_io *io)
{
	struct pollfd p = { .fd = ((struct conn *)io->driver)->fd };

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR)) != 0;
}

static void begin_turn(struct conn *c, unsigned arg)
{
	bool adopted = buf_unread(&c->in) > 0;

	(void)arg;
	c->active = loop_now(c->server->loop);
	c->io.resume = resume;
	c->io.hung_up = hung_up;
	c->io.driver = c;
	c->io.loop = c->server->loop;
	c->io.out_high = OUT_HIGH_DEFAULT;
	c->io.tls_version = c->io.tls_cipher = c->io.error = "";
	c->state = CONN_OPEN;
	c->io.tls = c->server->config.tls_first;
	open_session(c);
	if (c->state == CONN_OPEN && c->server->config.tls_first) {
		tls_begin(c);
	} else if (adopted) {
		drive(c);
	} else {
		(void)conn_flush(c);
	}
}

void conn_begin(struct conn *c)
{
	conn_run(c, begin_turn, 0);
}

static void shutdown_turn(struct conn *c, unsigned arg)
{
	(void)arg;
	switch (c->state) {
	case CONN_OPEN:
		tell(c, SESSION_EV_SHUTDOWN);
		drive(c);
		break;
	case CONN_LOOKUP:
	case CONN_HANDSHAKE:
		c->state = CONN_DEAD;
		break;
	case CONN_TLS_START:
	case CONN_HANDOFF:
	case CONN_RELAY:
	case CONN_CLOSING:
	case CONN_LINGER:
	case CONN_DEAD:
		break;
	}
}

void conn_shutdown(struct conn *c)
{
	/* Asked from inside its own turn, it is told when that has ended. */
	if (!c->shut_told && !c->running) {
		c->shut_told = true;
		conn_run(c, shutdown_turn, 0);
	}
}

void conn_free(struct conn *c)
{
	struct server *s = c->server;

	loop_untimer(s->loop, &c->timer);
	loop_unwatch(s->loop, &c->watch);
	if (c->lookup != NULL) {
		dns_cancel(c->lookup);
	}
	close_session(c);
	relay_free(c);
	server_gone(c);
	if (c->tls != NULL) {
		tls_free(c->tls->engine);
		buf_free(&c->tls->wire_in);
		buf_free(&c->tls->wire_out);
		mem_free(c->tls);
	}
	buf_reset(&c->in);
	buf_reset(&c->out);
	give_back(&c->in, &s->scratch_in);
	give_back(&c->out, &s->scratch_out);
	buf_free(&c->in);
	buf_free(&c->out);
	if (c->fd >= 0 && c->out_fd < 0) {
		close(c->fd);
	}
	mem_free(c);
}
