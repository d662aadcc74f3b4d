#ifndef DB_DB_OPEN_H
#define DB_DB_OPEN_H

#include <stdbool.h>
#include <stddef.h>

#include "db/db.h"

enum db_flags {
	DB_READ = 0, /* read-only */
	DB_WRITE = 1,
	DB_CREATE = 2,    /* and make it (mode 0600) when it is not there; implies DB_WRITE */
	DB_IMMUTABLE = 4, /* nobody writes this file (maps): no locks, no journal */
	DB_WAL = 8,       /* write-ahead log; a rollback journal where that cannot be */
	DB_BRIEF = 64,    /* wait two seconds for a lock and not ten */
	DB_AT_ONCE = 128, /* do not wait for a lock */
	DB_COMBINE = 16   /* gather the log's writes (db_combine.c): for synchronous=FULL only */
};

/*
 * Open path. pragmas: SQL run first ("PRAGMA synchronous=FULL; ..."), or NULL. sql: table of
 * count statements, which must outlive the handle, or NULL, 0. NULL on error, with a text that
 * names the file in *error_r (caller frees) and the kind in *fault_r (may be NULL).
 */
struct db *db_open(const char *path, unsigned flags, const char *pragmas, const char *const *sql,
	size_t count, enum db_fault *fault_r, char **error_r);
/*
 * A damaged database with its log (wal: the path; it need not be there), as whole as can be, to be
 * read (db_mend.c). first_page: of DB_PAGE bytes, instead of its own, or NULL. Else as db_open().
 */
enum { DB_PAGE = 4096 };
struct db *db_open_mended(const char *path, const char *wal, const unsigned char *first_page,
	const char *const *sql, size_t count, enum db_fault *fault_r, char **error_r);
/* The first page of the file, after a checkpoint (of a queue: in its writers' turn). */
bool db_first_page(struct db *db, unsigned char out[DB_PAGE]);
void db_close(struct db *db); /* NULL is fine */
/* db_close() will not copy the log back into the database. */
void db_keep_log(struct db *db);
const char *db_journal_mode(const struct db *db); /* "wal", "truncate" with DB_WAL; else "" */

/* Steps of the schema: sql brings user_version from version - 1 to version. In order, from 1. */
struct db_migration {
	int version;
	const char *sql;
};
/*
 * Bring the schema up to list's last version, all in one transaction (two
 * processes may try at once). 0; -1, with DB_FAULT_NEWER when the file is ahead.
 */
int db_migrate(struct db *db, const struct db_migration *list, size_t count);

#endif
