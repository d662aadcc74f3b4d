/*
 * x509 - the outline of certificates and keys, for what BearSSL does not say
 *
 * BearSSL's decoders answer "unsupported" and no more, and keep no issuer. Here is read what is
 * needed to put a chain in order and to name the kind of a key that cannot be served.
 *
 * X.690 (DER), RFC 5280 4.1 (certificates), RFC 5208, RFC 5915, RFC 8017 A.1, RFC 8410 (keys).
 */
#include "net/x509.h"

#include <string.h>

enum {
	TAG_INTEGER = 0x02,
	TAG_BITS = 0x03,
	TAG_OCTETS = 0x04,
	TAG_OID = 0x06,
	TAG_SEQUENCE = 0x30
};

/* next - take one element off in; body is its content. False: none, or damaged */
static bool next(struct slice *in, unsigned *tag, struct slice *body)
{
	const unsigned char *p = (const unsigned char *)in->ptr;
	size_t head = 2, len;

	if (in->len < 2) {
		return false;
	}
	*tag = p[0];
	len = p[1];
	if (len >= 0x80) {
		size_t bytes = len & 0x7f;

		if (bytes == 0 || bytes > 4 || in->len < 2 + bytes) {
			return false;
		}
		for (len = 0; head < 2 + bytes; head++) {
			len = len << 8 | p[head];
		}
	}
	if (len > in->len - head) {
		return false;
	}
	*body = (struct slice){ in->ptr + head, len };
	in->ptr += head + len;
	in->len -= head + len;
	return true;
}

/* take - the next element, which must have this tag */
static bool take(struct slice *in, unsigned tag, struct slice *body)
{
	unsigned got;

	return next(in, &got, body) && got == tag;
}

/* take_whole - the same, with its head */
static bool take_whole(struct slice *in, unsigned tag, struct slice *whole)
{
	struct slice before = *in, body;

	if (!take(in, tag, &body)) {
		return false;
	}
	*whole = (struct slice){ before.ptr, before.len - in->len };
	return true;
}

bool x509_read(struct x509_names *out, const void *der, size_t len)
{
	struct slice in = { der, len }, certificate, tbs, skip;
	unsigned tag;

	if (!take(&in, TAG_SEQUENCE, &certificate) || !take(&certificate, TAG_SEQUENCE, &tbs)) {
		return false;
	}
	out->len = len - in.len;
	if (tbs.len > 0 && (unsigned char)tbs.ptr[0] == 0xa0) {
		(void)next(&tbs, &tag, &skip); /* version */
	}
	return take(&tbs, TAG_INTEGER, &skip) && take(&tbs, TAG_SEQUENCE, &skip) &&
		take_whole(&tbs, TAG_SEQUENCE, &out->issuer) && take(&tbs, TAG_SEQUENCE, &skip) &&
		take_whole(&tbs, TAG_SEQUENCE, &out->subject) &&
		take_whole(&tbs, TAG_SEQUENCE, &out->public_key);
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

	if (take(&parameters, TAG_OID, &oid)) {
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

	if (!take(&algorithm, TAG_OID, &oid)) {
		return;
	}
	name = find(algorithms, ARRAY_LEN(algorithms), oid);
	if (name == NULL) {
		buf_adds(out, "of an unknown kind");
	} else if (strcmp(name, "EC") == 0) {
		add_curve(out, algorithm);
	} else if (strcmp(name, "RSA") == 0 && take(&key, TAG_SEQUENCE, &sequence) &&
		take(&sequence, TAG_INTEGER, &n) &&
		(n.len > 16 || take(&sequence, TAG_INTEGER, &n))) {
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
	if (!take(&in, TAG_SEQUENCE, &key) || !next(&key, &tag, &first) ||
		!next(&key, &tag2, &second)) {
		return;
	}
	third = (struct slice){ "", 0 };
	(void)next(&key, &tag3, &third);
	if (tag == TAG_SEQUENCE && tag2 == TAG_BITS && second.len > 0) { /* RFC 5280 4.1 */
		add_algorithm(out, bits, first, (struct slice){ second.ptr + 1, second.len - 1 });
	} else if (tag == TAG_INTEGER && tag2 == TAG_SEQUENCE &&
		tag3 == TAG_OCTETS) { /* RFC 5208 5 */
		add_algorithm(out, bits, second, third);
	} else if (tag == TAG_INTEGER && tag2 == TAG_OCTETS) { /* RFC 5915 3 */
		if (tag3 == 0xa0) {
			add_curve(out, third);
		} else {
			buf_adds(out, "EC without the name of its curve");
		}
	} else if (tag == TAG_INTEGER && tag2 == TAG_INTEGER) { /* RFC 8017 A.1.2 */
		add_rsa(out, bits, second);
	}
}
