/*
 * lock - dotlock and fcntl locks on mailbox files
 *
 * What a dotlock of ours is, and when one is stale: lock_owner.c. Two processes may want to break
 * the same stale dotlock: whoever holds the kernel's lock on it, and finds the file still in its
 * place then, may remove it; so nobody removes a fresh one.
 */
#include "mail/lock/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "conf/params.h"
#include "mail/lock/lock_owner.h"

enum { SLEEP_FIRST_MS = 5, SLEEP_MAX_MS = 250 };

struct mailbox_lock {
	char *dot;  /* path of the dotlock */
	int dot_fd; /* holds the lock on it, -1: none taken */
	dev_t dev;  /* of the dotlock we made */
	ino_t ino;
	int fd; /* the mailbox, not ours to close */
};

/* wants_dotlock - is it one of the locks of mailbox_delivery_lock? */
static bool wants_dotlock(void)
{
	const char *list = param.mailbox_delivery_lock;

	return list == NULL || list[0] == '\0' || strstr(list, "dotlock") != NULL;
}

enum stale { LOCK_HELD, LOCK_BROKEN, LOCK_IGNORED };

/* remove_locked - take a stale dotlock away, unless somebody else is at it or it is a new one */
static enum stale remove_locked(const char *dot, int fd, const struct stat *mine)
{
	struct stat there;

	if (lock_fcntl(fd, F_WRLCK) != 0) {
		return errno == EAGAIN ? LOCK_HELD : LOCK_IGNORED;
	}
	if (lstat(dot, &there) != 0 || there.st_ino != mine->st_ino ||
		there.st_dev != mine->st_dev) {
		return LOCK_HELD;
	}
	return unlink(dot) == 0 ? LOCK_BROKEN : LOCK_IGNORED;
}

/*
 * may_lock - has its maker any business with the mailbox? In a directory that everybody may write
 * to, anybody can make a dotlock for somebody else's, and hold it for ever.
 */
static bool may_lock(const struct stat *dot, int mailbox_fd)
{
	struct stat box;

	return fstat(mailbox_fd, &box) != 0 || dot->st_uid == 0 || dot->st_uid == geteuid() ||
		dot->st_uid == box.st_uid || (box.st_mode & S_IWOTH) != 0 ||
		((box.st_mode & S_IWGRP) != 0 && dot->st_gid == box.st_gid);
}

/*
 * break_stale - remove the dotlock if it is stale. LOCK_BROKEN: worth trying again at once;
 * LOCK_IGNORED: it is stale, but may not be removed by us, or is none
 */
