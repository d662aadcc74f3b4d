/*
 * check_tls - certificates, and dovecot.conf as a whole
 */
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "conf/dovecot/dovecot_conf.h"
#include "conf/params.h"
#include "applets/daemon/certificate.h"
#include "applets/daemon/supervise.h"
#include "applets/deliver/smtp/tls_policy.h"
#include "applets/admin/dovecot/dovecot.h"
#include "applets/admin/postfix/check.h"

void check_dovecot_conf(bool start)
{
	char *error = NULL;

	if (param.dovecot_config_file[0] != '\0' &&
		dovecot_conf_load(param.dovecot_config_file, true, &error) != 0) {
		if (start) {
			script_warn("%s: no POP3 and IMAP until it is mended", error);
		} else {
			fatal("%s", error);
		}
		mem_free(error);
	}
}

/* check_dovecot_services - ports, protocols, owners of sockets */
static void check_dovecot_services(void)
{
	struct sv_config config;
	char *error = NULL;

	memset(&config, 0, sizeof(config));
	if (dovecot_services(&config, param.dovecot_config_file, true, 0, &error) != 0) {
		fatal("%s", error);
		mem_free(error);
	}
	arena_free(&config.arena);
}

static void warn(const char *text)
{
	warning("%s", text);
}

void check_certificates(void)
{
	struct tls_server_config files = { 0 };
	char *error = NULL;

	if (certificate_of_smtpd(&files) && certificate_check(&files, &error) != 0) {
		warning("smtpd_tls_cert_file: %s", error);
		mem_free(error);
	}
	if (param.smtpd_tls_cert_file[0] != '\0' && param.smtpd_tls_eccert_file[0] != '\0') {
		warning("smtpd_tls_eccert_file: only one certificate is served, that of "
			"smtpd_tls_cert_file");
	}
	tls_policies_check(false, warn);
	tls_policies_check(true, warn);
	if (access(param.dovecot_config_file, F_OK) == 0) {
		check_dovecot_services(); /* and their certificate */
	}
}
