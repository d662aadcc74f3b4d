#ifndef CERT_TLS_VERIFY_H
#define CERT_TLS_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/crypto.h"
#include "base/str.h"
#include "net/tls_client.h"
#include "cert/tls_trust.h"

/* Private to core/cert and core/net/tls*.c: what a server's chain is worth. */

enum { TLS_CHAIN_MAX = 16 }; /* certificates that are looked at */

/* By what it is judged; texts are somebody else's. */
struct tls_judge {
	enum tls_proof proof;
	bool unjudged;
	const char *const *names, *const *digests, *const *tlsa;
	size_t name_count, digest_count, tlsa_count;
	enum digest digest;
	bool several_labels;
	unsigned depth; /* certificates above the server's, at most */
	int64_t now;
	struct tls_trust *trust; /* refreshed */
};

struct tls_verdict {
	unsigned refs;
	struct tls_peer peer; /* resumed is not set here */
	bool early;           /* a date on the way begins later than now */
	struct arena texts;
};

/* certs as they came, the server's first (count > 0). With one reference. */
struct tls_verdict *tls_verify(
	const struct slice *certs, size_t count, bool too_many, const struct tls_judge *j);
void tls_verdict_unref(struct tls_verdict *v);

#endif
