#ifndef APPLETS_SMTP_LINK_CACHE_H
#define APPLETS_SMTP_LINK_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "applets/deliver/smtp/link.h"
#include "applets/deliver/smtp/nexthop.h"

/*
 * Connections at rest, by what they may be used for: next hop, account, whose mail. And how busy
 * such a place is, which decides whether a connection to it is worth keeping.
 */
struct link_cache {
	const struct smtp_settings *settings;
	struct loop *loop;
	struct hash idle;   /* key -> struct link, the one that was used last */
	struct hash places; /* key -> struct place */
	size_t count;
};

void link_cache_init(struct link_cache *c, struct loop *loop, const struct smtp_settings *settings);
void link_cache_free(struct link_cache *c); /* those at rest, too */

/* A mail for the place has come, and has gone. */
void link_cache_enter(struct link_cache *c, const char *key);
void link_cache_leave(struct link_cache *c, const char *key);
/* Is l, ready, to be kept? */
bool link_cache_wants(const struct link_cache *c, const char *key, const struct nexthop *hop,
	const struct link *l);
void link_cache_put(struct link_cache *c, const char *key, struct link *l);
/* The caller's now; NULL: there is none. */
struct link *link_cache_take(struct link_cache *c, const char *key);
/* One to this host, made for whatever next hop, with TLS as this policy has it; or NULL. */
struct link *link_cache_take_host(struct link_cache *c, const char *host, const char *address,
	int port, const struct tls_policy *policy);
/* Somebody else needs the room: one of them goes. False: there is none. */
bool link_cache_evict(struct link_cache *c);

#endif
