#ifndef APPLETS_DAEMON_PROCESS_H
#define APPLETS_DAEMON_PROCESS_H

#include <stdbool.h>

#include "applets/daemon/privileges.h"

/* What processes that are no services of master need of a service's start, too. */

enum {
	SERVICE_ROOT = 1,    /* keeps root (auth, local); others become mail_owner */
	SERVICE_DOVECOT = 2, /* dovecot.conf instead of main.cf, Dovecot's log tag */
	SERVICE_LOGIN = 4,   /* becomes default_login_user (else mail_owner) */
	SERVICE_RELAYED = 8, /* master writes its log lines (SERVICE_MSG_LOG) */
	SERVICE_WORDS = 16   /* words may follow its options (service.words) */
};

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

#endif
