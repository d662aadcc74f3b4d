/*
 * dovecot_old - the names in Dovecot 2.3 of settings that 2.4 only renamed
 */
#include <string.h>

#include "base/str.h"
#include "conf/dovecot/dovecot_tree.h"

static const struct {
	char new_name[32], old_name[24];
	bool inverted;
} names[] = {
	{ "auth_allow_cleartext", "disable_plaintext_auth", true },
	{ "imap_compress_on_proxy", "imap_zlib", false },
	{ "lda_mailbox_autocreate_pattern", "lda_mailbox_autocreate", false },
	{ "mail_attachment_external_path", "mail_attachment_dir", false },
	{ "passdb_default_password_scheme", "default_pass_scheme", false },
	{ "ssl_client_cert_file", "ssl_client_cert", false },
	{ "ssl_client_key_file", "ssl_client_key", false },
	{ "ssl_server_alt_cert_file", "ssl_alt_cert", false },
	{ "ssl_server_alt_key_file", "ssl_alt_key", false },
	{ "ssl_server_ca_file", "ssl_ca", false },
	{ "ssl_server_cert_file", "ssl_cert", false },
	{ "ssl_server_cert_username_field", "ssl_cert_username_field", false },
	{ "ssl_server_dh_file", "ssl_dh", false },
	{ "ssl_server_key_file", "ssl_key", false },
	{ "ssl_server_key_password", "ssl_key_password", false },
	{ "ssl_server_request_client_cert", "ssl_verify_client_cert", false },
	{ "ssl_server_require_crl", "ssl_require_crl", false },
};

const char *dovecot_old_name(const char *key, bool *inverted_r)
{
	*inverted_r = false;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(names[i].new_name, key) == 0) {
			*inverted_r = names[i].inverted;
			return names[i].old_name;
		}
	}
	return key;
}
