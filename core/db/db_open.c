/*
 * db_open - a database opened and closed, and its schema brought up
 *
 * New files are made by us with mode 0600 before SQLite sees them; it gives
 * its journal, WAL and shared-memory files the mode and owner of the database.
 *
 * WAL needs shared memory, which some file systems (9p, FUSE, network) cannot
 * do. Then a rollback journal (TRUNCATE, which spares the directory a write) takes its place:
 * slower, as safe. That is said in the log when such a database is made or changed over.
 */
#include "db/db_open.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/identity.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/db_combine.h"
#include "db/db_guard.h"
#include "db/db_impl.h"
#include "db/db_mend.h"

enum { BUSY_TIMEOUT_MS = 10000, BRIEF_TIMEOUT_MS = 2000 };

static void add_escaped(struct buf *uri, const char *path)
{
	for (const char *p = path; *p != '\0'; p++) {
		if (strchr("%?#&=", *p) != NULL) {
			buf_addf(uri, "%%%02x", (unsigned)(unsigned char)*p);
		} else {
			buf_addc(uri, *p);
		}
	}
}

/* make_uri - path as a URI, for the immutable flag; wal: its log, for the "mend" VFS, or NULL */
static char *make_uri(const char *path, const char *wal)
{
	struct buf uri = BUF_INIT;

	buf_adds(&uri, "file:");
	add_escaped(&uri, path);
	buf_adds(&uri, "?immutable=1");
	if (wal != NULL) {
		buf_adds(&uri, "&wal=");
		add_escaped(&uri, wal);
	}
	return buf_steal(&uri);
}

/* make_file - an empty file of mode 0600, unless there is one; 0, or -1 with the error set */
static int make_file(struct db *db)
{
	int fd = identity_open(db->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd >= 0) {
		close(fd);
		return 0;
	}
	if (errno == EEXIST) {
		return 0;
	}
	db->fault = errno == ENOENT                  ? DB_FAULT_MISSING
		: errno == ENOSPC || errno == EDQUOT ? DB_FAULT_FULL
						     : DB_FAULT_OTHER;
	buf_addf(&db->error, "%s: cannot be made: %s", db->path, strerror(errno));
	return -1;
}

/* set_journal - PRAGMA journal_mode=MODE, or what it is with NULL; the mode is in db->journal. 0 or
 * -1 */
static int set_journal(struct db *db, const char *mode)
{
	char text[64];
	sqlite3_stmt *s;
	int rc;

	snprintf(text, sizeof(text), "PRAGMA journal_mode%s%s", mode != NULL ? "=" : "",
		mode != NULL ? mode : "");
	rc = sqlite3_prepare_v2(db->handle, text, -1, &s, NULL);
	if (rc != SQLITE_OK) {
		return db_set_error(db, rc);
	}
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW) {
		const char *now = (const char *)sqlite3_column_text(s, 0);

		snprintf(db->journal, sizeof(db->journal), "%s", now != NULL ? now : "");
	} else {
		db_set_error(db, rc);
	}
	sqlite3_finalize(s);
	return rc == SQLITE_ROW ? 0 : -1;
}

/*
 * can_share - can a file beside the database be mapped shared and written to? Asked before the
 * header is made to say WAL, because then nobody could open the database any more. Not the database
 * itself: closing it would drop the locks of other handles in this process.
 */
static bool can_share(const struct db *db)
{
	struct identity_saved id;
	struct buf path = BUF_INIT;
	void *page = MAP_FAILED;
	int fd;

	if (identity_enter_parent(&id, db->path) != 0) {
		return true;
	}
	buf_addf(&path, "%s-map%ld", db->path, (long)getpid());
	(void)unlink(buf_str(&path));
	fd = open(buf_str(&path), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0) {
		page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		(void)unlink(buf_str(&path));
		close(fd);
	}
	if (page != MAP_FAILED) {
		munmap(page, 4096);
	}
	identity_leave(&id);
	buf_free(&path);
	/* Where no file can be made, SQLite will say so of its own. */
	return page != MAP_FAILED || fd < 0;
}

/* is_about_sharing - the kind of error that a file system without shared memory makes */
static bool is_about_sharing(const struct db *db)
{
	switch (sqlite3_extended_errcode(db->handle)) {
	case SQLITE_IOERR_SHMOPEN:
	case SQLITE_IOERR_SHMSIZE:
	case SQLITE_IOERR_SHMLOCK:
	case SQLITE_IOERR_SHMMAP:
		return db->fault == DB_FAULT_OTHER;
	default:
		return false;
	}
}

static void say_fallback(const struct db *db)
{
	log_warn("%s: the file system has no shared memory for a write-ahead log: using a rollback "
		 "journal",
		db->path);
}

