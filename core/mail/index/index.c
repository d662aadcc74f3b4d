/*
 * index - index.db, the memory of a user's folders
 *
 * SQLite in WAL mode: a commit without fsync takes 12 us and one with it as
 * long as the disk does; with a rollback journal it is 400 and 600 us.
 * Transactions that only note what can be seen in the files again (a sync) are
 * not fsynced; flags and expunges are. WAL keeps the order either way, so after a
 * power failure the index is a state it once had and the next sync goes on from
 * there.
 *
 * Several processes of one user (imapd's and pop3d's mail parts, mail) share
 * the file. Whoever writes has flock() of its directory too, and the log is copied
 * back into the database only under it: no other writer is at work then. An
 * index is never deleted for being damaged: it is set aside as
 * index.db.corrupt-TIME.
 */
#include "mail/index/index.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "db/db_open.h"

enum {
	EXPUNGED_KEPT = 20000,
	PRUNE_EVERY = 256,
	RESERVE_SIZE = 160 * 1024,
	LOW_ROOM = 64 * 1024,
	LOCK_TRIES = 1000,
	LOCK_PAUSE_US = 10000
};

struct index {
	struct db *db;
	char *path;
	int lock_fd;   /* the directory; -1: it cannot be had, SQLite's own locks must do */
	int full_sync; /* PRAGMA synchronous as it is now: 1 FULL, 0 NORMAL, -1 unknown */
};

enum {
	Q_VERSION,
	Q_FOLDER_GET,
	Q_FOLDER_RELOAD,
	Q_FOLDER_ADD,
	Q_FOLDER_SAVE,
	Q_FOLDER_RENAME,
	Q_FOLDER_DEL,
	Q_VALIDITY_GET,
	Q_VALIDITY_SET,
	Q_PAGES,
	Q_FOLDER_NAME,
	Q_PAGE_PUT,
	Q_PAGE_DEL,
	Q_CACHE_READ,
	Q_CACHE_PUT_E,
	Q_CACHE_PUT_B,
	Q_CACHE_PUT_H,
	Q_CACHE_DEL,
	Q_CACHE_DEL_RANGE,
	Q_EXPUNGED_ADD,
	Q_EXPUNGED_DEL,
	Q_EXPUNGED_PRUNE,
	Q_COUNT
};

#define FOLDER_COLUMNS                                                                     \
	"uid_validity, uid_next, first_recent, modseq, gen, sig0, sig1, sig2, sig3, sig4," \
	" state, messages, unseen, bytes, keywords"

