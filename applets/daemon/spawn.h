#ifndef APPLETS_DAEMON_SPAWN_H
#define APPLETS_DAEMON_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* How a child is started besides argv. */
struct sv_start {
	const char *const *argv;
	const int *fds; /* listening sockets, become 6 ... */
	const char *const *labels;
	size_t fd_count;
	bool successor; /* an older process goes on until this one is ready */
	bool again;     /* it ran before: a reload or a crash */
	bool silent;    /* 1 and 2 become /dev/null */
	bool relayed;   /* so do they, and it gets no log: we write its lines */
};

/* Our executable, held open so that a replaced file does not matter. -1. */
int spawn_self(const char *argv0);
/* The name the binary was executed by, from the root; NULL: not known. For hosts without /proc. */
const char *spawn_self_path(void);
/* fork and exec; *control_r is our end of its control socket. -1 with errno. */
pid_t spawn_child(int self_fd, const struct sv_start *start, int *control_r);

#endif
