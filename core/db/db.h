#ifndef DB_DB_H
#define DB_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * SQLite, as narrow as this tree needs it. A user of it keeps all its SQL in
 * one enum-indexed table, hands that to db_open() (db_open.h), and runs
 * statements by number; they are prepared at first use and kept.
 *
 *	enum { Q_ADD, Q_GET };
 *	static const char *const sql[] = {
 *		[Q_ADD] = "INSERT INTO t VALUES (?1, ?2)",
 *		[Q_GET] = "SELECT v FROM t WHERE k = ?1",
 *	};
 *	db_run(db, Q_ADD, "ib", (int64_t)7, data, len);
 *	struct db_stmt *s = db_start(db, Q_GET, "i", (int64_t)7);
 *	while ((rc = db_step(s)) > 0)
 *		use(db_text(s, 0));
 *
 * A handle never crosses a fork: open after forking. db_close() in a process
 * that did not open it only forgets the handle.
 */
struct db;
struct db_stmt;

/* What kind of error the last call met. */
enum db_fault {
	DB_FAULT_NONE,
	DB_FAULT_BUSY,       /* another process kept its lock longer than the busy timeout */
	DB_FAULT_FULL,       /* disk full or over quota */
	DB_FAULT_CORRUPT,    /* damaged, or not a database */
	DB_FAULT_NEWER,      /* db_migrate(): written by a newer program */
	DB_FAULT_MISSING,    /* db_open(): no such file */
	DB_FAULT_CONSTRAINT, /* duplicate key */
	DB_FAULT_OTHER       /* I/O, permission, memory */
};

/* The error of a caller who waited for another process in vain; -1. */
int db_set_busy(struct db *db);
/* How long to wait for another process's lock; 10,000 at first. */
void db_set_busy_timeout(struct db *db, int milliseconds);

/* Of the last failed call: text ("/path: disk is full"), kind. */
const char *db_error(const struct db *db);
enum db_fault db_fault(const struct db *db);
static inline bool db_is_full(const struct db *db)
{
	return db_fault(db) == DB_FAULT_FULL;
}

static inline bool db_is_corrupt(const struct db *db)
{
	return db_fault(db) == DB_FAULT_CORRUPT;
}

/* One or more statements without parameters. 0, or -1. */
int db_exec(struct db *db, const char *sql);
/*
 * First column of the first row of a statement without parameters ("PRAGMA page_count"). 0, or -1
 * (also: no row).
 */
int db_exec_int(struct db *db, const char *sql, int64_t *out_r);

/* Take the write lock now, so that nothing within fails as busy. 0, or -1. */
int db_begin(struct db *db);
/* 0: durable after the journal mode's and synchronous' rule. -1: rolled back. */
int db_commit(struct db *db);
void db_rollback(struct db *db); /* no transaction: nothing */
/* Another database, for this handle's statements as name.TABLE. 0, or -1. */
int db_attach(struct db *db, const char *path, const char *name);
bool db_in_transaction(const struct db *db);

/*
 * Statement n, reset and bound. types, one letter an argument: i int64_t, u uint64_t (below
 * 2^63), d int, s const char * (NULL: NULL), b const void * and size_t. Texts and blobs must stay
 * until the statement ends. Errors come with the first step.
 */
struct db_stmt *db_start(struct db *db, int n, const char *types, ...);
/* 1 a row; 0 the end; -1. After 0 and -1 the statement is reset. */
int db_step(struct db_stmt *s);
/* Stop before the end: a statement left in the middle holds its lock. */
void db_reset(struct db_stmt *s);
/* db_start() and step to the end: 0, or -1. For statements that return nothing. */
int db_run(struct db *db, int n, const char *types, ...);
/* The present row of from, a statement of another handle perhaps, is what statement n gets as its
 * parameters, from ?1 on; and step to the end. 0, or -1 with the error in db. */
int db_run_row(struct db *db, int n, struct db_stmt *from);

/*
 * A statement that is not of the table (its text comes from a configuration). NULL: db_error().
 * db_finish() it.
 */
struct db_stmt *db_prepare(struct db *db, const char *sql);
void db_finish(struct db_stmt *s);

/* Columns of the present row, from 0. Pointers are good until the next step or reset. */
int64_t db_int(struct db_stmt *s, int column);
const char *db_text(struct db_stmt *s, int column); /* NULL gives "" */
/* Texts too; "" when empty. */
const void *db_blob(struct db_stmt *s, int column, size_t *len_r);
bool db_is_null(struct db_stmt *s, int column);
int db_columns(struct db_stmt *s);
const char *db_column_name(struct db_stmt *s, int column);

/*
 * What this handle has written so far, to the database and its log: of one opened with DB_COMBINE.
 */
struct db_written {
	int64_t bytes, syncs;
};
struct db_written db_written(struct db *db);

int64_t db_changes(struct db *db); /* rows changed by the last statement */
int64_t db_last_rowid(struct db *db);

#endif
