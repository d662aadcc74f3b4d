/*
 * conn_io - what a turn of a connection does: feed the session, move bytes, TLS
 *
 * All of this is called inside a turn (net/conn.c), which sees to what has come of it: no watch
 * and no timer is touched here, and nothing is freed. A connection that broke is CONN_DEAD
 * afterwards, and its session was told.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/conn.h"
#include "net/server.h"

enum { BURSTS = 16 }; /* DRAINED rounds in one turn: others wait meanwhile */

size_t conn_pending(const struct conn *c)
{
	/* During a handshake the greeting waits in out for the keys. */
	return (c->state != CONN_HANDSHAKE ? buf_unread(&c->out) : 0) +
		(c->tls != NULL ? buf_unread(&c->tls->wire_out) : 0);
}

/* ---- The session's side ---- */

void conn_close_session(struct conn *c)
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

/* conn_tell - an event for the session; its answer counts */
void conn_tell(struct conn *c, enum session_event event)
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
		conn_tell(c, event);
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
		conn_tell(c, SESSION_EV_EOF);
	}
	if (c->eof && c->state == CONN_OPEN && !c->waiting && !c->over_high) {
		c->state = CONN_CLOSING;
	} else if (c->state == CONN_OPEN && !c->waiting && c->server->config.in_high > 0 &&
		buf_unread(&c->in) >= (size_t)c->server->config.in_high) {
		/* The session wants more than it can ever get. */
		c->io.error = "too much input without an end";
		conn_tell(c, SESSION_EV_ERROR);
		c->state = CONN_CLOSING;
	}
}

/* conn_drive - feed, send, and go on while the peer takes everything at once */
void conn_drive(struct conn *c)
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
		conn_tell(c, SESSION_EV_DRAINED);
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

/* conn_read - one read into in (through TLS); false: broken */
bool conn_read(struct conn *c)
{
	struct buf *b = &c->in;
	size_t before = buf_unread(&c->in);
	ssize_t n;

	if (c->tls != NULL) {
		b = &c->server->scratch_wire;
		buf_reset(b);
	}
	n = read(c->fd, buf_reserve(b, CONN_READ_SIZE), CONN_READ_SIZE);
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
		buf_shrink(b, CONN_READ_SIZE * 2);
		return true;
	}
	c->io.bytes_in += buf_unread(&c->in) - before;
	return true;
}

/* ---- TLS ---- */

void conn_tls_begin(struct conn *c)
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

/* conn_tls_turn - wire_in through the engine; false: the connection is gone */
bool conn_tls_turn(struct conn *c)
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
		conn_tell(c, SESSION_EV_TLS_UP);
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

/* conn_read_off - lingering: throw input away until the peer closes */
void conn_read_off(struct conn *c)
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
