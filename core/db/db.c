/*
 * db - a thin, narrow wrapper of SQLite
 *
 * Prepares the caller's table of statements at first use, binds and reads
 * columns, and turns SQLite's result codes into the few kinds a caller can act
 * on: busy, full, corrupt. Files are opened in db_open.c.
 */
#include "db/db.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/db_combine.h"
#include "db/db_impl.h"

_Static_assert(SQLITE_VERSION_NUMBER >= 3051003,
	"older ones can lose commits when two connections write and checkpoint at once "
	"(sqlite.org/wal.html#walresetbug): remove .deps, or name another SQLITE_DIR");

/* Slots for small things (lookaside): SQLite's default takes 120 KB a handle. */
enum { SLOT_SIZE = 256, SLOT_COUNT = 64 };

/* db_set_slots - room for small things, or none while nothing is asked; in use it stays */
void db_set_slots(struct db *db, bool on)
{
	if (sqlite3_db_config(db->handle, SQLITE_DBCONFIG_LOOKASIDE, NULL, on ? SLOT_SIZE : 0,
		    on ? SLOT_COUNT : 0) == SQLITE_OK) {
		db->has_slots = on;
	}
}

/* wake - before work: what the last pause took */
static void wake(struct db *db)
{
	if (db->wants_slots && !db->has_slots) {
		db_set_slots(db, true);
	}
}

/*
 * file_errno - errno of the last failed call on the database (what: FILE_POINTER) or its log
 * (JOURNAL_POINTER)
 */
static int file_errno(sqlite3 *handle, int what)
{
	sqlite3_file *file = NULL;
	int error = 0;

	if (sqlite3_file_control(handle, "main", what, &file) != SQLITE_OK || file == NULL ||
		file->pMethods == NULL ||
		file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &error) != SQLITE_OK) {
		return 0;
	}
	return error;
}

