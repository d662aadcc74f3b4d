#ifndef APPLETS_ADMIN_AUTH_HASHER_H
#define APPLETS_ADMIN_AUTH_HASHER_H

#include "base/loop.h"
#include "applets/admin/auth/scheme.h"

/* Costly checks of passwords, in forked children. */

struct hasher;
struct hash_job;

struct hasher *hasher_new(struct loop *loop, int max_children);
void hasher_free(struct hasher *h);
/* fn is called at once for cheap schemes (then NULL is returned), later otherwise. Strings are
 * copied. */
struct hash_job *hasher_check(struct hasher *h, const char *stored, const char *default_scheme,
	const char *password, void (*fn)(void *arg, enum scheme_result result, const char *error),
	void *arg);
void hasher_cancel(struct hash_job *job);

#endif