static enum stale break_stale(const char *dot, int mailbox_fd)
{
	struct stat mine;
	enum stale result = LOCK_HELD;
	int fd = open(dot, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

	if (fd < 0 && errno == EACCES) {
		fd = open(dot, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	}
	if (fd < 0 && errno == ENOENT) {
		return LOCK_BROKEN;
	}
	if ((fd >= 0 ? fstat(fd, &mine) : lstat(dot, &mine)) != 0) {
		result = LOCK_HELD;
	} else if (!may_lock(&mine, mailbox_fd)) {
		result = LOCK_IGNORED;
	} else if (S_ISREG(mine.st_mode) && lock_owner_gone(fd, &mine, mailbox_fd)) {
		result = fd >= 0 ? remove_locked(dot, fd, &mine) : LOCK_IGNORED;
	}
	if (fd >= 0) {
		close(fd);
	}
	return result;
}

/*
 * dotlock_make - descriptor of a new dotlock, or -1. It gets its name once its owner is in it, so
 * that nobody dies in between and leaves one that only time can break; where there are no
 * nameless files (or no /proc) that has to be risked.
 */
static int dotlock_make(const char *dot)
{
	char *dir = mem_strdup(dot), *slash = strrchr(dir, '/'), self[40];
	int fd, saved;

	if (slash != NULL) {
		slash[slash == dir] = '\0';
	}
	fd = open(slash != NULL ? dir : ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
	mem_free(dir);
	if (fd >= 0) {
		lock_owner_write(fd);
		snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
		if (linkat(AT_FDCWD, self, AT_FDCWD, dot, AT_SYMLINK_FOLLOW) == 0) {
			return fd;
		}
		saved = errno;
		close(fd);
		if (saved == EEXIST) {
			errno = saved;
			return -1;
		}
	}
	fd = open(dot, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0) {
		lock_owner_write(fd);
	}
	return fd;
}

/*
 * dotlock_try - 0 made (or not possible here: l->dot_fd stays -1), -1 with errno
 * EAGAIN when it is there. Behind it nothing may be allocated that could fail: ours would stay.
 */
static int dotlock_try(struct mailbox_lock *l)
{
	struct stat st;
	int fd = dotlock_make(l->dot);

	if (fd < 0 && errno == EEXIST) {
		switch (break_stale(l->dot, l->fd)) {
		case LOCK_HELD:
			errno = EAGAIN;
			return -1;
		case LOCK_IGNORED:
			return 0;
		case LOCK_BROKEN:
			fd = dotlock_make(l->dot);
			break;
		}
	}
	if (fd < 0) {
		if (errno == EEXIST) {
			errno = EAGAIN;
			return -1;
		}
		/* Not writable, full, name too long ...: the fcntl lock has to do. */
		return 0;
	}
	if (fstat(fd, &st) == 0) {
		l->dev = st.st_dev;
		l->ino = st.st_ino;
	}
	l->dot_fd = fd;
	return 0;
}

static void dotlock_release(struct mailbox_lock *l)
{
	struct stat st;

	if (l->dot_fd < 0) {
		return;
	}
	/* Somebody may have thought us dead and taken over. */
	if (lstat(l->dot, &st) == 0 && st.st_ino == l->ino && st.st_dev == l->dev) {
		unlink(l->dot);
	}
	close(l->dot_fd);
	l->dot_fd = -1;
}

static void free_lock(struct mailbox_lock *l)
{
	mem_free(l->dot);
	mem_free(l);
}

/* lock_try - both locks or none; 0, or -1 with errno */
static int lock_try(struct mailbox_lock *l, bool exclusive)
{
	int saved;

	if (exclusive && wants_dotlock() && dotlock_try(l) != 0) {
		return -1;
	}
	if (lock_fcntl(l->fd, exclusive ? F_WRLCK : F_RDLCK) == 0) {
		return 0;
	}
	saved = errno;
	dotlock_release(l);
	/* A file system without locks (ENOLCK, EINVAL): a dotlock is enough, if there is one. */
	errno = saved;
	return -1;
}

static void sleep_ms(int ms)
{
	struct timespec ts = { ms / 1000, (long)(ms % 1000) * 1000000 };

	while (nanosleep(&ts, &ts) != 0 && errno == EINTR) {
		continue;
	}
}

struct mailbox_lock *mailbox_lock(const char *path, int fd, bool exclusive, int timeout_ms)
{
	struct mailbox_lock *l = mem_alloc(sizeof(*l));
	struct buf dot = BUF_INIT;
	int pause = SLEEP_FIRST_MS, waited = 0, saved = 0;
	bool held;

	l->fd = fd;
	l->dot_fd = -1;
	buf_addf(&dot, "%s.lock", path);
	l->dot = buf_steal(&dot);
	while (!(held = lock_try(l, exclusive) == 0)) {
		saved = errno;
		if (saved != EAGAIN || waited >= timeout_ms) {
			break;
		}
		sleep_ms(pause);
		waited += pause;
		pause = pause * 2 < SLEEP_MAX_MS ? pause * 2 : SLEEP_MAX_MS;
	}
	if (!held) {
		free_lock(l);
		errno = saved;
		return NULL;
	}
	return l;
}

int mailbox_lock_move(struct mailbox_lock *l, int fd)
{
	if (lock_fcntl(fd, F_WRLCK) != 0) {
		return -1;
	}
	l->fd = fd;
	return 0;
}

void mailbox_lock_touch(struct mailbox_lock *l)
{
	if (l->dot_fd >= 0) {
		utimensat(AT_FDCWD, l->dot, NULL, AT_SYMLINK_NOFOLLOW);
	}
}

void mailbox_unlock(struct mailbox_lock *l)
{
	if (l == NULL) {
		return;
	}
	lock_fcntl(l->fd, F_UNLCK);
	dotlock_release(l);
	free_lock(l);
}
