/*
 * param_table - the rows of config/params.def, as read-only data
 *
 * Names and defaults are members of one constant struct, and rows hold their
 * offsets: no pointers, so nothing of it is relocated when the program is
 * loaded and all processes share its pages.
 */
#include "conf/param_table.h"

#include <stddef.h>
#include <string.h>

#include "base/str.h"
#include "conf/params.h"

struct texts {
#define TEXT(name, def)               \
	char n_##name[sizeof(#name)]; \
	char d_##name[sizeof(def)];
#define PARAM_STR(name, def, doc) TEXT(name, def)
#define PARAM_RAW(name, def, doc) TEXT(name, def)
#define PARAM_INT(name, def, min, max, doc) TEXT(name, def)
#define PARAM_TIME(name, def, unit, min, max, doc) TEXT(name, def)
#define PARAM_BOOL(name, def, doc) TEXT(name, def)
#define PARAM_GUARD(name, def, harmless, doc) TEXT(name, def "\0" harmless)
#define PARAM_OTHER(name, def, doc) TEXT(name, def)
#include "../config/params.def"
#undef TEXT
};

static const struct texts texts = {
#define TEXT(name, def) .n_##name = #name, .d_##name = def,
#include "../config/params.def"
#undef TEXT
#undef PARAM_STR
#undef PARAM_RAW
#undef PARAM_INT
#undef PARAM_TIME
#undef PARAM_BOOL
#undef PARAM_GUARD
#undef PARAM_OTHER
};

_Static_assert(sizeof(struct texts) < UINT16_MAX, "offsets of 16 bits reach all texts");

static const struct param_row rows[] = {
#define ROW(kind, id, field_, unit_, min_, max_)        \
	{ .type = PARAM_TYPE_##kind,                    \
		.name = offsetof(struct texts, n_##id), \
		.def = offsetof(struct texts, d_##id),  \
		.field = field_,                        \
		.unit = unit_,                          \
		.min = min_,                            \
		.max = (max_) == INT64_MAX ? INT32_MAX : (max_) },
#define FIELD(name) offsetof(struct params, name)
#define PARAM_STR(name, def, doc) ROW(STR, name, FIELD(name), 0, 0, 0)
#define PARAM_RAW(name, def, doc) ROW(RAW, name, FIELD(name), 0, 0, 0)
#define PARAM_INT(name, def, min, max, doc) ROW(INT, name, FIELD(name), 0, min, max)
#define PARAM_TIME(name, def, unit, min, max, doc) ROW(TIME, name, FIELD(name), unit[0], min, max)
#define PARAM_BOOL(name, def, doc) ROW(BOOL, name, FIELD(name), 0, 0, 0)
#define PARAM_GUARD(name, def, harmless, doc) ROW(GUARD, name, 0, 0, 0, 0)
#define PARAM_OTHER(name, def, doc)
#include "../config/params.def"
#undef PARAM_STR
#undef PARAM_RAW
#undef PARAM_INT
#undef PARAM_TIME
#undef PARAM_BOOL
#undef PARAM_GUARD
#undef PARAM_OTHER
#define PARAM_STR(name, def, doc)
#define PARAM_RAW(name, def, doc)
#define PARAM_INT(name, def, min, max, doc)
#define PARAM_TIME(name, def, unit, min, max, doc)
#define PARAM_BOOL(name, def, doc)
#define PARAM_GUARD(name, def, harmless, doc)
#define PARAM_OTHER(name, def, doc) ROW(OTHER, name, 0, 0, 0, 0)
#include "../config/params.def"
#undef PARAM_STR
#undef PARAM_RAW
#undef PARAM_INT
#undef PARAM_TIME
#undef PARAM_BOOL
#undef PARAM_GUARD
#undef PARAM_OTHER
};

enum {
	SORTED_FIRST = 0
#define PARAM_STR(name, def, doc) +1
#define PARAM_RAW(name, def, doc) +1
#define PARAM_INT(name, def, min, max, doc) +1
#define PARAM_TIME(name, def, unit, min, max, doc) +1
#define PARAM_BOOL(name, def, doc) +1
#define PARAM_GUARD(name, def, harmless, doc) +1
#define PARAM_OTHER(name, def, doc)
#include "../config/params.def"
};

size_t param_count(void)
{
	return ARRAY_LEN(rows);
}

const struct param_row *param_row(size_t n)
{
	return &rows[n];
}

const char *param_name(size_t n)
{
	return (const char *)&texts + rows[n].name;
}

const char *param_default(size_t n)
{
	return (const char *)&texts + rows[n].def;
}

const char *param_harmless(size_t n)
{
	/* Behind the default's NUL. */
	return rows[n].type == PARAM_TYPE_GUARD ? strchr(param_default(n), '\0') + 1 : "";
}

/* search - binary, in rows low to high - 1 */
static int search(const char *name, size_t low, size_t high)
{
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = strcmp(name, param_name(mid));

		if (order == 0) {
			return (int)mid;
		}
		if (order < 0) {
			high = mid;
		} else {
			low = mid + 1;
		}
	}
	return -1;
}

int param_find(const char *name)
{
	int n = search(name, 0, SORTED_FIRST);

	return n >= 0 ? n : search(name, SORTED_FIRST, ARRAY_LEN(rows));
}
