/*
 * relay - a TLS connection whose session lives in another process
 *
 * The TLS state cannot leave this process, so a handed-off TLS connection
 * stays: the other process gets one end of a socket pair and this moves bytes.
 *
 *	client <-TLS-> conn.in  -> near end | far end -> mail part
 *		       conn.out <- near end | far end <-
 *
 * Neither direction holds more than RELAY_HIGH bytes: reading on one side
 * rests until the other has taken what there is. The mail part keeps the
 * timeouts. Its end of file closes the connection; the client's is passed on.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/conn.h"
#include "net/server.h"

enum { RELAY_HIGH = 65536 };

bool relay_start(struct conn *c, void (*on_near)(struct watch *w, unsigned events), int *far_fd_r)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) {
		return false;
	}
	c->relay = mem_alloc(sizeof(*c->relay));
	loop_watch(c->server->loop, &c->relay->watch, pair[0], LOOP_READ, on_near, c);
	*far_fd_r = pair[1];
	return true;
}

void relay_free(struct conn *c)
{
	if (c->relay != NULL) {
		int fd = c->relay->watch.fd;

		loop_unwatch(c->server->loop, &c->relay->watch);
		if (fd >= 0) {
			close(fd);
		}
		mem_free(c->relay);
		c->relay = NULL;
	}
}

/* pass_in - from the client to the far end */
static void pass_in(struct conn *c)
{
	int fd = c->relay->watch.fd;

	if (buf_unread(&c->in) > 0) {
		ssize_t n = send(fd, buf_head(&c->in), buf_unread(&c->in), MSG_NOSIGNAL);

		if (n > 0) {
			buf_consume(&c->in, (size_t)n);
		} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
			/* Nobody reads any more: what it said last still goes out. */
			c->state = CONN_CLOSING;
			return;
		}
	}
	if (c->eof && buf_unread(&c->in) == 0 && !c->relay->client_done) {
		c->relay->client_done = true;
		(void)shutdown(fd, SHUT_WR);
	}
}

void relay_turn(struct conn *c)
{
	pass_in(c);
}

void relay_near_turn(struct conn *c, unsigned events)
{
	if (events & LOOP_WRITE) {
		pass_in(c);
	}
	if (events & (LOOP_READ | LOOP_HANGUP)) {
		int fd = c->relay->watch.fd;
		ssize_t n = read(fd, buf_reserve(&c->out, RELAY_HIGH), RELAY_HIGH);

		if (n > 0) {
			buf_added(&c->out, (size_t)n);
		} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
			c->state = CONN_CLOSING;
		}
	}
	(void)conn_flush(c);
}

void relay_want(struct conn *c)
{
	unsigned events = 0;

	if (conn_pending(c) < RELAY_HIGH) {
		events |= LOOP_READ;
	}
	if (buf_unread(&c->in) > 0) {
		events |= LOOP_WRITE;
	}
	loop_want(c->server->loop, &c->relay->watch, events);
}
