#ifndef APPLETS_DAEMON_SUPERVISE_H
#define APPLETS_DAEMON_SUPERVISE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/loop.h"
#include "base/wire.h"

/*
 * The engine of master (master.cf) and dovecot (dovecot.conf): owns listening
 * sockets, starts services through our own executable when somebody connects
 * (or at once), restarts them with growing pauses when they crash, reaps,
 * reloads and stops. applets/daemon/service.h is the other side of the contract.
 *
 *	configuration -> struct sv_config (specs and their endpoints) -> sv_apply()
 */

/* Where a service listens. Strings live in the arena of the configuration. */
struct sv_endpoint {
	const char *path; /* unix socket; NULL: TCP */
	mode_t mode;
	uid_t uid; /* (uid_t)-1: as created */
	gid_t gid;
	const char *address; /* TCP: numeric, "" all */
	int port;
	bool v4, v6;
	bool optional;     /* an address this host lacks (::1) is passed over, which the log says */
	const char *label; /* told to the daemon */
	const char *set_by; /* for errors: "/etc/postfix/master.cf, line 9" */
};

struct sv_spec {
	const char *name;    /* unique with command: "smtp" */
	const char *command; /* argv[0] */
	const char **argv;   /* NULL-terminated */
	struct sv_endpoint *endpoints;
	size_t endpoint_count;
	int wakeup; /* seconds, 0 none */
	bool wakeup_if_used;
	bool at_once; /* start without waiting for a connection */
	bool single;  /* never two at a time, not even while the old one finishes */
	bool reloads; /* (single) SIGHUP is all it needs: it reads its configuration again and goes
			 on */
	bool relayed; /* we write its log lines (SERVICE_MSG_LOG) */
	bool may_end; /* exit status 0 means: not wanted any more (until the next reload) */
};

struct sv_config {
	struct arena arena;
	struct sv_spec *specs;
	size_t count, room;
};

/* Adds a zeroed spec at the end; valid until the next one is added. */
struct sv_spec *sv_config_add(struct sv_config *c);
struct sv_endpoint *sv_spec_add(struct sv_config *c, struct sv_spec *spec);

struct supervisor;
struct sv_service;

struct sv_child {
	struct sv_child *next;
	struct supervisor *sv;
	struct sv_service *service; /* NULL: its service is gone, it finishes, or it never had one
				       (mail parts) */
	const char *command;        /* for the log; lives as long as the child */
	pid_t pid;
	struct watch control;
	int64_t started;   /* loop milliseconds */
	bool leaving;      /* told to end */
	bool relayed;      /* as in its spec */
	bool owns_command; /* command is freed with the child */
	void *owner;       /* of who started it */
};

/* How the start went, of the services that run at once. */
struct sv_started {
	size_t wanted, up;  /* without may_end, and what waits for room on the disk */
	const char *failed; /* command of the first that does not serve, or NULL */
};

struct supervisor_hooks {
	/* SIGHUP: new configuration into *out; false: it is bad (said in the log), the old one
	 * stays. */
	bool (*reload)(struct supervisor *sv, struct sv_config *out);
	/* A control message that the engine does not know; fd (-1 none) belongs to the callee. */
	void (*message)(
		struct supervisor *sv, struct sv_child *child, int kind, struct wire *w, int fd);
	/* The child has ended; child->owner is the callee's last chance. */
	void (*ended)(struct supervisor *sv, struct sv_child *child);
	/* Once, when all that runs at once serves or has failed twice. NULL: of no interest. */
	void (*started)(struct supervisor *sv, const struct sv_started *how);
};

struct supervisor {
	struct loop *loop;
	const struct supervisor_hooks *hooks;
	const char *what; /* "master", "dovecot": for the log */
	int self_fd;      /* our executable */
	struct sv_service *services;
	struct sv_child *children;
	size_t child_count;
	bool silent; /* children's 1 and 2 are /dev/null: we go into the background */
	bool stopping;
	bool reloaded; /* at least once */
	bool started;  /* hooks->started() was told */
	struct timer stop_timer;
	int stop_rounds;
};

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

/* SIGHUP, SIGTERM, SIGINT and SIGCHLD are the supervisor's from now on. Exits when the executable
 * cannot be found. */
struct supervisor *sv_new(
	struct loop *loop, const char *what, const struct supervisor_hooks *hooks);
/*
 * Make it so: open what is new, keep sockets that stay, drain what runs. The configuration is
 * consumed. 0; -1 (only when first): an address cannot be had, nothing runs, *error_r says which
 * and what to do.
 */
int sv_apply(struct supervisor *sv, struct sv_config *config, bool first, char **error_r);
/* Start what runs at once, and go on until everything has ended. */
void sv_run(struct supervisor *sv);
void sv_stop(struct supervisor *sv);
/* A child outside of the services (mail part). NULL: logged. */
struct sv_child *sv_spawn(struct supervisor *sv, const char *command, const struct sv_start *start);
/* The child of the service with this command, started when there is none; NULL: not now. */
struct sv_child *sv_running(struct supervisor *sv, const char *command);
/* Start a successor of this child of a service, to take its place once it serves. */
void sv_replace(struct sv_child *child);
/* False: it cannot be reached. fd stays the caller's. */
bool sv_tell(struct sv_child *child, const struct buf *msg, int fd);
void sv_signal(struct sv_child *child, int signo);

/* ---- spawn.c ---- */

/* Our executable, held open so that a replaced file does not matter. -1. */
int spawn_self(const char *argv0);
/* The name the binary was executed by, from the root; NULL: not known. For hosts without /proc. */
const char *spawn_self_path(void);
/* fork and exec; *control_r is our end of its control socket. -1 with errno. */
pid_t spawn_child(int self_fd, const struct sv_start *start, int *control_r);

/* ---- sockets.c ---- */

/*
 * Open it: fd; -1 with a text (caller frees), or -1 with *error_r NULL when it is optional and
 * cannot be had. shared: beside sockets of ours that endpoint_share() has opened for it. A unix
 * socket on which a living process listens is an error that names it.
 */
int endpoint_open(const struct sv_endpoint *ep, bool shared, char **error_r);
/* Is the open TCP socket what endpoint_open() would give? */
bool endpoint_is(const struct sv_endpoint *ep, int fd);
/* Port of a TCP socket. */
int endpoint_port(int fd);
/* May an endpoint that is opened as shared stand beside this one, on a part of its addresses? */
void endpoint_share(int fd, bool on);

/* ---- master.c ---- */

/* main.cf is loaded: what master.cf in dir says is served. 0; -1 with a text (caller frees). */
int master_services(const char *dir, struct sv_config *out, char **error_r);

/* ---- lock.c ---- */

/*
 * Hold master.pid in the directory dir (a descriptor; it stays the caller's) locked as long as we
 * live, our pid inside. fd; -1: *owner_r is the process that holds it (0: errno). Nobody but its
 * owner may open the file: whoever can read it can hold it.
 */
int lock_take(int dir, pid_t *owner_r);
/* Process that holds the lock; 0: nobody, or not for us to know. */
pid_t lock_owner(int dir);
/*
 * Hold the one in dir instead of *lock, which lock_take() gave. 0; -1, *owner_r and errno as there:
 * what was held still is.
 */
int lock_move(int dir, int *lock, pid_t *owner_r);
/*
 * The supervisor called name, started with -c config (usual: or without), whatever directory its
 * lock is in: that to *dir_r. 0: there is none, or no /proc to look in.
 */
pid_t lock_find(const char *name, const char *config, bool usual, struct buf *dir_r);

#endif
