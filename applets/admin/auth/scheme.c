/*
 * scheme - stored passwords: "{SCHEME}hash", with .B64 or .HEX after the name
 *
 * CRYPT and its kin go to crypt(3) of libxcrypt: MD5, SHA-256 and SHA-512
 * always, yescrypt, Blowfish, DES and the others with FEATURE_YESCRYPT.
 * What this build cannot check is an error with a name, never "wrong password".
 *
 * Digests are written in hex (PLAIN-MD5) or base64 (all others) unless the
 * suffix says otherwise; either is recognised by its length. Salted ones have the salt behind the
 * digest.
 */
#include "applets/admin/auth/scheme.h"

#include <crypt.h>
#include <stdio.h>
#include <string.h>

#include "config/features.h"
#include "base/crypto.h"
#include "base/encode.h"
#include "base/mem.h"
#include "base/str.h"
#include "proto/sasl.h"

enum kind { KIND_PLAIN, KIND_CRYPT, KIND_DIGEST, KIND_SALTED, KIND_SCRAM, KIND_PBKDF2 };

struct scheme {
	char name[14];
	enum kind kind;
	enum digest digest;
};

static const struct scheme schemes[] = {
	{ "PLAIN", KIND_PLAIN, 0 },
	{ "CLEAR", KIND_PLAIN, 0 },
	{ "CLEARTEXT", KIND_PLAIN, 0 },
	{ "CRYPT", KIND_CRYPT, 0 },
	{ "DES-CRYPT", KIND_CRYPT, 0 },
	{ "MD5-CRYPT", KIND_CRYPT, 0 },
	{ "MD5", KIND_CRYPT, 0 },
	{ "SHA256-CRYPT", KIND_CRYPT, 0 },
	{ "SHA512-CRYPT", KIND_CRYPT, 0 },
	{ "BLF-CRYPT", KIND_CRYPT, 0 },
	{ "YESCRYPT", KIND_CRYPT, 0 },
	{ "SHA", KIND_DIGEST, DIGEST_SHA1 },
	{ "SHA1", KIND_DIGEST, DIGEST_SHA1 },
	{ "SHA256", KIND_DIGEST, DIGEST_SHA256 },
	{ "SHA512", KIND_DIGEST, DIGEST_SHA512 },
	{ "PLAIN-MD5", KIND_DIGEST, DIGEST_MD5 },
	{ "LDAP-MD5", KIND_DIGEST, DIGEST_MD5 },
	{ "SMD5", KIND_SALTED, DIGEST_MD5 },
	{ "SSHA", KIND_SALTED, DIGEST_SHA1 },
	{ "SSHA256", KIND_SALTED, DIGEST_SHA256 },
	{ "SSHA512", KIND_SALTED, DIGEST_SHA512 },
	{ "SCRAM-SHA-1", KIND_SCRAM, DIGEST_SHA1 },
	{ "SCRAM-SHA-256", KIND_SCRAM, DIGEST_SHA256 },
	{ "PBKDF2", KIND_PBKDF2, DIGEST_SHA1 },
};

struct stored {
	const struct scheme *scheme; /* NULL: unknown */
	const char *hash;
	bool hex, base64; /* said by a suffix */
};

static const struct scheme *find_scheme(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		if (slice_ieq(name, schemes[i].name)) {
			return &schemes[i];
		}
	}
	return NULL;
}

static struct stored split(const char *stored, const char *default_scheme)
{
	struct stored s = { .hash = stored };
	struct slice name = slice_of(default_scheme);
	const char *close;

	if (stored[0] == '{' && (close = strchr(stored, '}')) != NULL) {
		name = (struct slice){ stored + 1, (size_t)(close - stored - 1) };
		s.hash = close + 1;
	}
	for (size_t i = 0; i < name.len; i++) {
		if (name.ptr[i] == '.') {
			struct slice suffix = { name.ptr + i + 1, name.len - i - 1 };

			s.hex = slice_ieq(suffix, "HEX");
			s.base64 = slice_ieq(suffix, "B64") || slice_ieq(suffix, "BASE64");
			name.len = i;
		}
	}
	s.scheme = find_scheme(name);
	return s;
}

bool scheme_is_costly(const char *stored, const char *default_scheme)
{
	struct stored s = split(stored, default_scheme);

	return s.scheme != NULL &&
		(s.scheme->kind == KIND_CRYPT || s.scheme->kind == KIND_SCRAM ||
			s.scheme->kind == KIND_PBKDF2);
}

const char *scheme_plain(const char *stored, const char *default_scheme)
{
	struct stored s = split(stored, default_scheme);

	return s.scheme != NULL && s.scheme->kind == KIND_PLAIN && !s.hex && !s.base64 ? s.hash
										       : NULL;
}

const char *scheme_scram(const char *stored, const char *default_scheme, const char *scheme)
{
	struct stored s = split(stored, default_scheme);

	return s.scheme != NULL && s.scheme->kind == KIND_SCRAM && str_ieq(s.scheme->name, scheme)
		? s.hash
		: NULL;
}

/* decode - the bytes of a hash of at least size bytes; exactly that many in hex mean hex */
static bool decode(const struct stored *s, size_t size, bool salted, struct buf *out)
{
	size_t len = strlen(s->hash);
	bool hex = s->hex || (!s->base64 && !salted && len == size * 2);

	if (hex ? !hex_decode(out, s->hash, len) : !base64_decode(out, s->hash, len)) {
		return false;
	}
	return salted ? out->len >= size : out->len == size;
}

