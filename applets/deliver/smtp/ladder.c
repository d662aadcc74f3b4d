/*
 * ladder - a request: what is tried, one after the other, until nobody is left
 *
 *	next hop -> connection at rest -> hosts -> address -> connection -> session
 *	    ^                                ^        |           |           |
 *	    |                                |        v           v           v
 *	    +---- no other address ----------+------- what is left (ladder_next)
 *
 * At most mx_address_limit addresses and mx_session_limit sessions of a next hop; then the next
 * one of the list, at last smtp_fallback_relay. An address whose TLS failed is tried again without
 * only where the policy says "may".
 */
#include "applets/deliver/smtp/ladder.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "net/dial.h"
#include "applets/deliver/smtp/outcome.h"
#include "applets/deliver/smtp/attempt.h"
#include "applets/deliver/smtp/tls_policy.h"

enum {
	SECOND = 1000,
	MICROSECONDS = 1000000,
	OFFERS_MAX = 100, /* of those that wait, for one of them */
	PATIENCE_MS = 500
};

static void next_host(struct delivery *d);
static void try_host(struct delivery *d);
static void try_site(struct delivery *d);

/* ---- The end ---- */

/*
 * our_mistake - the next hop that somebody has written into main.cf cannot be used at all: mail
 * waits until that is mended, and the log says what it is
 */
static void our_mistake(struct delivery *d)
{
	const struct delivery_why *w = &d->why;
	const char *name = NULL;

	if (d->site >= d->fallbacks) {
		name = d->g->lmtp ? "lmtp_fallback_relay" : "smtp_fallback_relay";
	} else if (!d->g->lmtp && strcmp(d->q.r.nexthop, param.relayhost) == 0) {
		name = "relayhost";
	}
	if (name != NULL) {
		log_warn("%s configuration problem", name);
		outcome_why(d, "4.3.5", w->text);
	}
}

/* give_up - nothing is left to be tried */
static void give_up(struct delivery *d)
{
	if (d->why.dsn == NULL) {
		outcome_why(d, "4.3.0", "server unavailable or unable to receive mail");
	} else if (d->why.dsn[0] == '5') {
		our_mistake(d);
	}
	outcome_give_up(d);
}

static void leave_site(struct delivery *d)
{
	if (d->key != NULL) {
		link_cache_leave(&d->g->cache, d->key);
	}
	d->key = NULL;
}

static void finish(struct delivery *d)
{
	leave_site(d);
	agent_release(&d->q);
}

/* drop_policy - of a host that is not tried any more */
static void drop_policy(struct delivery *d)
{
	tls_policy_free(d->policy);
	d->policy = NULL;
}

/* unwait - it does not wait for a connection any more */
static void unwait(struct delivery *d)
{
	struct smtp_agent *g = d->g;
	struct delivery **at = &g->wait_first;

	while (*at != NULL && *at != d) {
		at = &(*at)->wait_next;
	}
	if (*at == d) {
		*at = d->wait_next;
		if (d->wait_next == NULL) {
			g->wait_tail = at;
		}
	}
}

void ladder_end(struct agent_request *q)
{
	struct delivery *d = (struct delivery *)q;

	unwait(d);
	hosts_cancel(d->query);
	dns_cancel(d->tlsa);
	dial_cancel(d->dial);
	attempt_cancel(d);
	drop_policy(d);
	map_wait_end(&d->wait);
	leave_site(d);
}

bool ladder_may_drop(const struct agent_request *q)
{
	const struct delivery *d = (const struct delivery *)q;

	return !d->begun || smtp_client_stage(d->link->client) != SMTP_STAGE_DATA_DONE;
}

/* ---- A connection ---- */

