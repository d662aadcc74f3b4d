/*
 * dovecot_settings - rows of config/settings.def: defaults, conversion, warnings
 *
 * As in conf/param_table.c the texts are members of one constant struct and rows
 * hold offsets. A value that cannot be converted, and a name that nobody
 * knows, are warned of with file and line.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/conf_info.h"
#include "conf/dovecot/dovecot_tree.h"

enum setting_type { TYPE_STR, TYPE_INT, TYPE_TIME, TYPE_SIZE, TYPE_BOOL, TYPE_GUARD, TYPE_OTHER };

struct setting_row {
	uint32_t max; /* bounds of TYPE_INT */
	uint16_t name, def, field;
	uint8_t type, min;
};

struct texts {
#define TEXT(id, def)             \
	char n_##id[sizeof(#id)]; \
	char d_##id[sizeof(def)];
#define SETTING_STR(id, def, doc) TEXT(id, def)
#define SETTING_INT(id, def, min, max, doc) TEXT(id, def)
#define SETTING_TIME(id, def, doc) TEXT(id, def)
#define SETTING_SIZE(id, def, doc) TEXT(id, def)
#define SETTING_BOOL(id, def, doc) TEXT(id, def)
#define SETTING_GUARD(id, def, harmless, doc) TEXT(id, def "\0" harmless)
#define SETTING_OTHER(id, def, doc) TEXT(id, def)
#include "../config/settings.def"
#undef TEXT
};

static const struct texts texts = {
#define TEXT(id, def) .n_##id = #id, .d_##id = def,
#include "../config/settings.def"
#undef TEXT
#undef SETTING_STR
#undef SETTING_INT
#undef SETTING_TIME
#undef SETTING_SIZE
#undef SETTING_BOOL
#undef SETTING_GUARD
#undef SETTING_OTHER
};

