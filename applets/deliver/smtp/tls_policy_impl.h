#ifndef APPLETS_DELIVER_SMTP_TLS_POLICY_IMPL_H
#define APPLETS_DELIVER_SMTP_TLS_POLICY_IMPL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "map/map.h"
#include "applets/deliver/smtp/tls_policy.h"

/* Private to tls_policy*.c. */

/* smtp_tls_* or lmtp_tls_*. Texts are param's. */
struct tls_settings {
	const char *service; /* "smtp", "lmtp" */
	const char *level, *per_site, *policy_maps;
	const char *ciphers, *mandatory_ciphers, *exclude, *mandatory_exclude;
	const char *protocols, *mandatory_protocols;
	const char *verify_match, *secure_match, *fingerprints, *digest;
	const char *server_name, *ca_file, *ca_path, *anchors, *insecure_mx;
	const char *cert_file, *key_file, *ec_cert_file, *ec_key_file, *chain_files;
	int64_t log_level, depth, session_seconds;
	bool use, enforce, enforce_name, wrapper, note_offer;
};

void tls_settings_load(struct tls_settings *s, bool lmtp);
/* The level where no table says otherwise; false: the text names none. */
bool tls_settings_level(const struct tls_settings *s, enum tls_level *out);
/* Our certificate: chain_files, or RSA's, or EC's. False: none is wanted. */
bool tls_settings_own(const struct tls_settings *s, struct tls_server_config *own);

struct tls_policies {
	unsigned refs;
	struct tls_settings settings;
	enum tls_level level; /* where no table says otherwise */
	struct maps *policy_maps, *per_site;
	struct tls_client *client;
	bool own_broken; /* our certificate cannot be loaded */
	bool wrapper_said;
};

struct tls_policy {
	struct tls_policies *ps;
	struct arena a;
	enum tls_level level;
	bool mx_secure;
	const char *next_hop; /* without brackets and port */
	const char *host;
	const char *server_name;
	const char *grade, *exclude, *protocols; /* NULL: not said by the table */
	const char **match, **ca_files, **tlsa;  /* names, or digests */
	size_t match_count, ca_file_count, tlsa_count;
	int min_version, max_version;
	const char *key; /* tls_policy_key() */
};

/* What one row of the table says, into p. False: it is no good, which was logged. */
bool tls_policy_read(struct tls_policy *p, const char *row, const char *where);
/* Set key, when all else is found. */
void tls_policy_set_key(struct tls_policy *p);
/* Add the words of a list. */
void tls_policy_add(struct arena *a, const char ***list, size_t *count, const char *words,
	const char *delimiters);

#endif
