/*
 * map - lookup tables: "type:name", and lists of them
 *
 * One row of types[] for each kind; what a kind does is in its own map_*.c. This file takes
 * specifications and lists apart, folds keys, and sees to it that an error is
 * logged when it appears, not at each lookup.
 *
 * Kinds that need a service of their own in Postfix do without: proxy: is the
 * table it names. What is not built in (ldap, mysql, pgsql, nis) is an error that
 * says so.
 */
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "config/features.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "map/map_impl.h"

enum { MAX_TABLES = 100, MISS_MS = 5 };

/* Sorted by name. */
static const struct map_type *const types[] = {
	&map_type_db[0],
	&map_type_db[1],
	&map_type_cidr,
	&map_type_db[2],
	&map_type_environ,
	&map_type_fail,
	&map_type_db[3],
	&map_type_inline,
	&map_type_internal,
	&map_type_db[4],
#if FEATURE_PCRE
	&map_type_pcre,
#endif
	&map_type_pipe,
	&map_type_proxy,
	&map_type_rand,
	&map_type_regexp,
	&map_type_db[5],
	&map_type_socketmap,
	&map_type_sqlite,
	&map_type_static,
	&map_type_tcp,
	&map_type_texthash,
	&map_type_union,
	&map_type_unix,
};

const char *map_type_name(size_t n)
{
	return n < ARRAY_LEN(types) ? types[n]->name : NULL;
}

static const struct map_type *find_type(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (slice_eq(name, types[i]->name)) {
			return types[i];
		}
	}
	return NULL;
}

bool map_type_is_indexed(const char *type)
{
	const struct map_type *t = find_type(slice_of(type));

	return t != NULL && t->indexed;
}

int map_fail(struct map *m, const char *fmt, ...)
{
	va_list ap;

	buf_reset(&m->error);
	va_start(ap, fmt);
	buf_addvf(&m->error, fmt, ap);
	va_end(ap);
	if (m->opened && strcmp(buf_str(&m->error), buf_str(&m->logged)) != 0) {
		log_warn("%s: %s", m->spec, buf_str(&m->error));
		buf_reset(&m->logged);
		buf_adds(&m->logged, buf_str(&m->error));
	}
	return -1;
}

int map_pass(struct map *m, const struct map *from)
{
	buf_reset(&m->error);
	buf_adds(&m->error, buf_str(&from->error));
	return -1;
}

struct map *map_open(const char *spec, unsigned flags, char **error_r)
{
	struct slice text = slice_trim(slice_of(spec)), name;
	const char *colon = memchr(text.ptr, ':', text.len);
	const char *type_name = colon != NULL ? NULL : param.default_database_type;
	struct buf b = BUF_INIT;
	struct map *m;

	if (type_name == NULL || *type_name == '\0') {
		type_name = "hash";
	}
	name = colon != NULL ? (struct slice){ text.ptr, (size_t)(colon - text.ptr) }
			     : slice_of(type_name);
	if (find_type(name) == NULL) {
		buf_addf(&b, "unsupported table type: %.*s%s", (int)name.len, name.ptr,
			!FEATURE_PCRE && slice_eq(name, "pcre")
				? " (this build has no FEATURE_PCRE; regexp: is there)"
				: "");
		*error_r = buf_steal(&b);
		return NULL;
	}
	m = mem_alloc(sizeof(*m));
	m->type = find_type(name);
	m->flags = flags;
	if (colon == NULL) {
		buf_addf(&b, "%.*s:", (int)name.len, name.ptr);
	}
	buf_add(&b, text.ptr, text.len);
	m->spec = buf_steal(&b);
	m->name = strchr(m->spec, ':') + 1;
	if (m->type->open != NULL && m->type->open(m) != 0) {
		*error_r = mem_strdup(buf_str(&m->error));
		map_close(m);
		return NULL;
	}
	m->opened = true;
	return m;
}

void map_close(struct map *m)
{
	if (m == NULL) {
		return;
	}
	if (m->type->close != NULL) {
		m->type->close(m);
	}
	mem_free(m->spec);
	buf_free(&m->error);
	buf_free(&m->logged);
	buf_free(&m->key);
	mem_free(m);
}

const char *map_spec(const struct map *m)
{
	return m->spec;
}

const char *map_error(const struct map *m)
{
	return buf_str(&m->error);
}

/* ask - one look-up by the kind's function, the key folded where it has to be */
static int ask(struct map *m, int (*get)(struct map *m, const char *key, struct buf *value),
	const char *key, struct buf *value)
{
	int rc;

	if (!m->type->exact && !(m->flags & MAP_EXACT)) {
		buf_reset(&m->key);
		buf_adds(&m->key, key);
		if (m->key.len > 0) {
			str_lower(m->key.data);
		}
		key = buf_str(&m->key);
	}
	rc = get(m, key, value);
	if (rc >= 0 && m->logged.len > 0) {
		buf_reset(&m->logged);
	}
	return rc;
}

