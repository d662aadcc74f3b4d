/*
 * conn - one connection's turns and states
 *
 * A turn starts with an event (input, room for output, a timer, resume) and
 * ends with everything sent that the peer takes, in one write where possible.
 * How bytes move within it is in conn_io.c.
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
#include "net/server.h"

enum {
	CLOSE_SECONDS = 10, /* to take the last output */
	LINGER_SECONDS = 2,
	OUT_HIGH_DEFAULT = 65536
};

static void on_ready(struct watch *w, unsigned events);
static void on_timer(struct timer *t);
static void on_near(struct watch *w, unsigned events);

/* open_session - greet; a session that refuses leaves only its output */
static void open_session(struct conn *c)
{
	c->session = c->server->config.class->open(&c->io, c->service, &c->out);
	if (c->session == NULL) {
		c->state = CONN_CLOSING;
	}
}

/* ---- States that end a session's hold on the connection ---- */

/* hand_off - the descriptor, or one end of a relay, goes to the server's owner */
static void hand_off(struct conn *c)
{
	struct server *s = c->server;
	int fd = c->fd;

	if (c->tls != NULL) {
		if (!relay_start(c, on_near, &fd)) {
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
	conn_close_session(c);
	if (c->state == CONN_RELAY) {
		relay_turn(c);
	}
}

/* say_goodbye - the last output is out: close_notify, linger or end */
static void say_goodbye(struct conn *c)
{
	bool unread = buf_unread(&c->in) > 0;

	conn_close_session(c);
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
		conn_tls_begin(c);
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
	if (scratch->cap == 0 && b->cap <= CONN_READ_SIZE * 4) {
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
	size_t high =
		c->server->config.in_high > 0 ? (size_t)c->server->config.in_high : CONN_READ_SIZE;
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
		if (!c->eof && buf_unread(&c->in) < CONN_READ_SIZE) {
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

static void conn_run(struct conn *c, void (*fn)(struct conn *c, unsigned arg), unsigned arg)
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
		conn_read_off(c);
		return;
	}
	if ((events & LOOP_WRITE) && !conn_flush(c)) {
		return;
	}
	if (events & (LOOP_READ | LOOP_HANGUP)) {
		if (c->file_in ? c->eof : !(c->watch.events & LOOP_READ)) {
			input_gone(c);
		} else if (!conn_read(c)) {
			return;
		}
	}
	if (c->tls != NULL && c->state != CONN_DEAD && !conn_tls_turn(c)) {
		return;
	}
	if (c->state == CONN_RELAY) {
		relay_turn(c);
		return;
	}
	if (c->state == CONN_OPEN) {
		if (c->over_high && conn_pending(c) == 0) {
			c->over_high = false;
			conn_tell(c, SESSION_EV_DRAINED);
		}
		conn_drive(c);
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

static void on_near(struct watch *w, unsigned events)
{
	conn_run(w->owner, relay_near_turn, events);
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
		conn_tell(c, SESSION_EV_TIMEOUT);
		c->active = loop_now(c->server->loop);
		conn_drive(c);
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
		conn_drive(c);
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
	c->server->queue_resume(c);
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
		conn_tls_begin(c);
	} else if (adopted) {
		conn_drive(c);
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
		conn_tell(c, SESSION_EV_SHUTDOWN);
		conn_drive(c);
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
	conn_close_session(c);
	relay_free(c);
	s->gone(c);
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
