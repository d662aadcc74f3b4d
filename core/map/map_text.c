/*
 * map_text - tables that are text, or that the system holds
 *
 *	texthash:/file			the source itself, held in memory
 *	inline:{ k=v, { k = v, w } }	rows in the name
 *	static:text, static:{ text }	every key has this value
 *	environ:			environment variables
 *	unix:passwd.byname, unix:group.byname
 *	internal:			memory of a process: empty
 *	fail:				every look-up is a temporary error
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/passwd.h"
#include "map/map_impl.h"
#include "map/map_source.h"

/* ---- texthash ---- */

struct text_table {
	struct hash rows; /* char * */
	struct map_file file;
	const char *path;
	bool loaded;
};

static int open_texthash(struct map *m)
{
	struct text_table *t = mem_alloc(sizeof(*t));

	t->path = m->name;
	m->state = t;
	return 0;
}

static void close_texthash(struct map *m)
{
	struct text_table *t = m->state;

	if (t == NULL) {
		return;
	}
	hash_free(&t->rows, mem_free);
	mem_free(t);
}

struct loading {
	struct text_table *table;
	struct hash rows;
};

static int add_row(void *arg, const char *key, const char *value, int line)
{
	struct loading *l = arg;

	if (hash_get(&l->rows, key) != NULL) {
		log_warn("%s, line %d: duplicate entry: \"%s\"", l->table->path, line, key);
		return 0;
	}
	hash_set(&l->rows, key, mem_strdup(value));
	return 0;
}

/* load_text - the file into memory; what was there stays when it cannot be read */
static int load_text(struct map *m, struct text_table *t)
{
	unsigned flags = (m->flags & MAP_SOURCE_ALIAS ? SOURCE_ALIAS : 0) |
		(m->flags & MAP_EXACT ? SOURCE_EXACT : 0);
	struct loading l = { .table = t };
	struct lines lines;
	char *error = NULL;
	int rc;

	if (lines_open(&lines, t->path) != 0) {
		return map_fail(m, "open %s: %s", t->path, strerror(errno));
	}
	rc = map_source_read(&lines, t->path, flags, add_row, &l, &error);
	lines_close(&lines);
	if (rc != 0) {
		map_fail(m, "%s", error);
		mem_free(error);
		hash_free(&l.rows, mem_free);
		return -1;
	}
	hash_free(&t->rows, mem_free);
	t->rows = l.rows;
	t->loaded = true;
	return 0;
}

static int refresh_text(struct map *m, struct text_table *t)
{
	struct stat st;

	if (t->loaded && !map_file_due(&t->file)) {
		return 0;
	}
	if (stat(t->path, &st) != 0) {
		return map_fail(m, "open %s: %s", t->path, strerror(errno));
	}
	if (map_file_note(&t->file, &st) || !t->loaded) {
		t->loaded = false;
		return load_text(m, t);
	}
	return 0;
}

static int get_texthash(struct map *m, const char *key, struct buf *value)
{
	struct text_table *t = m->state;
	const char *found;

	if (refresh_text(m, t) != 0) {
		return -1;
	}
	found = hash_get(&t->rows, key);
	if (found == NULL && map_file_missed(&t->file)) {
		if (refresh_text(m, t) != 0) {
			return -1;
		}
		found = hash_get(&t->rows, key);
	}
	if (found == NULL) {
		return 0;
	}
	buf_adds(value, found);
	return 1;
}

static int each_texthash(
	struct map *m, int (*fn)(void *arg, const char *key, const char *value), void *arg)
{
	struct text_table *t = m->state;
	int rc = 0;

	if (refresh_text(m, t) != 0) {
		return -1;
	}
	for (struct hash_entry *e = NULL; rc == 0 && (e = hash_next(&t->rows, e)) != NULL;) {
		rc = fn(arg, e->key, e->value);
	}
	return rc;
}

const struct map_type map_type_texthash = {
	.name = "texthash",
	.open = open_texthash,
	.get = get_texthash,
	.each = each_texthash,
	.close = close_texthash,
};

/* ---- inline ---- */

static int add_inline(struct map *m, struct text_table *t, struct slice item)
{
	struct slice text = map_item_text(item), key, value;
	const char *equals = memchr(text.ptr, '=', text.len);
	char *name;

	if (equals == NULL) {
		return map_fail(m, "missing '=' in \"%.*s\"", (int)text.len, text.ptr);
	}
	key = slice_trim((struct slice){ text.ptr, (size_t)(equals - text.ptr) });
	value = slice_trim(
		(struct slice){ equals + 1, text.len - (size_t)(equals - text.ptr) - 1 });
	if (key.len == 0) {
		return map_fail(m, "missing key in \"%.*s\"", (int)text.len, text.ptr);
	}
	name = mem_strndup(key.ptr, key.len);
	if (!(m->flags & MAP_EXACT)) {
		str_lower(name);
	}
	mem_free(hash_set(&t->rows, name, mem_strndup(value.ptr, value.len)));
	mem_free(name);
	return 0;
}

