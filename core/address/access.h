#ifndef ADDRESS_ACCESS_H
#define ADDRESS_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "map/map.h"

/*
 * Look-ups in access(5) tables, with their partial keys in their order: the first key is the whole,
 * the others are parts, which tables of patterns are not asked for (map_get_part). All give 1
 * found (the right-hand side in *value), 0 not found, -1 the table does not answer.
 */

/*
 * name, then its parents: "sub.example" is asked for as itself and then as
 * ".example" (or "example" when smtpd_access_maps is in parent_domain_matches_subdomains).
 * What looks like an IP address has no parents.
 */
int access_find_domain(struct maps *table, const char *name, struct buf *value);

/*
 * An IP address, then with less and less at its right end: 1.2.3.4, 1.2.3, 1.2, 1;
 * 2001:db8::1, 2001:db8:, ...
 */
int access_find_address(struct maps *table, const char *addr, struct buf *value);

/* The client: its name as a domain, then its address. */
int access_find_client(struct maps *table, const char *name, const char *addr, struct buf *value);

/*
 * user+ext@domain, user@domain, domain and its parents, user+ext@, user@; for
 * "" only the key of smtpd_null_access_lookup_key.
 */
int access_find_mail(struct maps *table, const char *address, struct buf *value);

/* The whole key only (check_sasl_access). */
int access_find_key(struct maps *table, const char *key, struct buf *value);

#endif
