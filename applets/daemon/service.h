#ifndef APPLETS_DAEMON_SERVICE_H
#define APPLETS_DAEMON_SERVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/loop.h"
#include "net/serve.h"
#include "ipc/control.h"
#include "applets/daemon/privileges.h"

/*
 * What every daemon's main() has in common, and the contract between a daemon
 * and the process that starts it (applets/admin/master): options, configuration,
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
 *
 * Descriptors of a daemon that master started (environment SERVICE_ENV tells):
 *	0	/dev/null		1, 2	master's own
 *	3	control: a socket to master; its end of file means master is gone
 *	4	the log, when it is a file; not of what serves strangers or users (SERVICE_RELAYED)
 *	6 ...	listening sockets, in the order of the labels
 * The daemon runs with every signal unblocked, umask 077, in queue_directory (not SERVICE_DOVECOT).
 * But SIGHUP: it is started with it blocked, and waits until the loop takes it.
 * SIGTERM: end soon. SIGHUP: master has read new configuration and starts a
 * successor: take nothing new, finish what is there, end.
 */
enum { SERVICE_FD_CONTROL = 3, SERVICE_FD_LOG = 4, SERVICE_FD_LISTEN = 6, SERVICE_LISTEN_MAX = 64 };

#define SERVICE_ENV "PILLARBOX_FDS" /* "LISTENERS,LOG,HOW[,LABEL]...": 2,1,0,-,ssl */

enum { SERVICE_SUCCESSOR = 1, SERVICE_AGAIN = 2 }; /* HOW: a sum of these */

enum {
	SERVICE_ROOT = 1,    /* keeps root (auth, local); others become mail_owner */
	SERVICE_DOVECOT = 2, /* dovecot.conf instead of main.cf, Dovecot's log tag */
	SERVICE_LOGIN = 4,   /* becomes default_login_user (else mail_owner) */
	SERVICE_RELAYED = 8  /* master writes its log lines (SERVICE_MSG_LOG) */
};

/* Exit status of a daemon that cannot begin now and may soon (a full disk): no failed start. */
enum { SERVICE_EXIT_LATER = 75 };

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

/*
 * SIGHUP waits until the event loop takes it: for supervisors, which may be told to reload as soon
 * as their pid file is there.
 */
void service_hold_hangup(void);
/* As service_init() does it, for processes that are no services of master (master itself, tools).
 */
void service_open_log(const char *command, unsigned flags, bool to_stderr);
/* privileges_take() as user (NULL: mail_owner) when root; log_fatal on failure. */
void service_drop_privileges(enum process_kind kind, const char *user);
/* The text of -c for children: what conf_dir() made of it. */
const char *service_conf_dir(const struct service *s);

#endif
