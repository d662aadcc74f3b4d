#ifndef APPLETS_DAEMON_SUPERVISE_H
#define APPLETS_DAEMON_SUPERVISE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/loop.h"
#include "base/wire.h"
#include "applets/daemon/spawn.h"
#include "applets/daemon/sv_config.h"

/*
 * The engine of master (master.cf) and dovecot (dovecot.conf): owns listening
 * sockets, starts services through our own executable when somebody connects
 * (or at once), restarts them with growing pauses when they crash, reaps,
 * reloads and stops. applets/daemon/service.h is the other side of the contract.
 *
 *	configuration -> struct sv_config (specs and their endpoints) -> sv_apply()
 */

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

#endif