static bool means_full(int error)
{
	return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

/* is_write_full - SQLite calls only ENOSPC "full", and its own errno may be another by now */
static bool is_write_full(sqlite3 *handle, int rc)
{
	return rc == SQLITE_IOERR_WRITE &&
		(means_full(file_errno(handle, SQLITE_FCNTL_FILE_POINTER)) ||
			means_full(file_errno(handle, SQLITE_FCNTL_JOURNAL_POINTER)));
}

/* classify - what a result code means to a caller */
static enum db_fault classify(sqlite3 *handle, int rc)
{
	int sys = handle != NULL ? sqlite3_system_errno(handle) : 0;

	switch (rc & 0xff) {
	case SQLITE_OK:
		return DB_FAULT_NONE;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return DB_FAULT_BUSY;
	case SQLITE_FULL:
		return DB_FAULT_FULL;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return DB_FAULT_CORRUPT;
	case SQLITE_CONSTRAINT:
		return DB_FAULT_CONSTRAINT;
	case SQLITE_CANTOPEN:
		return sys == ENOENT ? DB_FAULT_MISSING : DB_FAULT_OTHER;
	case SQLITE_IOERR:
		return means_full(sys) || is_write_full(handle, rc) ? DB_FAULT_FULL
								    : DB_FAULT_OTHER;
	default:
		return DB_FAULT_OTHER;
	}
}

/* db_set_error - remember what went wrong; -1 for the caller to return */
int db_set_error(struct db *db, int rc)
{
	int sys = sqlite3_system_errno(db->handle);

	db->fault = classify(db->handle, rc);
	buf_reset(&db->error);
	buf_addf(&db->error, "%s: %s", db->path,
		rc == SQLITE_MISUSE ? "statement misused" : sqlite3_errmsg(db->handle));
	if (sys != 0 && ((rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN)) {
		buf_addf(&db->error, " (%s)", strerror(sys));
	}
	return -1;
}

int db_set_busy(struct db *db)
{
	db->fault = DB_FAULT_BUSY;
	buf_reset(&db->error);
	buf_addf(&db->error, "%s: another process keeps its lock", db->path);
	return -1;
}

void db_set_busy_timeout(struct db *db, int milliseconds)
{
	sqlite3_busy_timeout(db->handle, milliseconds);
}

const char *db_error(const struct db *db)
{
	return buf_str(&db->error);
}

enum db_fault db_fault(const struct db *db)
{
	return db->fault;
}

int db_exec(struct db *db, const char *sql)
{
	int rc;

	wake(db);
	rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
	return rc == SQLITE_OK ? 0 : db_set_error(db, rc);
}

int db_exec_int(struct db *db, const char *sql, int64_t *out_r)
{
	sqlite3_stmt *s;
	int rc;

	wake(db);
	rc = sqlite3_prepare_v2(db->handle, sql, -1, &s, NULL);
	if (rc != SQLITE_OK) {
		return db_set_error(db, rc);
	}
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW) {
		*out_r = sqlite3_column_int64(s, 0);
	} else {
		db_set_error(db, rc);
	}
	sqlite3_finalize(s);
	return rc == SQLITE_ROW ? 0 : -1;
}

int db_begin(struct db *db)
{
	return db_exec(db, "BEGIN IMMEDIATE");
}

int db_commit(struct db *db)
{
	if (db_exec(db, "COMMIT") == 0) {
		return 0;
	}
	/* The error stays what COMMIT said. */
	sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
	return -1;
}

void db_rollback(struct db *db)
{
	if (db_in_transaction(db)) {
		sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
	}
}

int db_attach(struct db *db, const char *path, const char *name)
{
	char *sql = sqlite3_mprintf("ATTACH %Q AS %w", path, name);
	int rc = sql != NULL ? db_exec(db, sql) : db_set_error(db, SQLITE_NOMEM);

	sqlite3_free(sql);
	return rc;
}

bool db_in_transaction(const struct db *db)
{
	return sqlite3_get_autocommit(db->handle) == 0;
}

/* bind_all - parameters after the letters of types; SQLite's result code */
static int bind_all(sqlite3_stmt *h, const char *types, va_list ap)
{
	int rc = SQLITE_OK;
	const void *data;

	for (int i = 1; types[i - 1] != '\0' && rc == SQLITE_OK; i++) {
		switch (types[i - 1]) {
		case 'i':
			rc = sqlite3_bind_int64(h, i, va_arg(ap, int64_t));
			break;
		case 'u':
			rc = sqlite3_bind_int64(h, i, (int64_t)va_arg(ap, uint64_t));
			break;
		case 'd':
			rc = sqlite3_bind_int(h, i, va_arg(ap, int));
			break;
		case 's':
			rc = sqlite3_bind_text(h, i, va_arg(ap, const char *), -1, SQLITE_STATIC);
			break;
		case 'b':
			data = va_arg(ap, const void *);
			/* A NULL pointer would bind NULL where an empty blob is meant. */
			rc = sqlite3_bind_blob64(
				h, i, data != NULL ? data : "", va_arg(ap, size_t), SQLITE_STATIC);
			break;
		default:
			log_panic("db: unknown type letter '%c'", types[i - 1]);
		}
	}
	return rc;
}

/* start_statement - prepare at first use, reset, bind */
static struct db_stmt *start_statement(struct db *db, int n, const char *types, va_list ap)
{
	struct db_stmt *s;

	if (n < 0 || (size_t)n >= db->count) {
		log_panic("db: %s: no statement %d", db->path, n);
	}
	wake(db);
	s = &db->stmts[n];
	s->db = db;
	s->bind_rc = SQLITE_OK;
	s->uses += s->uses < KEEP_USES;
	if (s->handle == NULL) {
		s->bind_rc = sqlite3_prepare_v3(
			db->handle, db->sql[n], -1, SQLITE_PREPARE_PERSISTENT, &s->handle, NULL);
	} else {
		sqlite3_reset(s->handle);
	}
	if (s->bind_rc == SQLITE_OK) {
		s->bind_rc = bind_all(s->handle, types, ap);
	}
	return s;
}

struct db_stmt *db_start(struct db *db, int n, const char *types, ...)
{
	struct db_stmt *s;
	va_list ap;

	va_start(ap, types);
	s = start_statement(db, n, types, ap);
	va_end(ap);
	return s;
}

int db_step(struct db_stmt *s)
{
	int rc = s->bind_rc;

	if (rc == SQLITE_OK) {
		rc = sqlite3_step(s->handle);
	}
	if (rc == SQLITE_ROW) {
		return 1;
	}
	if (rc != SQLITE_DONE) {
		db_set_error(s->db, rc);
	}
	sqlite3_reset(s->handle);
	return rc == SQLITE_DONE ? 0 : -1;
}

void db_reset(struct db_stmt *s)
{
	sqlite3_reset(s->handle);
}

int db_run(struct db *db, int n, const char *types, ...)
{
	struct db_stmt *s;
	va_list ap;
	int rc;

	va_start(ap, types);
	s = start_statement(db, n, types, ap);
	va_end(ap);
	do {
		rc = db_step(s);
	} while (rc > 0);
	return rc;
}

int db_run_row(struct db *db, int n, struct db_stmt *from)
{
	struct db_stmt *s = db_start(db, n, "");

	for (int i = 0; i < sqlite3_column_count(from->handle) && s->bind_rc == SQLITE_OK; i++) {
		s->bind_rc =
			sqlite3_bind_value(s->handle, i + 1, sqlite3_column_value(from->handle, i));
	}
	return db_step(s);
}

struct db_stmt *db_prepare(struct db *db, const char *sql)
{
	struct db_stmt *s = mem_alloc(sizeof(*s));
	int rc;

	wake(db);
	rc = sqlite3_prepare_v2(db->handle, sql, -1, &s->handle, NULL);
	s->db = db;
	if (rc == SQLITE_OK && s->handle != NULL) {
		return s;
	}
	/* An empty text makes no statement and is no error to SQLite. */
	db_set_error(db, rc == SQLITE_OK ? SQLITE_MISUSE : rc);
	mem_free(s);
	return NULL;
}

void db_finish(struct db_stmt *s)
{
	if (s == NULL) {
		return;
	}
	sqlite3_finalize(s->handle);
	mem_free(s);
}

int64_t db_int(struct db_stmt *s, int column)
{
	return sqlite3_column_int64(s->handle, column);
}

const char *db_text(struct db_stmt *s, int column)
{
	const char *text = (const char *)sqlite3_column_text(s->handle, column);

	return text != NULL ? text : "";
}

const void *db_blob(struct db_stmt *s, int column, size_t *len_r)
{
	const void *data = sqlite3_column_blob(s->handle, column);

	*len_r = (size_t)sqlite3_column_bytes(s->handle, column);
	return data != NULL ? data : "";
}

bool db_is_null(struct db_stmt *s, int column)
{
	return sqlite3_column_type(s->handle, column) == SQLITE_NULL;
}

int db_columns(struct db_stmt *s)
{
	return sqlite3_column_count(s->handle);
}

const char *db_column_name(struct db_stmt *s, int column)
{
	const char *name = sqlite3_column_name(s->handle, column);

	return name != NULL ? name : "";
}

struct db_written db_written(struct db *db)
{
	return db_combine_written(db->handle);
}

int64_t db_changes(struct db *db)
{
	return sqlite3_changes64(db->handle);
}

int64_t db_last_rowid(struct db *db)
{
	return sqlite3_last_insert_rowid(db->handle);
}
