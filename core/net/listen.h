#ifndef NET_LISTEN_H
#define NET_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/*
 * Listening TCP sockets: non-blocking, close-on-exec, SO_REUSEADDR, IPV6_V6ONLY
 * for literal addresses. "*" or "" listens on all addresses (one dual-stack
 * socket for both families, else 0.0.0.0).
 */
enum {
	LISTEN_V4 = 1, /* of "*": which families */
	LISTEN_V6 = 2,
	LISTEN_SHARED = 4 /* SO_REUSEPORT: beside others that have it set */
};

/* flags: LISTEN_...; fd, or -1 with a text (caller frees) and errno. */
int listen_tcp(const char *address, int port, unsigned flags, int backlog, char **error_r);
/* Is fd, a listening TCP socket, what listen_tcp() would give for this? */
bool listen_is(int fd, const char *address, int port, bool v4, bool v6);
/* Ask a connected socket: numeric address and port of the peer (peer true) or of our side. 0 or -1.
 */
int socket_address(int fd, bool peer, char *addr, size_t size, int *port_r);
/* The same of an address at hand. An IPv4-mapped address reads as IPv4; other families give "" and
 * 0. */
void sockaddr_text(const struct sockaddr *sa, char *addr, size_t size, int *port_r);

#endif