/* note_failed - the connection could not be made */
static void note_failed(struct delivery *d, const struct dial_result *result)
{
	const struct link *l = d->link;
	const char *why = result->try_count > 0
		? outcome_errno(result->tries[result->try_count - 1].error)
		: strrchr(result->error, ':');
	struct buf text = BUF_INIT;

	if (result->try_count == 0) {
		why = why != NULL ? why + 2 : result->error;
	}
	buf_addf(&text, "connect to %s: %s", l->relay, why);
	log_info("%s", buf_str(&text));
	outcome_why(d, "4.4.1", buf_str(&text));
	buf_free(&text);
}

/* cannot_bind - our own address is not there (now): without it, then */
static bool cannot_bind(struct delivery *d, const struct dial_result *result)
{
	const struct smtp_agent *g = d->g;

	if ((*g->bind_v4 == '\0' && *g->bind_v6 == '\0') || d->unbound || result->try_count == 0 ||
		result->tries[result->try_count - 1].error != EADDRNOTAVAIL) {
		return false;
	}
	log_warn("smtp_connect_addr: bind %s: %s",
		strchr(d->link->address, ':') != NULL ? g->bind_v6 : g->bind_v4,
		outcome_errno(EADDRNOTAVAIL));
	d->unbound = true;
	return true;
}

static void on_dialled(void *arg, const struct dial_result *result)
{
	struct delivery *d = arg;
	bool again;

	d->dial = NULL;
	if (result->status == DIAL_OK) {
		attempt_start(d);
		return;
	}
	again = cannot_bind(d, result);
	if (!again) {
		note_failed(d, result);
	}
	d->policy = d->link->policy;
	d->link->policy = NULL;
	link_free(d->link);
	d->link = NULL;
	if (again) {
		try_host(d);
	} else {
		next_host(d);
	}
}

static const struct link_events dialling = { .decide = NULL };

/* prepare - what a new link's session is to know */
static void prepare(struct delivery *d, struct link *l)
{
	const struct smtp_agent *g = d->g;
	struct smtp_client_config *c = &l->config;
	struct buf words = BUF_INIT;

	c->lmtp = g->lmtp;
	c->hello = g->lmtp || (param.smtp_always_send_ehlo && !param.smtp_never_send_ehlo)
		? SMTP_HELLO_EHLO
		: param.smtp_never_send_ehlo ? SMTP_HELLO_HELO
					     : SMTP_HELLO_BY_GREETING;
	c->keep_5xx_greeting = !g->settings.skip_5xx_greeting;
	c->wait_for_quit = !g->settings.skip_quit_response;
	c->helo_name = g->settings.helo_name;
	c->discard = g->settings.discard_keywords;
	c->line_limit = (size_t)g->settings.line_length_limit;
	c->reply_line_limit = (size_t)param.line_length_limit;
	if (maps_get(g->discard, l->address, &words) > 0) {
		c->discard = l->discard = buf_steal(&words);
	}
	buf_free(&words);
	if (rewriting_has_reply_filter(g->rewriting)) {
		c->reply_filter = rewriting_reply;
		c->arg = g->rewriting;
	}
	l->alone = d->alone;
	l->policy = d->policy;
	d->policy = NULL;
}

static void connect_host(struct delivery *d)
{
	const struct smtp_host *h = &d->hosts[d->host - 1];
	struct smtp_agent *g = d->g;
	const struct smtp_settings *s = &g->settings;
	struct dial_config c = { .addresses = &h->address,
		.address_count = 1,
		.host = h->name,
		.port = delivery_site(d)->port,
		.bind_v4 = d->unbound ? NULL : g->bind_v4,
		.bind_v6 = d->unbound ? NULL : g->bind_v6,
		.delay_ms = -1,
		.attempt_ms = s->connect_timeout * SECOND };

	if (delivery_site(d)->path != NULL) {
		c = (struct dial_config){ .path = h->address,
			.total_ms = s->connect_timeout * SECOND };
	}
	d->link = link_new(&g->links, h->name, h->address, c.port);
	link_use(d->link, &dialling, d);
	prepare(d, d->link);
	d->dial = dial_start(g->links.loop, NULL, &c, &d->link->stream, on_dialled, d);
}

