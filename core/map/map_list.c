/*
 * map_list - lists of tables: the first one that has the key
 */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "map/map_impl.h"

enum { MAX_TABLES = 100 };

struct maps {
	struct map *list[MAX_TABLES];
	size_t count;
	bool broken; /* a table of no known type, or a list that cannot be read */
};

struct maps *maps_open_by(map_open_fn *open, const char *list, unsigned flags)
{
	struct maps *ms = mem_alloc(sizeof(*ms));
	struct slice rest = slice_of(list), item;
	char *spec, *error = NULL;
	int rc;

	while ((rc = map_next_item(&rest, &item)) > 0 && ms->count < MAX_TABLES) {
		spec = mem_strndup(item.ptr, item.len);
		ms->list[ms->count] = open(spec, flags, &error);
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
