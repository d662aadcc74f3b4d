/*
 * lock - one master for a queue directory
 *
 * The pid file is locked with fcntl(2) as long as the process lives, so a
 * file left behind by a crash or a power cut means nothing, and the holder's pid comes
 * from the kernel and not from the file's text.
 */
#include "applets/admin/master/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static pid_t holder(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK ? lock.l_pid : 0;
}

int lock_take(const char *path, pid_t *owner_r)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	int saved;

	*owner_r = 0;
	if (fd < 0) {
		return -1;
	}
	if (fcntl(fd, F_SETLK, &lock) != 0) {
		saved = errno;
		*owner_r = holder(fd);
		close(fd);
		errno = saved;
		return -1;
	}
	if (ftruncate(fd, 0) != 0 || dprintf(fd, "%10d\n", (int)getpid()) < 0) {
		saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

pid_t lock_owner(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	pid_t owner;

	if (fd < 0) {
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	}
	if (fd < 0) {
		return 0;
	}
	owner = holder(fd);
	close(fd);
	return owner;
}
