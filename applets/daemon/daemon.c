/*
 * daemon - into the background, and only then say that the start has succeeded
 *
 * Whoever starts a server wants to know whether it runs, and wants errors on the
 * terminal. So the parent stays until the child has its sockets; then the child lets go of
 * the terminal, so that `postfix start | cat` ends.
 */
#include "applets/daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"

enum { FIRST_STRAY = 3, OLD_KERNEL_MAX = 1024 };

void daemon_clean_descriptors(void)
{
	int null;

	do {
		null = open("/dev/null", O_RDWR);
	} while (null >= 0 && null < FIRST_STRAY);
	/* Linux before 5.9: one by one, those that programs really leave open. */
	if (syscall(SYS_close_range, FIRST_STRAY, ~0U, 0) != 0) {
		for (int fd = FIRST_STRAY; fd < OLD_KERNEL_MAX; fd++) {
			(void)close(fd);
		}
	}
}

int daemon_background(int failed)
{
	ssize_t n;
	int ends[2];
	char byte;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) != 0 || (pid = fork()) < 0) {
		log_fatal("cannot go into the background: %m");
	}
	if (pid > 0) {
		close(ends[1]);
		do {
			n = read(ends[0], &byte, 1);
		} while (n < 0 && errno == EINTR);
		_exit(n == 1 ? 0 : failed);
	}
	close(ends[0]);
	(void)setsid();
	return ends[1];
}

void daemon_ready(int *ready, bool keep_output)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int i = 0; null >= 0 && i <= (keep_output ? 0 : 2); i++) {
		(void)dup2(null, i);
	}
	if (null > 2) {
		close(null);
	}
	if (*ready >= 0) {
		(void)!write(*ready, "", 1);
		close(*ready);
		*ready = -1;
	}
}

void daemon_raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}
