/*
 * unixsock - unix stream sockets, passing descriptors
 */
#include "base/unixsock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/identity.h"
#include "base/mem.h"
#include "base/str.h"

enum { FDS_MAX = 4 };

/* A socket's path as an address, and what has to be undone behind its use. */
struct place {
	struct sockaddr_un addr;
	struct identity_saved id;
	int back; /* the working directory before; -1: it has not changed */
};

static void close_keeping_errno(int fd)
{
	int saved = errno;

	if (fd >= 0) {
		close(fd);
	}
	errno = saved;
}

/* leave_place - errno is kept */
static void leave_place(struct place *p)
{
	int saved = errno;

	if (p->back >= 0) {
		(void)!fchdir(p->back);
		close(p->back);
	}
	identity_leave(&p->id);
	errno = saved;
}

/* enter_dir - a path that is too long for sun_path: its last component, from its directory */
static int enter_dir(struct place *p, const char *path)
{
	const char *base = strrchr(path, '/');
	char dir[4096];

	if (base == NULL || (size_t)(base - path) >= sizeof(dir) ||
		!str_copy(p->addr.sun_path, sizeof(p->addr.sun_path), base + 1)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(dir, path, (size_t)(base - path));
	dir[base - path] = '\0';
	p->back = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return p->back >= 0 && chdir(dir) == 0 ? 0 : -1;
}

/* enter_place - with the rights of whoever can say where path leads; 0, or -1: nothing to leave */
static int enter_place(struct place *p, const char *path, bool existing)
{
	memset(p, 0, sizeof(*p));
	p->back = -1;
	p->addr.sun_family = AF_UNIX;
	if ((existing ? identity_enter_path(&p->id, path) : identity_enter_parent(&p->id, path)) !=
		0) {
		return -1;
	}
	if (str_copy(p->addr.sun_path, sizeof(p->addr.sun_path), path) || enter_dir(p, path) == 0) {
		return 0;
	}
	leave_place(p);
	return -1;
}

int unix_listen(const char *path, mode_t mode)
{
	struct place p;
	int fd, result = -1;

	if (enter_place(&p, path, false) != 0) {
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0) {
		(void)unlink(p.addr.sun_path);
		if (bind(fd, (struct sockaddr *)&p.addr, sizeof(p.addr)) == 0 &&
			chmod(p.addr.sun_path, mode) == 0 && listen(fd, 128) == 0) {
			result = fd;
			fd = -1;
		}
	}
	close_keeping_errno(fd);
	leave_place(&p);
	return result;
}

int unix_own(const char *path, uid_t uid, gid_t gid)
{
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC), rc = -1, saved;
	struct stat st;
	uid_t owner;
	gid_t group;

	if (fd < 0 || path_owner(path, &owner, &group) != 0 || fstat(fd, &st) != 0) {
		saved = errno;
	} else if (!S_ISSOCK(st.st_mode) || st.st_nlink != 1 ||
		(st.st_uid != owner && st.st_uid != geteuid()) || (st.st_uid == 0 && owner != 0)) {
		saved = EPERM; /* not the one that was made a moment ago */
	} else {
		rc = syscall(SYS_fchownat, fd, "", uid, gid, AT_EMPTY_PATH) == 0 ? 0 : -1;
		saved = errno;
	}
	close_keeping_errno(fd);
	errno = saved;
	return rc;
}

int unix_connect(const char *path)
{
	struct place p;
	int fd;

	if (enter_place(&p, path, true) != 0) {
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&p.addr, sizeof(p.addr)) != 0) {
		close_keeping_errno(fd);
		fd = -1;
	}
	leave_place(&p);
	return fd;
}

int unix_peer(int fd, uid_t *uid_r, gid_t *gid_r, pid_t *pid_r)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0) {
		return -1;
	}
	*uid_r = cred.uid;
	*gid_r = cred.gid;
	*pid_r = cred.pid;
	return 0;
}

union fd_control {
	struct cmsghdr align;
	char data[CMSG_SPACE(sizeof(int) * FDS_MAX)];
};

ssize_t unix_send_fds(int sock, const void *data, size_t len, const int *fds, size_t count)
{
	union fd_control control;
	struct iovec iov = { (void *)(uintptr_t)data, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (count > FDS_MAX) {
		errno = EINVAL;
		return -1;
	}
	if (count > 0) {
		struct cmsghdr *head;

		memset(&control, 0, sizeof(control));
		msg.msg_control = control.data;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		head = CMSG_FIRSTHDR(&msg);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(head), fds, sizeof(int) * count);
	}
	return sendmsg(sock, &msg, MSG_NOSIGNAL);
}

ssize_t unix_recv_fds(int sock, void *data, size_t len, int *fds, size_t max, size_t *count_r)
{
	union fd_control control;
	struct iovec iov = { data, len };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.data,
		.msg_controllen = sizeof(control.data) };
	ssize_t n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);

	*count_r = 0;
	if (n < 0) {
		return n;
	}
	for (struct cmsghdr *head = CMSG_FIRSTHDR(&msg); head != NULL;
		head = CMSG_NXTHDR(&msg, head)) {
		size_t got;

		if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) {
			continue;
		}
		got = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < got; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof(int));
			if (*count_r < max) {
				fds[(*count_r)++] = fd;
			} else {
				close(fd); /* more than we asked for: not ours to keep */
			}
		}
	}
	return n;
}

int fd_set_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0) {
		return -1;
	}
	return fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}
