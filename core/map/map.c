/*
 * map - lookup tables: "type:name", and lists of them
 *
 * One row of types[] for each kind; what a kind does is in its own map_*.c, what they share in
 * map_table.c. Kinds made of tables open these by the function that opened them (struct map), so
 * that no file needs both the row and the table of rows.
 *
 * Kinds that need a service of their own in Postfix do without: proxy: is the
 * table it names. What is not built in (ldap, mysql, pgsql, nis) is an error that
 * says so.
 */
#include <string.h>

#include "config/features.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "map/map_impl.h"

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
	m->open_part = map_open;
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

struct maps *maps_open(const char *list, unsigned flags)
{
	return maps_open_by(map_open, list, flags);
}
