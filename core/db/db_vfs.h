#ifndef DB_DB_VFS_H
#define DB_DB_VFS_H

#include <sqlite3.h>
#include <stddef.h>

/*
 * A VFS that is the system's but for opening, made at the first call; open finds the system's in
 * its pAppData, and its file has size bytes before the system's own. name stays the caller's, for
 * the life of the process. Returns it; NULL: there is none.
 */
typedef int db_vfs_open_fn(
	sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *flags_r);
const char *db_vfs(const char *name, size_t size, db_vfs_open_fn *open);

#endif
