/*
 * sockets - the listening sockets of services
 *
 * An address that cannot be had is an error with a name and a way out, because
 * that is what people meet first: another mail server on port 25, a port
 * below 1024 without root, an address of another machine.
 */
#include "applets/admin/master/supervise.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/unixsock.h"
#include "net/listen.h"

enum { BACKLOG = 1024 };

char *endpoint_key(const struct sv_endpoint *ep)
{
	struct buf b = BUF_INIT;

	if (ep->path != NULL) {
		buf_addf(&b, "unix:%s", ep->path);
	} else {
		buf_addf(&b, "inet:[%s]:%d:%d%d", ep->address, ep->port, ep->v4, ep->v6);
	}
	return buf_steal(&b);
}

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

static int open_unix(const struct sv_endpoint *ep, char **error_r)
{
	int fd = unix_listen(ep->path, ep->mode);
	struct buf b = BUF_INIT;

	if (fd >= 0 && geteuid() == 0 && ep->uid != (uid_t)-1 &&
		unix_own(ep->path, ep->uid, ep->gid) != 0) {
		close(fd);
		fd = -1;
	}
	if (fd < 0) {
		buf_addf(&b, "cannot listen on %s: %s (%s)", ep->path, strerror(errno), ep->set_by);
		*error_r = buf_steal(&b);
	}
	return fd;
}

int endpoint_open(const struct sv_endpoint *ep, char **error_r)
{
	struct buf b = BUF_INIT;
	char *text = NULL;
	int fd, saved;

	*error_r = NULL;
	if (ep->path != NULL) {
		return open_unix(ep, error_r);
	}
	errno = 0;
	fd = listen_tcp(ep->address, ep->port, ep->v4, ep->v6, BACKLOG, &text);
	if (fd >= 0) {
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
