#ifndef ADDRESS_LOOKUP_H
#define ADDRESS_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "map/map.h"

/*
 * Addresses taken apart, and looked up in tables with the partial keys of
 * canonical(5), virtual(5), local_recipient_maps and their like. An address is
 * text as it stands between <> in SMTP: the local part may be quoted.
 */

/* The last '@' outside quotes, or NULL. */
const char *address_at(const char *address);
/* Domain part, or "" when there is none. Points into address. */
const char *address_domain(const char *address);
/* Local part without quotes and backslashes. */
char *address_local(struct arena *a, const char *address);
/*
 * local@domain; the local part gets quotes where RFC 5321 wants them. domain "" gives the
 * local part alone.
 */
char *address_make(struct arena *a, const char *local, const char *domain);

/*
 * Where the address extension begins (at one of param.recipient_delimiter's
 * characters), or NULL: none. Never for postmaster, mailer-daemon, double-bounce,
 * an empty user, and with '-' never for owner-x and x-request.
 */
const char *address_extension(const char *local);

enum {
	LOOKUP_FULL = 1,   /* user+ext@domain, user@domain */
	LOOKUP_LOCAL = 2,  /* user+ext, user: when the domain is local or equals myorigin */
	LOOKUP_DOMAIN = 4, /* @domain */
	LOOKUP_BARE = 8,   /* LOCAL whatever the domain is */
	LOOKUP_ALL = 7
};

/*
 * The first key is asked for as the whole, the others as parts (map_get_part).
 * In the order user+ext@domain, user@domain, user+ext, user, @domain. 1 found:
 * *value set, *ext_r (may be NULL) is the extension that was not part of the key ("+ext",
 * pointing into memory of a) or NULL, *key_r (may be NULL) the key; 0; -1 temporary.
 */
int lookup_address(struct arena *a, struct maps *maps, const char *address, unsigned how,
	struct buf *value, const char **ext_r, const char **key_r);

#endif
