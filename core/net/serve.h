#ifndef NET_SERVE_H
#define NET_SERVE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/loop.h"
#include "net/session.h"
#include "net/tls.h"

/*
 * Drives sessions over connections: accepts, does TLS, reads and writes,
 * keeps timeouts, guards each session's turn against lack of memory. One
 * server object per listening purpose (smtp 25, smtps 465 ...).
 *
 * Memory of an idle plain connection stays under 1 KB plus the session's own:
 * buffers are given back when they are empty.
 */
struct server;

struct server_config {
	const struct session_class *class;
	void *service;           /* passed to class->open */
	struct tls_context *tls; /* NULL: SESSION_TLS is refused */
	/* A new certificate is there and only root can read it: ask for a successor. NULL: keep the
	 * old one. */
	void (*tls_denied)(void *arg);
	void *tls_denied_arg;
	bool tls_first;        /* wrapper mode: 465, 993, 995 */
	int max_sessions;      /* 0: no limit; above it a connection waits in the backlog */
	int max_per_address;   /* 0: no limit */
	const char *busy_text; /* sent to a connection over max_per_address, e.g. "421 4.7.0 ..." */
	bool lookup_names;     /* peer.host by PTR and back (net/dns.h), else "unknown" */
	int in_high;           /* bytes of unconsumed input after which reading pauses */
	/*
	 * SESSION_HANDOFF: fd and what was read and not consumed leave for another process;
	 * fd belongs to the callee. NULL: not used. A TLS connection stays: fd is then one end of
	 * a socket pair, and the server moves bytes until both sides are done (net/relay.c).
	 */
	void (*handoff)(struct server *s, struct session_io *io, int fd, struct buf *unread);
};

struct server *server_new(struct loop *loop, const struct server_config *config);
/* The server owns fd (a listening socket) and accepts from it. */
void server_listen(struct server *s, int fd);
/* The server owns a connected socket. */
void server_adopt(struct server *s, int fd, const void *unread, size_t len);
/* The same with a service of its own for this session instead of config->service. */
void server_adopt_with(struct server *s, int fd, const void *unread, size_t len, void *service);
/* Like adopt, with input and output on two descriptors (-S); stops the loop when it ends. */
void server_stdio(struct server *s, int in_fd, int out_fd);
size_t server_sessions(const struct server *s);
/* Stop accepting; sessions get SESSION_EV_SHUTDOWN; done(arg) once the last one ended. */
void server_shutdown(struct server *s, void (*done)(void *arg), void *arg);
/* Stop accepting; sessions go on until they end by themselves; then done(arg). */
void server_drain(struct server *s, void (*done)(void *arg), void *arg);
void server_free(struct server *s);
/* Walk the open sessions (who, limits, broadcasts). */
void server_each(struct server *s, void (*fn)(void *session, void *arg), void *arg);

#endif
