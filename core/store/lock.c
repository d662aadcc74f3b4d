/*
 * lock - dotlock and fcntl locks on mailbox files
 *
 * The dotlock holds "pid:host", so that after a crash the next one needs not wait until it
 * is stale. A number says little where numbers begin anew (a container that starts again): so ours
 * has a line end too, which says that its owner holds the fcntl lock on the dotlock itself, as the
 * kernel takes that away from a process that ends. Two processes may want to break the same stale
 * dotlock: whoever holds this lock, and finds the file still in its place then, may remove it; so
 * nobody removes a fresh one.
 */
#include "store/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "conf/params.h"

enum { SLEEP_FIRST_MS = 5, SLEEP_MAX_MS = 250, OWNER_MAX = 128 };

struct mailbox_lock {
	char *dot;		/* path of the dotlock, NULL: none taken */
	int dot_fd;		/* holds the lock on it */
	dev_t dev;		/* of the dotlock we made */
	ino_t ino;
	int fd;			/* the mailbox, not ours to close */
};

/* fcntl_lock - 0, or -1 with errno EAGAIN when somebody else has it */
static int fcntl_lock(int fd, short type)
{
	struct flock fl = { .l_type = type, .l_whence = SEEK_SET };
	int rc;

	do {
		rc = fcntl(fd, F_OFD_SETLK, &fl);
		if (rc != 0 && errno == EINVAL) {
			rc = fcntl(fd, F_SETLK, &fl);
		}
	} while (rc != 0 && errno == EINTR);
	if (rc != 0 && errno == EACCES) {
		errno = EAGAIN;
	}
	return rc;
}

/* host_name - of this machine, as written into dotlocks */
static void host_name(char *out, size_t size)
{
	struct utsname u;

	snprintf(out, size, "%.60s", uname(&u) == 0 ? u.nodename : "localhost");
}

/* owner_gone - does the dotlock name a process of this host that is no more? */
static bool owner_gone(int fd)
{
	char text[OWNER_MAX] = "", host[64], *end;
	ssize_t n = fd >= 0 ? pread(fd, text, sizeof(text) - 1, 0) : -1;
	bool locked;
	long pid;

	if (n <= 0) {
		return false;
	}
	host_name(host, sizeof(host));
	pid = strtol(text, &end, 10);
	locked = strchr(text, '\n') != NULL;
	text[strcspn(text, "\n")] = '\0';
	if (pid <= 1 || *end != ':' || strcmp(end + 1, host) != 0) {
		return false;
	}
	if (!locked) {
		return kill((pid_t)pid, 0) != 0 && errno == ESRCH;
	}
	return fcntl_lock(fd, F_WRLCK) == 0 || (errno == EBADF && fcntl_lock(fd, F_RDLCK) == 0);
}

/* stale_seconds - stale_lock_time; configuration may not be loaded (tools) */
static time_t stale_seconds(void)
{
	return param.stale_lock_time > 0 ? (time_t)param.stale_lock_time : LOCK_STALE;
}

/* wants_dotlock - is it one of the locks of mailbox_delivery_lock? */
static bool wants_dotlock(void)
{
	const char *list = param.mailbox_delivery_lock;

	return list == NULL || list[0] == '\0' || strstr(list, "dotlock") != NULL;
}

/* is_stale - may this dotlock be broken? */
static bool is_stale(int dotfd, const struct stat *dot, int mailbox_fd)
{
	struct stat box;
	time_t newest = dot->st_mtime;

	if (owner_gone(dotfd)) {
		return true;
	}
	if (fstat(mailbox_fd, &box) == 0 && box.st_mtime > newest) {
		newest = box.st_mtime;
	}
	return time(NULL) - newest > stale_seconds();
}

enum stale { LOCK_HELD, LOCK_BROKEN, LOCK_IGNORED };

/* remove_locked - take a stale dotlock away, unless somebody else is at it or it is a new one */
static enum stale remove_locked(const char *dot, int fd, const struct stat *mine)
{
	struct stat there;