static int open_inline(struct map *m)
{
	struct text_table *t = mem_alloc(sizeof(*t));
	struct slice rest, item;
	int rc;

	m->state = t;
	/* Nothing to look at: it never changes. */
	t->loaded = true;
	if (!map_braced(m->name, &rest)) {
		return map_fail(m, "expected: inline:{name=value, {name = value}, ...}");
	}
	while ((rc = map_next_item(&rest, &item)) > 0) {
		if (add_inline(m, t, item) != 0) {
			return -1;
		}
	}
	if (rc < 0) {
		return map_fail(m, "braces do not match");
	}
	return t->rows.count > 0 ? 0 : map_fail(m, "empty table");
}

static int get_inline(struct map *m, const char *key, struct buf *value)
{
	const struct text_table *t = m->state;
	const char *found = hash_get(&t->rows, key);

	if (found == NULL) {
		return 0;
	}
	buf_adds(value, found);
	return 1;
}

static int each_inline(
	struct map *m, int (*fn)(void *arg, const char *key, const char *value), void *arg)
{
	const struct text_table *t = m->state;
	int rc = 0;

	for (struct hash_entry *e = NULL; rc == 0 && (e = hash_next(&t->rows, e)) != NULL;) {
		rc = fn(arg, e->key, e->value);
	}
	return rc;
}

const struct map_type map_type_inline = {
	.name = "inline",
	.open = open_inline,
	.get = get_inline,
	.each = each_inline,
	.close = close_texthash,
};

/* ---- static, environ, internal, fail ---- */

static int get_static(struct map *m, const char *key, struct buf *value)
{
	struct slice text;

	(void)key;
	if (map_braced(m->name, &text)) {
		buf_add(value, text.ptr, text.len);
	} else {
		buf_adds(value, m->name);
	}
	return 1;
}

const struct map_type map_type_static = { .name = "static", .exact = true, .get = get_static };

static int get_environ(struct map *m, const char *key, struct buf *value)
{
	const char *found = getenv(key);

	(void)m;
	if (found == NULL) {
		return 0;
	}
	buf_adds(value, found);
	return 1;
}

const struct map_type map_type_environ = { .name = "environ", .exact = true, .get = get_environ };

static int get_nothing(struct map *m, const char *key, struct buf *value)
{
	(void)m;
	(void)key;
	(void)value;
	return 0;
}

const struct map_type map_type_internal = { .name = "internal", .get = get_nothing };

static int get_failure(struct map *m, const char *key, struct buf *value)
{
	(void)value;
	return map_fail(m, "look-up of \"%.100s\" fails, as the table's type says", key);
}

const struct map_type map_type_fail = { .name = "fail", .exact = true, .get = get_failure };

/* ---- unix ---- */

static int get_passwd(struct map *m, const char *key, struct buf *value)
{
	static struct passwd_table compiled; /* compiled configuration, like any other table */
	const struct passwd *pw;
	const char *line;

	if (passwd_table_find(&compiled, "/etc/passwd", key, &line) > 0) {
		buf_addf(value, "%s:%s", key, line);
		return 1;
	}
	errno = 0;
	pw = getpwnam(key);
	if (pw == NULL && errno != 0 && errno != ENOENT) {
		return map_fail(m, "look-up of user %.100s: %s", key, strerror(errno));
	}
	if (pw == NULL) {
		return 0;
	}
	buf_addf(value, "%s:%s:%lu:%lu:%s:%s:%s", pw->pw_name, pw->pw_passwd,
		(unsigned long)pw->pw_uid, (unsigned long)pw->pw_gid, pw->pw_gecos, pw->pw_dir,
		pw->pw_shell);
	return 1;
}

static int get_group(struct map *m, const char *key, struct buf *value)
{
	const struct group *gr;

	errno = 0;
	gr = getgrnam(key);
	if (gr == NULL && errno != 0 && errno != ENOENT) {
		return map_fail(m, "look-up of group %.100s: %s", key, strerror(errno));
	}
	if (gr == NULL) {
		return 0;
	}
	buf_addf(value, "%s:%s:%lu:", gr->gr_name, gr->gr_passwd, (unsigned long)gr->gr_gid);
	for (char **who = gr->gr_mem; *who != NULL; who++) {
		buf_addf(value, "%s%s", who > gr->gr_mem ? "," : "", *who);
	}
	return 1;
}

static int open_unix(struct map *m)
{
	if (strcmp(m->name, "passwd.byname") != 0 && strcmp(m->name, "group.byname") != 0) {
		return map_fail(m, "unknown table: passwd.byname or group.byname expected");
	}
	return 0;
}

static int get_unix(struct map *m, const char *key, struct buf *value)
{
	return m->name[0] == 'p' ? get_passwd(m, key, value) : get_group(m, key, value);
}

const struct map_type map_type_unix = { .name = "unix", .open = open_unix, .get = get_unix };
