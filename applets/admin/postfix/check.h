#ifndef APPLETS_ADMIN_POSTFIX_CHECK_H
#define APPLETS_ADMIN_POSTFIX_CHECK_H

#include <stdbool.h>
#include <sys/types.h>

#include "applets/admin/postfix/postfix.h"
#include "applets/admin/postfix/script.h"

/* What the parts of `postfix check` share: check*.c. */

/* Every table that main.cf and master.cf name; or make those that are missing. */
void check_tables(uid_t owner, gid_t group, bool build);
/* Domains, networks and restrictions: what reading them warns of, and what they open. */
void check_lists(void);
/* Parameters that nobody knows. */
void check_names(void);
/* Certificates and keys of main.cf and dovecot.conf. */
void check_certificates(void);
/* dovecot.conf is read; what it warns of comes to the log and the terminal. At a start an error
 * only means that SMTP starts alone. */
void check_dovecot_conf(bool start);

#endif
