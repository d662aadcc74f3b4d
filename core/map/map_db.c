/*
 * map_db - indexed tables: name.db, an SQLite file made by postmap
 *
 * The types hash, btree, lmdb, cdb, dbm and sdbm are all this. The file is
 * not changed in place (a new one takes its name), so it is opened as
 * immutable: no locks, no journal, pages shared through mmap. A file that took
 * its place is noticed and opened. One that is mounted by itself is changed in
 * place (map_build.c): an answer counts when the file is the same after it.
 *
 * The table holds blocks of rows, keyed by their first key; a look-up finds
 * the one block that can hold the key and walks it (map_block.h).
 *
 * A missing file is a temporary error, not an empty table: mail must not
 * bounce because postmap was forgotten.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "db/db_open.h"
#include "map/map_block.h"
#include "map/map_impl.h"

enum { Q_FIND, Q_ALL };

static const char *const sql[] = {
	[Q_FIND] = "SELECT rows FROM map WHERE first <= ?1 ORDER BY first DESC LIMIT 1",
	[Q_ALL] = "SELECT rows FROM map ORDER BY first",
};

struct table {
	char *path; /* name.db */
	struct db *db;
	struct map_file file, source;
	bool in_place; /* the file is a mount, and is written over */
};

static bool is_listed(const char *list, const char *spec)
{
	struct slice rest = slice_of(list != NULL ? list : ""), item;

	while (map_next_item(&rest, &item) > 0) {
		if (item.len == strlen(spec) && memcmp(item.ptr, spec, item.len) == 0) {
			return true;
		}
	}
	return false;
}

/*
 * tool - what makes the table. smtpd asks those of aliases through local_recipient_maps, as it asks
 * any other: what main.cf calls aliases is made by postalias whoever opened it.
 */
static const char *tool(const struct map *m)
{
	return (m->flags & MAP_SOURCE_ALIAS) != 0 || is_listed(param.alias_maps, m->spec) ||
			is_listed(param.alias_database, m->spec)
		? "postalias"
		: "postmap";
}

static int open_db(struct map *m)
{
	struct table *t = mem_alloc(sizeof(*t));
	struct buf b = BUF_INIT;

	buf_addf(&b, "%s.db", m->name);
	t->path = buf_steal(&b);
	m->state = t;
	return 0;
}

static void close_db(struct map *m)
{
	struct table *t = m->state;

	if (t == NULL) {
		return;
	}
	db_close(t->db);
	mem_free(t->path);
	mem_free(t);
}

/* warn_stale - the source was changed and postmap not run */
static void warn_stale(struct map *m, struct table *t)
{
	struct stat st;

	if (stat(m->name, &st) != 0 || !map_file_note(&t->source, &st)) {
		return;
	}
	if (st.st_mtim.tv_sec > t->file.mtime.tv_sec ||
		(st.st_mtim.tv_sec == t->file.mtime.tv_sec &&
			st.st_mtim.tv_nsec > t->file.mtime.tv_nsec)) {
		log_warn("database %s is older than source file %s", t->path, m->name);
	}
}

/* reopen - the file that is there now */
static int reopen(struct map *m, struct table *t)
{
	enum db_fault fault;
	char *error = NULL;
	int64_t id = 0;
	int rc;

	db_close(t->db);
	t->in_place = file_is_mount(t->path);
	t->db = db_open(t->path, DB_READ | DB_IMMUTABLE,
		"PRAGMA cache_size=-32; PRAGMA mmap_size=1073741824", sql, ARRAY_LEN(sql), &fault,
		&error);
	if (t->db == NULL) {
		rc = fault == DB_FAULT_CORRUPT
			? map_fail(m, "%s is not a table of ours: run \"%s %s\"", t->path, tool(m),
				  m->spec)
			: map_fail(m, "open database %s", error);
		mem_free(error);
		return rc;
	}
	if (db_exec_int(t->db, "PRAGMA application_id", &id) != 0 || id != MAP_APPLICATION_ID) {
		db_close(t->db);
		t->db = NULL;
		return map_fail(
			m, "%s is not a table of ours: run \"%s %s\"", t->path, tool(m), m->spec);
	}
	return 0;
}

/* refresh - have the file open, and the one that has its name now; 0 or -1 */
static int refresh(struct map *m, struct table *t)
{
	struct stat st;
	int err;

	if (t->db != NULL && !map_file_due(&t->file)) {
		return 0;
	}
	if (stat(t->path, &st) != 0) {
		err = errno;
		t->file.known = false;
		db_close(t->db);
		t->db = NULL;
		if (err == ENOENT && access(m->name, F_OK) == 0) {
			return map_fail(m, "open database %s: %s: run \"%s %s\"", t->path,
				strerror(err), tool(m), m->spec);
		}
		return map_fail(m, "open database %s: %s", t->path, strerror(err));
	}
	if ((map_file_note(&t->file, &st) || t->db == NULL) && reopen(m, t) != 0) {
		return -1;
	}
	warn_stale(m, t);
	return 0;
}

/* ---- Blocks ---- */

static int get_number(const unsigned char *data, size_t len, size_t *at, size_t *out)
{
	size_t v = 0;

	for (unsigned shift = 0; *at < len && shift < 35; shift += 7) {
		unsigned char c = data[(*at)++];

		v |= (size_t)(c & 0x7f) << shift;
		if (c < 0x80) {
			*out = v;
			return 0;
		}
	}
	return -1;
}

