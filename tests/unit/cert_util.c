/*
 * cert_util - certificates made on the spot
 */
#include "cert_util.h"

#include <arpa/inet.h>
#include <string.h>
#include <time.h>

#include "base/crypto.h"
#include "base/encode.h"
#include "base/mem.h"
#include "base/str.h"
#include "bearssl.h"

/* wrap - tag and length around what is in body, which is emptied */
static void wrap(struct buf *out, unsigned char tag, struct buf *body)
{
	size_t len = body->len;

	buf_addc(out, (char)tag);
	if (len > 255) {
		buf_addc(out, '\x82');
		buf_addc(out, (char)(len >> 8));
	} else if (len > 127) {
		buf_addc(out, '\x81');
	}
	buf_addc(out, (char)len);
	buf_add(out, body->data, len);
	buf_reset(body);
}

static void add_element(struct buf *out, unsigned char tag, const void *data, size_t len)
{
	struct buf body = BUF_INIT;

	buf_add(&body, data, len);
	wrap(out, tag, &body);
	buf_free(&body);
}

static void add_name(struct buf *out, const char *common_name)
{
	struct buf pair = BUF_INIT, set = BUF_INIT, all = BUF_INIT;

	add_element(&pair, 0x06, "\x55\x04\x03", 3);
	add_element(&pair, 0x0c, common_name, strlen(common_name));
	wrap(&set, 0x30, &pair);
	wrap(&all, 0x31, &set);
	wrap(out, 0x30, &all);
	buf_free(&pair);
	buf_free(&set);
	buf_free(&all);
}

static void add_time(struct buf *out, int64_t when)
{
	char text[32];
	time_t t = (time_t)when;
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(text, sizeof(text), "%Y%m%d%H%M%SZ", &tm);
	add_element(out, 0x18, text, strlen(text));
}

static void add_algorithm(struct buf *out, enum cert_hash hash)
{
	static const struct {
		const char *oid;
		unsigned char len;
	} rows[] = { { "\x2a\x86\x48\xce\x3d\x04\x03\x02", 8 },
		{ "\x2a\x86\x48\xce\x3d\x04\x03\x03", 8 }, { "\x2a\x86\x48\xce\x3d\x04\x01", 7 },
		{ "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04", 9 } };
	struct buf body = BUF_INIT;

	add_element(&body, 0x06, rows[hash].oid, rows[hash].len);
	wrap(out, 0x30, &body);
	buf_free(&body);
}

static void add_public_key(struct buf *out, const struct cert_key *key)
{
	static const char algorithm[] = "\x06\x07\x2a\x86\x48\xce\x3d\x02\x01"
					"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
	struct buf body = BUF_INIT, bits = BUF_INIT;

	add_element(&body, 0x30, algorithm, sizeof(algorithm) - 1);
	buf_addc(&bits, '\0');
	buf_add(&bits, key->q, sizeof(key->q));
	wrap(&body, 0x03, &bits);
	wrap(out, 0x30, &body);
	buf_free(&body);
	buf_free(&bits);
}

static void add_extension(
	struct buf *out, const char *oid, size_t oid_len, bool critical, struct buf *content)
{
	struct buf body = BUF_INIT;

	add_element(&body, 0x06, oid, oid_len);
	if (critical) {
		add_element(&body, 0x01, "\xff", 1);
	}
	wrap(&body, 0x04, content);
	wrap(out, 0x30, &body);
	buf_free(&body);
}

static void add_hosts(struct buf *out, const char *hosts)
{
	struct slice rest = slice_of(hosts), word;
	struct buf names = BUF_INIT, content = BUF_INIT;

	while ((word = slice_word(&rest, " ")).ptr != NULL) {
		char *text = mem_strndup(word.ptr, word.len);
		unsigned char raw[4];

		if (inet_pton(AF_INET, text, raw) == 1) {
			add_element(&names, 0x87, raw, 4);
		} else {
			/* '|' stands for a NUL, which somebody may try. */
			for (size_t i = 0; i < word.len; i++) {
				text[i] = text[i] == '|' ? '\0' : text[i];
			}
			add_element(&names, 0x82, text, word.len);
		}
		mem_free(text);
	}
	wrap(&content, 0x30, &names);
	add_extension(out, "\x55\x1d\x11", 3, false, &content);
	buf_free(&names);
	buf_free(&content);
}

