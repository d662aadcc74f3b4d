#ifndef DB_DB_IMPL_H
#define DB_DB_IMPL_H

/* What a handle consists of, for the files of this folder. */
#include <sqlite3.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/mem.h"
#include "db/db.h"

/* A statement that was needed so often, as by every mail, is kept prepared in a pause, too. */
enum { KEEP_USES = 4 };

struct db_stmt {
	struct db *db;
	sqlite3_stmt *handle; /* NULL: not prepared, or that failed */
	int bind_rc;          /* first error of db_start() */
	int uses;             /* up to KEEP_USES */
};

struct db {
	sqlite3 *handle;
	char *path;
	pid_t owner;
	const char *const *sql;
	struct db_stmt *stmts;
	size_t count;
	enum db_fault fault;
	struct buf error;
	char journal[16];
	bool wants_slots, has_slots;
	struct mem_trimmer trimmer;
};

/* Room for small things, or none while nothing is asked; what is in use stays. */
void db_set_slots(struct db *db, bool on);
/* Remember what went wrong (rc: SQLite's result code); -1, for the caller to return. */
int db_set_error(struct db *db, int rc);

#endif
