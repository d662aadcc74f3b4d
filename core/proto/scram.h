#ifndef PROTO_SCRAM_H
#define PROTO_SCRAM_H

#include <stddef.h>

#include "base/arena.h"
#include "base/crypto.h"

/* What both sides of SCRAM do alike (RFC 5802); for sasl.c and sasl_client.c. */

struct scram_keys {
	unsigned char client[DIGEST_MAX], stored[DIGEST_MAX], server[DIGEST_MAX];
};

/*
 * The three keys of a password (RFC 5802 3), digest_size(d) bytes each; the caller makes them
 * forgotten. As many rounds as the caller has bounded them.
 */
void scram_derive(enum digest d, const char *password, const void *salt, size_t salt_len,
	unsigned rounds, struct scram_keys *out);
/*
 * The text of "NAME=..." up to the next comma at *rest, which goes behind it; in a. NULL: something
 * else stands there.
 */
const char *scram_attribute(struct arena *a, const char **rest, char name);

#endif
