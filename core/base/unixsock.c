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
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

enum { FDS_MAX = 4 };

/*
 * make_address - sun_path for a path of any length: a long one goes through
 * /proc/self/fd of its directory, whose descriptor is left in *dir_fd
 */
static int make_address(const char *path, struct sockaddr_un *addr, int *dir_fd)
{
	const char *base = strrchr(path, '/');
	char dir[4096];

	*dir_fd = -1;
	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	if (str_copy(addr->sun_path, sizeof(addr->sun_path), path)) {
		return 0;
	}
	if (base == NULL || (size_t)(base - path) >= sizeof(dir) || strlen(base) > 60) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(dir, path, (size_t)(base - path));
	dir[base - path] = '\0';
	*dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*dir_fd < 0) {
		return -1;
	}
	snprintf(addr->sun_path, sizeof(addr->sun_path), "/proc/self/fd/%d%s", *dir_fd, base);
	return 0;
}

static void close_keeping_errno(int fd)
{
	int saved = errno;

	if (fd >= 0) {
		close(fd);
	}
	errno = saved;
}

int unix_listen(const char *path, mode_t mode)
{
	struct sockaddr_un addr;
	int dir_fd, fd, result = -1;

	if (make_address(path, &addr, &dir_fd) != 0) {
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0) {
		(void)unlink(path);
		if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 &&
			chmod(path, mode) == 0 && listen(fd, 128) == 0) {
			result = fd;
			fd = -1;
		}
	}
	close_keeping_errno(fd);
	close_keeping_errno(dir_fd);
	return result;
}

int unix_connect(const char *path)
{
	struct sockaddr_un addr;
	int dir_fd, fd;

	if (make_address(path, &addr, &dir_fd) != 0) {
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
		close_keeping_errno(fd);
		fd = -1;
	}
	close_keeping_errno(dir_fd);
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
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.data,
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
				close(fd);	/* more than we asked for: not ours to keep */
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