	if (fcntl_lock(fd, F_WRLCK) != 0) {
		return errno == EAGAIN ? LOCK_HELD : LOCK_IGNORED;
	}
	if (lstat(dot, &there) != 0 || there.st_ino != mine->st_ino
		|| there.st_dev != mine->st_dev) {
		return LOCK_HELD;
	}
	return unlink(dot) == 0 ? LOCK_BROKEN : LOCK_IGNORED;
}

/*
 * break_stale - remove the dotlock if it is stale. LOCK_BROKEN: worth trying again at once;
 * LOCK_IGNORED: it is stale, but may not be removed by us
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
	if ((fd >= 0 ? fstat(fd, &mine) : lstat(dot, &mine)) == 0 && S_ISREG(mine.st_mode)
		&& is_stale(fd, &mine, mailbox_fd)) {
		result = fd >= 0 ? remove_locked(dot, fd, &mine) : LOCK_IGNORED;
	}
	if (fd >= 0) {
		close(fd);
	}
	return result;
}

/*
 * write_owner - lock it, then "pid:host" (and a line end if that was possible); on a full disk it
 * stays empty: then only its age tells
 */
static void write_owner(int fd)
{
	bool locked = fcntl_lock(fd, F_WRLCK) == 0;
	char text[OWNER_MAX], host[64];
	int n;

	host_name(host, sizeof(host));
	n = snprintf(text, sizeof(text), "%ld:%s%s", (long)getpid(), host, locked ? "\n" : "");
	(void)!write(fd, text, (size_t)n);
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
		write_owner(fd);
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
		write_owner(fd);
	}
	return fd;
}

/*
 * dotlock_try - 0 made (or not possible here: l->dot stays NULL), -1 with errno
 * EAGAIN when it is there
 */
static int dotlock_try(struct mailbox_lock *l, const char *dot)
{
	struct stat st;
	int fd = dotlock_make(dot);

	if (fd < 0 && errno == EEXIST) {
		switch (break_stale(dot, l->fd)) {
		case LOCK_HELD:
			errno = EAGAIN;
			return -1;
		case LOCK_IGNORED:
			return 0;
		case LOCK_BROKEN:
			fd = dotlock_make(dot);
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
	l->dot = mem_strdup(dot);
	return 0;
}

static void dotlock_release(struct mailbox_lock *l)
{
	struct stat st;

	if (l->dot == NULL) {
		return;
	}
	/* Somebody may have thought us dead and taken over. */
	if (lstat(l->dot, &st) == 0 && st.st_ino == l->ino && st.st_dev == l->dev) {
		unlink(l->dot);
	}
	close(l->dot_fd);
	mem_free(l->dot);
	l->dot = NULL;
}

/* lock_try - both locks or none; 0, or -1 with errno */
static int lock_try(struct mailbox_lock *l, const char *dot, bool exclusive)
{
	int saved;

	if (exclusive && wants_dotlock() && dotlock_try(l, dot) != 0) {
		return -1;
	}
	if (fcntl_lock(l->fd, exclusive ? F_WRLCK : F_RDLCK) == 0) {
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
	buf_addf(&dot, "%s.lock", path);
	while (!(held = lock_try(l, buf_str(&dot), exclusive) == 0)) {
		saved = errno;
		if (saved != EAGAIN || waited >= timeout_ms) {
			break;
		}
		sleep_ms(pause);
		waited += pause;
		pause = pause * 2 < SLEEP_MAX_MS ? pause * 2 : SLEEP_MAX_MS;
	}
	buf_free(&dot);
	if (!held) {
		mem_free(l);
		errno = saved;
		return NULL;
	}
	return l;
}

int mailbox_lock_move(struct mailbox_lock *l, int fd)
{
	if (fcntl_lock(fd, F_WRLCK) != 0) {
		return -1;
	}
	l->fd = fd;
	return 0;
}

void mailbox_lock_touch(struct mailbox_lock *l)
{
	if (l->dot != NULL) {
		utimensat(AT_FDCWD, l->dot, NULL, AT_SYMLINK_NOFOLLOW);
	}
}

void mailbox_unlock(struct mailbox_lock *l)
{
	if (l == NULL) {
		return;
	}
	fcntl_lock(l->fd, F_UNLCK);
	dotlock_release(l);
	mem_free(l);
}
