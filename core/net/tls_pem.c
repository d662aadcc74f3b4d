/*
 * tls_pem - certificates, keys and trust anchors from PEM files
 *
 * One file may hold the key and the chain in any order, as `make NAME.pem` of the old
 * Makefiles writes it. A key that does not belong to the certificate is refused
 * here, with both names, rather than in every handshake later.
 *
 * RFC 7468 (PEM), RFC 5280 (certificates), RFC 5208, RFC 5915, RFC 8017 (keys).
 */
#include "net/tls_pem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

enum { PEM_FILE_MAX = 4 << 20, PEM_OBJECTS_MAX = 2000 };

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

/* ---- PEM objects ---- */

struct pem_object {
	char name[80];
	struct buf der;
};

struct pem_file {
	struct pem_object *list;
	size_t count;
};

static void pem_free(struct pem_file *pf)
{
	for (size_t i = 0; i < pf->count; i++) {
		if (pf->list[i].der.data != NULL) {
			memset(pf->list[i].der.data, 0, pf->list[i].der.cap); /* it may be a key */
		}
		buf_free(&pf->list[i].der);
	}
	mem_free(pf->list);
	memset(pf, 0, sizeof(*pf));
}

static void add_der(void *arg, const void *data, size_t len)
{
	struct pem_file *pf = arg;

	buf_add(&pf->list[pf->count - 1].der, data, len);
}

static void pem_parse(struct pem_file *pf, const char *text, size_t len)
{
	br_pem_decoder_context *pem = mem_alloc(sizeof(*pem));

	br_pem_decoder_init(pem);
	while (len > 0) {
		size_t n = br_pem_decoder_push(pem, text, len);

		text += n;
		len -= n;
		switch (br_pem_decoder_event(pem)) {
		case BR_PEM_BEGIN_OBJ:
			if (pf->count >= PEM_OBJECTS_MAX) {
				len = 0;
				break;
			}
			pf->list = mem_realloc(pf->list, (pf->count + 1) * sizeof(*pf->list));
			memset(&pf->list[pf->count], 0, sizeof(*pf->list));
			strncpy(pf->list[pf->count].name, br_pem_decoder_name(pem),
				sizeof(pf->list[pf->count].name) - 1);
			pf->count++;
			br_pem_decoder_setdest(pem, add_der, pf);
			break;
		case BR_PEM_ERROR:
			/* The broken object is dropped, so that what needs it says it is missing.
			 */
			if (pf->count > 0) {
				buf_free(&pf->list[--pf->count].der);
			}
			len = 0;
			break;
		default:
			break;
		}
	}
	mem_free(pem);
}

/* pem_load - all objects of a file; 0 or -1 with a text */
static int pem_load(struct pem_file *pf, const char *path, char **error_r)
{
	size_t len;
	char *text = file_read(path, PEM_FILE_MAX, &len);

	memset(pf, 0, sizeof(*pf));
	if (text == NULL) {
		fail(error_r, "%s: %s", path, strerror(errno));
		return -1;
	}
	pem_parse(pf, text, len);
	if (len > 0 && text[len - 1] != '\n') {
		/* The decoder acts on whole lines. */
		struct buf again = BUF_INIT;

		buf_add(&again, text, len);
		buf_addc(&again, '\n');
		pem_free(pf);
		pem_parse(pf, again.data, again.len);
		memset(again.data, 0, again.cap);
		buf_free(&again);
	}
	memset(text, 0, len);
	mem_free(text);
	return 0;
}

static bool is_cert(const struct pem_object *o)
{
	return strcmp(o->name, "CERTIFICATE") == 0 || strcmp(o->name, "X509 CERTIFICATE") == 0 ||
		strcmp(o->name, "TRUSTED CERTIFICATE") == 0;
}

static bool is_key(const struct pem_object *o)
{
	return strcmp(o->name, "PRIVATE KEY") == 0 || strcmp(o->name, "RSA PRIVATE KEY") == 0 ||
		strcmp(o->name, "EC PRIVATE KEY") == 0;
}

/* ---- Key and chain ---- */