/* block_next - row at *at, which moves behind it. 1, 0 at the end, -1 damaged */
static int block_next(const unsigned char *data, size_t len, size_t *at, struct block_row *row)
{
	if (*at == len) {
		return 0;
	}
	if (get_number(data, len, at, &row->shared) != 0 ||
		get_number(data, len, at, &row->rest_len) != 0 ||
		get_number(data, len, at, &row->value_len) != 0 || row->rest_len > len - *at ||
		row->value_len > len - *at - row->rest_len) {
		return -1;
	}
	row->rest = (const char *)data + *at;
	row->value = row->rest + row->rest_len;
	*at += row->rest_len + row->value_len;
	return 1;
}

/*
 * find_in_block - value of key. matched bytes of it are those of the row before,
 * which was smaller: a row that shares more with that one is smaller too, one that shares less
 * is greater, and only one that shares as much needs to be compared.
 */
static int find_in_block(const unsigned char *data, size_t len, const char *key, struct buf *value)
{
	size_t key_len = strlen(key), matched = 0, at = 0, n;
	struct block_row row;
	int rc;

	while ((rc = block_next(data, len, &at, &row)) > 0) {
		if (row.shared > matched) {
			continue;
		}
		if (row.shared < matched) {
			return 0;
		}
		for (n = 0; n < row.rest_len && matched + n < key_len &&
			row.rest[n] == key[matched + n];
			n++) {
			continue;
		}
		if (n == row.rest_len && matched + n == key_len) {
			buf_add(value, row.value, row.value_len);
			return 1;
		}
		if (matched + n == key_len ||
			(n < row.rest_len &&
				(unsigned char)row.rest[n] > (unsigned char)key[matched + n])) {
			return 0;
		}
		matched += n;
	}
	return rc;
}

/* is_written_over - was the file changed since it was opened? Then what was read is a mixture. */
static bool is_written_over(struct table *t)
{
	struct stat st;

	if (!t->in_place || (stat(t->path, &st) == 0 && !map_file_note(&t->file, &st))) {
		return false;
	}
	db_close(t->db);
	t->db = NULL;
	return true;
}

static int find(struct map *m, struct table *t, const char *key, struct buf *value)
{
	struct db_stmt *s;
	size_t len;
	const void *data;
	int rc;

	s = db_start(t->db, Q_FIND, "b", (const void *)key, strlen(key));
	rc = db_step(s);
	if (rc > 0) {
		data = db_blob(s, 0, &len);
		rc = find_in_block(data, len, key, value);
		db_reset(s);
		if (rc < 0) {
			return map_fail(
				m, "%s is damaged: run \"%s %s\"", t->path, tool(m), m->spec);
		}
	}
	return rc < 0 ? map_fail(m, "%s", db_error(t->db)) : rc;
}

static int get_db(struct map *m, const char *key, struct buf *value)
{
	struct table *t = m->state;
	size_t before = value->len;
	int rc;

	for (int tries = 0; tries < 3; tries++) {
		t->file.looked = tries > 0 ? 0 : t->file.looked;
		if (refresh(m, t) != 0) {
			return -1;
		}
		rc = find(m, t, key, value);
		if (!is_written_over(t) && (rc != 0 || tries > 0 || !map_file_missed(&t->file))) {
			return rc;
		}
		buf_truncate(value, before);
	}
	return map_fail(m, "%s is being written", t->path);
}

/* each_row - all rows of a block */
static int each_row(const unsigned char *data, size_t len, struct buf *key, struct buf *value,
	int (*fn)(void *arg, const char *key, const char *value), void *arg, bool *damaged_r)
{
	struct block_row row;
	size_t at = 0;
	int rc;

	buf_reset(key);
	while ((rc = block_next(data, len, &at, &row)) > 0) {
		if (row.shared > key->len) {
			break;
		}
		buf_truncate(key, row.shared);
		buf_add(key, row.rest, row.rest_len);
		buf_reset(value);
		buf_add(value, row.value, row.value_len);
		rc = fn(arg, buf_str(key), buf_str(value));
		if (rc != 0) {
			return rc;
		}
	}
	*damaged_r = rc != 0;
	return rc != 0 ? -1 : 0;
}

static int each_db(
	struct map *m, int (*fn)(void *arg, const char *key, const char *value), void *arg)
{
	struct table *t = m->state;
	struct buf key = BUF_INIT, value = BUF_INIT;
	bool damaged = false;
	struct db_stmt *s;
	int rc, result = 0;

	if (refresh(m, t) != 0) {
		return -1;
	}
	s = db_start(t->db, Q_ALL, "");
	while (result == 0 && (rc = db_step(s)) != 0) {
		size_t len;
		const void *data;

		if (rc < 0) {
			result = map_fail(m, "%s", db_error(t->db));
			break;
		}
		data = db_blob(s, 0, &len);
		result = each_row(data, len, &key, &value, fn, arg, &damaged);
	}
	db_reset(s);
	if (is_written_over(t)) {
		result = map_fail(m, "%s is being written", t->path);
	} else if (damaged) {
		map_fail(m, "%s is damaged: run \"%s %s\"", t->path, tool(m), m->spec);
	}
	buf_free(&key);
	buf_free(&value);
	return result;
}

#define TYPE(type_name)                                                             \
	{                                                                           \
		.name = type_name, .indexed = true, .open = open_db, .get = get_db, \
		.each = each_db, .close = close_db                                  \
	}
/* The order is that of types[] in map.c. */
const struct map_type map_type_db[] = {
	TYPE("btree"),
	TYPE("cdb"),
	TYPE("dbm"),
	TYPE("hash"),
	TYPE("lmdb"),
	TYPE("sdbm"),
};
