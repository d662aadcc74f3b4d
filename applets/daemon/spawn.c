/*
 * spawn - start our own executable as another applet
 *
 * The executable is opened once at start: an upgrade that replaces the file
 * does not mix versions, and no /proc is needed later. A child's descriptors are
 * moved out of the way before they are put in their places, because the ones
 * to be passed may stand where others belong.
 *
 * The environment is made anew: what a stranger set in ours does not reach daemons.
 */
#include "applets/daemon/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "applets/daemon/service_contract.h"

enum { ENV_MAX = 16 };

const char *spawn_self_path(void)
{
	const char *path = (const char *)getauxval(AT_EXECFN);

	/* What fexecve(3) leaves there is a descriptor that is closed by now. */
	return path != NULL && path[0] == '/' && !str_starts(path, "/dev/fd/") ? path : NULL;
}

int spawn_self(const char *argv0)
{
	char path[4096];
	const char *dirs = getenv("PATH");
	struct slice rest = slice_of(dirs != NULL ? dirs : "/usr/sbin:/usr/bin:/sbin:/bin"), dir;
	int fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);

	if (fd < 0 && spawn_self_path() != NULL) {
		fd = open(spawn_self_path(), O_PATH | O_CLOEXEC);
	}
	if (fd >= 0 || strchr(argv0, '/') != NULL) {
		return fd >= 0 ? fd : open(argv0, O_PATH | O_CLOEXEC);
	}
	while ((dir = slice_word(&rest, ":")).ptr != NULL && fd < 0) {
		snprintf(path, sizeof(path), "%.*s/%s", (int)dir.len, dir.ptr, argv0);
		fd = open(path, O_PATH | O_CLOEXEC);
	}
	return fd;
}

/* move_up - a copy of fd that is out of the way of the first `places`; -1 stays -1 */
static int move_up(int fd, int places)
{
	return fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, places) : -1;
}

static bool place_fds(const struct sv_start *start, int control, int log, int *self)
{
	int high[SERVICE_LISTEN_MAX];
	int places = SERVICE_FD_LISTEN + (int)start->fd_count;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	null = move_up(null, places);
	control = move_up(control, places);
	log = log > 0 ? move_up(log, places) : -1;
	*self = move_up(*self, places);
	for (size_t i = 0; i < start->fd_count; i++) {
		high[i] = move_up(start->fds[i], places);
		if (high[i] < 0) {
			return false;
		}
	}
	for (int i = 0; null >= 0 && i <= (start->silent || start->relayed ? 2 : 0); i++) {
		(void)dup2(null, i);
	}
	if (dup2(control, SERVICE_FD_CONTROL) < 0 || (log >= 0 && dup2(log, SERVICE_FD_LOG) < 0)) {
		return false;
	}
	for (size_t i = 0; i < start->fd_count; i++) {
		if (dup2(high[i], SERVICE_FD_LISTEN + (int)i) < 0) {
			return false;
		}
	}
	return true;
}

/* keep - these few of our own variables go on to children */
static size_t keep(const char **env, size_t count)
{
	static const char names[][14] = { "TZ", "MAIL_CONFIG", "ASAN_OPTIONS", "UBSAN_OPTIONS",
		"LSAN_OPTIONS" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *value = getenv(names[i]);

		if (value != NULL && count < ENV_MAX - 1) {
			char *pair;

			if (asprintf(&pair, "%s=%s", names[i], value) > 0) {
				env[count++] = pair;
			}
		}
	}
	return count;
}

/* run - in the child; does not return */
static _Noreturn void run(int self, const struct sv_start *start, int control)
{
	const char *env[ENV_MAX] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C" };
	struct buf about = BUF_INIT;
	int log = start->relayed ? -1 : log_fd();
	sigset_t mask;

	buf_addf(&about, "%s=%zu,%d,%d", SERVICE_ENV, start->fd_count, log > 0,
		(start->successor ? SERVICE_SUCCESSOR : 0) | (start->again ? SERVICE_AGAIN : 0));
	for (size_t i = 0; i < start->fd_count; i++) {
		buf_addf(&about, ",%s", start->labels[i][0] != '\0' ? start->labels[i] : "-");
	}
	env[2] = buf_str(&about);
	env[keep(env, 3)] = NULL;
	/* A reload may come before the child can be told to leave. */
	sigemptyset(&mask);
	sigaddset(&mask, SIGHUP);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (!place_fds(start, control, log, &self)) {
		log_error("cannot start %s: %m", start->argv[0]);
		_exit(111);
	}
	(void)fexecve(self, (char *const *)(uintptr_t)start->argv, (char *const *)(uintptr_t)env);
	log_error("cannot execute our own binary as %s: %m", start->argv[0]);
	_exit(111);
}

pid_t spawn_child(int self_fd, const struct sv_start *start, int *control_r)
{
	int pair[2];
	pid_t pid;

	if (start->fd_count > SERVICE_LISTEN_MAX) {
		errno = E2BIG;
		return -1;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
		return -1;
	}
	log_flush();
	pid = fork();
	if (pid == 0) {
		run(self_fd, start, pair[1]);
	}
	close(pair[1]);
	if (pid < 0) {
		int saved = errno;

		close(pair[0]);
		errno = saved;
		return -1;
	}
	*control_r = pair[0];
	return pid;
}
