#ifndef NET_TLS_PEM_H
#define NET_TLS_PEM_H

#include <stddef.h>

#include "net/tls.h"
#include "bearssl.h"

/*
 * Private to core/net/tls*.c: certificates and keys from PEM files.
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

struct tls_anchors {
	br_x509_trust_anchor *list;
	size_t count;
};

/* 0, or -1 with a text. A certificate that cannot be read is left out with a warning. */
int tls_anchors_load(const char *file, struct tls_anchors *out, char **error_r);
void tls_anchors_free(struct tls_anchors *a);

/* tls_names.c */
const char *tls_error_name(int code);
const char *tls_suite_name(unsigned suite);
int tls_suite_bits(unsigned suite);

#endif
