/*
 * serve - listeners, limits and the life of connections
 *
 * What happens inside a connection is in net/conn.c. Here connections come in
 * (several for each event, bounded, so that one busy listener starves nobody),
 * are counted, named, resumed in the order they asked for it, and leave.
 *
 * When descriptors run out, accepting rests for a second: the backlog keeps
 * the clients. Above max_sessions the listeners rest until one session ends.
 */
#include "net/serve.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/unixsock.h"
#include "net/conn.h"
#include "net/listen.h"
#include "net/server.h"

enum { ACCEPT_BATCH = 64, ACCEPT_REST_MS = 1000, RESUME_BATCH = 100000 };

/* ---- Which connections there are ---- */

static void run_stopped(struct loop_hook *h)
{
	struct server *s = h->owner;

	if (s->stopped != NULL) {
		s->stopped(s->stopped_arg);
	}
}

static void want_accept(struct server *s)
{
	bool full = s->config.max_sessions > 0 && s->count >= (size_t)s->config.max_sessions;
	unsigned events = full || s->accept_paused ? 0 : LOOP_READ;

	for (struct listener *l = s->listeners; l != NULL; l = l->next) {
		if (l->watch.events != events) {
			loop_want(s->loop, &l->watch, events);
		}
	}
}

/* count_address - add to the number of connections of c's address; the new number */
static size_t count_address(struct conn *c, int add)
{
	struct server *s = c->server;
	size_t n = (size_t)hash_get(&s->per_address, c->io.peer.addr);

	n += (size_t)add;
	if (n == 0) {
		(void)hash_del(&s->per_address, c->io.peer.addr);
	} else {
		(void)hash_set(&s->per_address, c->io.peer.addr, (void *)n);
	}
	return n;
}

static struct conn *conn_new(struct server *s, int fd, void *service)
{
	struct conn *c = mem_alloc(sizeof(*c));

	c->server = s;
	c->service = service;
	c->fd = fd;
	c->out_fd = -1;
	c->watch.fd = -1;
	c->next = s->conns;
	if (s->conns != NULL) {
		s->conns->prev = c;
	}
	s->conns = c;
	s->count++;
	return c;
}

/* forget_conn - c leaves the list and is about to be freed */
static void forget_conn(struct conn *c)
{
	struct server *s = c->server;

	if (c->queued) {
		struct conn **link = &s->resume_head;

		while (*link != c) {
			link = &(*link)->resume_next;
		}
		*link = c->resume_next;
		s->resume_tail = NULL;
		for (struct conn *q = s->resume_head; q != NULL; q = q->resume_next) {
			s->resume_tail = q;
		}
	}
	if (c->counted) {
		(void)count_address(c, -1);
	}
	if (c->prev != NULL) {
		c->prev->next = c->next;
	} else {
		s->conns = c->next;
	}
	if (c->next != NULL) {
		c->next->prev = c->prev;
	}
	s->count--;
	if (s->count + 1 == (size_t)s->config.max_sessions) {
		want_accept(s);
	}
	if ((s->stopping || s->stop_at_last) && s->count == 0) {
		loop_at_end(s->loop, &s->stopped_hook, run_stopped, s);
	}
}

/* ---- Resuming: at the end of the turn, never inside the caller's frame ---- */

static void run_resumed(struct loop_hook *h)
{
	struct server *s = h->owner;

	for (int i = 0; s->resume_head != NULL && i < RESUME_BATCH; i++) {
		struct conn *c = s->resume_head;

		s->resume_head = c->resume_next;
		if (s->resume_head == NULL) {
			s->resume_tail = NULL;
		}
		c->queued = false;
		conn_resumed(c);
	}
}

/* queue_resume - c's turn comes with those of the others that asked for one */
static void queue_resume(struct conn *c)
{
	struct server *s = c->server;

	if (!c->queued) {
		c->queued = true;
		c->resume_next = NULL;
		if (s->resume_tail != NULL) {
			s->resume_tail->resume_next = c;
		} else {
			s->resume_head = c;
		}
		s->resume_tail = c;
	}
	loop_at_end(s->loop, &s->resume_hook, run_resumed, s);
}

static void free_scratch(void *owner)
{
	struct server *s = owner;

	buf_free(&s->scratch_in);
	buf_free(&s->scratch_out);
	buf_free(&s->scratch_wire);
}

struct server *server_new(struct loop *loop, const struct server_config *config)
{
	struct server *s = mem_alloc(sizeof(*s));

	s->loop = loop;
	s->config = *config;
	s->gone = forget_conn;
	s->queue_resume = queue_resume;
	mem_trim_call(&s->trimmer, free_scratch, s);
	return s;
}

/* ---- Coming in ---- */

