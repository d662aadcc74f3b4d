#ifndef CERT_TLS_MATCH_H
#define CERT_TLS_MATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/str.h"

/* Private to core/cert and core/net/tls*.c: is this certificate the one that is meant? */

/*
 * host: a name of a certificate; want: "mx.example", an address, or ".example" (any below it).
 * several_labels: a wildcard stands for more than one label.
 */
bool tls_host_matches(const char *host, const char *want, bool several_labels);

/* False: no digest that we have. */
bool tls_digest_find(const char *name, enum digest *out);
/* "AB:CD:..." */
void tls_digest_text(struct buf *out, enum digest d, struct slice bytes);
/* Case and colons do not matter. */
bool tls_digest_same(const char *a, const char *b);

/* RFC 6698 2.1, read from "usage selector type hex". */
struct tls_tlsa {
	unsigned usage, selector, type;
	struct buf data;
};

/* False: not of a form that SMTP uses (RFC 7672 3.1.3: usages 2 and 3). data is to be freed. */
bool tls_tlsa_parse(struct tls_tlsa *out, const char *text);
bool tls_tlsa_matches(const struct tls_tlsa *r, struct slice certificate, struct slice public_key);
/* Is there, of the same usage and selector, a better digest than this one's (RFC 7671 9)? */
bool tls_tlsa_outdone(const struct tls_tlsa *r, const struct tls_tlsa *all, size_t count);

#endif