static int take_key(struct tls_keys *k, const struct pem_file *pf, const char *path, char **error_r)
{
	for (size_t i = 0; i < pf->count; i++) {
		if (strcmp(pf->list[i].name, "ENCRYPTED PRIVATE KEY") == 0) {
			fail(error_r,
				"%s: the private key is encrypted: store it without a passphrase",
				path);
			return -1;
		}
		if (!is_key(&pf->list[i])) {
			continue;
		}
		br_skey_decoder_init(&k->key);
		br_skey_decoder_push(&k->key, buf_head(&pf->list[i].der), pf->list[i].der.len);
		if (br_skey_decoder_last_error(&k->key) != 0) {
			fail(error_r,
				"%s: the private key cannot be read: it is neither RSA nor EC, or "
				"damaged",
				path);
			return -1;
		}
		k->key_type = br_skey_decoder_key_type(&k->key);
		return 0;
	}
	fail(error_r, "%s: no private key in this file", path);
	return -1;
}

static int take_chain(
	struct tls_keys *k, const struct pem_file *pf, const char *path, char **error_r)
{
	k->chain = mem_calloc(pf->count + 1, sizeof(*k->chain));
	for (size_t i = 0; i < pf->count; i++) {
		const struct pem_object *o = &pf->list[i];

		if (is_cert(o) && o->der.len > 0) {
			k->chain[k->count].data = mem_realloc(NULL, o->der.len);
			memcpy(k->chain[k->count].data, o->der.data, o->der.len);
			k->chain[k->count++].data_len = o->der.len;
		}
	}
	if (k->count == 0) {
		fail(error_r, "%s: no certificate in this file", path);
		return -1;
	}
	return 0;
}

static bool same_rsa(const br_rsa_private_key *sk, const br_rsa_public_key *pk)
{
	br_rsa_compute_modulus compute = br_rsa_compute_modulus_get_default();
	size_t len = compute(NULL, sk);
	unsigned char *n;
	bool same;

	if (len == 0 || len != pk->nlen) {
		return false;
	}
	n = mem_alloc(len);
	same = compute(n, sk) == len && memcmp(n, pk->n, len) == 0;
	mem_free(n);
	return same;
}

static bool same_ec(const br_ec_private_key *sk, const br_ec_public_key *pk)
{
	unsigned char point[BR_EC_KBUF_PUB_MAX_SIZE];
	br_ec_public_key mine;

	if (sk->curve != pk->curve ||
	    br_ec_compute_pub(br_ec_get_default(), &mine, point, sk) == 0) {
		return false;
	}
	return mine.qlen == pk->qlen && memcmp(mine.q, pk->q, mine.qlen) == 0;
}

/* check_match - the first certificate is the key's, and whose signature it carries */
static int check_match(
	struct tls_keys *k, const char *cert_file, const char *key_file, char **error_r)
{
	br_x509_decoder_context *dc = mem_alloc(sizeof(*dc));
	const br_x509_pkey *pk;
	bool same = false;

	br_x509_decoder_init(dc, NULL, NULL);
	br_x509_decoder_push(dc, k->chain[0].data, k->chain[0].data_len);
	pk = br_x509_decoder_get_pkey(dc);
	if (pk == NULL) {
		fail(error_r, "%s: the certificate cannot be read: %s", cert_file,
			tls_error_name(br_x509_decoder_last_error(dc)));
		mem_free(dc);
		return -1;
	}
	k->issuer_key_type = (unsigned)br_x509_decoder_get_signer_key_type(dc);
	if (pk->key_type == k->key_type) {
		same = k->key_type == BR_KEYTYPE_RSA ?
			same_rsa(br_skey_decoder_get_rsa(&k->key), &pk->key.rsa) :
			same_ec(br_skey_decoder_get_ec(&k->key), &pk->key.ec);
	}
	mem_free(dc);
	if (!same) {
		fail(error_r, "%s: the private key does not belong to the certificate in %s",
			key_file, cert_file);
		return -1;
	}
	return 0;
}

struct tls_keys *tls_keys_load(const char *cert_file, const char *key_file, char **error_r)
{
	struct tls_keys *k = mem_alloc(sizeof(*k));
	struct pem_file certs = { NULL, 0 }, keys = { NULL, 0 };
	bool apart = key_file[0] != '\0' && strcmp(cert_file, key_file) != 0;
	int rc;

