/*
 * x509 - the outline of certificates and keys, for what BearSSL does not say
 *
 * BearSSL's decoders answer "unsupported" and no more, and keep no issuer. Here is read what is
 * needed to put a chain in order and to name the kind of a key that cannot be served.
 *
 * X.690 (DER), RFC 5280 4.1 (certificates), RFC 5208, RFC 5915, RFC 8017 A.1, RFC 8410 (keys).
 */
#include "cert/x509.h"

#include <string.h>

#include "cert/der.h"

/* find_extensions - behind the public key may be two unique identifiers, then the list */
static void find_extensions(struct x509_names *out, struct slice tbs)
{
	struct slice body;
	unsigned tag;

	out->extensions = (struct slice){ NULL, 0 };
	while (der_next(&tbs, &tag, &body)) {
		if (tag == 0xa3 && der_take(&body, DER_SEQUENCE, &out->extensions)) {
			return;
		}
	}
}

bool x509_read(struct x509_names *out, const void *der, size_t len)
{
	struct slice in = { der, len }, certificate, tbs, skip;
	unsigned tag;

	if (!der_take(&in, DER_SEQUENCE, &certificate) ||
		!der_take(&certificate, DER_SEQUENCE, &tbs)) {
		return false;
	}
	out->len = len - in.len;
	if (der_peek(tbs) == 0xa0) {
		(void)der_next(&tbs, &tag, &skip); /* version */
	}
	if (!der_take(&tbs, DER_INTEGER, &skip) || !der_take(&tbs, DER_SEQUENCE, &skip) ||
		!der_take_whole(&tbs, DER_SEQUENCE, &out->issuer) ||
		!der_take(&tbs, DER_SEQUENCE, &out->dates) ||
		!der_take_whole(&tbs, DER_SEQUENCE, &out->subject) ||
		!der_take_whole(&tbs, DER_SEQUENCE, &out->public_key)) {
		return false;
	}
	find_extensions(out, tbs);
	return true;
}

/* ---- Kinds of keys ---- */

struct kind {
	const char *oid, *name;
	unsigned char len;
};

static const struct kind algorithms[] = {
	{ "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", "RSA", 9 },
	{ "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a", "RSA-PSS", 9 },
	{ "\x2a\x86\x48\xce\x3d\x02\x01", "EC", 7 },
	{ "\x2a\x86\x48\xce\x38\x04\x01", "DSA", 7 },
	{ "\x2b\x65\x70", "Ed25519", 3 },
	{ "\x2b\x65\x71", "Ed448", 3 },
	{ "\x2b\x65\x6e", "X25519", 3 },
};

static const struct kind curves[] = {
	{ "\x2a\x86\x48\xce\x3d\x03\x01\x07", "P-256", 8 },
	{ "\x2b\x81\x04\x00\x22", "P-384", 5 },
	{ "\x2b\x81\x04\x00\x23", "P-521", 5 },
	{ "\x2b\x81\x04\x00\x21", "P-224", 5 },
	{ "\x2a\x86\x48\xce\x3d\x03\x01\x01", "P-192", 8 },
	{ "\x2b\x81\x04\x00\x0a", "secp256k1", 5 },
	{ "\x2b\x24\x03\x03\x02\x08\x01\x01\x07", "brainpoolP256r1", 9 },
	{ "\x2b\x24\x03\x03\x02\x08\x01\x01\x0b", "brainpoolP384r1", 9 },
	{ "\x2b\x24\x03\x03\x02\x08\x01\x01\x0d", "brainpoolP512r1", 9 },
};

static const char *find(const struct kind *rows, size_t count, struct slice oid)
{
	for (size_t i = 0; i < count; i++) {
		if (oid.len == rows[i].len && memcmp(oid.ptr, rows[i].oid, oid.len) == 0) {
			return rows[i].name;
		}
	}
	return NULL;
}

/* add_rsa - from the modulus, an INTEGER */
static void add_rsa(struct buf *out, unsigned *bits, struct slice n)
{
	unsigned top;

	while (n.len > 0 && n.ptr[0] == 0) {
		n.ptr++;
		n.len--;
	}
	*bits = (unsigned)n.len * 8;
	for (top = n.len > 0 ? (unsigned char)n.ptr[0] : 0x80; top < 0x80; top <<= 1) {
		--*bits;
	}
	buf_addf(out, "RSA with %u bits", *bits);
}

/* add_curve - from the parameters: a name, or the curve spelled out */
static void add_curve(struct buf *out, struct slice parameters)
{
	struct slice oid;
	const char *name = NULL;

	if (der_take(&parameters, DER_OID, &oid)) {
		name = find(curves, ARRAY_LEN(curves), oid);
		buf_addf(out, "EC on %s", name != NULL ? name : "a curve of another kind");
	} else {
		buf_adds(out, "EC with the curve spelled out instead of named");
	}
}

/* add_algorithm - an AlgorithmIdentifier, and the key it belongs to */
static void add_algorithm(struct buf *out, unsigned *bits, struct slice algorithm, struct slice key)
{
	struct slice oid, sequence, n;
	const char *name;

	if (!der_take(&algorithm, DER_OID, &oid)) {
		return;
	}
	name = find(algorithms, ARRAY_LEN(algorithms), oid);
	if (name == NULL) {
		buf_adds(out, "of an unknown kind");
	} else if (strcmp(name, "EC") == 0) {
		add_curve(out, algorithm);
	} else if (strcmp(name, "RSA") == 0 && der_take(&key, DER_SEQUENCE, &sequence) &&
		der_take(&sequence, DER_INTEGER, &n) &&
		(n.len > 16 || der_take(&sequence, DER_INTEGER, &n))) {
		add_rsa(out, bits, n); /* a private key has a version first */
	} else {
		buf_adds(out, name);
	}
}

void x509_key_kind(struct buf *out, unsigned *bits, const void *der, size_t len)
{
	struct slice in = { der, len }, key, first, second, third;
	unsigned tag, tag2, tag3 = 0;

	*bits = 0;
	if (!der_take(&in, DER_SEQUENCE, &key) || !der_next(&key, &tag, &first) ||
		!der_next(&key, &tag2, &second)) {
		return;
	}
	third = (struct slice){ "", 0 };
	(void)der_next(&key, &tag3, &third);
	if (tag == DER_SEQUENCE && tag2 == DER_BITS && second.len > 0) { /* RFC 5280 4.1 */
		add_algorithm(out, bits, first, (struct slice){ second.ptr + 1, second.len - 1 });
	} else if (tag == DER_INTEGER && tag2 == DER_SEQUENCE &&
		tag3 == DER_OCTETS) { /* RFC 5208 5 */
		add_algorithm(out, bits, second, third);
	} else if (tag == DER_INTEGER && tag2 == DER_OCTETS) { /* RFC 5915 3 */
		if (tag3 == 0xa0) {
			add_curve(out, third);
		} else {
			buf_adds(out, "EC without the name of its curve");
		}
	} else if (tag == DER_INTEGER && tag2 == DER_INTEGER) { /* RFC 8017 A.1.2 */
		add_rsa(out, bits, second);
	}
}
