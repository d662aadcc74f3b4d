#ifndef BASE_LOCK_GROUP_H
#define BASE_LOCK_GROUP_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * A group that a process has for moments only: to make the dotlock of an INBOX, or the INBOX
 * itself, in a directory that its own groups may not write. In between it is the saved group id,
 * which gives no rights (credentials(7)).
 */

/* gid already is our saved group id. */
void lock_group_set(gid_t gid);
/* On: we have its rights, until off. Does nothing where no group was set. errno stays. */
void lock_group_use(bool on);

#endif
