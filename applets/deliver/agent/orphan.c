/*
 * orphan - final answers that wait for a queue manager
 */
#include "applets/deliver/agent/orphan.h"

#include "base/mem.h"

enum { ORPHANS_MAX = 500 };

struct orphan {
	struct orphan *next;
	uint64_t id, n;
	struct agent_result res;
	struct arena arena;
};

void orphan_keep(struct agent_host *h, uint64_t id, uint64_t n, const struct agent_result *res)
{
	struct orphan *o, **end = &h->orphans;
	size_t count = 0;

	while (*end != NULL) {
		end = &(*end)->next;
		count++;
	}
	o = mem_alloc(sizeof(*o));
	o->id = id;
	o->n = n;
	o->res = (struct agent_result){ .status = res->status,
		.dsn = arena_strdup(&o->arena, res->dsn),
		.text = arena_strdup(&o->arena, res->text),
		.mta = arena_strdup(&o->arena, res->mta),
		.diagnostic_type = arena_strdup(&o->arena, res->diagnostic_type),
		.diagnostic = arena_strdup(&o->arena, res->diagnostic),
		.reach = res->reach };
	*end = o;
	if (count >= ORPHANS_MAX) {
		o = h->orphans;
		h->orphans = o->next;
		orphan_free(o);
	}
}

struct orphan *orphan_take(struct agent_host *h, uint64_t id, uint64_t n)
{
	for (struct orphan **p = &h->orphans; *p != NULL; p = &(*p)->next) {
		struct orphan *o = *p;

		if (o->id == id && o->n == n) {
			*p = o->next;
			return o;
		}
	}
	return NULL;
}

const struct agent_result *orphan_result(const struct orphan *o)
{
	return &o->res;
}

void orphan_free(struct orphan *o)
{
	arena_free(&o->arena);
	mem_free(o);
}

void orphans_free(struct agent_host *h)
{
	while (h->orphans != NULL) {
		struct orphan *o = h->orphans;

		h->orphans = o->next;
		orphan_free(o);
	}
}
