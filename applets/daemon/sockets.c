/*
 * sockets - the listening sockets of services
 *
 * An address that cannot be had is an error with a name and a way out, because
 * that is what people meet first: another mail server on port 25, a port
 * below 1024 without root, an address of another machine.
 */
#include "applets/daemon/sockets.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/unixsock.h"
#include "net/listen.h"

enum { BACKLOG = 1024 };

/* advice - what to do about an error of bind(2) */
static const char *advice(int error)
{
	switch (error) {
	case EADDRINUSE:
		return ": another program listens there: stop it, or choose another port";
	case EACCES:
		return ": ports below 1024 need root: start as root, or choose a higher port";
	case EADDRNOTAVAIL:
		return ": this host does not have that address";
	default:
		return "";
	}
}

/* in_the_way - what stands at the path and must not be taken away; NULL: nothing */
static const char *in_the_way(const char *path, char *text, size_t size)
{
	struct stat st;
	uid_t uid;
	gid_t gid;
	pid_t pid = 0;
	int fd;

	if (lstat(path, &st) != 0) {
		return NULL;
	}
	if (!S_ISSOCK(st.st_mode)) {
		/* Where Postfix has sockets its older versions had FIFOs. */
		return S_ISFIFO(st.st_mode) ? NULL : "something else than a socket is there";
	}
	fd = unix_connect(path);
	if (fd < 0 && errno != EAGAIN) {
		return NULL; /* nobody listens: left by a crash */
	}
	if (fd < 0 || unix_peer(fd, &uid, &gid, &pid) != 0) {
		pid = 0;
	}
	if (fd >= 0) {
		close(fd);
	}
	/* Our own is replaced; who made it and died left children that are about to end. */
	if (pid == getpid() || (pid > 0 && kill(pid, 0) != 0 && errno == ESRCH)) {
		return NULL;
	}
	snprintf(text, size, "process %d listens there: stop it, or choose another path", (int)pid);
	return pid > 0 ? text : "another process listens there: stop it, or choose another path";
}

static int open_unix(const struct sv_endpoint *ep, char **error_r)
{
	char text[80];
	const char *why = in_the_way(ep->path, text, sizeof(text));
	int fd = why == NULL ? unix_listen(ep->path, ep->mode) : -1;
	struct buf b = BUF_INIT;

	if (fd >= 0 && geteuid() == 0 && ep->uid != (uid_t)-1 &&
		unix_own(ep->path, ep->uid, ep->gid) != 0) {
		close(fd);
		fd = -1;
	}
	if (fd < 0) {
		buf_addf(&b, "cannot listen on %s: %s (%s)", ep->path,
			why != NULL ? why : strerror(errno), ep->set_by);
		*error_r = buf_steal(&b);
	}
	return fd;
}

int endpoint_port(int fd)
{
	char addr[64];
	int port;

	return socket_address(fd, false, addr, sizeof(addr), &port) == 0 ? port : 0;
}

void endpoint_share(int fd, bool on)
{
	int value = on;

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &value, sizeof(value));
}

bool endpoint_is(const struct sv_endpoint *ep, int fd)
{
	return listen_is(fd, ep->address, ep->port, ep->v4, ep->v6);
}

int endpoint_open(const struct sv_endpoint *ep, bool shared, char **error_r)
{
	struct buf b = BUF_INIT;
	char *text = NULL;
	int fd, saved;

	*error_r = NULL;
	if (ep->path != NULL) {
		return open_unix(ep, error_r);
	}
	errno = 0;
	fd = listen_tcp(ep->address, ep->port,
		(ep->v4 ? LISTEN_V4 : 0) | (ep->v6 ? LISTEN_V6 : 0) | (shared ? LISTEN_SHARED : 0),
		BACKLOG, &text);
	if (fd >= 0) {
		/* Only for those that were there: anybody else is told that the port is taken. */
		if (shared) {
			endpoint_share(fd, false);
		}
		return fd;
	}
	saved = errno;
	if (!ep->optional || (saved != EADDRNOTAVAIL && saved != EAFNOSUPPORT)) {
		buf_addf(&b, "cannot listen on %s%s (%s)", text, advice(saved), ep->set_by);
		*error_r = buf_steal(&b);
	} else {
		log_info("cannot listen on %s (%s): passed over", text, ep->set_by);
	}
	mem_free(text);
	return -1;
}