/* ---- Not too many of them ---- */

/* wait_for_room - at the end of those that wait for a connection less */
static void wait_for_room(struct delivery *d)
{
	struct smtp_agent *g = d->g;

	d->wait_next = NULL;
	d->waits_since = loop_now(g->links.loop);
	*g->wait_tail = d;
	g->wait_tail = &d->wait_next;
}

static bool has_room(struct smtp_agent *g)
{
	return g->links.count < g->links_max || link_cache_evict(&g->cache);
}

static void on_room(struct loop_hook *hook)
{
	struct smtp_agent *g = hook->owner;

	while (g->wait_first != NULL && has_room(g)) {
		struct delivery *d = g->wait_first;

		unwait(d);
		connect_host(d);
	}
}

void ladder_link_freed(struct links *ls)
{
	struct smtp_agent *g = ls->owner;

	if (g->wait_first != NULL) {
		loop_at_end(ls->loop, &g->wake, on_room, g);
	}
}

/*
 * use_address - a connection at rest to the host whose turn it is, which mail for another domain
 * has had. Where there are passwords they may be another's
 */
static bool use_address(struct delivery *d)
{
	const struct smtp_host *h = &d->hosts[d->host - 1];
	struct smtp_agent *g = d->g;
	bool fresh = d->dead || g->settings.sasl_auth_enable || delivery_site(d)->path != NULL;
	struct link *l = fresh ? NULL
			       : link_cache_take_host(&g->cache, h->name, h->address,
					 delivery_site(d)->port, d->policy);

	d->dead = false;
	if (l == NULL) {
		return false;
	}
	drop_policy(d);
	d->by_address = true;
	d->link = l;
	l->alone = d->alone;
	attempt_start(d);
	return true;
}

/* reach - connect to the host, now or when there is room */
static void reach(struct delivery *d)
{
	if (use_address(d)) {
		return;
	}
	if (d->g->wait_first == NULL && has_room(d->g)) {
		connect_host(d);
	} else {
		wait_for_room(d);
	}
}

/* ---- TLS policy of a host ---- */

/* bad_policy - nobody knows what this host is to get: another may be better */
static void bad_policy(struct delivery *d, const char *why)
{
	log_warn("TLS policy lookup for %s/%s: %s", delivery_site(d)->text,
		d->hosts[d->host - 1].name, why);
	outcome_why(d, "4.7.5", why);
	drop_policy(d);
	next_host(d);
}

static void on_tlsa(void *arg, enum dns_status status, const char *const *values, size_t count)
{
	struct delivery *d = arg;
	struct buf error = BUF_INIT;

	d->tlsa = NULL;
	if (tls_policy_tlsa(d->policy, status, values, count, &error)) {
		reach(d);
	} else {
		bad_policy(d, buf_str(&error));
	}
	buf_free(&error);
}

/* find_policy - of the host whose turn it is; NULL: -1 with why, or answers are waited for (0) */
static int find_policy(struct delivery *d, struct buf *error)
{
	const struct nexthop *hop = delivery_site(d);
	const struct smtp_host *h = &d->hosts[d->host - 1];

	map_wait_enter(&d->wait);
	d->policy = tls_policy_find(d->g->tls, hop->text, h->name, (unsigned)hop->port, error);
	if (map_wait_leave(&d->wait)) {
		drop_policy(d);
		return 0;
	}
	return d->policy != NULL ? 1 : -1;
}

/* try_host - the host before d->host */
static void try_host(struct delivery *d)
{
	const struct smtp_host *h = &d->hosts[d->host - 1];
	struct buf error = BUF_INIT;
	int rc = d->policy != NULL ? 1 : find_policy(d, &error);

	if (rc < 0) {
		bad_policy(d, buf_str(&error));
	} else if (rc > 0 && tls_policy_wants_tlsa(d->policy, d->mx_secure)) {
		d->tlsa = dns_tlsa(hosts_dns(d->g->hosts), h->name,
			(unsigned)delivery_site(d)->port, on_tlsa, d);
	} else if (rc > 0) {
		reach(d);
	}
	buf_free(&error);
}

