#ifndef APPLETS_QMGR_VERIFY_CACHE_H
#define APPLETS_QMGR_VERIFY_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "ipc/verify.h"

/*
 * address_verify_map: what probes have found out, in an SQLite file that outlives the process. It
 * may be lost at any moment: then probes find it out again. So nothing here fails: what cannot be
 * read is not known, what cannot be written is said once.
 */
struct verify_cache;

struct verify_entry {
	enum verify_status status;
	int64_t probed;  /* seconds since 1970: a probe is on its way since; 0: none */
	int64_t updated; /* ... when the status was found out; 0: it was not */
	const char *dsn, *text;
};

struct verify_cache *verify_cache_open(void);
void verify_cache_close(struct verify_cache *c); /* NULL is fine */
/* Texts are a's. False: nothing is known, or it has expired. */
bool verify_cache_get(struct verify_cache *c, struct arena *a, const char *address, int64_t now,
	struct verify_entry *e);
void verify_cache_put(struct verify_cache *c, const char *address, const struct verify_entry *e);
/* Take out what has expired, and the oldest where there are too many. */
void verify_cache_clean(struct verify_cache *c, int64_t now);

#endif