static void name_found(void *arg, enum dns_status status, const char *const *values, size_t count)
{
	struct conn *c = arg;

	c->lookup = NULL;
	if (status == DNS_OK && count > 0) {
		(void)str_copy(c->io.peer.host, sizeof(c->io.peer.host), values[0]);
	}
	conn_begin(c);
}

/* begin - the addresses are set: limit, look up the name, start. c may be gone afterwards. */
static void begin(struct conn *c)
{
	struct server *s = c->server;

	if (s->config.max_per_address > 0 && c->io.peer.addr[0] != '\0') {
		c->counted = true;
		size_t count = count_address(c, 1);

		if (count > (size_t)s->config.max_per_address) {
			if (s->config.busy_text != NULL && !s->config.tls_first) {
				buf_addf(&c->out, "%s\r\n", s->config.busy_text);
				(void)!write(c->fd, buf_head(&c->out), buf_unread(&c->out));
			}
			log_warn("Connection concurrency limit exceeded: %zu from %s for service "
				 "%s",
				count, c->io.peer.addr, s->config.class->name);
			conn_free(c);
			return;
		}
	}
	if (s->config.lookup_names && c->io.peer.addr[0] != '\0' &&
		strcmp(c->io.peer.host, "unknown") == 0) {
		struct dns_query *q;

		if (s->dns == NULL) {
			s->dns = dns_new(s->loop);
		}
		/* The answer may come at once: then NULL is returned and c has begun, or even
		 * ended. */
		q = dns_peer_name(s->dns, c->io.peer.addr, name_found, c);
		if (q != NULL) {
			c->lookup = q;
		}
		return;
	}
	conn_begin(c);
}

/* begin_guarded - a connection for which there is no memory is closed */
static void begin_guarded(struct server *s, int fd, const struct sockaddr *sa,
	const struct listener *l, const void *unread, size_t len, void *service)
{
	struct mem_guard g;

	if (mem_guard_enter(&g) == 0) {
		struct conn *c = conn_new(s, fd, service);

		(void)str_copy(c->io.peer.host, sizeof(c->io.peer.host), "unknown");
		c->io.peer_uid = (uid_t)-1;
		if (sa->sa_family == AF_INET || sa->sa_family == AF_INET6) {
			sockaddr_text(
				sa, c->io.peer.addr, sizeof(c->io.peer.addr), &c->io.peer.port);
			if (l != NULL && l->addr[0] != '\0') {
				memcpy(c->io.local.addr, l->addr, sizeof(c->io.local.addr));
				c->io.local.port = l->port;
			} else {
				(void)socket_address(fd, false, c->io.local.addr,
					sizeof(c->io.local.addr), &c->io.local.port);
			}
		} else {
			gid_t gid;
			pid_t pid;

			(void)unix_peer(fd, &c->io.peer_uid, &gid, &pid);
			/* A unix socket is as local as it gets. */
			(void)str_copy(c->io.peer.host, sizeof(c->io.peer.host), "localhost");
			(void)str_copy(c->io.peer.addr, sizeof(c->io.peer.addr), "127.0.0.1");
			(void)str_copy(c->io.local.addr, sizeof(c->io.local.addr), "127.0.0.1");
		}
		buf_add(&c->in, unread, len);
		begin(c);
		mem_guard_leave(&g);
	} else {
		mem_guard_leave(&g);
		if (s->conns != NULL && s->conns->fd == fd) {
			conn_free(s->conns);
		} else {
			close(fd);
		}
	}
}

static void accept_again(struct timer *t)
{
	struct server *s = t->owner;

	s->accept_paused = false;
	want_accept(s);
}

/* accept_failed - true: stop this round */
static bool accept_failed(struct server *s)
{
	switch (errno) {
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		log_warn("accept: %m: waiting a second, %zu connections are open", s->count);
		s->accept_paused = true;
		want_accept(s);
		loop_timer(s->loop, &s->accept_timer, ACCEPT_REST_MS, accept_again, s);
		return true;
	case ECONNABORTED:
	case EINTR:
	case EPERM: /* a firewall said no */
		return false;
	default:
		return true; /* EAGAIN; anything else comes back with the next event */
	}
}

static void on_accept(struct watch *w, unsigned events)
{
	struct listener *l = w->owner;
	struct server *s = l->server;

	(void)events;
	for (int i = 0; i < ACCEPT_BATCH && !s->stopping; i++) {
		struct sockaddr_storage addr;
		socklen_t len = sizeof(addr);
		int fd;

		if (s->config.max_sessions > 0 && s->count >= (size_t)s->config.max_sessions) {
			want_accept(s);
			break;
		}
		memset(&addr, 0, sizeof(addr));
		fd = accept4(l->fd, (struct sockaddr *)&addr, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			begin_guarded(s, fd, (const struct sockaddr *)&addr, l, NULL, 0,
				s->config.service);
		} else if (accept_failed(s)) {
			break;
		}
	}
}

