#ifndef APPLETS_ADMIN_AUTH_PASSWD_FILE_H
#define APPLETS_ADMIN_AUTH_PASSWD_FILE_H

#include "applets/admin/auth/user_db.h"

struct passwd_file;

struct passwd_file *passwd_file_open(
	const char *path); /* read at the first look-up, again when it changes */
void passwd_file_close(struct passwd_file *f);
enum db_result passwd_file_lookup(
	struct passwd_file *f, const char *user, struct arena *a, struct db_user *out);

#endif