	k->refs = 1;
	rc = pem_load(&certs, cert_file, error_r);
	if (rc == 0 && apart) {
		rc = pem_load(&keys, key_file, error_r);
	}
	if (rc == 0) {
		rc = take_chain(k, &certs, cert_file, error_r);
	}
	if (rc == 0) {
		rc = take_key(k, apart ? &keys : &certs, apart ? key_file : cert_file, error_r);
	}
	if (rc == 0) {
		rc = check_match(k, cert_file, apart ? key_file : cert_file, error_r);
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

/* ---- Trust anchors ---- */

static void add_dn(void *arg, const void *data, size_t len)
{
	buf_add(arg, data, len);
}

static void *copy_bytes(const void *data, size_t len)
{
	return memcpy(mem_realloc(NULL, len), data, len);
}

/* make_anchor - false: not a certificate we can use */
static bool make_anchor(br_x509_trust_anchor *ta, const struct pem_object *o,
	br_x509_decoder_context *dc)
{
	struct buf dn = BUF_INIT;
	const br_x509_pkey *pk;

	memset(ta, 0, sizeof(*ta));
	br_x509_decoder_init(dc, add_dn, &dn);
	br_x509_decoder_push(dc, buf_head(&o->der), o->der.len);
	pk = br_x509_decoder_get_pkey(dc);
	if (pk == NULL || dn.len == 0) {
		buf_free(&dn);
		return false;
	}
	ta->dn.len = dn.len;
	ta->dn.data = (unsigned char *)buf_steal(&dn);
	ta->flags = br_x509_decoder_isCA(dc) ? BR_X509_TA_CA : 0;
	ta->pkey.key_type = pk->key_type;
	if (pk->key_type == BR_KEYTYPE_RSA) {
		ta->pkey.key.rsa.n = copy_bytes(pk->key.rsa.n, pk->key.rsa.nlen);
		ta->pkey.key.rsa.nlen = pk->key.rsa.nlen;
		ta->pkey.key.rsa.e = copy_bytes(pk->key.rsa.e, pk->key.rsa.elen);
		ta->pkey.key.rsa.elen = pk->key.rsa.elen;
	} else {
		ta->pkey.key.ec.curve = pk->key.ec.curve;
		ta->pkey.key.ec.q = copy_bytes(pk->key.ec.q, pk->key.ec.qlen);
		ta->pkey.key.ec.qlen = pk->key.ec.qlen;
	}
	return true;
}

int tls_anchors_load(const char *file, struct tls_anchors *out, char **error_r)
{
	struct pem_file pf;
	br_x509_decoder_context *dc;

	memset(out, 0, sizeof(*out));
	if (pem_load(&pf, file, error_r) != 0) {
		return -1;
	}
	dc = mem_alloc(sizeof(*dc));
	out->list = mem_calloc(pf.count + 1, sizeof(*out->list));
	for (size_t i = 0; i < pf.count; i++) {
		if (is_cert(&pf.list[i])) {
			if (make_anchor(&out->list[out->count], &pf.list[i], dc)) {
				out->count++;
			} else {
				log_debug(1, "%s: certificate %zu cannot be used: %s", file, i + 1,
					tls_error_name(br_x509_decoder_last_error(dc)));
			}
		}
	}
	mem_free(dc);
	pem_free(&pf);
	if (out->count == 0) {
		tls_anchors_free(out);
		fail(error_r, "%s: no usable certificate in this file", file);
		return -1;
	}
	return 0;
}

void tls_anchors_free(struct tls_anchors *a)
{
	for (size_t i = 0; i < a->count; i++) {
		br_x509_trust_anchor *ta = &a->list[i];

		mem_free(ta->dn.data);
		if (ta->pkey.key_type == BR_KEYTYPE_RSA) {
			mem_free(ta->pkey.key.rsa.n);
			mem_free(ta->pkey.key.rsa.e);
		} else {
			mem_free(ta->pkey.key.ec.q);
		}
	}
	mem_free(a->list);
	memset(a, 0, sizeof(*a));
}
