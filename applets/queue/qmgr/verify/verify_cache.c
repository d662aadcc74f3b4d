/*
 * verify_cache - what address probes have found out
 *
 * address_verify_map has a type, which says nothing here (any of those that Postfix can write), and
 * a path, to which ".db" is added. A file there that is no database is another program's cache
 * (Berkeley DB, of a Postfix that was here before): it is renamed, not overwritten.
 */
#include "applets/queue/qmgr/verify/verify_cache.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "db/db.h"
#include "db/db_open.h"

enum {
	ROWS_MAX = 100000, /* some 20 MB: addresses come from strangers */
	TEXT_MAX = 500
};

enum { Q_GET, Q_PUT, Q_EXPIRE, Q_OLDEST, Q_COUNT_ALL, Q_COUNT };

static const char *const sql[Q_COUNT] = {
	[Q_GET] = "SELECT status, probed, updated, dsn, text FROM verified WHERE address = ?1",
	[Q_PUT] = "INSERT OR REPLACE INTO verified VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[Q_EXPIRE] = "DELETE FROM verified WHERE max(probed, updated) < "
		     "CASE status WHEN 0 THEN ?1 ELSE ?2 END",
	[Q_OLDEST] = "DELETE FROM verified WHERE address IN (SELECT address FROM verified "
		     "ORDER BY max(probed, updated) LIMIT ?1)",
	[Q_COUNT_ALL] = "SELECT count(*) FROM verified",
};

static const struct db_migration migrations[] = {
	{ 1,
		"PRAGMA application_id = 0x50425631;"
		"CREATE TABLE verified (address TEXT PRIMARY KEY, status INTEGER, probed INTEGER,"
		" updated INTEGER, dsn TEXT, text TEXT) WITHOUT ROWID;" },
};

struct verify_cache {
	struct db *db; /* NULL: it cannot be had */
	int64_t rows;  /* about so many */
	bool told;     /* that it cannot be written */
};

/* path_of - the file that address_verify_map means; "" in memory */
static void path_of(struct buf *path)
{
	static const char types[][7] = { "btree", "hash", "lmdb", "sdbm", "dbm", "cdb", "sqlite" };
	const char *name = param.address_verify_map, *colon;

	if (str_starts(name, "proxy:")) {
		name += 6;
	}
	colon = strchr(name, ':');
	for (size_t i = 0; colon != NULL && i < ARRAY_LEN(types); i++) {
		size_t len = strlen(types[i]);

		if ((size_t)(colon - name) == len && memcmp(name, types[i], len) == 0) {
			buf_addf(path, "%s.db", colon + 1);
			return;
		}
	}
	if (*name != '\0') {
		log_warn("address_verify_map = %s: not a table that can be written: results of "
			 "probes are kept in memory",
			name);
	}
	buf_adds(path, ":memory:");
}

/* put_aside - what has the name is not ours; false: it stays */
static bool put_aside(const char *path)
{
	struct buf other = BUF_INIT;
	bool ok;

	buf_addf(&other, "%s.old", path);
	ok = rename(path, buf_str(&other)) == 0;
	if (ok) {
		log_warn("address_verify_map: %s is no database of ours: it is %s now", path,
			buf_str(&other));
	}
	buf_free(&other);
	return ok;
}

static struct db *open_db(const char *path, enum db_fault *fault, char **error)
{
	bool file = *path != ':';
	struct db *db;

	/* A power cut may lose the last ones, which are found out again. */
	db = db_open(path, DB_BRIEF | (file ? DB_CREATE | DB_WAL : DB_WRITE),
		"PRAGMA synchronous=NORMAL; PRAGMA cache_size=-256", sql, Q_COUNT, fault, error);
	if (db != NULL && db_migrate(db, migrations, ARRAY_LEN(migrations)) != 0) {
		*fault = db_fault(db);
		*error = mem_strdup(db_error(db));
		db_close(db);
		db = NULL;
	}
	return db;
}