static const struct setting_row rows[] = {
#define ROW(kind, id, offset, low, high)                \
	{ .type = TYPE_##kind,                          \
		.name = offsetof(struct texts, n_##id), \
		.def = offsetof(struct texts, d_##id),  \
		.field = offset,                        \
		.min = low,                             \
		.max = high },
#define FIELD(id) offsetof(struct settings, id)
#define SETTING_STR(id, def, doc) ROW(STR, id, FIELD(id), 0, 0)
#define SETTING_INT(id, def, low, high, doc) ROW(INT, id, FIELD(id), low, high)
#define SETTING_TIME(id, def, doc) ROW(TIME, id, FIELD(id), 0, 0)
#define SETTING_SIZE(id, def, doc) ROW(SIZE, id, FIELD(id), 0, 0)
#define SETTING_BOOL(id, def, doc) ROW(BOOL, id, FIELD(id), 0, 1)
#define SETTING_GUARD(id, def, harmless, doc) ROW(GUARD, id, 0, 0, 0)
#define SETTING_OTHER(id, def, doc) ROW(OTHER, id, 0, 0, 0)
#include "../config/settings.def"
};

struct settings setting;

static const char *row_name(size_t n)
{
	return (const char *)&texts + rows[n].name;
}

static const char *row_default(size_t n)
{
	return (const char *)&texts + rows[n].def;
}

static int find_row(const char *name)
{
	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		if (strcmp(row_name(n), name) == 0) {
			return (int)n;
		}
	}
	return -1;
}

const char *dovecot_setting_name(size_t n)
{
	return n < ARRAY_LEN(rows) ? row_name(n) : NULL;
}

const char *dovecot_setting_default(const char *name)
{
	int n = find_row(name);

	return n >= 0 ? row_default((size_t)n) : NULL;
}

/* units of sizes and times; the first whose begin the text's unit is */
static const struct {
	char name[8];
	enum setting_type type;
	int64_t factor;
} units[] = {
	{ "b", TYPE_SIZE, 1 },
	{ "k", TYPE_SIZE, 1024 },
	{ "kb", TYPE_SIZE, 1024 },
	{ "kib", TYPE_SIZE, 1024 },
	{ "m", TYPE_SIZE, 1024 * 1024 },
	{ "mb", TYPE_SIZE, 1024 * 1024 },
	{ "mib", TYPE_SIZE, 1024 * 1024 },
	{ "g", TYPE_SIZE, 1LL << 30 },
	{ "gb", TYPE_SIZE, 1LL << 30 },
	{ "gib", TYPE_SIZE, 1LL << 30 },
	{ "t", TYPE_SIZE, 1LL << 40 },
	{ "tb", TYPE_SIZE, 1LL << 40 },
	{ "tib", TYPE_SIZE, 1LL << 40 },
	{ "s", TYPE_TIME, 1 },
	{ "sec", TYPE_TIME, 1 },
	{ "secs", TYPE_TIME, 1 },
	{ "second", TYPE_TIME, 1 },
	{ "seconds", TYPE_TIME, 1 },
	{ "m", TYPE_TIME, 60 },
	{ "min", TYPE_TIME, 60 },
	{ "mins", TYPE_TIME, 60 },
	{ "minute", TYPE_TIME, 60 },
	{ "minutes", TYPE_TIME, 60 },
	{ "h", TYPE_TIME, 3600 },
	{ "hour", TYPE_TIME, 3600 },
	{ "hours", TYPE_TIME, 3600 },
	{ "d", TYPE_TIME, 86400 },
	{ "day", TYPE_TIME, 86400 },
	{ "days", TYPE_TIME, 86400 },
	{ "w", TYPE_TIME, 7 * 86400 },
	{ "week", TYPE_TIME, 7 * 86400 },
	{ "weeks", TYPE_TIME, 7 * 86400 },
};

/* convert_quantity - "30 secs", "64k", "10" */
static bool convert_quantity(enum setting_type type, const char *text, int64_t *out)
{
	size_t digits = strspn(text, "0123456789");
	char number[24];
	const char *unit = text + digits;
	int64_t factor = 1;

	if (digits == 0 || digits >= sizeof(number)) {
		return false;
	}
	memcpy(number, text, digits);
	number[digits] = '\0';
	while (isspace((unsigned char)*unit)) {
		unit++;
	}
	if (type == TYPE_TIME &&
		(str_ieq(unit, "ms") || str_istarts(unit, "msec") ||
			str_istarts(unit, "millisec"))) {
		/* Whole seconds are kept; a fraction is not nothing. */
		if (!str_to_int(number, 0, INT64_MAX - 999, out)) {
			return false;
		}
		*out = (*out + 999) / 1000;
		return true;
	}
	if (*unit != '\0') {
		factor = 0;
		for (size_t i = 0; i < ARRAY_LEN(units); i++) {
			if (units[i].type == type && str_ieq(units[i].name, unit)) {
				factor = units[i].factor;
			}
		}
	}
	if (factor == 0 || !str_to_int(number, 0, INT64_MAX / factor, out)) {
		return false;
	}
	*out *= factor;
	return true;
}

/* convert - text of a row that is no string */
static bool convert(const struct setting_row *row, const char *text, int64_t *out)
{
	if (row->type == TYPE_BOOL) {
		*out = str_ieq(text, "yes") || str_ieq(text, "y") || strcmp(text, "1") == 0;
		return *out != 0 || str_ieq(text, "no") || str_ieq(text, "n") ||
			strcmp(text, "0") == 0;
	}
	if (str_ieq(text, "unlimited") || str_ieq(text, "infinite")) {
		*out = row->type == TYPE_INT ? (int64_t)row->max : INT64_MAX;
		return true;
	}
	if (row->type == TYPE_INT) {
		return str_to_int(text, row->min, row->max, out);
	}
	return convert_quantity((enum setting_type)row->type, text, out);
}

/* set_row - row n into its field */
static void set_row(struct dovecot_tree *t, struct settings *out, size_t n)
{
	const struct conf_node *node = tree_find(&t->root, row_name(n));
	void *field = (char *)out + rows[n].field;
	int64_t v = 0;

	if (rows[n].type == TYPE_STR) {
		*(const char **)field = node != NULL ? node->value : row_default(n);
		return;
	}
	if (node == NULL || !convert(&rows[n], node->value, &v)) {
		if (node != NULL) {
			log_warn("%s:%d: bad value: %s = %s: using the default %s", node->file,
				node->line, node->key, node->value, row_default(n));
		}
		convert(&rows[n], row_default(n), &v);
	}
	if (rows[n].type == TYPE_BOOL) {
		*(bool *)field = v != 0;
	} else {
		*(int64_t *)field = v;
	}
}

/*
 * known_elsewhere - names of 2.4 that dovecot_translate() has dealt with, or that change nothing
 * here
 */
static bool known_elsewhere(const char *name)
{
	static const char known[][31] = {
		"mail_driver",
		"mail_path",
		"mail_inbox_path",
		"mail_index_path",
		"mail_control_path",
		"mail_volatile_path",
		"mailbox_list_layout",
		"mailbox_subscriptions_filename",
		"passwd_file_path",
		"sql_driver",
		"mail_cache_path",
		"mail_alt_path",
		"imap_zlib",
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (strcmp(known[i], name) == 0) {
			return true;
		}
	}
	return false;
}

/* is_unused - one setting: does nothing act on it? refused_r: it protects */
static bool is_unused(const struct conf_node *n, bool *refused_r)
{
	int row = find_row(n->key);

	*refused_r = false;
	if (strcmp(n->key, "haproxy") == 0) {
		*refused_r = str_istarts(n->value, "y");
		return true;
	}
	if (row < 0 || rows[row].type < TYPE_GUARD) {
		return false;
	}
	if (rows[row].type == TYPE_GUARD) {
		const char *def = row_default((size_t)row);

		*refused_r = !conf_guard_harmless(def, strchr(def, '\0') + 1, n->value);
	}
	return true;
}

/* walk_unused - a section and those in it */
static void walk_unused(const struct conf_node *section,
	void (*fn)(void *arg, const struct conf_node *node, bool refused), void *arg, int depth)
{
	bool refused;

	for (const struct conf_node *n = section->first; n != NULL; n = n->next) {
		if (n->value != NULL && is_unused(n, &refused)) {
			fn(arg, n, refused);
		} else if (n->value == NULL && depth < 6 && strcmp(n->key, "plugin") != 0 &&
			strcmp(n->key, "passdb") != 0 && strcmp(n->key, "userdb") != 0) {
			walk_unused(n, fn, arg, depth + 1);
		}
	}
}

void dovecot_unused_below(const struct conf_node *section,
	void (*fn)(void *arg, const struct conf_node *node, bool refused), void *arg)
{
	walk_unused(section, fn, arg, 0);
}

static bool known_section(const char *name)
{
	static const char known[][16] = {
		"acl",
		"auth_mechanisms",
		"auth_policy",
		"dict",
		"dict_server",
		"event_exporter",
		"fts",
		"local",
		"local_name",
		"mail_plugins",
		"mailbox",
		"metric",
		"namespace",
		"passdb",
		"plugin",
		"protocol",
		"protocols",
		"quota",
		"remote",
		"service",
		"sieve_script",
		"userdb",
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (strcmp(known[i], name) == 0) {
			return true;
		}
	}
	return false;
}

/* warn_unknown - of names in the top and in protocol, local and remote sections */
static void warn_unknown(const struct conf_node *section, int depth)
{
	for (const struct conf_node *n = section->first; n != NULL; n = n->next) {
		if (n->value != NULL && find_row(n->key) < 0 && !known_elsewhere(n->key)) {
			log_warn("%s:%d: unknown setting: %s", n->file, n->line, n->key);
		}
		if (n->value == NULL && !known_section(n->key)) {
			log_warn("%s:%d: unknown section: %s", n->file, n->line, n->key);
		}
		if (n->value == NULL && depth < 4 &&
			(strcmp(n->key, "protocol") == 0 || strcmp(n->key, "remote") == 0 ||
				str_starts(n->key, "local"))) {
			warn_unknown(n, depth + 1);
		}
	}
}

void dovecot_convert(struct dovecot_tree *t, struct settings *out)
{
	warn_unknown(&t->root, 0);
	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		if (rows[n].type < TYPE_GUARD) {
			set_row(t, out, n);
		}
	}
}
