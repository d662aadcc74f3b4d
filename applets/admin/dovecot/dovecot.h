#ifndef APPLETS_ADMIN_DOVECOT_DOVECOT_H
#define APPLETS_ADMIN_DOVECOT_DOVECOT_H

#include <stdbool.h>

#include "applets/daemon/supervise.h"

/* Private to applets/admin/dovecot. */

/*
 * services.c: dovecot.conf (loaded) to specs. file is what children get as -c; main_cf: main.cf is
 * loaded, too, and smtpd's auth socket is among them. 0; -1 with a text.
 */
int dovecot_services(
	struct sv_config *out, const char *file, bool main_cf, int verbose, char **error_r);

/* settings_list.c: what the files that were loaded set; all: and the defaults of the others. */
void dovecot_show(const char *file, bool all);

/*
 * certificate_message.c: a login part, which sees no files, asks whether the certificate with this
 * stamp is still the one in the files; it is answered, and gets a successor when there is a good
 * new one.
 */
void certificate_message(struct sv_child *child, const char *stamp);

/* login_handoff.c: logins to mail parts. */
void handoff_start(struct supervisor *sv, const char *file, int verbose);
void handoff_message(
	struct supervisor *sv, struct sv_child *child, int kind, struct wire *w, int fd);
/* The configuration is a new one: logins from now on get new mail parts. */
void handoff_renew(void);
void handoff_ended(struct supervisor *sv, struct sv_child *child);

#endif
