/*
 * virtual - virtual_alias_maps, until nothing changes any more
 */
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "map/map.h"
#include "map/map_wait.h"
#include "address/alias.h"
#include "address/lookup.h"
#include "address/rewrite.h"
#include "route/resolve.h"
#include "route/route_tables.h"

enum { LOOKUPS_PER_RESULT = 10 };

/* An expansion of virtual_alias_maps under way. */
struct virtual
{
	struct arena *a;
	const char **list;
	size_t count, room;
	size_t left; /* look-ups that may be done: aliases may meet again */
	bool failed;
};

static void virtual_walk(struct virtual *v, const char *address, int depth);

/* virtual_fail - no answer for the address that was asked about, and why; mail for it waits */
static void virtual_fail(struct virtual *v, const char *address, const char *why)
{
	if (!map_is_waiting()) {
		log_warn("virtual_alias_maps: %s: %s", address, why);
	}
	v->failed = true;
}

/* virtual_add - a final address, once */
static void virtual_add(struct virtual *v, const char *address)
{
	for (size_t i = 0; i < v->count; i++) {
		if (str_ieq(v->list[i], address)) {
			return;
		}
	}
	if (v->count >= v->room) {
		virtual_fail(v, address, "unreasonable expansion size");
		return;
	}
	v->list[v->count++] = address;
}

/* virtual_results - each address of a table's answer in turn */
static void virtual_results(
	struct virtual *v, const char *text, const char *address, const char *ext, int depth)
{
	struct alias_item *items;
	size_t n = alias_parse(v->a, text, strlen(text), &items);

	/* What waits is asked beside the others. */
	for (size_t i = 0; i < n && (!v->failed || map_is_waiting()); i++) {
		const char *to = rewrite_address(v->a,
			rewrite_result(v->a, items[i].text, address, ext, "virtual"),
			REWRITE_LOCAL);

		if (str_ieq(to, address)) {
			virtual_add(v, to);
		} else {
			virtual_walk(v, to, depth + 1);
		}
	}
}

static void virtual_walk(struct virtual *v, const char *address, int depth)
{
	struct buf value = BUF_INIT;
	const char *ext;
	int rc = lookup_address(
		v->a, route_table(TABLE_VIRTUAL_ALIAS), address, LOOKUP_ALL, &value, &ext, NULL);

	if (rc < 0) {
		virtual_fail(v, address, "look-up failed");
	} else if (depth > param.virtual_alias_recursion_limit || v->left-- == 0) {
		virtual_fail(v, address, "unreasonable nesting");
	} else if (rc == 0) {
		virtual_add(v, address);
	} else {
		virtual_results(v, arena_strdup(v->a, buf_str(&value)), address, ext, depth);
	}
	buf_free(&value);
}

int route_virtual_expand(
	struct arena *a, const char *address, const char ***list_r, size_t *count_r)
{
	struct virtual v = { .a = a, .room = (size_t)param.virtual_alias_expansion_limit };

	if (maps_empty(route_table(TABLE_VIRTUAL_ALIAS))) {
		return 0;
	}
	v.left = v.room * LOOKUPS_PER_RESULT;
	v.list = mem_calloc(v.room, sizeof(*v.list));
	virtual_walk(&v, address, 0);
	if (v.count == 0 && !v.failed) {
		virtual_fail(&v, address, "the table names no address");
	}
	*list_r = arena_alloc(a, (v.count + 1) * sizeof(*v.list));
	memcpy(*list_r, v.list, v.count * sizeof(*v.list));
	*count_r = v.count;
	mem_free(v.list);
	if (v.failed) {
		return -1;
	}
	return v.count != 1 || strcmp((*list_r)[0], address) != 0;
}
