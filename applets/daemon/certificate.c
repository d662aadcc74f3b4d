/*
 * certificate - which certificate is served, and whether it is still a good one
 *
 * A certificate is renewed while the server runs, and now and then the new files are
 * no good: cut short, the key of another one, not readable. Until somebody has mended
 * them the old certificate stays in use. Processes that run have it in memory
 * (tls_context_refresh); so a reload does not replace them, and they do not end when idle.
 */
#include "applets/daemon/certificate.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/dovecot/dovecot_conf.h"
#include "conf/params.h"
#include "applets/daemon/service.h"

bool certificate_of_smtpd(struct tls_server_config *files)
{
	files->cert_file = param.smtpd_tls_cert_file;
	files->key_file = param.smtpd_tls_key_file;
	if (param.smtpd_tls_chain_files[0] != '\0') {
		files->cert_file = files->key_file = param.smtpd_tls_chain_files;
		files->several = true;
	} else if (files->cert_file[0] == '\0') {
		files->cert_file = param.smtpd_tls_eccert_file;
		files->key_file = param.smtpd_tls_eckey_file;
	}
	return files->cert_file[0] != '\0';
}

bool certificate_of_dovecot(struct tls_server_config *files)
{
	files->cert_file = dovecot_file_path(setting.ssl_cert);
	files->key_file = dovecot_file_path(setting.ssl_key);
	return !str_ieq(setting.ssl, "no") && files->cert_file[0] != '\0';
}

int certificate_check(const struct tls_server_config *files, char **error_r)
{
	struct tls_context *ctx = tls_server_context(files, error_r);

	tls_context_free(ctx);
	return ctx != NULL ? 0 : -1;
}

bool certificate_may_reload(const struct tls_server_config *files, const char *what, bool *good)
{
	bool was_good = *good;
	char *error = NULL;

	*good = certificate_check(files, &error) == 0;
	if (*good) {
		return true;
	}
	if (was_good) {
		log_error("%s: %s: the certificate and the configuration loaded before stay", what,
			error);
		*good = true;
	} else {
		log_warn("%s: %s: no TLS until it is mended", what, error);
	}
	mem_free(error);
	return !was_good;
}

bool certificate_may_end(struct service *s, struct tls_context *tls)
{
	if (tls == NULL) {
		return true;
	}
	if (tls_context_refresh(tls) == TLS_DENIED) {
		service_replace(s);
	}
	return !tls_context_outdated(tls);
}
