#ifndef APPLETS_DAEMON_SERVICE_H
#define APPLETS_DAEMON_SERVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/loop.h"
#include "net/serve.h"
#include "ipc/control.h"
#include "applets/daemon/process.h"
#include "applets/daemon/service_contract.h"

/*
 * What every daemon's main() has in common, and the contract between a daemon
 * and the process that starts it (service_contract.h): options, configuration,
 * log, privileges, inherited sockets, signals, ending when idle.
 *
 *	int smtpd_main(int argc, char **argv)
 *	{
 *		static const struct service_info info = { .prepare = load_tls };
 *
 *		service_init(&G.service, &info, argc, argv);	-- exits on errors
 *		G.server = server_new(G.service.loop, &config);
 *		service_listen(&G.service, G.server);	-- inherited sockets, -p, or -S
 *		return service_run(&G.service);
 *	}
 *
 * Options: -n NAME, -t TYPE (master.cf columns), -c DIR (SERVICE_DOVECOT: the file
 * dovecot.conf), -o name=value, -v, -S (one session on stdin and stdout), -d (log to stderr),
 * -p [ADDRESS:]PORT or -p /PATH (started by hand: listen there); more by info->options.
 */
struct service;
struct wire;

struct service_info {
	const char *options; /* getopt letters of the daemon's own; NULL: none */
	bool (*option)(struct service *s, int opt, const char *arg); /* false: usage */
	unsigned flags;
	/* Configuration is there, privileges are not dropped yet: open what only root can read. */
	void (*prepare)(struct service *s);
};

struct service_listener {
	int fd;
	const char *label; /* dovecot.conf: name of the listener; else "" */
};

struct service {
	const char *command;     /* argv[0] without a path: "smtpd", "lmtpd" */
	const char *name, *type; /* -n, -t; by hand: command, "inet" */
	const char *conf_path;   /* -c as given, or NULL */
	bool stdio;              /* -S */
	char **words;            /* SERVICE_WORDS: what follows the options, to a NULL */
	bool by_master;
	/* An older process serves on until service_run() is reached: what cannot be loaded is
	 * fatal, and nothing is lost. */
	bool successor;
	bool again; /* the same master ran this service before */
	struct loop *loop;
	struct service_listener listen[SERVICE_LISTEN_MAX];
	size_t listen_count;

	/* Set by the daemon between service_init() and service_run(); each may be NULL. */
	void (*on_wakeup)(struct service *s);
	/*
	 * soon: SIGTERM, else drain. The daemon calls service_done() when it has finished
	 * its own work; attached servers end by themselves.
	 */
	void (*on_stop)(struct service *s, bool soon);
	/* Other control messages; fd (-1: none) belongs to the callee. */
	void (*on_message)(struct service *s, int kind, struct wire *w, int fd);
	/* Asked when all attached servers were without sessions for idle_seconds: true: end now. */
	bool (*on_idle)(struct service *s);
	int idle_seconds; /* 0: never; default param.max_idle when by_master */
	void *owner;      /* the daemon's own */

	struct service_private *private_;
};

/* Parse, load configuration, open the log, prepare, drop privileges, make the loop. Exits on
 * errors. */
void service_init(struct service *s, const struct service_info *info, int argc, char **argv);
/* Tie a server's life to the service's: shut down and drained with it. */
void service_attach(struct service *s, struct server *server);
/* The same, and it gets all listening sockets; with -S stdin and stdout. */
void service_listen(struct service *s, struct server *server);
/* Until the end; the exit status. */
int service_run(struct service *s);
/* After it: loop and the service's own; for those whose state is allocated. */
void service_free(struct service *s);
/* The daemon's own work has ended (after on_stop, or by itself). */
void service_done(struct service *s);
/* Send a control message (msg holds one whole wire message), with fd unless -1; false: master is
 * gone or does not read. */
bool service_tell(struct service *s, const struct buf *msg, int fd);
/* queue.db cannot be opened: says why and ends, with SERVICE_EXIT_LATER if the disk is full. */
_Noreturn void service_no_queue(const char *error);
/* For server_config.tls_denied: asks master for a successor, which can read the new key. */
void service_replace(void *s);

#endif
