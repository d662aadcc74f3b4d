/*
 * tls_match - names, digests and TLSA records against a certificate
 *
 * RFC 6125 6.4.3 (wildcards: the whole first label, and at least two behind it), RFC 6698 2.1, RFC
 * 7671 9 (the better digest counts), RFC 7672 3.1.
 */
#include "cert/tls_match.h"

#include <string.h>

#include "base/encode.h"
#include "net/tls_client.h"

static bool is_address(const char *s)
{
	return strchr(s, ':') != NULL || s[strspn(s, "0123456789.")] == '\0';
}

bool tls_host_matches(const char *host, const char *want, bool several_labels)
{
	size_t len = strlen(host), want_len = strlen(want);
	const char *rest = host + 1, *tail;

	if (want[0] == '.') {
		return want_len > 1 && len > want_len && str_ieq(host + len - want_len, want);
	}
	if (str_ieq(host, want)) {
		return strchr(host, '*') == NULL;
	}
	if (!str_starts(host, "*.") || strchr(rest, '*') != NULL || is_address(want) ||
		strchr(rest + 1, '.') == NULL || rest[1] == '.' || want_len < len) {
		return false;
	}
	tail = want + want_len - (len - 1);
	return str_ieq(tail, rest) &&
		(several_labels || memchr(want, '.', (size_t)(tail - want)) == NULL);
}

/* ---- Digests ---- */

bool tls_digest_find(const char *name, enum digest *out)
{
	static const struct {
		char name[8];
		enum digest digest;
	} rows[] = {
		{ "md5", DIGEST_MD5 },
		{ "sha1", DIGEST_SHA1 },
		{ "sha224", DIGEST_SHA224 },
		{ "sha256", DIGEST_SHA256 },
		{ "sha384", DIGEST_SHA384 },
		{ "sha512", DIGEST_SHA512 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (str_ieq(name, rows[i].name)) {
			*out = rows[i].digest;
			return true;
		}
	}
	return false;
}

bool tls_digest_known(const char *name)
{
	enum digest d;

	return tls_digest_find(name, &d);
}

void tls_digest_text(struct buf *out, enum digest d, struct slice bytes)
{
	unsigned char sum[DIGEST_MAX];

	digest_of(d, &bytes, 1, sum);
	for (size_t i = 0; i < digest_size(d); i++) {
		buf_addf(out, "%s%02X", i > 0 ? ":" : "", sum[i]);
	}
}

bool tls_digest_same(const char *a, const char *b)
{
	for (;; a++, b++) {
		char pair[2][2] = { { 0 } };

		a += strspn(a, ":");
		b += strspn(b, ":");
		if (*a == '\0' || *b == '\0') {
			return *a == *b;
		}
		pair[0][0] = *a;
		pair[1][0] = *b;
		if (!str_ieq(pair[0], pair[1])) {
			return false;
		}
	}
}

/* ---- TLSA ---- */

static bool take_number(struct slice *rest, unsigned *out)
{
	struct slice word = slice_word(rest, " ");

	if (word.ptr == NULL || word.len != 1 || word.ptr[0] < '0' || word.ptr[0] > '9') {
		return false;
	}
	*out = (unsigned)(word.ptr[0] - '0');
	return true;
}

bool tls_tlsa_parse(struct tls_tlsa *out, const char *text)
{
	struct slice rest = slice_of(text), hex;
	static const size_t sizes[] = { 0, 32, 64 };

	memset(out, 0, sizeof(*out));
	if (!take_number(&rest, &out->usage) || !take_number(&rest, &out->selector) ||
		!take_number(&rest, &out->type)) {
		return false;
	}
	hex = slice_word(&rest, " ");
	if (hex.ptr == NULL || !hex_decode(&out->data, hex.ptr, hex.len) ||
		(out->usage != 2 && out->usage != 3) || out->selector > 1 || out->type > 2 ||
		(out->type > 0 ? out->data.len != sizes[out->type] : out->data.len == 0)) {
		buf_free(&out->data);
		return false;
	}
	return true;
}

bool tls_tlsa_matches(const struct tls_tlsa *r, struct slice certificate, struct slice public_key)
{
	struct slice part = r->selector == 0 ? certificate : public_key;
	unsigned char sum[DIGEST_MAX];

	if (r->type > 0) {
		digest_of(r->type == 1 ? DIGEST_SHA256 : DIGEST_SHA512, &part, 1, sum);
		part = (struct slice){ (const char *)sum, r->data.len };
	}
	return part.len == r->data.len && memcmp(part.ptr, r->data.data, part.len) == 0;
}

bool tls_tlsa_outdone(const struct tls_tlsa *r, const struct tls_tlsa *all, size_t count)
{
	for (size_t i = 0; i < count && r->type == 1; i++) {
		if (all[i].usage == r->usage && all[i].selector == r->selector &&
			all[i].type == 2) {
			return true;
		}
	}
	return false;
}