/* on_answers - tables have answered: for the policy, or for the session */
static void on_answers(void *arg)
{
	struct delivery *d = arg;

	if (d->link != NULL) {
		attempt_resume(d);
	} else {
		try_host(d);
	}
}

/* ---- Hosts, one after the other ---- */

/* next_site - the next of the next hops, or the end */
static void next_site(struct delivery *d)
{
	leave_site(d);
	if (d->final_site) {
		give_up(d);
		finish(d);
	} else {
		d->site++;
		d->visited = NULL;
		try_site(d);
	}
}

static void next_host(struct delivery *d)
{
	size_t limit = (size_t)d->g->settings.mx_address_limit;

	drop_policy(d);
	map_wait_forget(&d->wait);
	if (d->host >= d->host_count || (limit > 0 && d->tried >= limit)) {
		next_site(d);
		return;
	}
	d->host++;
	d->tried++;
	d->final_host = d->final_site && (d->host == d->host_count || d->tried == limit);
	d->plain = d->plain_due;
	d->plain_due = false;
	try_host(d);
}

/* copy_hosts - the answer is gone after the call; the one that was just asked is left out */
static void copy_hosts(struct delivery *d, const struct hosts_result *r)
{
	struct arena *a = &d->q.arena;

	d->hosts = arena_alloc(a, (r->count + 1) * sizeof(*d->hosts));
	d->host_count = 0;
	d->alone = r->count == 1;
	for (size_t i = 0; i < r->count; i++) {
		struct smtp_host *h = &d->hosts[d->host_count];

		if (d->visited != NULL && strcmp(d->visited, r->list[i].address) == 0) {
			continue;
		}
		*h = r->list[i];
		h->name = arena_strdup(a, h->name);
		h->address = arena_strdup(a, h->address);
		d->host_count++;
	}
	d->best = r->best;
	d->mx_secure = r->mx_secure;
	d->host = d->tried = d->sessions = 0;
}

static void on_hosts(void *arg, const struct hosts_result *r)
{
	struct delivery *d = arg;

	d->query = NULL;
	copy_hosts(d, r);
	d->final_site = d->final_site || r->we_are_mx || r->loop;
	if (r->count == 0) {
		outcome_why(d, r->dsn, r->text);
	}
	next_host(d);
}

/* find_hosts - of the site; a path is its own host */
static void find_hosts(struct delivery *d)
{
	const struct nexthop *hop = delivery_site(d);

	if (hop->path == NULL) {
		d->query = hosts_find(d->g->hosts, hop, on_hosts, d);
		return;
	}
	d->hosts = arena_alloc(&d->q.arena, sizeof(*d->hosts));
	d->hosts[0].name = param.myhostname;
	d->hosts[0].address = hop->path;
	d->host_count = 1;
	d->alone = true;
	d->host = d->tried = d->sessions = 0;
	next_host(d);
}

void ladder_next(struct delivery *d)
{
	if (d->left == 0) {
		finish(d);
	} else if (d->g->host.ending) {
		agent_abandon(&d->q);
	} else if (d->cached) {
		d->cached = false;
		find_hosts(d);
	} else {
		/* The same address again. */
		if (d->plain_due || (d->by_address && d->dead)) {
			d->host--;
			d->tried--;
		}
		d->by_address = false;
		next_host(d);
	}
}

/* ---- Next hops ---- */

/* make_key - what connections are to have in common */
static char *make_key(struct delivery *d)
{
	const struct smtp_settings *s = &d->g->settings;
	bool own = s->sasl_auth_enable && s->sender_dependent_authentication;
	char *key = arena_printf(&d->q.arena, "%s%s%s", delivery_site(d)->text, own ? "\n" : "",
		own ? d->q.r.sender : "");

	str_lower(key);
	return key;
}

