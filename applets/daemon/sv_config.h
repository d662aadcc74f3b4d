#ifndef APPLETS_DAEMON_SV_CONFIG_H
#define APPLETS_DAEMON_SV_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/arena.h"

/* What a configuration wants served; supervise.h makes it so. */

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

#endif
