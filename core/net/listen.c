/*
 * listen - listening TCP sockets and the addresses of connected ones
 *
 * TCP_NODELAY and SO_KEEPALIVE are set on the listener, because accepted
 * sockets inherit them and a system call for each connection is saved. Replies go out with
 * one write a turn, so Nagle's algorithm has nothing to collect.
 *
 * RFC 3493 (IPV6_V6ONLY), RFC 4291 2.5.5.2 (IPv4-mapped addresses).
 */
#include "net/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"

union any_addr {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_storage room;
};

static int fail(char **error_r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int fail(char **error_r, const char *fmt, ...)
{
	struct buf b = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_addvf(&b, fmt, ap);
	va_end(ap);
	*error_r = buf_steal(&b);
	return -1;
}

/* bind_one - a listener of one family; -1 with errno */
static int bind_one(const union any_addr *a, socklen_t len, bool v6only, int backlog)
{
	int on = 1, only = v6only;
	int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		return -1;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (a->sa.sa_family == AF_INET6) {
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
	}
	if (bind(fd, &a->sa, len) != 0 || listen(fd, backlog) != 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

/* bind_any - every address: one dual-stack socket where the kernel has IPv6 */
static int bind_any(int port, bool v4, bool v6, int backlog)
{
	union any_addr a;
	int fd = -1;

	if (v6) {
		memset(&a, 0, sizeof(a));
		a.v6.sin6_family = AF_INET6;
		a.v6.sin6_port = htons((uint16_t)port);
		fd = bind_one(&a, sizeof(a.v6), !v4, backlog);
		if (fd >= 0 || !v4 || (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL)) {
			return fd;
		}
	}
	memset(&a, 0, sizeof(a));
	a.v4.sin_family = AF_INET;
	a.v4.sin_port = htons((uint16_t)port);
	return bind_one(&a, sizeof(a.v4), false, backlog);
}

int listen_tcp(const char *address, int port, bool v4, bool v6, int backlog, char **error_r)
{
	union any_addr a;
	int fd;

	memset(&a, 0, sizeof(a));
	if (address[0] == '\0' || strcmp(address, "*") == 0) {
		fd = bind_any(port, v4, v6, backlog);
		return fd >= 0 ? fd
			       : fail(error_r, "all addresses, port %d: %s", port, strerror(errno));
	}
	if (inet_pton(AF_INET, address, &a.v4.sin_addr) == 1) {
		a.v4.sin_family = AF_INET;
		a.v4.sin_port = htons((uint16_t)port);
		fd = bind_one(&a, sizeof(a.v4), false, backlog);
	} else if (inet_pton(AF_INET6, address, &a.v6.sin6_addr) == 1) {
		a.v6.sin6_family = AF_INET6;
		a.v6.sin6_port = htons((uint16_t)port);
		fd = bind_one(&a, sizeof(a.v6), true, backlog);
	} else {
		return fail(error_r, "%s: not a numeric address", address);
	}
	return fd >= 0 ? fd
		       : fail(error_r, "address %s, port %d: %s", address, port, strerror(errno));
}

void sockaddr_text(const struct sockaddr *sa, char *addr, size_t size, int *port_r)
{
	const union any_addr *a = (const union any_addr *)sa;

	addr[0] = '\0';
	*port_r = 0;
	if (sa->sa_family == AF_INET) {
		inet_ntop(AF_INET, &a->v4.sin_addr, addr, (socklen_t)size);
		*port_r = ntohs(a->v4.sin_port);
	} else if (sa->sa_family == AF_INET6) {
		if (IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr)) {
			inet_ntop(AF_INET, &a->v6.sin6_addr.s6_addr[12], addr, (socklen_t)size);
		} else {
			inet_ntop(AF_INET6, &a->v6.sin6_addr, addr, (socklen_t)size);
		}
		*port_r = ntohs(a->v6.sin6_port);
	}
}

int socket_address(int fd, bool peer, char *addr, size_t size, int *port_r)
{
	union any_addr a;
	socklen_t len = sizeof(a);

	memset(&a, 0, sizeof(a));
	if ((peer ? getpeername(fd, &a.sa, &len) : getsockname(fd, &a.sa, &len)) != 0) {
		addr[0] = '\0';
		*port_r = 0;
		return -1;
	}
	sockaddr_text(&a.sa, addr, size, port_r);
	return 0;
}
