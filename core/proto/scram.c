/*
 * scram - keys and attributes of SCRAM, for client and server
 *
 * RFC 5802.
 */
#include "proto/scram.h"

#include <string.h>

void scram_derive(enum digest d, const char *password, const void *salt, size_t salt_len,
	unsigned rounds, struct scram_keys *out)
{
	static const struct slice client_label = { "Client Key", 10 },
				  server_label = { "Server Key", 10 };
	unsigned char salted[DIGEST_MAX];
	size_t size = digest_size(d);
	struct slice client = { (const char *)out->client, size };

	pbkdf2(d, password, salt, salt_len, rounds, salted, size);
	hmac_of(d, salted, size, &client_label, 1, out->client);
	digest_of(d, &client, 1, out->stored);
	hmac_of(d, salted, size, &server_label, 1, out->server);
	forget(salted, sizeof(salted));
}

const char *scram_attribute(struct arena *a, const char **rest, char name)
{
	const char *p = *rest;
	size_t len;

	if (p[0] != name || p[1] != '=') {
		return NULL;
	}
	len = strcspn(p + 2, ",");
	*rest = p + 2 + len + (p[2 + len] == ',' ? 1 : 0);
	return arena_strndup(a, p + 2, len);
}
