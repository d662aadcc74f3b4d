#ifndef ADDRESS_USER_H
#define ADDRESS_USER_H

#include <sys/types.h>

#include "base/arena.h"

/*
 * Users of this host who can have mail: those of local_passwd_file (passwd(5) text, looked at
 * first, when that parameter is set), then the system's.
 */
struct local_user {
	const char *name; /* login name */
	uid_t uid;
	gid_t gid;
	const char *home;  /* "" none */
	const char *shell; /* "" none */
};

/*
 * 1 found (texts owned by a), 0 no such user, -1 temporary. The name as it is, then in
 * lower case.
 */
int local_user_find(struct arena *a, const char *name, struct local_user *u);

#endif