static void add_extensions(struct buf *out, const struct cert_spec *spec)
{
	struct buf list = BUF_INIT, content = BUF_INIT, all = BUF_INIT;

	if (spec->ca) {
		add_element(&content, 0x30, "\x01\x01\xff", 3);
		add_extension(&list, "\x55\x1d\x13", 3, true, &content);
	}
	if (spec->for_clients) {
		add_element(&content, 0x30, "\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x02", 10);
		add_extension(&list, "\x55\x1d\x25", 3, false, &content);
	}
	if (spec->critical) {
		buf_adds(&content, "x");
		add_extension(&list, "\x2a\x03\x04", 3, true, &content);
	}
	if (spec->hosts != NULL) {
		add_hosts(&list, spec->hosts);
	}
	if (list.len > 0) {
		wrap(&all, 0x30, &list);
		wrap(out, 0xa3, &all);
	}
	buf_free(&list);
	buf_free(&content);
	buf_free(&all);
}

static void add_signature(struct buf *out, const struct buf *tbs, const struct cert_spec *spec)
{
	static const br_hash_class *const hashes[] = { &br_sha256_vtable, &br_sha384_vtable,
		&br_sha1_vtable, &br_md5_vtable };
	const struct cert_key *signer = spec->signer != NULL ? spec->signer : spec->key;
	br_ec_private_key sk = { BR_EC_secp256r1, (unsigned char *)signer->x, sizeof(signer->x) };
	const br_hash_class *hash = hashes[spec->hash];
	br_hash_compat_context hc;
	unsigned char sum[64], signature[100];
	struct buf bits = BUF_INIT;
	size_t len;

	hash->init(&hc.vtable);
	hash->update(&hc.vtable, tbs->data, tbs->len);
	hash->out(&hc.vtable, sum);
	len = br_ecdsa_sign_asn1_get_default()(br_ec_get_default(), hash, sum, &sk, signature);
	buf_addc(&bits, '\0');
	buf_add(&bits, signature, len);
	wrap(out, 0x03, &bits);
	buf_free(&bits);
}

void cert_key_make(struct cert_key *out)
{
	br_hmac_drbg_context rng;
	br_ec_private_key sk;
	br_ec_public_key pk;
	unsigned char seed[32];

	random_bytes(seed, sizeof(seed));
	br_hmac_drbg_init(&rng, &br_sha256_vtable, seed, sizeof(seed));
	br_ec_keygen(&rng.vtable, br_ec_get_default(), &sk, out->x, BR_EC_secp256r1);
	br_ec_compute_pub(br_ec_get_default(), &pk, out->q, &sk);
}

void cert_make(struct buf *der, const struct cert_spec *spec)
{
	struct buf tbs = BUF_INIT, whole = BUF_INIT, body = BUF_INIT;
	unsigned char serial[8];

	random_bytes(serial, sizeof(serial));
	serial[0] = 1;
	add_element(&body, 0xa0, "\x02\x01\x02", 3);
	add_element(&body, 0x02, serial, sizeof(serial));
	add_algorithm(&body, spec->hash);
	add_name(&body, spec->issuer != NULL ? spec->issuer : spec->subject);
	add_time(&whole, spec->from != 0 ? spec->from : 1577836800);
	add_time(&whole, spec->until != 0 ? spec->until : 4733510400);
	wrap(&body, 0x30, &whole);
	add_name(&body, spec->subject);
	add_public_key(&body, spec->key);
	add_extensions(&body, spec);
	wrap(&tbs, 0x30, &body);
	buf_add(&whole, tbs.data, tbs.len);
	add_algorithm(&whole, spec->hash);
	add_signature(&whole, &tbs, spec);
	wrap(der, 0x30, &whole);
	buf_free(&tbs);
	buf_free(&whole);
	buf_free(&body);
}

static void add_pem(struct buf *out, const char *name, const void *der, size_t len)
{
	struct buf text = BUF_INIT;

	base64_encode(&text, der, len);
	buf_addf(out, "-----BEGIN %s-----\n", name);
	for (size_t i = 0; i < text.len; i += 64) {
		buf_addf(out, "%.64s\n", buf_str(&text) + i);
	}
	buf_addf(out, "-----END %s-----\n", name);
	buf_free(&text);
}

void cert_pem(struct buf *out, const struct buf *der)
{
	add_pem(out, "CERTIFICATE", der->data, der->len);
}

void cert_key_pem(struct buf *out, const struct cert_key *key)
{
	br_ec_private_key sk = { BR_EC_secp256r1, (unsigned char *)key->x, sizeof(key->x) };
	br_ec_public_key pk = { BR_EC_secp256r1, (unsigned char *)key->q, sizeof(key->q) };
	unsigned char der[300];

	add_pem(out, "PRIVATE KEY", der, br_encode_ec_pkcs8_der(der, &sk, &pk));
}
