#ifndef ADDRESS_REWRITE_H
#define ADDRESS_REWRITE_H

#include "base/arena.h"

/*
 * Addresses brought into the form user@full.domain: source routes removed,
 * a!b and a%b turned round (swap_bangpath, allow_percent_hack), myorigin added to a bare user
 * (append_at_myorigin), mydomain to a bare host (append_dot_mydomain), resolve_dequoted_address
 * and a trailing dot. RFC 5321 and Postfix's ADDRESS_REWRITING_README describe it.
 */
enum rewrite_context {
	REWRITE_LOCAL, /* envelopes always; headers of local_header_rewrite_clients */
	/* headers of strangers: remote_header_rewrite_domain, or left alone when empty */
	REWRITE_REMOTE
};

/* Result is owned by a; "" stays "". Never NULL. */
const char *rewrite_address(struct arena *a, const char *address, enum rewrite_context context);

/*
 * The address that a table has for another one: "@domain" as a result keeps the user, and ext (the
 * extension that was no part of the key, or NULL) follows where propagate_unmatched_extensions
 * names the kind of table: "virtual". Not complete yet. Owned by a.
 */
const char *rewrite_result(struct arena *a, const char *result, const char *address,
	const char *ext, const char *kind);

#endif
