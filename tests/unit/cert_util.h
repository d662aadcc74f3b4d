/* cert_util.h - certificates made on the spot, good and bad, with keys on P-256 */
#ifndef TESTS_UNIT_CERT_UTIL_H
#define TESTS_UNIT_CERT_UTIL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct cert_key {
	unsigned char x[32], q[65];
};

enum cert_hash { CERT_SHA256, CERT_SHA384, CERT_SHA1, CERT_MD5 };

struct cert_spec {
	const char *subject, *issuer;  /* common names; NULL issuer: its own */
	const struct cert_key *key;    /* of the subject */
	const struct cert_key *signer; /* NULL: key */
	const char *hosts;   /* subjectAltName: "a.example *.b.example 192.0.2.1"; or NULL */
	int64_t from, until; /* 0: 2020, 2120 */
	bool ca, for_clients, critical; /* critical: an extension that nobody knows */
	enum cert_hash hash;            /* of the signature */
};

void cert_key_make(struct cert_key *out);
void cert_make(struct buf *der, const struct cert_spec *spec);
void cert_pem(struct buf *out, const struct buf *der);
void cert_key_pem(struct buf *out, const struct cert_key *key);

#endif