static enum scheme_result check_digest(
	const struct stored *s, const char *password, bool salted, const char **error_r)
{
	size_t size = digest_size(s->scheme->digest);
	unsigned char sum[DIGEST_MAX];
	struct buf raw = BUF_INIT;
	struct slice parts[2] = { slice_of(password), { "", 0 } };
	bool match;

	if (!decode(s, size, salted, &raw)) {
		buf_free(&raw);
		*error_r = "the stored hash is malformed";
		return SCHEME_ERROR;
	}
	parts[1] = (struct slice){ raw.data + size, raw.len - size };
	digest_of(s->scheme->digest, parts, 2, sum);
	match = equal_secret(sum, raw.data, size);
	buf_free(&raw);
	return match ? SCHEME_MATCH : SCHEME_MISMATCH;
}

static enum scheme_result check_plain(const struct stored *s, const char *password)
{
	struct buf raw = BUF_INIT;
	size_t len = strlen(password);
	bool match = false;

	if (s->hex) {
		match = hex_decode(&raw, s->hash, strlen(s->hash));
	} else if (s->base64) {
		match = base64_decode(&raw, s->hash, strlen(s->hash));
	} else {
		buf_adds(&raw, s->hash);
		match = true;
	}
	/* Nothing stored is no password that anybody knows: that would be nopassword. */
	match = match && len > 0 && raw.len == len && equal_secret(buf_str(&raw), password, len);
	buf_free(&raw);
	return match ? SCHEME_MATCH : SCHEME_MISMATCH;
}

/* check_pbkdf2 - "$1$SALT$ROUNDS$HEX", as Dovecot writes it */
static enum scheme_result check_pbkdf2(
	const struct stored *s, const char *password, const char **error_r)
{
	struct slice rest = slice_of(s->hash), version, salt, number, hash;
	unsigned char sum[DIGEST_MAX];
	struct buf raw = BUF_INIT;
	char text[16] = "";
	int64_t rounds;
	bool match;

	version = slice_word(&rest, "$");
	salt = slice_word(&rest, "$");
	number = slice_word(&rest, "$");
	hash = slice_word(&rest, "$");
	if (hash.ptr != NULL && number.len < sizeof(text)) {
		memcpy(text, number.ptr, number.len);
	}
	if (!slice_eq(version, "1") || !str_to_int(text, 1, 10000000, &rounds) ||
		!hex_decode(&raw, hash.ptr, hash.len) || raw.len != digest_size(DIGEST_SHA1)) {
		buf_free(&raw);
		*error_r = "the stored hash is malformed";
		return SCHEME_ERROR;
	}
	pbkdf2(DIGEST_SHA1, password, salt.ptr, salt.len, (unsigned)rounds, sum, raw.len);
	match = equal_secret(sum, raw.data, raw.len);
	buf_free(&raw);
	return match ? SCHEME_MATCH : SCHEME_MISMATCH;
}

/* crypt_in - crypt(3); libxcrypt's own entry point, which no other library's crypt can stand before
 */
static const char *crypt_in(struct buf *room, const char *password, const char *hash)
{
#if FEATURE_YESCRYPT
	return crypt_rn(password, hash,
		memset(buf_reserve(room, sizeof(struct crypt_data)), 0, sizeof(struct crypt_data)),
		(int)sizeof(struct crypt_data));
#else
	(void)room;
	return crypt(password, hash);
#endif
}

static enum scheme_result check_crypt(const char *hash, const char *password, const char **error_r)
{
	struct buf room = BUF_INIT;
	enum scheme_result rc;
	const char *result;
	size_t len = strlen(hash);

	if (hash[0] == '\0' || hash[0] == '*' || hash[0] == '!') {
		return SCHEME_MISMATCH; /* locked: no password is right */
	}
	if (!FEATURE_YESCRYPT &&
		(str_starts(hash, "$y$") || str_starts(hash, "$gy$") || str_starts(hash, "$7$"))) {
		*error_r = "a yescrypt hash, and this build has no yescrypt (FEATURE_YESCRYPT): "
			   "set the password anew with SHA512-CRYPT";
		return SCHEME_ERROR;
	}
	result = crypt_in(&room, password, hash);
	if (result == NULL || result[0] == '*' || (strlen(result) < 13 && len >= 13)) {
		*error_r = FEATURE_YESCRYPT
			? "crypt(3) does not know this kind of hash"
			: "this build (without FEATURE_YESCRYPT) only knows the hashes of "
			  "SHA512-CRYPT, SHA256-CRYPT and MD5-CRYPT";
		rc = SCHEME_ERROR;
	} else {
		rc = strlen(result) == len && equal_secret(result, hash, len) ? SCHEME_MATCH
									      : SCHEME_MISMATCH;
	}
	forget(room.data, room.cap);
	buf_free(&room);
	return rc;
}

enum scheme_result scheme_check(
	const char *stored, const char *default_scheme, const char *password, const char **error_r)
{
	struct stored s = split(stored, default_scheme);

	*error_r = "";
	if (s.scheme == NULL) {
		*error_r = "unknown password scheme";
		return SCHEME_ERROR;
	}
	switch (s.scheme->kind) {
	case KIND_PLAIN:
		return check_plain(&s, password);
	case KIND_CRYPT:
		return check_crypt(s.hash, password, error_r);
	case KIND_DIGEST:
		return check_digest(&s, password, false, error_r);
	case KIND_SALTED:
		return check_digest(&s, password, true, error_r);
	case KIND_SCRAM:
		return sasl_scram_check(s.scheme->digest, s.hash, password) ? SCHEME_MATCH
									    : SCHEME_MISMATCH;
	case KIND_PBKDF2:
		return check_pbkdf2(&s, password, error_r);
	}
	return SCHEME_ERROR;
}