/* is_allowed - may the connection at rest be used for this next hop, by what is the policy now? */
static bool is_allowed(struct delivery *d, const struct link *l)
{
	struct buf error = BUF_INIT;
	struct tls_policy *now;
	bool good;

	map_wait_enter(&d->wait);
	now = tls_policy_find(
		d->g->tls, delivery_site(d)->text, l->host, (unsigned)l->port, &error);
	good = !map_wait_leave(&d->wait) && now != NULL && tls_policy_same(l->policy, now);
	tls_policy_free(now);
	map_wait_forget(&d->wait);
	buf_free(&error);
	return good;
}

/* adopt - go on with a connection that another mail had; hosts are looked up if it fails */
static void adopt(struct delivery *d, struct link *l)
{
	d->cached = true;
	d->dead = false;
	d->final_host = d->final_site && l->alone;
	d->visited = arena_strdup(&d->q.arena, l->address);
	d->link = l;
	attempt_start(d);
}

/* use_cached - a connection at rest, if there is one */
static bool use_cached(struct delivery *d)
{
	struct link *l = link_cache_take(&d->g->cache, d->key);

	if (l == NULL) {
		return false;
	}
	if (!is_allowed(d, l)) {
		link_quit(l);
		return false;
	}
	adopt(d, l);
	return true;
}

bool ladder_offer(struct smtp_agent *g, const char *key, struct link *l)
{
	struct delivery *d = g->wait_first;
	bool late = d != NULL && loop_now(g->links.loop) - d->waits_since > PATIENCE_MS;

	/* A busy next hop must not keep all connections to itself. */
	for (int i = 0; i < (late ? 1 : OFFERS_MAX) && d != NULL; i++) {
		if (strcmp(d->key, key) == 0 && is_allowed(d, l)) {
			unwait(d);
			drop_policy(d);
			adopt(d, l);
			return true;
		}
		d = d->wait_next;
	}
	return false;
}

static void try_site(struct delivery *d)
{
	d->final_site = d->site + 1 == d->site_count;
	d->key = make_key(d);
	link_cache_enter(&d->g->cache, d->key);
	if (!use_cached(d)) {
		find_hosts(d);
	}
}

/* parse_sites - the next hops of the request, and fallback relays */
static bool parse_sites(struct delivery *d, struct buf *error)
{
	const struct smtp_settings *s = &d->g->settings;
	const char *list = d->q.r.nexthop;
	struct nexthop *own;

	if (!nexthop_parse(
		    &d->q.arena, list, d->g->lmtp, s->tcp_port, &own, &d->fallbacks, error)) {
		return false;
	}
	if (s->fallback_relay[0] == '\0' || own[0].path != NULL) {
		d->sites = own;
		d->site_count = d->fallbacks;
		return true;
	}
	list = arena_printf(&d->q.arena, "%s %s", list, s->fallback_relay);
	return nexthop_parse(
		&d->q.arena, list, d->g->lmtp, s->tcp_port, &d->sites, &d->site_count, error);
}

void ladder_begin(struct agent_request *q)
{
	struct delivery *d = (struct delivery *)q;
	struct buf error = BUF_INIT;

	d->g = q->host->owner;
	d->left = q->r.recipient_count;
	d->done = arena_alloc(&q->arena, (d->left + 1) * sizeof(*d->done));
	map_wait_init(&d->wait, d->g->links.loop, on_answers, d);
	tls_policies_seen(d->g->tls, q->r.arrival / MICROSECONDS);
	agent_keep(q);
	if (parse_sites(d, &error)) {
		try_site(d);
	} else {
		log_warn("%s: %s", q->id, buf_str(&error));
		outcome_why(d, "4.3.5", "mail system configuration error");
		give_up(d);
		finish(d);
	}
	buf_free(&error);
}
