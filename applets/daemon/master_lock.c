/*
 * master_lock - one master for a queue directory
 *
 * The pid file is locked with fcntl(2) as long as the process lives, so a
 * file left behind by a crash or a power cut means nothing, and the holder's pid comes
 * from the kernel and not from the file's text.
 */
#include "applets/daemon/master_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static const char name[] = "master.pid";

/* holder - a process id that a lock has; a lock of open files (F_OFD_SETLK) has none: -1 */
static pid_t holder(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK && lock.l_pid > 0
		? lock.l_pid
		: 0;
}

/* open_file - for its owner alone, also one that an earlier version left for everybody to read */
static int open_file(int dir)
{
	int fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	struct stat st;

	if (fd >= 0 &&
		(fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1 ||
			(st.st_uid != geteuid() && fchown(fd, geteuid(), getegid()) != 0) ||
			fchmod(fd, 0600) != 0)) {
		close(fd);
		errno = EPERM;
		return -1;
	}
	return fd;
}

int lock_take(int dir, pid_t *owner_r)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open_file(dir), saved;

	*owner_r = 0;
	if (fd < 0) {
		return -1;
	}
	if (fcntl(fd, F_SETLK, &lock) == 0) {
		if (ftruncate(fd, 0) == 0 && dprintf(fd, "%10d\n", (int)getpid()) > 0) {
			return fd;
		}
		saved = errno;
	} else {
		saved = errno;
		*owner_r = holder(fd);
	}
	close(fd);
	errno = saved;
	return -1;
}

int lock_move(int dir, int *lock, pid_t *owner_r)
{
	struct stat held, there;
	int fd;

	*owner_r = 0;
	/* The same by another name: closing it a second time would let go of the lock. */
	if (fstat(*lock, &held) == 0 && fstatat(dir, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
		held.st_dev == there.st_dev && held.st_ino == there.st_ino) {
		return 0;
	}
	fd = lock_take(dir, owner_r);
	if (fd < 0) {
		return -1;
	}
	close(*lock);
	*lock = fd;
	return 0;
}

pid_t lock_owner(int dir)
{
	int fd = openat(dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	pid_t owner = 0;

	if (fd < 0) {
		fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	}
	if (fd < 0) {
		return 0;
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		owner = holder(fd);
	}
	close(fd);
	return owner;
}
