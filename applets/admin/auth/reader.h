#ifndef APPLETS_ADMIN_AUTH_READER_H
#define APPLETS_ADMIN_AUTH_READER_H

#include "applets/admin/auth/auth.h"

struct reader;

/* As root, before root is given up: the child that looks up in dbs. log_fatal when that fails. */
struct reader *reader_start(struct auth_db *const *dbs, size_t count);
/* db_lookup() of dbs[number], there. */
enum db_result reader_lookup(
	struct reader *r, size_t number, const char *user, struct arena *a, struct db_user *out);

#endif