/* open_handle - the file itself; 0 or -1 */
static int open_handle(struct db *db, unsigned flags)
{
	int how = SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_NOMUTEX;
	char *uri = NULL, path[PATH_MAX];
	uid_t uid;
	gid_t gid;
	int rc;

	if ((flags & DB_CREATE) && make_file(db) != 0) {
		return -1;
	}
	db_guard();
	/* In another's place no link is followed; root's links on the way there are. */
	if (path_owner_at(db->path, &uid, &gid, path) == 0 && uid != geteuid()) {
		how |= SQLITE_OPEN_NOFOLLOW;
	} else {
		snprintf(path, sizeof(path), "%s", db->path);
	}
	how |= flags & (DB_WRITE | DB_CREATE) ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
	if (flags & DB_IMMUTABLE) {
		uri = make_uri(path, NULL);
		how |= SQLITE_OPEN_URI;
	}
	rc = sqlite3_open_v2(uri != NULL ? uri : path, &db->handle, how,
		flags & DB_COMBINE ? db_combine_vfs() : NULL);
	mem_free(uri);
	if (rc == SQLITE_OK) {
		if (flags & DB_COMBINE) {
			db_combine_watch(db->handle);
		}
		/* Who may only read does not copy the log back when it is the last to close. */
		if ((how & SQLITE_OPEN_READONLY) != 0) {
			sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		}
		/* Else a statement whose parameter stands beside a column of a partial index is
		 * compiled again at each use, lest another value lead to another plan. */
		sqlite3_db_config(db->handle, SQLITE_DBCONFIG_ENABLE_QPSG, 1, NULL);
		/* A process has one handle for each of its tables, which need none. */
		db->wants_slots = (flags & DB_IMMUTABLE) == 0;
		db_set_slots(db, db->wants_slots);
		return 0;
	}
	db_set_error(db, rc);
	if (access(db->path, F_OK) != 0 && errno == ENOENT) {
		db->fault = DB_FAULT_MISSING;
	}
	return -1;
}

/*
 * leave_wal - the header says WAL, and the file system cannot do it: what is in the log goes into
 * the database, and that is one with a rollback journal from now on. Alone with the file SQLite
 * needs no shared memory for it, if it is told before it opens the log. 0 or -1
 */
static int leave_wal(struct db *db, unsigned flags)
{
	sqlite3_close_v2(db->handle);
	db->handle = NULL;
	if (open_handle(db, flags) != 0) {
		return -1;
	}
	sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
	if (db_exec(db, "PRAGMA locking_mode=EXCLUSIVE; SELECT 1 FROM sqlite_master") != 0 ||
		set_journal(db, "TRUNCATE") != 0) {
		return -1;
	}
	/* The lock is given back by the first look after this. */
	return db_exec(db, "PRAGMA locking_mode=NORMAL; SELECT 1 FROM sqlite_master LIMIT 1");
}

/* set_wal - write-ahead log, or the fallback; 0 or -1 */
static int set_wal(struct db *db, unsigned flags)
{
	int64_t pages = 0;

	if (set_journal(db, NULL) != 0) {
		if (!is_about_sharing(db) || leave_wal(db, flags) != 0) {
			return -1;
		}
		say_fallback(db);
		return 0;
	}
	if (strcmp(db->journal, "wal") == 0) {
		return 0;
	}
	if (can_share(db) && set_journal(db, "WAL") == 0 && strcmp(db->journal, "wal") == 0) {
		return 0;
	}
	if (db->fault != DB_FAULT_NONE) {
		return -1;
	}
	if (db_exec_int(db, "PRAGMA page_count", &pages) != 0 || set_journal(db, "TRUNCATE") != 0) {
		return -1;
	}
	/* Of a new database; later ones know. */
	if (pages == 0) {
		say_fallback(db);
	}
	return 0;
}

/*
 * trim_statements - those that were hardly needed, as at the start, and that nobody is in the
 * middle of; what each mail needs stays
 */
static void trim_statements(struct db *db)
{
	for (size_t i = 0; i < db->count; i++) {
		struct db_stmt *s = &db->stmts[i];

		if (s->handle != NULL && s->uses < KEEP_USES && !sqlite3_stmt_busy(s->handle)) {
			sqlite3_finalize(s->handle);
			s->handle = NULL;
		}
	}
}

/*
 * trim - a pause in the work: pages go back to the system, which has them in its own cache. Only
 * memory is touched, so that the child of a fork, too, may free its copy.
 */
static void trim(void *owner)
{
	struct db *db = owner;

	if (db->handle == NULL) {
		return;
	}
	trim_statements(db);
	sqlite3_db_release_memory(db->handle);
	db_combine_trim(db->handle);
	if (db->has_slots) {
		db_set_slots(db, false);
	}
}

/* new_db - nothing is open yet */
static struct db *new_db(const char *path, const char *const *sql, size_t count)
{
	struct db *db = mem_alloc(sizeof(*db));

	db->path = mem_strdup(path);
	db->owner = getpid();
	db->sql = sql;
	db->count = count;
	db->stmts = count > 0 ? mem_calloc(count, sizeof(*db->stmts)) : NULL;
	mem_trim_call(&db->trimmer, trim, db);
	return db;
}