void server_listen(struct server *s, int fd)
{
	struct listener *l = mem_alloc(sizeof(*l));

	l->server = s;
	l->fd = fd;
	(void)socket_address(fd, false, l->addr, sizeof(l->addr), &l->port);
	if (strcmp(l->addr, "0.0.0.0") == 0 || strcmp(l->addr, "::") == 0) {
		l->addr[0] = '\0';
	}
	l->next = s->listeners;
	s->listeners = l;
	loop_watch(s->loop, &l->watch, fd, LOOP_READ, on_accept, l);
}

void server_adopt_with(struct server *s, int fd, const void *unread, size_t len, void *service)
{
	struct sockaddr_storage addr;
	socklen_t size = sizeof(addr);

	memset(&addr, 0, sizeof(addr));
	(void)getpeername(fd, (struct sockaddr *)&addr, &size);
	begin_guarded(s, fd, (const struct sockaddr *)&addr, NULL, unread, len, service);
}

void server_adopt(struct server *s, int fd, const void *unread, size_t len)
{
	server_adopt_with(s, fd, unread, len, s->config.service);
}

/* ---- Standard input and output ---- */

/* pollable - epoll takes sockets, pipes and terminals but no files */
static bool pollable(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(EPOLL_CLOEXEC);
	bool ok = ep >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0;

	if (ep >= 0) {
		close(ep);
	}
	return ok;
}

static void stdio_done(void *arg)
{
	loop_stop(arg);
}

void server_stdio(struct server *s, int in_fd, int out_fd)
{
	struct conn *c = conn_new(s, in_fd, s->config.service);

	c->out_fd = out_fd;
	c->file_in = !pollable(in_fd);
	(void)str_copy(c->io.peer.host, sizeof(c->io.peer.host), "localhost");
	if (socket_address(
		    in_fd, true, c->io.peer.addr, sizeof(c->io.peer.addr), &c->io.peer.port) == 0 &&
		c->io.peer.addr[0] != '\0') {
		(void)str_copy(c->io.peer.host, sizeof(c->io.peer.host), "unknown");
		(void)socket_address(in_fd, false, c->io.local.addr, sizeof(c->io.local.addr),
			&c->io.local.port);
	}
	s->stopped = stdio_done;
	s->stopped_arg = s->loop;
	s->stop_at_last = true;
	begin(c);
}

/* ---- Going ---- */

size_t server_sessions(const struct server *s)
{
	return s->count;
}

static void close_listeners(struct server *s)
{
	while (s->listeners != NULL) {
		struct listener *l = s->listeners;

		s->listeners = l->next;
		loop_unwatch(s->loop, &l->watch);
		close(l->fd);
		mem_free(l);
	}
}

void server_shutdown(struct server *s, void (*done)(void *arg), void *arg)
{
	struct conn *next;

	s->stopping = true;
	s->stopped = done;
	s->stopped_arg = arg;
	close_listeners(s);
	loop_untimer(s->loop, &s->accept_timer);
	if (s->count == 0) {
		loop_at_end(s->loop, &s->stopped_hook, run_stopped, s);
		return;
	}
	for (struct conn *c = s->conns; c != NULL; c = next) {
		next = c->next;
		conn_shutdown(c);
	}
}

void server_drain(struct server *s, void (*done)(void *arg), void *arg)
{
	/* Who was let in by the kernel is served: the socket may be closed for good now. */
	for (struct listener *l = s->listeners; l != NULL; l = l->next) {
		on_accept(&l->watch, LOOP_READ);
	}
	s->stop_at_last = true;
	s->stopped = done;
	s->stopped_arg = arg;
	close_listeners(s);
	loop_untimer(s->loop, &s->accept_timer);
	if (s->count == 0) {
		loop_at_end(s->loop, &s->stopped_hook, run_stopped, s);
	}
}

void server_free(struct server *s)
{
	if (s == NULL) {
		return;
	}
	close_listeners(s);
	s->stopping = s->stop_at_last = false;
	while (s->conns != NULL) {
		conn_free(s->conns);
	}
	loop_untimer(s->loop, &s->accept_timer);
	loop_unhook(s->loop, &s->resume_hook);
	loop_unhook(s->loop, &s->stopped_hook);
	if (s->dns != NULL) {
		dns_free(s->dns);
	}
	hash_free(&s->per_address, NULL);
	mem_trim_forget(&s->trimmer);
	free_scratch(s);
	mem_free(s);
}

void server_each(struct server *s, void (*fn)(void *session, void *arg), void *arg)
{
	struct conn *next;

	for (struct conn *c = s->conns; c != NULL; c = next) {
		next = c->next;
		if (c->session != NULL) {
			fn(c->session, arg);
		}
	}
}