static const char *const sql[Q_COUNT] = {
	[Q_VERSION] = "PRAGMA data_version",
	[Q_FOLDER_GET] = "SELECT id, " FOLDER_COLUMNS " FROM folder WHERE name = ?1",
	[Q_FOLDER_RELOAD] = "SELECT id, " FOLDER_COLUMNS " FROM folder WHERE id = ?1",
	[Q_FOLDER_NAME] = "SELECT name FROM folder WHERE id = ?1",
	[Q_FOLDER_ADD] = "INSERT INTO folder (name, uid_validity, uid_next) VALUES (?1, ?2, ?3)",
	[Q_FOLDER_SAVE] = "UPDATE folder SET (" FOLDER_COLUMNS ") ="
			  " (?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16) "
			  "WHERE id = ?1",
	[Q_FOLDER_RENAME] = "UPDATE folder SET name = ?2 WHERE name = ?1",
	[Q_FOLDER_DEL] = "DELETE FROM folder WHERE id = ?1",
	[Q_VALIDITY_GET] = "SELECT value FROM counter WHERE name = 'uid_validity'",
	[Q_VALIDITY_SET] = "INSERT OR REPLACE INTO counter VALUES ('uid_validity', ?1)",
	[Q_PAGES] = "SELECT id, data FROM page WHERE id BETWEEN ?1 AND ?2 AND gen > ?3 ORDER BY id",
	[Q_PAGE_PUT] = "INSERT OR REPLACE INTO page (id, gen, data) VALUES (?1, ?2, ?3)",
	[Q_PAGE_DEL] = "DELETE FROM page WHERE id BETWEEN ?1 AND ?2",
	[Q_CACHE_READ] = "SELECT id, envelope, body, header FROM cache WHERE id BETWEEN ?1 AND ?2"
			 " ORDER BY id",
	[Q_CACHE_PUT_E] = "INSERT INTO cache (id, envelope) VALUES (?1, ?2)"
			  " ON CONFLICT (id) DO UPDATE SET envelope = ?2",
	[Q_CACHE_PUT_B] = "INSERT INTO cache (id, body) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE "
			  "SET body = ?2",
	[Q_CACHE_PUT_H] = "INSERT INTO cache (id, header) VALUES (?1, ?2)"
			  " ON CONFLICT (id) DO UPDATE SET header = ?2",
	[Q_CACHE_DEL] = "DELETE FROM cache WHERE id = ?1",
	[Q_CACHE_DEL_RANGE] = "DELETE FROM cache WHERE id BETWEEN ?1 AND ?2",
	[Q_EXPUNGED_ADD] = "INSERT OR REPLACE INTO expunged VALUES (?1, ?2, ?3)",
	[Q_EXPUNGED_DEL] = "DELETE FROM expunged WHERE folder = ?1",
	[Q_EXPUNGED_PRUNE] =
		"DELETE FROM expunged WHERE folder = ?1 AND modseq <= (SELECT modseq FROM"
		" expunged WHERE folder = ?1 ORDER BY modseq DESC LIMIT 1 OFFSET ?2)",
};

static const struct db_migration migrations[] = {
	{ 1,
		"CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID;"
		"CREATE TABLE folder (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL "
		"UNIQUE,"
		" uid_validity INTEGER NOT NULL, uid_next INTEGER NOT NULL, first_recent INTEGER "
		"NOT "
		"NULL DEFAULT 1,"
		" modseq INTEGER NOT NULL DEFAULT 1, gen INTEGER NOT NULL DEFAULT 0,"
		" sig0 INTEGER NOT NULL DEFAULT -1, sig1 INTEGER NOT NULL DEFAULT -1, sig2 INTEGER "
		"NOT NULL DEFAULT -1,"
		" sig3 INTEGER NOT NULL DEFAULT -1, sig4 INTEGER NOT NULL DEFAULT -1,"
		" state INTEGER NOT NULL DEFAULT 0, messages INTEGER NOT NULL DEFAULT 0,"
		" unseen INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0, keywords "
		"TEXT);"
		"CREATE TABLE page (id INTEGER PRIMARY KEY, gen INTEGER NOT NULL, data BLOB NOT "
		"NULL);"
		"CREATE TABLE cache (id INTEGER PRIMARY KEY, envelope BLOB, body BLOB, header "
		"BLOB);"
		"CREATE TABLE expunged (folder INTEGER, modseq INTEGER, uid INTEGER,"
		" PRIMARY KEY (folder, modseq, uid)) WITHOUT ROWID;" },
};

/* Pages and cache rows of a folder: folder id above, page number or UID below. */
static int64_t row_id(int64_t folder, uint32_t low)
{
	return folder << 32 | low;
}

/* set_aside - move a damaged index out of the way; 0 or -1 */
static int set_aside(const char *path)
{
	static const char *const tails[] = { "", "-wal", "-shm" };
	struct buf from = BUF_INIT, to = BUF_INIT;
	int rc = 0;

	for (size_t i = 0; i < 3; i++) {
		buf_reset(&from);
		buf_reset(&to);
		buf_addf(&from, "%s%s", path, tails[i]);
		buf_addf(&to, "%s.corrupt-%lld%s", path, (long long)time(NULL), tails[i]);
		if (rename(buf_str(&from), buf_str(&to)) != 0 && i == 0) {
			rc = -1;
		} else if (i == 0) {
			log_error("%s: damaged; kept as %s, folders are indexed again", path,
				buf_str(&to));
		}
	}
	buf_free(&from);
	buf_free(&to);
	return rc;
}

