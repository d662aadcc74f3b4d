#ifndef CONF_MASTER_CF_H
#define CONF_MASTER_CF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/* master.cf (5): one row a service. */
enum service_type { SERVICE_INET, SERVICE_UNIX, SERVICE_FIFO, SERVICE_PASS };

struct master_service {
	char *name; /* "smtp", "127.0.0.1:10025", "pickup" */
	enum service_type type;
	bool private_; /* socket under private/ rather than public/ */
	bool unpriv;
	bool chroot;            /* read, not acted on */
	int wakeup;             /* seconds, 0 none */
	bool wakeup_if_used;    /* '?' after the number */
	int max_procs;          /* 0: no limit */
	bool max_procs_default; /* '-' was written: default_process_limit */
	char *command;          /* "smtpd" */
	char **argv;            /* behind the command, NULL-terminated, braces resolved */
	int line;
};

struct master_cf {
	struct master_service *services;
	size_t count;
};

/*
 * 0; -1 with a text naming file and line (caller frees). Unknown commands are kept and are the
 * master's to warn of.
 */
int master_cf_read(const char *path, struct master_cf *out, char **error_r);
void master_cf_free(struct master_cf *cf);
/*
 * The next argument of a command: a word, or what braces keep together (without them and the
 * blanks inside). 1; 0 at the end; -1 for a brace that is not closed.
 */
int master_cf_argument(struct slice *rest, struct slice *out);
/* Port of a service name ("smtp", "submission", "587"), built-in table first; 0: unknown. */
int service_port(const char *name);

#endif
