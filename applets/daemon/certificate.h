#ifndef APPLETS_DAEMON_CERTIFICATE_H
#define APPLETS_DAEMON_CERTIFICATE_H

#include <stdbool.h>

#include "net/tls.h"

/* The certificates that the configuration names, for those who use and those who check them. */

struct service;

/* The files of smtpd after main.cf; false: none is named. */
bool certificate_of_smtpd(struct tls_server_config *files);
/* The files of imapd and pop3d after dovecot.conf; false: none is named, or ssl = no. */
bool certificate_of_dovecot(struct tls_server_config *files);
/* Whether certificate and key can be loaded: 0, or -1 with a text that names the file. */
int certificate_check(const struct tls_server_config *files, char **error_r);

/*
 * For a supervisor's reload: false (and an error in the log, after what) when the files were good
 * at the last call and are not any more: what runs has the old certificate and should go on. Files
 * that were never good only get a warning. *good: the supervisor's memory, true at first.
 */
bool certificate_may_reload(const struct tls_server_config *files, const char *what, bool *good);

/*
 * For service.on_idle: false when the files have changed for the worse: then only this process
 * still has the old certificate, and its end would be the end of TLS. Asks for a successor where
 * the new files cannot be read from here. tls may be NULL.
 */
bool certificate_may_end(struct service *s, struct tls_context *tls);

#endif
