#ifndef APPLETS_ADMIN_POSTFIX_CHECK_H
#define APPLETS_ADMIN_POSTFIX_CHECK_H

#include <stdbool.h>
#include <sys/types.h>

#include "applets/admin/postfix/postfix.h"

/* What the parts of `postfix check` share: check*.c. */

/* A fault was found, 1 a warning, 2 one that stands in the way; whether to say it now. */
bool check_says(int severity);

#define warning(...) (check_says(1) ? script_warn(__VA_ARGS__) : (void)0)
#define fatal(...) ((void)check_says(2), (void)script_fatal(__VA_ARGS__))

/* Warn when others than its owner (root, or us) may write a file that we believe. */
void check_file_safe(const char *path);

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
