/*
 * link_cache - connections at rest
 */
#include "applets/deliver/smtp/link_cache.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "applets/deliver/smtp/tls_policy.h"

enum { PLACES_MAX = 1000, SECOND = 1000 };

struct place {
	size_t mails; /* on their way */
	int64_t left; /* loop milliseconds, when one went last; 0: never */
	bool busy;    /* one came while another was on its way, or soon after it */
};

/* ---- Places ---- */

/* forget_old - places that nobody has asked for lately */
static void forget_old(struct link_cache *c)
{
	struct hash kept = { NULL, 0, 0 };
	int64_t since = loop_now(c->loop) - c->settings->connection_cache_time_limit * SECOND;

	for (struct hash_entry *e = hash_next(&c->places, NULL); e != NULL;
		e = hash_next(&c->places, e)) {
		struct place *p = e->value;

		if (p->mails > 0 || p->left > since) {
			(void)hash_set(&kept, e->key, p);
		} else {
			mem_free(p);
		}
	}
	hash_free(&c->places, NULL);
	c->places = kept;
}

void link_cache_enter(struct link_cache *c, const char *key)
{
	struct place *p = hash_get(&c->places, key);
	int64_t soon = c->settings->connection_cache_time_limit * SECOND;

	if (p == NULL) {
		if (c->places.count >= PLACES_MAX) {
			forget_old(c);
		}
		p = mem_alloc(sizeof(*p));
		(void)hash_set(&c->places, key, p);
	}
	p->busy = p->mails > 0 || (p->left > 0 && loop_now(c->loop) - p->left < soon);
	p->mails++;
}

void link_cache_leave(struct link_cache *c, const char *key)
{
	struct place *p = hash_get(&c->places, key);

	if (p != NULL) {
		p->mails--;
		p->left = loop_now(c->loop);
	}
}

/* is_listed - in connection_cache_destinations: by its bare name, or as it was written */
static bool is_listed(const char *list, const struct nexthop *hop)
{
	return list_has(list, hop->text) || (hop->host != NULL && list_has(list, hop->host));
}

bool link_cache_wants(const struct link_cache *c, const char *key, const struct nexthop *hop,
	const struct link *l)
{
	const struct smtp_settings *s = c->settings;
	const struct place *p = hash_get(&c->places, key);
	int64_t age = loop_now(c->loop) - l->born;

	if (!smtp_client_reusable(l->client) || age >= s->connection_reuse_time_limit * SECOND ||
		(s->connection_reuse_count_limit > 0 &&
			l->uses >= s->connection_reuse_count_limit)) {
		return false;
	}
	return is_listed(s->connection_cache_destinations, hop) ||
		(s->connection_cache_on_demand && p != NULL && (p->busy || p->mails > 1));
}

/* ---- At rest ---- */

/* take_out - of the list of its key */
static void take_out(struct link_cache *c, struct link *l)
{
	struct link *first = hash_get(&c->idle, l->key), **at = &first;

	while (*at != l) {
		at = &(*at)->idle_next;
	}
	*at = l->idle_next;
	if (first != NULL) {
		(void)hash_set(&c->idle, l->key, first);
	} else {
		(void)hash_del(&c->idle, l->key);
	}
	l->idle_next = NULL;
	c->count--;
	loop_untimer(c->loop, &l->idle);
}

/* on_closed - the server did not want to wait any longer */
static void on_closed(struct link *l)
{
	take_out(l->owner, l);
}

static const struct link_events idle_events = { .closed = on_closed };

static void on_idle(struct timer *t)
{
	struct link *l = t->owner;

	take_out(l->owner, l);
	link_quit(l);
}

void link_cache_put(struct link_cache *c, const char *key, struct link *l)
{
	link_use(l, &idle_events, c);
	stream_idle(&l->stream, 0);
	buf_free(&l->in);
	if (l->key == NULL || strcmp(l->key, key) != 0) {
		mem_free(l->key);
		l->key = mem_strdup(key);
	}
	l->idle_next = hash_set(&c->idle, key, l);
	c->count++;
	loop_timer(
		c->loop, &l->idle, c->settings->connection_cache_time_limit * SECOND, on_idle, l);
}

struct link *link_cache_take(struct link_cache *c, const char *key)
{
	struct link *l = hash_get(&c->idle, key);

	if (l != NULL) {
		take_out(c, l);
	}
	return l;
}

struct link *link_cache_take_host(struct link_cache *c, const char *host, const char *address,
	int port, const struct tls_policy *policy)
{
	for (struct hash_entry *e = hash_next(&c->idle, NULL); e != NULL;
		e = hash_next(&c->idle, e)) {
		for (struct link *l = e->value; l != NULL; l = l->idle_next) {
			if (l->port == port && strcmp(l->address, address) == 0 &&
				str_ieq(l->host, host) && tls_policy_same(l->policy, policy)) {
				take_out(c, l);
				return l;
			}
		}
	}
	return NULL;
}

bool link_cache_evict(struct link_cache *c)
{
	struct hash_entry *e = hash_next(&c->idle, NULL);
	struct link *l = e != NULL ? e->value : NULL;

	if (l == NULL) {
		return false;
	}
	take_out(c, l);
	link_quit(l);
	return true;
}

void link_cache_init(struct link_cache *c, struct loop *loop, const struct smtp_settings *settings)
{
	*c = (struct link_cache){ .loop = loop, .settings = settings };
}

void link_cache_free(struct link_cache *c)
{
	while (link_cache_evict(c)) {
	}
	hash_free(&c->idle, NULL);
	hash_free(&c->places, mem_free);
}
