#ifndef APPLETS_DAEMON_MASTER_LOCK_H
#define APPLETS_DAEMON_MASTER_LOCK_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"

/* One supervisor a directory, and who it is. */

/*
 * Hold master.pid in the directory dir (a descriptor; it stays the caller's) locked as long as we
 * live, our pid inside. fd; -1: *owner_r is the process that holds it (0: errno). Nobody but its
 * owner may open the file: whoever can read it can hold it.
 */
int lock_take(int dir, pid_t *owner_r);
/* Process that holds the lock; 0: nobody, or not for us to know. */
pid_t lock_owner(int dir);
/*
 * Hold the one in dir instead of *lock, which lock_take() gave. 0; -1, *owner_r and errno as there:
 * what was held still is.
 */
int lock_move(int dir, int *lock, pid_t *owner_r);
/*
 * The supervisor called name, started with -c config (usual: or without), whatever directory its
 * lock is in: that to *dir_r. 0: there is none, or no /proc to look in.
 */
pid_t lock_find(const char *name, const char *config, bool usual, struct buf *dir_r);

#endif