int map_get(struct map *m, const char *key, struct buf *value)
{
	return ask(m, m->type->get, key, value);
}

int map_get_part(struct map *m, const char *key, struct buf *value)
{
	if (m->type->whole) {
		return 0;
	}
	return ask(m, m->type->get_part != NULL ? m->type->get_part : m->type->get, key, value);
}

int map_each(struct map *m, int (*fn)(void *arg, const char *key, const char *value), void *arg)
{
	if (m->type->each == NULL) {
		return map_fail(m, "tables of type %s cannot be listed", m->type->name);
	}
	return m->type->each(m, fn, arg);
}

/* ---- Files ---- */

bool map_file_due(struct map_file *f)
{
	int64_t now = clock_ms();

	if (f->looked != 0 && now - f->looked < param.map_check_interval * 1000) {
		return false;
	}
	f->looked = now;
	return true;
}

bool map_file_missed(struct map_file *f)
{
	if (f->looked == 0 || clock_ms() - f->looked < MISS_MS) {
		return false;
	}
	f->looked = 0;
	return true;
}

bool map_file_note(struct map_file *f, const struct stat *st)
{
	bool same = f->known && f->dev == st->st_dev && f->ino == st->st_ino &&
		f->size == st->st_size && f->mtime.tv_sec == st->st_mtim.tv_sec &&
		f->mtime.tv_nsec == st->st_mtim.tv_nsec;

	f->known = true;
	f->dev = st->st_dev;
	f->ino = st->st_ino;
	f->size = st->st_size;
	f->mtime = st->st_mtim;
	return !same;
}

/* ---- Lists ---- */

bool map_braced(const char *s, struct slice *inside_r)
{
	struct slice text = slice_trim(slice_of(s));

	if (text.len < 2 || text.ptr[0] != '{' || text.ptr[text.len - 1] != '}') {
		return false;
	}
	*inside_r = slice_trim((struct slice){ text.ptr + 1, text.len - 2 });
	return true;
}

int map_next_item(struct slice *rest, struct slice *item_r)
{
	int level = 0;
	size_t i = 0;

	while (i < rest->len && strchr(", \t\r\n", rest->ptr[i]) != NULL) {
		i++;
	}
	rest->ptr += i;
	rest->len -= i;
	for (i = 0; i < rest->len; i++) {
		char c = rest->ptr[i];

		if (c == '{') {
			level++;
		} else if (c == '}' && --level < 0) {
			return -1;
		} else if (level == 0 && strchr(", \t\r\n", c) != NULL) {
			break;
		}
	}
	*item_r = (struct slice){ rest->ptr, i };
	rest->ptr += i;
	rest->len -= i;
	return level > 0 ? -1 : i > 0;
}

struct slice map_item_text(struct slice item)
{
	if (item.len >= 2 && item.ptr[0] == '{' && item.ptr[item.len - 1] == '}') {
		return slice_trim((struct slice){ item.ptr + 1, item.len - 2 });
	}
	return item;
}

struct maps {
	struct map *list[MAX_TABLES];
	size_t count;
	bool broken; /* a table of no known type, or a list that cannot be read */
};

struct maps *maps_open(const char *list, unsigned flags)
{
	struct maps *ms = mem_alloc(sizeof(*ms));
	struct slice rest = slice_of(list), item;
	char *spec, *error = NULL;
	int rc;

	while ((rc = map_next_item(&rest, &item)) > 0 && ms->count < MAX_TABLES) {
		spec = mem_strndup(item.ptr, item.len);
		ms->list[ms->count] = map_open(spec, flags, &error);
		if (ms->list[ms->count] != NULL) {
			ms->count++;
		} else {
			log_warn("table %s: %s", spec, error);
			mem_free(error);
			ms->broken = true;
		}
		mem_free(spec);
	}
	if (rc != 0) {
		log_warn("list of tables cannot be read: \"%.100s\"", list);
		ms->broken = true;
	}
	return ms;
}

void maps_close(struct maps *ms)
{
	if (ms == NULL) {
		return;
	}
	for (size_t i = 0; i < ms->count; i++) {
		map_close(ms->list[i]);
	}
	mem_free(ms);
}

/* ask_list - the first table that does not say "not found" decides */
static int ask_list(struct maps *ms, int (*get)(struct map *m, const char *key, struct buf *value),
	const char *key, struct buf *value)
{
	int rc;

	buf_reset(value);
	for (size_t i = 0; i < ms->count; i++) {
		rc = get(ms->list[i], key, value);
		if (rc != 0) {
			return rc;
		}
	}
	/* What the broken table would have said is not known. */
	return ms->broken ? -1 : 0;
}

int maps_get(struct maps *ms, const char *key, struct buf *value)
{
	return ask_list(ms, map_get, key, value);
}

int maps_get_part(struct maps *ms, const char *key, struct buf *value)
{
	return ask_list(ms, map_get_part, key, value);
}

bool maps_empty(const struct maps *ms)
{
	return ms->count == 0 && !ms->broken;
}
