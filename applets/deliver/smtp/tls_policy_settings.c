/*
 * tls_policy_settings - smtp_tls_* for smtp, lmtp_tls_* for lmtp
 */
#include <string.h>

#include "conf/params.h"
#include "applets/deliver/smtp/tls_policy_impl.h"

#define ROW(field, smtp, lmtp) s->field = is_lmtp ? (lmtp) : (smtp)

void tls_settings_load(struct tls_settings *s, bool is_lmtp)
{
	s->service = is_lmtp ? "lmtp" : "smtp";
	ROW(level, param.smtp_tls_security_level, param.lmtp_tls_security_level);
	ROW(per_site, param.smtp_tls_per_site, param.lmtp_tls_per_site);
	ROW(policy_maps, param.smtp_tls_policy_maps, param.lmtp_tls_policy_maps);
	ROW(ciphers, param.smtp_tls_ciphers, param.lmtp_tls_ciphers);
	ROW(mandatory_ciphers, param.smtp_tls_mandatory_ciphers, param.lmtp_tls_mandatory_ciphers);
	ROW(exclude, param.smtp_tls_exclude_ciphers, param.lmtp_tls_exclude_ciphers);
	ROW(mandatory_exclude, param.smtp_tls_mandatory_exclude_ciphers,
		param.lmtp_tls_mandatory_exclude_ciphers);
	ROW(protocols, param.smtp_tls_protocols, param.lmtp_tls_protocols);
	ROW(mandatory_protocols, param.smtp_tls_mandatory_protocols,
		param.lmtp_tls_mandatory_protocols);
	ROW(verify_match, param.smtp_tls_verify_cert_match, param.lmtp_tls_verify_cert_match);
	ROW(secure_match, param.smtp_tls_secure_cert_match, param.lmtp_tls_secure_cert_match);
	ROW(fingerprints, param.smtp_tls_fingerprint_cert_match,
		param.lmtp_tls_fingerprint_cert_match);
	ROW(digest, param.smtp_tls_fingerprint_digest, param.lmtp_tls_fingerprint_digest);
	ROW(server_name, param.smtp_tls_servername, param.lmtp_tls_servername);
	ROW(ca_file, param.smtp_tls_CAfile, param.lmtp_tls_CAfile);
	ROW(ca_path, param.smtp_tls_CApath, param.lmtp_tls_CApath);
	ROW(anchors, param.smtp_tls_trust_anchor_file, param.lmtp_tls_trust_anchor_file);
	ROW(cert_file, param.smtp_tls_cert_file, param.lmtp_tls_cert_file);
	ROW(key_file, param.smtp_tls_key_file, param.lmtp_tls_key_file);
	ROW(ec_cert_file, param.smtp_tls_eccert_file, param.lmtp_tls_eccert_file);
	ROW(ec_key_file, param.smtp_tls_eckey_file, param.lmtp_tls_eckey_file);
	ROW(chain_files, param.smtp_tls_chain_files, param.lmtp_tls_chain_files);
	ROW(log_level, param.smtp_tls_loglevel, param.lmtp_tls_loglevel);
	ROW(depth, param.smtp_tls_scert_verifydepth, param.lmtp_tls_scert_verifydepth);
	ROW(session_seconds, param.smtp_tls_session_cache_timeout,
		param.lmtp_tls_session_cache_timeout);
	ROW(enforce_name, param.smtp_tls_enforce_peername, param.lmtp_tls_enforce_peername);
	ROW(wrapper, param.smtp_tls_wrappermode, param.lmtp_tls_wrappermode);
	ROW(note_offer, param.smtp_tls_note_starttls_offer, param.lmtp_tls_note_starttls_offer);
	ROW(use, param.smtp_use_tls, param.lmtp_use_tls);
	ROW(enforce, param.smtp_enforce_tls, param.lmtp_enforce_tls);
	/* There is none for LMTP, which has no MX. */
	s->insecure_mx = param.smtp_tls_dane_insecure_mx_policy;
}

/* tls_settings_level - smtp_tls_security_level, or what was before it */
bool tls_settings_level(const struct tls_settings *s, enum tls_level *out)
{
	if (s->level[0] != '\0') {
		return tls_level_parse(s->level, out);
	}
	*out = s->enforce ? (s->enforce_name ? TLS_LEVEL_VERIFY : TLS_LEVEL_ENCRYPT)
		: s->use  ? TLS_LEVEL_MAY
			  : TLS_LEVEL_NONE;
	return true;
}

bool tls_settings_own(const struct tls_settings *s, struct tls_server_config *own)
{
	memset(own, 0, sizeof(*own));
	if (s->chain_files[0] != '\0') {
		own->cert_file = own->key_file = s->chain_files;
		own->several = true;
	} else if (s->cert_file[0] != '\0') {
		own->cert_file = s->cert_file;
		own->key_file = s->key_file;
	} else {
		own->cert_file = s->ec_cert_file;
		own->key_file = s->ec_key_file;
	}
	return own->cert_file[0] != '\0';
}
