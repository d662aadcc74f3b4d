/*
 * crypto - digests, HMAC, PBKDF2 and random bytes
 *
 * RFC 1321 (MD5), FIPS 180-4 (SHA), RFC 2104 (HMAC), RFC 8018 (PBKDF2).
 */
#include "base/crypto.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"
#include "bearssl.h"

static const br_hash_class *class_of(enum digest d)
{
	switch (d) {
	case DIGEST_MD5:
		return &br_md5_vtable;
	case DIGEST_SHA1:
		return &br_sha1_vtable;
	case DIGEST_SHA224:
		return &br_sha224_vtable;
	case DIGEST_SHA256:
		return &br_sha256_vtable;
	case DIGEST_SHA384:
		return &br_sha384_vtable;
	case DIGEST_SHA512:
		return &br_sha512_vtable;
	}
	return &br_sha256_vtable;
}

size_t digest_size(enum digest d)
{
	return (class_of(d)->desc >> BR_HASHDESC_OUT_OFF) & BR_HASHDESC_OUT_MASK;
}

void digest_of(
	enum digest d, const struct slice *parts, size_t count, unsigned char out[DIGEST_MAX])
{
	br_hash_compat_context ctx;
	const br_hash_class *class = class_of(d);

	class->init(&ctx.vtable);
	for (size_t i = 0; i < count; i++) {
		class->update(&ctx.vtable, parts[i].ptr, parts[i].len);
	}
	class->out(&ctx.vtable, out);
}

void hmac_of(enum digest d, const void *key, size_t key_len, const struct slice *parts,
	size_t count, unsigned char out[DIGEST_MAX])
{
	br_hmac_key_context kc;
	br_hmac_context ctx;

	br_hmac_key_init(&kc, class_of(d), key, key_len);
	br_hmac_init(&ctx, &kc, 0);
	for (size_t i = 0; i < count; i++) {
		br_hmac_update(&ctx, parts[i].ptr, parts[i].len);
	}
	(void)br_hmac_out(&ctx, out);
}

void pbkdf2(enum digest d, const char *password, const void *salt, size_t salt_len, unsigned rounds,
	unsigned char *out, size_t out_len)
{
	static const char block_one[4] = { 0, 0, 0, 1 };
	struct slice first[] = { { salt, salt_len }, { block_one, sizeof(block_one) } };
	unsigned char u[DIGEST_MAX], sum[DIGEST_MAX];
	size_t size = digest_size(d);
	br_hmac_key_context kc;
	br_hmac_context ctx;

	hmac_of(d, password, strlen(password), first, ARRAY_LEN(first), u);
	memcpy(sum, u, size);
	br_hmac_key_init(&kc, class_of(d), password, strlen(password));
	for (unsigned i = 1; i < rounds; i++) {
		br_hmac_init(&ctx, &kc, 0);
		br_hmac_update(&ctx, u, size);
		(void)br_hmac_out(&ctx, u);
		for (size_t j = 0; j < size; j++) {
			sum[j] ^= u[j];
		}
	}
	memcpy(out, sum, out_len < size ? out_len : size);
}

void random_bytes(void *out, size_t len)
{
	unsigned char *p = out;

	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0 && errno != EINTR) {
			log_fatal("getrandom: %m");
		}
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
}

bool equal_secret(const void *a, const void *b, size_t len)
{
	const volatile unsigned char *x = a, *y = b;
	unsigned diff = 0;

	for (size_t i = 0; i < len; i++) {
		diff |= (unsigned)(x[i] ^ y[i]);
	}
	return diff == 0;
}

void forget(void *secret, size_t len)
{
	volatile unsigned char *p = secret;

	while (len-- > 0) {
		*p++ = 0;
	}
}