/* finish_open - what opening led to, for the caller to return */
static struct db *finish_open(struct db *db, bool good, enum db_fault *fault_r, char **error_r)
{
	if (fault_r != NULL) {
		*fault_r = good ? DB_FAULT_NONE : db->fault;
	}
	if (good) {
		return db;
	}
	*error_r = mem_strdup(db_error(db));
	db_close(db);
	return NULL;
}

struct db *db_open(const char *path, unsigned flags, const char *pragmas, const char *const *sql,
	size_t count, enum db_fault *fault_r, char **error_r)
{
	struct db *db = new_db(path, sql, count);
	bool good = open_handle(db, flags) == 0;

	if (good) {
		sqlite3_busy_timeout(db->handle,
			flags & DB_AT_ONCE         ? 0
				: flags & DB_BRIEF ? BRIEF_TIMEOUT_MS
						   : BUSY_TIMEOUT_MS);
		/* The header is read here, so that a file that is no database is told at once. */
		good = (!(flags & DB_WAL) || set_wal(db, flags) == 0) &&
			(pragmas == NULL || db_exec(db, pragmas) == 0) &&
			db_exec(db, "SELECT 1 FROM sqlite_master LIMIT 1") == 0;
	}
	return finish_open(db, good, fault_r, error_r);
}

struct db *db_open_mended(const char *path, const char *wal, const unsigned char *first_page,
	const char *const *sql, size_t count, enum db_fault *fault_r, char **error_r)
{
	struct db *db = new_db(path, sql, count);
	char *uri = make_uri(path, wal);
	int rc;

	db_guard();
	rc = sqlite3_open_v2(uri, &db->handle,
		SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READONLY |
			SQLITE_OPEN_URI,
		db_mend_vfs());
	mem_free(uri);
	if (rc == SQLITE_OK && first_page != NULL) {
		rc = sqlite3_file_control(
			db->handle, "main", DB_MEND_FIRST_PAGE, (void *)(uintptr_t)first_page);
	}
	if (rc != SQLITE_OK) {
		db_set_error(db, rc);
	}
	return finish_open(db,
		rc == SQLITE_OK && db_exec(db, "SELECT 1 FROM sqlite_master LIMIT 1") == 0, fault_r,
		error_r);
}

bool db_first_page(struct db *db, unsigned char out[DB_PAGE])
{
	sqlite3_file *file = NULL;

	return db_exec(db, "PRAGMA wal_checkpoint(PASSIVE)") == 0 &&
		sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_FILE_POINTER, &file) ==
		SQLITE_OK &&
		file != NULL && file->pMethods != NULL &&
		file->pMethods->xRead(file, out, DB_PAGE, 0) == SQLITE_OK &&
		memcmp(out, "SQLite format 3", 16) == 0;
}

void db_close(struct db *db)
{
	if (db == NULL) {
		return;
	}
	mem_trim_forget(&db->trimmer);
	/* After a fork even a close would drop the parent's locks (How To Corrupt, 2.6). */
	if (db->owner == getpid()) {
		for (size_t i = 0; i < db->count; i++) {
			sqlite3_finalize(db->stmts[i].handle);
		}
		sqlite3_close_v2(db->handle);
	}
	mem_free(db->stmts);
	mem_free(db->path);
	buf_free(&db->error);
	mem_free(db);
}

void db_keep_log(struct db *db)
{
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
}

const char *db_journal_mode(const struct db *db)
{
	return db->journal;
}

/* apply - the steps above version; 0 or -1 */
static int apply(struct db *db, const struct db_migration *list, size_t count, int64_t version)
{
	char set[64];

	for (size_t i = 0; i < count; i++) {
		if (list[i].version <= version) {
			continue;
		}
		snprintf(set, sizeof(set), "PRAGMA user_version=%d", list[i].version);
		if (db_exec(db, list[i].sql) != 0 || db_exec(db, set) != 0) {
			return -1;
		}
	}
	return 0;
}

int db_migrate(struct db *db, const struct db_migration *list, size_t count)
{
	int64_t version;
	int64_t last = count > 0 ? list[count - 1].version : 0;

	/* The common case takes no write lock. */
	if (db_exec_int(db, "PRAGMA user_version", &version) != 0) {
		return -1;
	}
	if (version == last) {
		return 0;
	}
	if (version > last) {
		db->fault = DB_FAULT_NEWER;
		buf_reset(&db->error);
		buf_addf(&db->error, "%s: schema version %lld is newer than this program's %lld",
			db->path, (long long)version, (long long)last);
		return -1;
	}
	if (db_begin(db) != 0) {
		return -1;
	}
	/* Another process may have done it between the look and the lock. */
	if (db_exec_int(db, "PRAGMA user_version", &version) != 0 ||
		apply(db, list, count, version) != 0) {
		db_rollback(db);
		return -1;
	}
	return db_commit(db);
}
