#ifndef CERT_X509_H
#define CERT_X509_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/str.h"

/* What certificates and keys say about themselves, read from their DER (X.690, RFC 5280). */

/* Slices are into the bytes given. */
struct x509_names {
	size_t len;                   /* of the certificate; a "TRUSTED" one has more */
	struct slice issuer, subject; /* whole names, to be compared */
	struct slice dates;           /* content of Validity */
	struct slice public_key;      /* SubjectPublicKeyInfo */
	struct slice extensions; /* content of the list; ptr NULL: a certificate of version 1 */
};

/* False: not the outline of a certificate. */
bool x509_read(struct x509_names *out, const void *der, size_t len);

/* The kind of key: "RSA with 8192 bits", "Ed25519", "EC on secp256k1", of a SubjectPublicKeyInfo or
 * a private key (PKCS#1, PKCS#8, SEC1); empty: nothing we know. *bits: of RSA, else 0. */
void x509_key_kind(struct buf *out, unsigned *bits, const void *der, size_t len);

#endif
