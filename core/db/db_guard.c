/*
 * db_guard - SQLite's way to files, for root
 */
#include "db/db_guard.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include "base/identity.h"

static int guarded_open(const char *path, int flags, int mode)
{
	struct identity_saved id;
	int fd;

	if (identity_enter_parent(&id, path) != 0) {
		return -1;
	}
	fd = open(path, flags | O_CLOEXEC | (id.changed ? O_NOFOLLOW : 0), mode);
	identity_leave(&id);
	return fd;
}

static int guarded_unlink(const char *path)
{
	struct identity_saved id;
	int rc;

	if (identity_enter_parent(&id, path) != 0) {
		return -1;
	}
	rc = unlink(path);
	identity_leave(&id);
	return rc;
}

void db_guard(void)
{
	sqlite3_vfs *unix_vfs;

	if (geteuid() != 0 || sqlite3_initialize() != SQLITE_OK) {
		return;
	}
	unix_vfs = sqlite3_vfs_find("unix");
	if (unix_vfs == NULL || unix_vfs->iVersion < 3) {
		return;
	}
	(void)unix_vfs->xSetSystemCall(unix_vfs, "open", (sqlite3_syscall_ptr)guarded_open);
	(void)unix_vfs->xSetSystemCall(unix_vfs, "unlink", (sqlite3_syscall_ptr)guarded_unlink);
}
