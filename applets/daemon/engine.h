#ifndef APPLETS_DAEMON_ENGINE_H
#define APPLETS_DAEMON_ENGINE_H

#include <sys/types.h>

#include "applets/daemon/supervise.h"

/* Private to supervise.c (life), apply.c (the next configuration) and children.c. */

struct sv_listener {
	struct watch watch;
	int fd;             /* -1: another service has taken it over */
	char *label, *path; /* path: of a unix socket, else NULL */
	mode_t mode;        /* and as it was made: */
	uid_t uid;
	gid_t gid;
	dev_t dev; /* which file the path was then */
	ino_t ino;
};

struct sv_service {
	struct sv_service *next;
	struct supervisor *sv;
	char *name, *command;
	const char **argv;
	char *argv_text; /* what argv points into */
	struct sv_listener *listeners;
	size_t listener_count;
	bool up;    /* some child of it has said that it serves */
	bool later; /* the last one could not begin yet (a full disk) */
	struct sv_child *child;
	struct sv_child *candidate; /* a successor that has not said yet that it is ready */
	struct sv_child *old;       /* single: the one that still finishes */
	struct timer rest, wakeup_timer;
	int wakeup;
	bool wakeup_if_used, at_once, single, may_end, reloads, relayed;
	bool used, resting, ended, started;
	int failures;
};

/* ---- children.c ---- */

/* The child outlives its service's interest in it. */
void sv_detach(struct sv_child *c);
/* The supervisor waits for connections at the service's listeners (on), or does not. */
void sv_watch_listeners(struct sv_service *s, bool on);
/* Services begin: those to run at once are started, the others wait for connections. */
void sv_start_services(struct supervisor *sv);
/* SIGCHLD; owner: the supervisor. */
void sv_reap(int signo, void *owner);

/* ---- apply.c ---- */

/* unlink_paths: its unix sockets go from the file system, where they are still its own. */
void sv_free_service(struct sv_service *s, bool unlink_paths);

#endif