/* trouble - say it once, until it works again */
static void trouble(struct verify_cache *c)
{
	if (!c->told) {
		c->told = true;
		log_warn("address_verify_map: %s", db_error(c->db));
	}
}

static void count_rows(struct verify_cache *c)
{
	struct db_stmt *s = db_start(c->db, Q_COUNT_ALL, "");

	c->rows = db_step(s) > 0 ? db_int(s, 0) : 0;
	db_reset(s);
}

struct verify_cache *verify_cache_open(void)
{
	struct verify_cache *c = mem_alloc(sizeof(*c));
	struct buf path = BUF_INIT;
	enum db_fault fault = DB_FAULT_NONE;
	char *error = NULL;

	path_of(&path);
	c->db = open_db(buf_str(&path), &fault, &error);
	if (c->db == NULL && fault == DB_FAULT_CORRUPT && put_aside(buf_str(&path))) {
		mem_free(error);
		error = NULL;
		c->db = open_db(buf_str(&path), &fault, &error);
	}
	if (c->db == NULL) {
		log_warn("address_verify_map: %s: results of probes are kept in memory", error);
		mem_free(error);
		error = NULL;
		c->db = open_db(":memory:", &fault, &error);
		mem_free(error);
	}
	buf_free(&path);
	if (c->db != NULL) {
		count_rows(c);
	}
	return c;
}

void verify_cache_close(struct verify_cache *c)
{
	if (c != NULL) {
		db_close(c->db);
		mem_free(c);
	}
}

/* is_expired - whatever it says, it is too old to be believed */
static bool is_expired(const struct verify_entry *e, int64_t now)
{
	int64_t life = e->status == VERIFY_OK ? param.address_verify_positive_expire_time
					      : param.address_verify_negative_expire_time;

	return e->updated != 0 && e->updated + life < now;
}

bool verify_cache_get(struct verify_cache *c, struct arena *a, const char *address, int64_t now,
	struct verify_entry *e)
{
	struct db_stmt *s;
	bool found;
	int rc;

	if (c->db == NULL) {
		return false;
	}
	s = db_start(c->db, Q_GET, "s", address);
	rc = db_step(s);
	found = rc > 0;
	if (found) {
		*e = (struct verify_entry){ .status = (enum verify_status)db_int(s, 0),
			.probed = db_int(s, 1),
			.updated = db_int(s, 2),
			.dsn = arena_strdup(a, db_text(s, 3)),
			.text = arena_strdup(a, db_text(s, 4)) };
		found = e->status <= VERIFY_PENDING && !is_expired(e, now);
		db_reset(s);
	} else if (rc < 0) {
		trouble(c);
	}
	return found;
}

void verify_cache_put(struct verify_cache *c, const char *address, const struct verify_entry *e)
{
	char text[TEXT_MAX];

	(void)str_copy(text, sizeof(text), e->text);
	if (c->db == NULL) {
		return;
	}
	if (c->rows >= ROWS_MAX) {
		verify_cache_clean(c, e->probed > e->updated ? e->probed : e->updated);
	}
	if (db_run(c->db, Q_PUT, "siiiss", address, (int64_t)e->status, e->probed, e->updated,
		    e->dsn, text) != 0) {
		trouble(c);
		return;
	}
	c->told = false;
	c->rows++; /* or one was replaced: counted again when there seem to be too many */
}

void verify_cache_clean(struct verify_cache *c, int64_t now)
{
	if (c->db == NULL) {
		return;
	}
	if (db_run(c->db, Q_EXPIRE, "ii", now - param.address_verify_positive_expire_time,
		    now - param.address_verify_negative_expire_time) != 0) {
		trouble(c);
	}
	count_rows(c);
	if (c->rows >= ROWS_MAX && db_run(c->db, Q_OLDEST, "i", (int64_t)ROWS_MAX / 10) != 0) {
		trouble(c);
	}
	count_rows(c);
}