/* ---- Turns ---- */

/* take_turn - wait for the others, but not without end; false: somebody keeps it */
static bool take_turn(const struct index *ix)
{
	for (int i = 0; ix->lock_fd >= 0 && i < LOCK_TRIES; i++) {
		if (flock(ix->lock_fd, LOCK_EX | LOCK_NB) == 0) {
			return true;
		}
		if (errno != EWOULDBLOCK && errno != EINTR) {
			return true; /* the file system has none */
		}
		usleep(LOCK_PAUSE_US);
	}
	return ix->lock_fd < 0;
}

static void end_turn(const struct index *ix)
{
	if (ix->lock_fd >= 0) {
		(void)flock(ix->lock_fd, LOCK_UN);
	}
}

/* open_lock - the directory that index.db is in */
static int open_lock(const char *path)
{
	const char *slash = path != NULL ? strrchr(path, '/') : NULL;
	struct buf dir = BUF_INIT;
	int fd = -1;

	if (slash != NULL) {
		buf_add(&dir, path, (size_t)(slash + 1 - path));
		fd = open(buf_str(&dir), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	buf_free(&dir);
	return fd;
}

/* ---- Room ---- */

/* reserve_name - beside the index */
static void reserve_name(struct buf *out, const char *path)
{
	const char *slash = strrchr(path, '/');

	buf_add(out, path, slash != NULL ? (size_t)(slash + 1 - path) : 0);
	buf_adds(out, "index.reserve");
}

/* room_left - bytes that are free for all where the index is; INT64_MAX: not known */
static int64_t room_left(const char *path)
{
	struct buf dir = BUF_INIT;
	struct statvfs fs;
	int rc;

	reserve_name(&dir, path);
	buf_truncate(&dir, dir.len - strlen("index.reserve"));
	rc = statvfs(dir.len > 0 ? buf_str(&dir) : ".", &fs);
	buf_free(&dir);
	/* A file system without a size of its own has none to run out of. */
	if (rc != 0 || fs.f_blocks == 0) {
		return INT64_MAX;
	}
	return (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
}

/*
 * keep_reserve - where there is plenty (so many times of it): as much as it takes to open the
 * index (SQLite's shared memory is 32 KB), to note a few hundred changes, and for the journal of
 * an mbox
 */
static void keep_reserve(const char *path, int times)
{
	struct buf name = BUF_INIT;
	struct stat st;
	int fd;

	reserve_name(&name, path);
	if (stat(buf_str(&name), &st) != 0 && room_left(path) > RESERVE_SIZE * times) {
		fd = open(buf_str(&name), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		/* Blocks that are there in truth; none where a file system cannot promise them. */
		if (fd >= 0 && fallocate(fd, 0, 0, RESERVE_SIZE) != 0) {
			(void)unlink(buf_str(&name));
		}
		if (fd >= 0) {
			close(fd);
		}
	}
	buf_free(&name);
}

/* use_reserve - false: there is none */
static bool use_reserve(const char *path)
{
	struct buf name = BUF_INIT;
	bool used;

	reserve_name(&name, path);
	used = unlink(buf_str(&name)) == 0;
	if (used) {
		log_warn("%s: the disk is full: %d KB kept for this are used to go on", path,
			RESERVE_SIZE / 1024);
	}
	buf_free(&name);
	return used;
}

void index_keep_room(struct index *ix)
{
	if (ix->path != NULL) {
		keep_reserve(ix->path, 2);
	}
}

bool index_is_low(const struct index *ix)
{
	return ix->path != NULL && room_left(ix->path) < LOW_ROOM;
}

bool index_make_room(struct index *ix)
{
	bool used = ix->path != NULL && use_reserve(ix->path);

	if (ix->path != NULL && !db_in_transaction(ix->db) && take_turn(ix)) {
		(void)db_exec(ix->db, "PRAGMA wal_checkpoint(RESTART)");
		end_turn(ix);
	}
	return used;
}

static struct db *open_db(const char *path, enum db_fault *fault_r, char **error_r)
{
	/* Read by mapping: the 80 pages of 10,000 messages take 70 us instead of 280. */
	static const char pragmas[] =
		"PRAGMA mmap_size=67108864; PRAGMA cache_size=-512; PRAGMA temp_store=2";
	struct db *db = db_open(
		path != NULL ? path : ":memory:", path != NULL ? DB_CREATE | DB_WAL : DB_WRITE,
		pragmas, sql, Q_COUNT, fault_r, error_r);

	if (db != NULL && db_migrate(db, migrations, 1) != 0) {
		*fault_r = db_fault(db);
		*error_r = mem_strdup(db_error(db));
		db_close(db);
		db = NULL;
	}
	return db;
}

struct index *index_open(const char *path, char **error_r)
{
	enum db_fault fault = DB_FAULT_NONE;
	struct index *ix = mem_alloc(sizeof(*ix));

	ix->path = mem_strdup(path);
	ix->lock_fd = open_lock(path);
	ix->full_sync = -1;
	/* If somebody keeps it SQLite's own locks must do: a new handle copies nothing back. */
	(void)take_turn(ix);
	if (path != NULL && room_left(path) < LOW_ROOM) {
		(void)use_reserve(path);
	}
	ix->db = open_db(path, &fault, error_r);
	if (ix->db == NULL && fault == DB_FAULT_FULL && path != NULL && use_reserve(path)) {
		mem_free(*error_r);
		*error_r = NULL;
		ix->db = open_db(path, &fault, error_r);
	}
	if (ix->db == NULL && fault == DB_FAULT_CORRUPT && path != NULL && set_aside(path) == 0) {
		mem_free(*error_r);
		*error_r = NULL;
		ix->db = open_db(path, &fault, error_r);
	}
	end_turn(ix);
	if (ix->db != NULL) {
		if (path != NULL) {
			keep_reserve(path, 4);
		}
		return ix;
	}
	index_close(ix);
	if (fault != DB_FAULT_FULL || path == NULL) {
		return NULL;
	}
	log_warn("%s; it is kept in memory for this time", *error_r);
	mem_free(*error_r);
	*error_r = NULL;
	return index_open(NULL, error_r);
}

void index_close(struct index *ix)
{
	if (ix == NULL) {
		return;
	}
	if (ix->db != NULL && !take_turn(ix)) {
		db_keep_log(ix->db);
	}
	db_close(ix->db);
	if (ix->lock_fd >= 0) {
		close(ix->lock_fd);
	}
	mem_free(ix->path);
	mem_free(ix);
}

const char *index_error(const struct index *ix)
{
	return db_error(ix->db);
}

bool index_is_full(const struct index *ix)
{
	return db_is_full(ix->db);
}

bool index_in_memory(const struct index *ix)
{
	return ix->path == NULL;
}

const char *index_path(const struct index *ix)
{
	return ix->path;
}

int index_begin(struct index *ix, bool durable)
{
	/* A session that ran out of memory may have left one open. */
	index_rollback(ix);
	if (index_is_low(ix)) {
		(void)index_make_room(ix);
	}
	if (ix->full_sync != (int)durable) {
		if (db_exec(ix->db,
			    durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL") !=
			0) {
			return -1;
		}
		ix->full_sync = durable;
	}
	/* First SQLite's lock, which tells who is busy: ours is only kept for a copy back then. */
	if (db_begin(ix->db) != 0) {
		return -1;
	}
	if (take_turn(ix)) {
		return 0;
	}
	db_rollback(ix->db);
	return db_set_busy(ix->db);
}

int index_begin_read(struct index *ix)
{
	return db_exec(ix->db, "BEGIN");
}

int index_commit(struct index *ix)
{
	int rc = db_commit(ix->db);

	end_turn(ix);
	return rc;
}

void index_rollback(struct index *ix)
{
	db_rollback(ix->db);
	end_turn(ix);
}

int64_t index_version(struct index *ix)
{
	struct db_stmt *s = db_start(ix->db, Q_VERSION, "");
	int64_t version = -1;

	if (db_step(s) > 0) {
		version = db_int(s, 0);
		db_reset(s);
	}
	return version;
}

/* ---- Folders ---- */

void index_folder_clear(struct index_folder *f)
{
	mem_free(f->keywords);
	memset(f, 0, sizeof(*f));
}

/* take_folder - the one row of s, if there is one */
static int take_folder(struct db_stmt *s, struct index_folder *f)
{
	int rc = db_step(s);

	if (rc <= 0) {
		return rc;
	}
	mem_free(f->keywords);
	f->id = db_int(s, 0);
	f->uid_validity = (uint32_t)db_int(s, 1);
	f->uid_next = (uint32_t)db_int(s, 2);
	f->first_recent = (uint32_t)db_int(s, 3);
	f->modseq = (uint64_t)db_int(s, 4);
	f->gen = db_int(s, 5);
	for (int i = 0; i < INDEX_SIG; i++) {
		f->sig[i] = db_int(s, 6 + i);
	}
	f->state = (unsigned)db_int(s, 11);
	f->messages = (uint32_t)db_int(s, 12);
	f->unseen = (uint32_t)db_int(s, 13);
	f->bytes = (uint64_t)db_int(s, 14);
	f->keywords = db_is_null(s, 15) ? NULL : mem_strdup(db_text(s, 15));
	db_reset(s);
	return 1;
}

int index_folder_get(struct index *ix, const char *name, struct index_folder *f)
{
	return take_folder(db_start(ix->db, Q_FOLDER_GET, "s", name), f);
}

int index_folder_reload(struct index *ix, struct index_folder *f)
{
	return take_folder(db_start(ix->db, Q_FOLDER_RELOAD, "i", f->id), f);
}

int index_folder_name(struct index *ix, int64_t id, struct buf *out)
{
	struct db_stmt *s = db_start(ix->db, Q_FOLDER_NAME, "i", id);
	int rc = db_step(s);

	if (rc > 0) {
		buf_adds(out, db_text(s, 0));
		db_reset(s);
	}
	return rc;
}

/*
 * new_validity - the time, or one more than the last when that is not before it (RFC 3501 2.3.1.1)
 */
static int new_validity(struct index *ix, uint32_t *out)
{
	struct db_stmt *s = db_start(ix->db, Q_VALIDITY_GET, "");
	int64_t value = (int64_t)time(NULL) & 0x7fffffff;
	int rc = db_step(s);

	if (rc < 0) {
		return -1;
	}
	if (rc > 0 && db_int(s, 0) >= value) {
		value = db_int(s, 0) + 1;
	}
	db_reset(s);
	*out = (uint32_t)value;
	return db_run(ix->db, Q_VALIDITY_SET, "i", value);
}

int index_folder_add(struct index *ix, const char *name, struct index_folder *f)
{
	if (f->uid_validity == 0 && new_validity(ix, &f->uid_validity) != 0) {
		return -1;
	}
	if (db_run(ix->db, Q_FOLDER_ADD, "sii", name, (int64_t)f->uid_validity,
		    (int64_t)f->uid_next) != 0) {
		return -1;
	}
	f->id = db_last_rowid(ix->db);
	return index_folder_reload(ix, f) > 0 ? 0 : -1;
}

int index_folder_save(struct index *ix, const struct index_folder *f)
{
	return db_run(ix->db, Q_FOLDER_SAVE, "iiiiiiiiiiiiiiis", f->id, (int64_t)f->uid_validity,
		(int64_t)f->uid_next, (int64_t)f->first_recent, (int64_t)f->modseq, f->gen,
		f->sig[0], f->sig[1], f->sig[2], f->sig[3], f->sig[4], (int64_t)f->state,
		(int64_t)f->messages, (int64_t)f->unseen, (int64_t)f->bytes, f->keywords);
}

int index_folder_rename(struct index *ix, const char *from, const char *to)
{
	return db_run(ix->db, Q_FOLDER_RENAME, "ss", from, to);
}

int index_folder_remove(struct index *ix, int64_t id)
{
	if (db_run(ix->db, Q_PAGE_DEL, "ii", row_id(id, 0), row_id(id, UINT32_MAX)) != 0 ||
		db_run(ix->db, Q_CACHE_DEL_RANGE, "ii", row_id(id, 0), row_id(id, UINT32_MAX)) !=
			0 ||
		db_run(ix->db, Q_EXPUNGED_DEL, "i", id) != 0) {
		return -1;
	}
	return db_run(ix->db, Q_FOLDER_DEL, "i", id);
}

/* ---- Messages ---- */

int index_pages(struct index *ix, int64_t folder, int64_t gen,
	int (*fn)(void *arg, uint32_t page, const void *data, size_t len), void *arg)
{
	struct db_stmt *s = db_start(
		ix->db, Q_PAGES, "iii", row_id(folder, 0), row_id(folder, UINT32_MAX), gen);
	int rc;

	while ((rc = db_step(s)) > 0) {
		size_t len;
		const void *data = db_blob(s, 1, &len);

		rc = fn(arg, (uint32_t)db_int(s, 0), data, len);
		if (rc != 0) {
			db_reset(s);
			return rc;
		}
	}
	return rc;
}

int index_page_put(
	struct index *ix, int64_t folder, uint32_t page, int64_t gen, const void *data, size_t len)
{
	return db_run(ix->db, Q_PAGE_PUT, "iib", row_id(folder, page), gen, data, len);
}

int index_cache_slot(char kind)
{
	return kind == 'E' ? 0 : kind == 'B' ? 1 : 2;
}

int index_cache_read(struct index *ix, int64_t folder, uint32_t from, uint32_t to,
	int (*fn)(void *arg, const struct index_cached *c), void *arg)
{
	struct db_stmt *s =
		db_start(ix->db, Q_CACHE_READ, "ii", row_id(folder, from), row_id(folder, to));
	int rc;

	while ((rc = db_step(s)) > 0) {
		struct index_cached c = { .uid = (uint32_t)db_int(s, 0) };

		for (int i = 0; i < 3; i++) {
			c.text[i] = db_is_null(s, i + 1) ? NULL : db_blob(s, i + 1, &c.len[i]);
		}
		rc = fn(arg, &c);
		if (rc != 0) {
			db_reset(s);
			return rc;
		}
	}
	return rc;
}

int index_cache_put(
	struct index *ix, int64_t folder, uint32_t uid, char kind, const void *text, size_t len)
{
	return db_run(ix->db, Q_CACHE_PUT_E + index_cache_slot(kind), "ib", row_id(folder, uid),
		text, len);
}

int index_expunged(struct index *ix, int64_t folder, uint64_t modseq, uint32_t uid)
{
	if (db_run(ix->db, Q_CACHE_DEL, "i", row_id(folder, uid)) != 0) {
		return -1;
	}
	/* Now and then: who was away for longer than this many is told to look at all. */
	if (uid % PRUNE_EVERY == 0 &&
		db_run(ix->db, Q_EXPUNGED_PRUNE, "ii", folder, (int64_t)EXPUNGED_KEPT) != 0) {
		return -1;
	}
	return db_run(ix->db, Q_EXPUNGED_ADD, "iui", folder, modseq, (int64_t)uid);
}
