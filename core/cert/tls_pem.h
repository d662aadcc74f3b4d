#ifndef CERT_TLS_PEM_H
#define CERT_TLS_PEM_H

#include <stdbool.h>
#include <stddef.h>

#include "net/tls.h"
#include "bearssl.h"

/*
 * Private to core/cert and core/net/tls*.c: certificates and keys from PEM files.
 */

/* A certificate chain with its key. Sessions under way hold a reference. */
struct tls_keys {
	unsigned refs;
	br_x509_certificate *chain;
	size_t count;
	int key_type;             /* BR_KEYTYPE_RSA, BR_KEYTYPE_EC */
	unsigned issuer_key_type; /* of the first certificate's signature */
	br_skey_decoder_context key;
};

/* Only the files of config matter. NULL with a text naming the file (caller frees). One reference
 * is the caller's. */
struct tls_keys *tls_keys_load(const struct tls_server_config *files, char **error_r);
void tls_keys_unref(struct tls_keys *k);

/* core/net/tls_names.c */
const char *tls_error_name(int code);
const char *tls_suite_name(unsigned suite);
int tls_suite_bits(unsigned suite);
/* Does a list of names, parts of them ("CHACHA20") or OpenSSL's kinds ("kRSA") have it? */
bool tls_suite_in(unsigned suite, const char *list);

#endif
