/*
 * log_hold - lines of the log that cannot be written now are kept, then dropped and counted
 *
 * The reader of a pipe may stop reading (a container's log collector), a
 * terminal may be stopped with ^S, the disk may be full. A server that waited
 * in write(2) would stop taking mail, and SIGTERM with it. So no write waits:
 * 16 KB of lines are kept for a better time, later ones are counted.
 *
 * The descriptor is inherited and shared with whoever started us, so O_NONBLOCK
 * is set on a pipe only where the kernel has no RWF_NOWAIT for it (before 6.5).
 * A terminal is asked with poll(). Pieces for either are whole lines
 * of PIPE_BUF bytes at most, which go in whole or not at all, so that no line
 * is torn by those of another process.
 */
#include "base/log_hold.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { HELD_MAX = 16384, NOWAIT = 8 /* RWF_NOWAIT */ };

/*
 * The lines. "common", and so not static, because the linker puts such behind all other variables:
 * 16 KB between those that every process touches would cost each a page more. On pages of their
 * own, which log_hold_trim() gives back.
 */
__attribute__((common, aligned(4096))) char log_held[HELD_MAX];

/* The mutable global of logging beside log.c's; zeroes at first: no room in the file. */
static struct {
	size_t len;
	unsigned long lost;
	pid_t owner; /* whose the lines and the count are, while stuck */
	bool stuck;
	bool torn; /* a file took part of a line */
} G;

/* disown - the child of a fork has nothing to do with what its parent could not write */
static void disown(void)
{
	if (!G.stuck || G.owner == getpid()) {
		return;
	}
	G.len = 0;
	G.lost = 0;
	G.stuck = G.torn = false;
}

static void mark_stuck(void)
{
	G.stuck = true;
	G.owner = getpid();
}

/* write_pipe - write() that does not wait, for a pipe */
static ssize_t write_pipe(int fd, const char *data, size_t len)
{
	struct iovec part = { (void *)(size_t)data, len };
	ssize_t n = syscall(SYS_pwritev2, fd, &part, 1, -1L, -1L, NOWAIT);
	int flags;

	if (n >= 0 || errno == EAGAIN || errno == EINTR || errno == EPIPE) {
		return n;
	}
	flags = fcntl(fd, F_GETFL);
	if (flags >= 0 && !(flags & O_NONBLOCK)) {
		(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	}
	return write(fd, data, len);
}

/* write_now - write() that does not wait, for whatever a log may be; -1 with EAGAIN */
static ssize_t write_now(int fd, mode_t type, const char *data, size_t len)
{
	struct pollfd p = { fd, POLLOUT, 0 };

	if (S_ISREG(type)) {
		return write(fd, data, len);
	}
	if (S_ISSOCK(type)) {
		return send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	if (S_ISFIFO(type)) {
		return write_pipe(fd, data, len);
	}
	if (poll(&p, 1, 0) == 1) {
		return write(fd, data, len);
	}
	errno = EAGAIN;
	return -1;
}

/* piece - how much goes in one write: all for a file, else whole lines */
static size_t piece(mode_t type, const char *data, size_t len)
{
	const char *end;

	if (S_ISREG(type) || len <= PIPE_BUF) {
		return len;
	}
	end = memrchr(data, '\n', PIPE_BUF);
	return end != NULL ? (size_t)(end + 1 - data) : PIPE_BUF;
}

/* write_held - from the beginning of held; how much went out */
static size_t write_held(int fd)
{
	struct stat st;
	size_t done = 0;
	ssize_t n = 0;

	if (fstat(fd, &st) != 0) {
		return 0;
	}
	if (G.torn && S_ISREG(st.st_mode)) {
		if (write(fd, "\n", 1) != 1) {
			return 0;
		}
		G.torn = false;
	}
	while (done < G.len) {
		n = write_now(fd, st.st_mode, log_held + done,
			piece(st.st_mode, log_held + done, G.len - done));
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			break;
		}
		done += (size_t)n;
	}
	return done;
}

/* keep_rest - after done bytes went out. The rest begins with a whole line: what was in the middle
 * of one is in the log torn, and comes again whole */
static void keep_rest(size_t done)
{
	G.torn = done > 0 && log_held[done - 1] != '\n';
	while (done > 0 && log_held[done - 1] != '\n') {
		done--;
	}
	G.len -= done;
	memmove(log_held, log_held + done, G.len);
}

bool log_hold_flush(int fd)
{
	int saved = errno;

	disown();
	if (G.len == 0) {
		return true;
	}
	errno = EBADF;
	keep_rest(fd >= 0 ? write_held(fd) : 0);
	/* Nobody will ever read it: nothing is worth keeping, and nothing to be counted. */
	if (G.len > 0 && (errno == EPIPE || errno == EBADF)) {
		G.len = G.lost = 0;
	}
	if (G.len > 0) {
		mark_stuck();
	} else {
		G.stuck = G.lost > 0;
	}
	errno = saved;
	return G.len == 0;
}

bool log_hold_has_room(size_t len)
{
	return G.len + len <= sizeof(log_held);
}

void log_hold_give(void (*fn)(void *arg, const char *lines, size_t len), void *arg)
{
	size_t len;

	disown();
	len = G.len;
	G.len = 0;
	if (len > 0) {
		fn(arg, log_held, len);
	}
}

bool log_hold_add(int fd, const char *line, size_t len)
{
	disown();
	if (G.len + len > sizeof(log_held) && !log_hold_flush(fd) &&
		G.len + len > sizeof(log_held)) {
		log_hold_lose();
		return false;
	}
	memcpy(log_held + G.len, line, len);
	G.len += len;
	return true;
}

void log_hold_trim(void)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t begin = ((uintptr_t)log_held + page - 1) & ~(page - 1);
	uintptr_t end = ((uintptr_t)log_held + sizeof(log_held)) & ~(page - 1);

	if (G.len == 0 && begin < end) {
		(void)madvise((void *)begin, end - begin, MADV_DONTNEED);
	}
}

bool log_hold_is_stuck(void)
{
	return G.stuck;
}

void log_hold_lose(void)
{
	disown();
	G.lost++;
	mark_stuck();
}

unsigned long log_hold_lost(void)
{
	return G.lost;
}

void log_hold_said(void)
{
	G.lost = 0;
	G.stuck = G.len > 0;
}
