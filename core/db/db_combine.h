#ifndef DB_DB_COMBINE_H
#define DB_DB_COMBINE_H

#include "db/db.h"

/*
 * The name of a VFS that gathers the writes of a write-ahead log (DB_COMBINE), made at the first
 * call; NULL: there is none, the plain one has to do.
 */
const char *db_combine_vfs(void);

/* For a handle opened with it: what a transaction gathered is dropped when it is rolled back. */
struct sqlite3;
void db_combine_watch(struct sqlite3 *handle);
/* What went through it so far. */
struct db_written db_combine_written(struct sqlite3 *handle);
/* For the same: the room for gathering is freed while nothing is in it. Only memory is touched. */
void db_combine_trim(struct sqlite3 *handle);

#endif
