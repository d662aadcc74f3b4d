/*
 * tls_pem - certificates with their keys from PEM files
 *
 * One file may hold the key and the chain in any order, as `make NAME.pem` of the old
 * Makefiles writes it. The first certificate that is the key's goes first, its issuers follow. What
 * cannot be served (BearSSL: RSA up to 4096 bits, three curves) or does not belong together is
 * refused here, with its name and kind, rather than in every handshake later.
 *
 * RFC 5280 (certificates), RFC 5246 7.4.2 (the order of a chain).
 */
#include "cert/tls_pem.h"

#include <stdarg.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "cert/pem.h"
#include "cert/x509.h"

#define SERVED "this build serves RSA of 1024 to 4096 bits and EC on P-256, P-384 or P-521"

static void *fail(char **error_r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void *fail(char **error_r, const char *fmt, ...)
{
	struct buf b = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_addvf(&b, fmt, ap);
	va_end(ap);
	*error_r = buf_steal(&b);
	return NULL;
}

static bool is_cert(const struct pem_object *o)
{
	return strcmp(o->name, "CERTIFICATE") == 0 || strcmp(o->name, "X509 CERTIFICATE") == 0 ||
		strcmp(o->name, "TRUSTED CERTIFICATE") == 0;
}

static bool is_key(const struct pem_object *o)
{
	return str_ends(o->name, "PRIVATE KEY");
}

/* ---- Key ---- */

/* refuse_key - say what kind of key it is, for one that cannot be served */
static void refuse_key(const struct pem_object *o, const char *path, char **error_r)
{
	struct buf kind = BUF_INIT;
	unsigned bits;

	if (o->encrypted) {
		fail(error_r,
			"%s: the private key is encrypted: store it without a passphrase "
			"(openssl pkey)",
			path);
		return;
	}
	x509_key_kind(&kind, &bits, buf_head(&o->der), o->der.len);
	if (o->damaged || kind.len == 0) {
		fail(error_r,
			"%s: line %d: the private key is damaged or of an unknown form "
			"(%s)",
			path, o->line, o->name);
	} else {
		fail(error_r, "%s: the private key is %s: " SERVED, path, buf_str(&kind));
	}
	buf_free(&kind);
}

static bool decode_key(struct tls_keys *k, const struct pem_object *o)
{
	if (o->encrypted || o->damaged) {
		return false;
	}
	br_skey_decoder_init(&k->key);
	br_skey_decoder_push(&k->key, buf_head(&o->der), o->der.len);
	if (br_skey_decoder_last_error(&k->key) != 0) {
		return false;
	}
	k->key_type = br_skey_decoder_key_type(&k->key);
	if (k->key_type == BR_KEYTYPE_RSA) {
		uint32_t bits = br_skey_decoder_get_rsa(&k->key)->n_bitlen;

		return bits >= 1024 && bits <= 4096;
	}
	return true;
}

/* take_key - the first one that can be served */
static int take_key(struct tls_keys *k, const struct pem_file *pf, const char *path, char **error_r)
{
	const struct pem_object *bad = NULL;

	for (size_t i = 0; i < pf->count; i++) {
		if (!is_key(&pf->list[i])) {
			continue;
		}
		if (decode_key(k, &pf->list[i])) {
			return 0;
		}
		bad = bad == NULL ? &pf->list[i] : bad;
	}
	if (bad != NULL) {
		refuse_key(bad, path, error_r);
	} else {
		fail(error_r, "%s: no private key in this file", path);
	}
	return -1;
}

/* ---- Key and certificate belong together ---- */

/* What the private key proves of itself: a signature, or the point of an EC key. */
struct proof {
	unsigned char bytes[512];
	size_t len;
	int key_type, curve;
};

static const unsigned char proof_hash[32] = "pillarbox: certificate and key";

/* prove - also shows that the key works: a damaged one would fail in each handshake. False: it does
 * not */
static bool prove(const struct tls_keys *k, struct proof *p)
{
	p->key_type = k->key_type;
	if (k->key_type == BR_KEYTYPE_RSA) {
		const br_rsa_private_key *sk = br_skey_decoder_get_rsa(&k->key);

		p->len = (sk->n_bitlen + 7) / 8;
		return br_rsa_pkcs1_sign_get_default()(BR_HASH_OID_SHA256, proof_hash,
			       sizeof(proof_hash), sk, p->bytes) != 0;
	} else {
		const br_ec_private_key *sk = br_skey_decoder_get_ec(&k->key);
		br_ec_public_key mine;

		p->curve = sk->curve;
		p->len = br_ec_compute_pub(br_ec_get_default(), &mine, p->bytes, sk);
		return p->len > 0;
	}
}

static bool proves(const struct proof *p, const br_x509_pkey *pk)
{
	unsigned char hash[sizeof(proof_hash)];

	if (pk->key_type != p->key_type) {
		return false;
	}
	if (pk->key_type == BR_KEYTYPE_EC) {
		return pk->key.ec.curve == p->curve && pk->key.ec.qlen == p->len &&
			memcmp(pk->key.ec.q, p->bytes, p->len) == 0;
	}
	return br_rsa_pkcs1_vrfy_get_default()(p->bytes, p->len, BR_HASH_OID_SHA256, sizeof(hash),
		       &pk->key.rsa, hash) != 0 &&
		memcmp(hash, proof_hash, sizeof(hash)) == 0;
}

/* ---- Chain ---- */

static int take_chain(
	struct tls_keys *k, const struct pem_file *pf, const char *path, char **error_r)
{
	k->chain = mem_calloc(pf->count + 1, sizeof(*k->chain));
	for (size_t i = 0; i < pf->count; i++) {
		const struct pem_object *o = &pf->list[i];
		struct x509_names names;

		if (!is_cert(o)) {
			continue;
		}
		if (o->damaged || !x509_read(&names, buf_head(&o->der), o->der.len)) {
			fail(error_r, "%s: line %d: the certificate is damaged", path, o->line);
			return -1;
		}
		k->chain[k->count].data = mem_realloc(NULL, names.len);
		memcpy(k->chain[k->count].data, o->der.data, names.len);
		k->chain[k->count++].data_len = names.len;
	}
	if (k->count == 0) {
		fail(error_r, "%s: no certificate in this file", path);
		return -1;
	}
	return 0;
}

static void move_to(br_x509_certificate *chain, size_t from, size_t to)
{
	br_x509_certificate moved = chain[from];

	memmove(&chain[to + 1], &chain[to], (from - to) * sizeof(*chain));
	chain[to] = moved;
}

/* sort_chain - each certificate is followed by its issuer's (RFC 5246 7.4.2); others stay behind */
static void sort_chain(struct tls_keys *k)
{
	struct x509_names last, other;

	for (size_t done = 1; done < k->count; done++) {
		size_t i = done;

		(void)x509_read(&last, k->chain[done - 1].data, k->chain[done - 1].data_len);
		while (i < k->count &&
			!(x509_read(&other, k->chain[i].data, k->chain[i].data_len) &&
				other.subject.len == last.issuer.len &&
				memcmp(other.subject.ptr, last.issuer.ptr, other.subject.len) ==
					0)) {
			i++;
		}
		if (i == k->count) {
			return;
		}
		move_to(k->chain, i, done);
	}
}

/* refuse_match - no certificate is the key's: say why not, after the first one */
static void refuse_match(const struct tls_keys *k, const char *cert_file, const char *key_file,
	int decoded, char **error_r)
{
	struct buf kind = BUF_INIT;
	struct x509_names names;
	unsigned bits = 0;

	if (x509_read(&names, k->chain[0].data, k->chain[0].data_len)) {
		x509_key_kind(&kind, &bits, names.public_key.ptr, names.public_key.len);
	}
	if (decoded == 0) {
		fail(error_r, "%s: the private key does not belong to the certificate in %s",
			key_file, cert_file);
	} else if (kind.len == 0 || (bits > 0 && bits <= 4096)) {
		fail(error_r, "%s: the certificate cannot be read: %s", cert_file,
			tls_error_name(decoded));
	} else {
		fail(error_r, "%s: the certificate's key is %s: " SERVED, cert_file,
			buf_str(&kind));
	}
	buf_free(&kind);
}

/* match - put the key's certificate first and its chain in order */
static int match(struct tls_keys *k, const char *cert_file, const char *key_file, char **error_r)
{
	br_x509_decoder_context *dc;
	struct proof proof;
	int first_error = 0;
	bool same = false;

	if (!prove(k, &proof)) {
		fail(error_r, "%s: the private key is damaged: its numbers do not fit together",
			key_file);
		return -1;
	}
	dc = mem_alloc(sizeof(*dc));
	for (size_t i = 0; i < k->count && !same; i++) {
		const br_x509_pkey *pk;

		br_x509_decoder_init(dc, NULL, NULL);
		br_x509_decoder_push(dc, k->chain[i].data, k->chain[i].data_len);
		pk = br_x509_decoder_get_pkey(dc);
		if (pk == NULL && i == 0) {
			first_error = br_x509_decoder_last_error(dc);
		}
		same = pk != NULL && proves(&proof, pk);
		if (same) {
			k->issuer_key_type = (unsigned)br_x509_decoder_get_signer_key_type(dc);
			move_to(k->chain, i, 0);
		}
	}
	mem_free(dc);
	if (!same) {
		refuse_match(k, cert_file, key_file, first_error, error_r);
		return -1;
	}
	sort_chain(k);
	return 0;
}

/* load - a file, or each of a list; several: the latter */
static int load(struct pem_file *pf, const char *files, bool several, char **error_r)
{
	struct slice rest = slice_of(files), word;
	int rc = 0;

	if (!several) {
		return pem_load(pf, files, error_r);
	}
	while (rc == 0 && (word = slice_word(&rest, ", \t\r\n")).ptr != NULL) {
		char *path = mem_strndup(word.ptr, word.len);

		rc = pem_load(pf, path, error_r);
		mem_free(path);
	}
	return rc;
}

struct tls_keys *tls_keys_load(const struct tls_server_config *files, char **error_r)
{
	const char *cert_file = files->cert_file, *key_file = files->key_file;
	struct tls_keys *k = mem_alloc(sizeof(*k));
	struct pem_file certs = { NULL, 0 }, keys = { NULL, 0 };
	bool apart;
	int rc;

	if (key_file == NULL || key_file[0] == '\0') {
		key_file = cert_file;
	}
	apart = strcmp(cert_file, key_file) != 0;
	k->refs = 1;
	rc = load(&certs, cert_file, files->several, error_r);
	if (rc == 0 && apart) {
		rc = load(&keys, key_file, files->several, error_r);
	}
	if (rc == 0) {
		rc = take_chain(k, &certs, cert_file, error_r);
	}
	if (rc == 0) {
		rc = take_key(k, apart ? &keys : &certs, key_file, error_r);
	}
	if (rc == 0) {
		rc = match(k, cert_file, key_file, error_r);
	}
	pem_free(&certs);
	pem_free(&keys);
	if (rc != 0) {
		tls_keys_unref(k);
		return NULL;
	}
	return k;
}

void tls_keys_unref(struct tls_keys *k)
{
	if (k == NULL || --k->refs > 0) {
		return;
	}
	for (size_t i = 0; i < k->count; i++) {
		mem_free(k->chain[i].data);
	}
	mem_free(k->chain);
	memset(k, 0, sizeof(*k));
	mem_free(k);
}
