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
static int bind_one(
	const union any_addr *a, socklen_t len, bool v6only, unsigned flags, int backlog)
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
	if (flags & LISTEN_SHARED) {
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
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
static int bind_any(int port, unsigned flags, int backlog)
{
	bool v4 = flags & LISTEN_V4, v6 = flags & LISTEN_V6;
	union any_addr a;
	int fd = -1;

	if (v6) {
		memset(&a, 0, sizeof(a));
		a.v6.sin6_family = AF_INET6;
		a.v6.sin6_port = htons((uint16_t)port);
		fd = bind_one(&a, sizeof(a.v6), !v4, flags, backlog);
		if (fd >= 0 || !v4 || (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL)) {
			return fd;
		}
	}
	memset(&a, 0, sizeof(a));
	a.v4.sin_family = AF_INET;
	a.v4.sin_port = htons((uint16_t)port);
	return bind_one(&a, sizeof(a.v4), false, flags, backlog);
}

int listen_tcp(const char *address, int port, unsigned flags, int backlog, char **error_r)
{
	union any_addr a;
	int fd;

	memset(&a, 0, sizeof(a));
	if (address[0] == '\0' || strcmp(address, "*") == 0) {
		fd = bind_any(port, flags, backlog);
		return fd >= 0 ? fd
			       : fail(error_r, "all addresses, port %d: %s", port, strerror(errno));
	}
	if (inet_pton(AF_INET, address, &a.v4.sin_addr) == 1) {
		a.v4.sin_family = AF_INET;
		a.v4.sin_port = htons((uint16_t)port);
		fd = bind_one(&a, sizeof(a.v4), false, flags, backlog);
	} else if (inet_pton(AF_INET6, address, &a.v6.sin6_addr) == 1) {
		a.v6.sin6_family = AF_INET6;
		a.v6.sin6_port = htons((uint16_t)port);
		fd = bind_one(&a, sizeof(a.v6), true, flags, backlog);
	} else {
		return fail(error_r, "%s: not a numeric address", address);
	}
	return fd >= 0 ? fd
		       : fail(error_r, "address %s, port %d: %s", address, port, strerror(errno));
}

/* have_v6 - can IPv6 addresses be listened on here? */
static bool have_v6(void)
{
	union any_addr a;
	int fd;

	memset(&a, 0, sizeof(a));
	a.v6.sin6_family = AF_INET6;
	fd = bind_one(&a, sizeof(a.v6), true, 0, 1);
	if (fd >= 0) {
		close(fd);
	}
	return fd >= 0;
}

/* is_v6only - false as well when it cannot be known */
static bool is_v6only(int fd)
{
	int only = 0;
	socklen_t len = sizeof(only);

	return getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &len) == 0 && only != 0;
}

/* is_any - the socket of all addresses that bind_any() would make */
static bool is_any(int fd, const union any_addr *a, bool v4, bool v6)
{
	if (a->sa.sa_family == AF_INET) {
		return v4 && a->v4.sin_addr.s_addr == htonl(INADDR_ANY) && (!v6 || !have_v6());
	}
	return v6 && IN6_IS_ADDR_UNSPECIFIED(&a->v6.sin6_addr) && is_v6only(fd) == !v4;
}

bool listen_is(int fd, const char *address, int port, bool v4, bool v6)
{
	union any_addr a;
	socklen_t len = sizeof(a);
	struct in6_addr raw;

	memset(&a, 0, sizeof(a));
	if (getsockname(fd, &a.sa, &len) != 0 ||
		(a.sa.sa_family != AF_INET && a.sa.sa_family != AF_INET6) ||
		ntohs(a.sa.sa_family == AF_INET ? a.v4.sin_port : a.v6.sin6_port) != port) {
		return false;
	}
	if (address[0] == '\0' || strcmp(address, "*") == 0) {
		return is_any(fd, &a, v4, v6);
	}
	if (inet_pton(AF_INET, address, &raw) == 1) {
		return a.sa.sa_family == AF_INET &&
			memcmp(&raw, &a.v4.sin_addr, sizeof(a.v4.sin_addr)) == 0;
	}
	return inet_pton(AF_INET6, address, &raw) == 1 && a.sa.sa_family == AF_INET6 &&
		memcmp(&raw, &a.v6.sin6_addr, sizeof(raw)) == 0 && is_v6only(fd);
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
