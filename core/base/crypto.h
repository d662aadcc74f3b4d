#ifndef BASE_CRYPTO_H
#define BASE_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/*
 * Digests and what is made of them, for passwords, SASL and fingerprints. Behind it is
 * BearSSL, as for TLS.
 */
enum digest { DIGEST_MD5, DIGEST_SHA1, DIGEST_SHA224, DIGEST_SHA256, DIGEST_SHA384, DIGEST_SHA512 };

enum { DIGEST_MAX = 64 }; /* bytes of the longest */

size_t digest_size(enum digest d);
/* Digest of the parts, one after the other. */
void digest_of(
	enum digest d, const struct slice *parts, size_t count, unsigned char out[DIGEST_MAX]);
/* RFC 2104. */
void hmac_of(enum digest d, const void *key, size_t key_len, const struct slice *parts,
	size_t count, unsigned char out[DIGEST_MAX]);
/* RFC 8018 5.2; out_len bytes, at most one digest. */
void pbkdf2(enum digest d, const char *password, const void *salt, size_t salt_len, unsigned rounds,
	unsigned char *out, size_t out_len);
/* From the kernel; the process ends when it has none (there is nothing safe to do without). */
void random_bytes(void *out, size_t len);
/* Equal, in a time that does not depend on where they differ. */
bool equal_secret(const void *a, const void *b, size_t len);
/* Clear memory that held a secret; not optimised away. */
void forget(void *secret, size_t len);

#endif
