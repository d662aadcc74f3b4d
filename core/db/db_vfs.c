/*
 * db_vfs - SQLite's way to files, with one that opens some of them in another way
 *
 * sqlite.org/c3ref/vfs.html
 */
#include "db/db_vfs.h"

#include "base/mem.h"

const char *db_vfs(const char *name, size_t size, db_vfs_open_fn *open)
{
	sqlite3_vfs *real = sqlite3_vfs_find(NULL), *vfs;

	if (sqlite3_vfs_find(name) != NULL) {
		return name;
	}
	if (real == NULL) {
		return NULL;
	}
	/* Lives as long as the process, as SQLite wants it; all but opening is the real one's. */
	vfs = mem_alloc(sizeof(*vfs));
	*vfs = *real;
	vfs->pNext = NULL;
	vfs->zName = name;
	vfs->szOsFile = (int)size + real->szOsFile;
	vfs->pAppData = real;
	vfs->xOpen = open;
	if (sqlite3_vfs_register(vfs, 0) != SQLITE_OK) {
		mem_free(vfs);
		return NULL;
	}
	return name;
}
