/*
 * hosts - from a next hop to addresses
 *
 *	MX -> exchangers -> A and AAAA of each, all asked beside one another -> order
 *
 * Whatever a name server does not say, or says badly, is trouble of ours: to be tried again. Only
 * that there is no such name, no address, or a null MX is an answer that ends it.
 *
 * RFC 5321 5.1, RFC 7505; the order of addresses is hosts_order.c's.
 */
#include "applets/deliver/smtp/hosts.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "address/local_domain.h"
#include "applets/deliver/smtp/hosts_order.h"

enum { SMTP_PORT = 25, FAMILIES = 2 };

struct hosts {
	struct loop *loop;
	const struct smtp_settings *settings;
	/* One reads no hosts file, the other does first; NULL: that one is not asked. */
	struct dns *names, *native;
	bool mx;          /* next hops are domains */
	bool only_native; /* of hosts no name server is asked by itself */
};

/* The addresses of one family of an exchanger. */
struct part {
	struct hosts_query *query;
	struct dns_query *asked, *asked_native;
	const char *name;
	bool v6, native; /* native: it is what the hosts file and the system say */
	enum dns_status status;
	const char *why;
	const char **list;
	size_t count;
};

struct exchanger {
	const char *name;
	unsigned preference;
	struct part parts[FAMILIES];
};

struct hosts_query {
	struct hosts *hosts;
	struct nexthop hop;
	hosts_fn *fn;
	void *arg;
	struct arena arena;
	struct dns_query *mx;
	struct exchanger *list;
	size_t count, open;
	bool listed; /* they come from MX records */
	struct loop_hook done;
	struct hosts_result result;
};

/* ---- The result ---- */

static void no_host(struct hosts_query *q, const char *dsn, const char *text)
{
	q->result.dsn = dsn;
	q->result.text = text;
}

static const char *dns_text(
	struct hosts_query *q, const char *name, const char *type, const char *why)
{
	return arena_printf(&q->arena,
		"Host or domain name not found. Name service error for name=%s type=%s: %s", name,
		type, why);
}

/* note_failure - a part without addresses; what may be known later counts more than what is not */
static void note_failure(struct hosts_query *q, const struct part *p)
{
	bool soft = q->result.dsn != NULL && q->result.dsn[0] == '4';
	bool later = p->status == DNS_TRY_AGAIN;
	const char *text;

	if (p->status == DNS_OK || (soft && !later)) {
		return;
	}
	if (p->native) {
		text = arena_printf(&q->arena, "unable to look up host %s: %s", p->name,
			later ? "Temporary failure in name resolution"
			      : "Name or service not known");
	} else {
		text = dns_text(q, p->name, p->v6 ? "AAAA" : "A", p->why);
	}
	no_host(q, later ? "4.4.3" : "5.4.4", text);
}

/* gather - all addresses that were found, those of the best exchangers first */
static struct smtp_host *gather(struct hosts_query *q, size_t *count_r)
{
	struct smtp_host *list;
	size_t count = 0;

	for (size_t i = 0; i < q->count; i++) {
		count += q->list[i].parts[0].count + q->list[i].parts[1].count;
	}
	list = arena_alloc(&q->arena, (count + 1) * sizeof(*list));
	count = 0;
	for (size_t i = 0; i < q->count; i++) {
		const struct exchanger *e = &q->list[i];

		for (size_t k = 0; k < FAMILIES; k++) {
			const struct part *p = &e->parts[k];

			for (size_t n = 0; n < p->count; n++) {
				list[count++] = (struct smtp_host){ .name = e->name,
					.address = p->list[n],
					.preference = e->preference,
					.v6 = p->v6 };
			}
			note_failure(q, p);
		}
	}
	*count_r = count;
	return list;
}

/* say_loop - for people: which address and which setting it was */
static void say_loop(const struct hosts_query *q, const struct smtp_host *self, const char *setting)
{
	log_warn("mail for %s loops back to myself: %s[%s] is an address of this host "
		 "(parameter %s), and %s is none of mydestination, virtual_alias_domains, "
		 "virtual_mailbox_domains and relay_domains with a better MX host",
		q->hop.host, self->name, self->address, setting, q->hop.host);
}

/*
 * cut_self - hosts that are not better than we are ourselves are left out (RFC 5321 5.1): how many
 * are left
 */
static size_t cut_self(struct hosts_query *q, struct smtp_host *list, size_t count)
{
	const char *setting = NULL;
	size_t self = 0, left = 0;

	if (!q->hosts->mx || q->hop.port != SMTP_PORT) {
		return count;
	}
	while (self < count && setting == NULL) {
		setting = local_address_setting(list[self].address);
		self += setting == NULL;
	}
	if (setting == NULL) {
		return count;
	}
	if (q->listed) {
		q->result.we_are_mx = true;
		while (left < count && list[left].preference < list[self].preference) {
			left++;
		}
	}
	if (left == 0) {
		bool best = list[0].preference == q->result.best;

		no_host(q, best ? "5.4.6" : "4.4.4",
			arena_printf(&q->arena,
				best ? "mail for %s loops back to myself"
				     : "unable to find primary relay for %s",
				q->hop.host));
		q->result.loop = best;
		say_loop(q, &list[self], setting);
	}
	return left;
}

/* conclude - all answers are there */
static void conclude(struct hosts_query *q)
{
	struct smtp_host *list;
	size_t count;

	if (q->result.dsn != NULL) {
		return;
	}
	q->result.best = q->count > 0 ? q->list[0].preference : 0;
	list = gather(q, &count);
	if (count == 0) {
		if (q->listed) {
			log_warn("no MX host for %s has a valid address record", q->hop.host);
		}
		if (q->listed && q->hosts->settings->defer_if_no_mx_address_found &&
			q->result.dsn[0] == '5') {
			q->result.dsn = arena_printf(&q->arena, "4%s", q->result.dsn + 1);
		}
		return;
	}
	no_host(q, NULL, NULL);
	count = cut_self(q, list, count);
	q->result.count = hosts_order(list, count, q->hosts->settings);
	q->result.list = list;
}

static void free_query(struct hosts_query *q)
{
	dns_cancel(q->mx);
	for (size_t i = 0; i < q->count; i++) {
		for (size_t k = 0; k < FAMILIES; k++) {
			dns_cancel(q->list[i].parts[k].asked);
			dns_cancel(q->list[i].parts[k].asked_native);
		}
	}
	loop_unhook(q->hosts->loop, &q->done);
	arena_free(&q->arena);
	mem_free(q);
}

static void on_done(struct loop_hook *hook)
{
	struct hosts_query *q = hook->owner;

	conclude(q);
	q->fn(q->arg, &q->result);
	free_query(q);
}

/* answered - one question less is open */
static void answered(struct hosts_query *q)
{
	if (--q->open == 0) {
		loop_at_end(q->hosts->loop, &q->done, on_done, q);
	}
}

/* ---- Addresses ---- */

static void on_native(void *arg, enum dns_status status, const char *const *values, size_t count);
static void on_names(void *arg, enum dns_status status, const char *const *values, size_t count);

static void take_addresses(
	struct part *p, enum dns_status status, const char *const *values, size_t count)
{
	struct hosts_query *q = p->query;

	p->status = status;
	p->list = arena_alloc(&q->arena, (count + 1) * sizeof(*p->list));
	for (size_t i = 0; i < count && status == DNS_OK; i++) {
		p->list[p->count++] = arena_strdup(&q->arena, values[i]);
	}
	answered(q);
}

static void ask_native(struct part *p)
{
	p->native = true;
	p->asked_native = dns_host(p->query->hosts->native, p->name, !p->v6, p->v6, on_native, p);
}

static void on_native(void *arg, enum dns_status status, const char *const *values, size_t count)
{
	struct part *p = arg;

	p->asked_native = NULL;
	take_addresses(p, status, values, count);
}

static void on_names(void *arg, enum dns_status status, const char *const *values, size_t count)
{
	struct part *p = arg;
	struct hosts *h = p->query->hosts;

	p->asked = NULL;
	p->why = dns_reason(h->names);
	if (status == DNS_NOT_FOUND && h->native != NULL) {
		ask_native(p);
	} else {
		take_addresses(p, status, values, count);
	}
}

static bool wants(bool v6)
{
	return list_has(param.inet_protocols, "all") ||
		list_has(param.inet_protocols, v6 ? "ipv6" : "ipv4");
}

static void ask_exchanger(struct hosts_query *q, struct exchanger *e)
{
	for (size_t i = 0; i < FAMILIES; i++) {
		struct part *p = &e->parts[i];

		*p = (struct part){ .query = q, .name = e->name, .v6 = i == 1 };
		if (!wants(p->v6)) {
			continue;
		}
		q->open++;
		if (!q->hosts->only_native) {
			p->asked = dns_host(q->hosts->names, p->name, !p->v6, p->v6, on_names, p);
		} else {
			ask_native(p);
		}
	}
}

/* ask_host - the next hop itself is the host */
static void ask_host(struct hosts_query *q)
{
	q->list = arena_alloc(&q->arena, sizeof(*q->list));
	q->count = 1;
	q->list[0].name = q->hop.host;
	ask_exchanger(q, &q->list[0]);
}

/* ---- MX ---- */

static void take_exchangers(struct hosts_query *q, const char *const *values, size_t count)
{
	q->listed = true;
	q->list = arena_alloc(&q->arena, (count + 1) * sizeof(*q->list));
	for (size_t i = 0; i < count; i++) {
		char *end;
		unsigned preference = (unsigned)strtoul(values[i], &end, 10);

		if (strcmp(end, " .") == 0) { /* RFC 7505 */
			no_host(q, "5.1.0",
				arena_printf(&q->arena, "Domain %s does not accept mail (nullMX)",
					q->hop.host));
			return;
		}
		q->list[i].name = arena_strdup(&q->arena, end + 1);
		q->list[i].preference = preference;
	}
	q->count = count;
	for (size_t i = 0; i < count; i++) {
		ask_exchanger(q, &q->list[i]);
	}
}

static void on_mx(void *arg, enum dns_status status, const char *const *values, size_t count)
{
	struct hosts_query *q = arg;
	struct dns *names = q->hosts->names;

	q->mx = NULL;
	q->result.mx_secure = dns_authenticated(names);
	switch (status) {
	case DNS_OK:
		take_exchangers(q, values, count);
		break;
	case DNS_NOT_FOUND:
		ask_host(q);
		break;
	case DNS_TRY_AGAIN:
		if (param.ignore_mx_lookup_error) {
			ask_host(q);
		} else {
			no_host(q, "4.4.3", dns_text(q, q->hop.host, "MX", dns_reason(names)));
		}
		break;
	}
	answered(q);
}

struct hosts_query *hosts_find(struct hosts *h, const struct nexthop *hop, hosts_fn *fn, void *arg)
{
	struct hosts_query *q = mem_alloc(sizeof(*q));
	unsigned char address[16];

	q->hosts = h;
	q->hop = *hop;
	q->fn = fn;
	q->arg = arg;
	q->result.mx_secure = true;
	q->open = 1; /* until all are asked */
	if (!h->mx || h->names == NULL || hop->bracketed ||
		inet_pton(AF_INET, hop->host, address) == 1 ||
		inet_pton(AF_INET6, hop->host, address) == 1) {
		ask_host(q);
		answered(q);
	} else {
		q->mx = dns_mx(h->names, hop->host, on_mx, q);
	}
	return q;
}

void hosts_cancel(struct hosts_query *q)
{
	if (q != NULL) {
		free_query(q);
	}
}

/* ---- How it is looked up ---- */

/* no_dns - disable_dns_lookups, or what has taken its place */
static bool no_dns(const struct smtp_settings *s)
{
	return s->dns_support_level[0] != '\0' ? str_ieq(s->dns_support_level, "disabled")
					       : param.disable_dns_lookups;
}

static struct dns *new_dns(struct loop *loop, const char *hosts_file)
{
	struct dns *d = dns_new(loop);

	dns_set_hosts(d, hosts_file);
	if (param.dns_servers[0] != '\0') {
		dns_set_servers(d, param.dns_servers);
	}
	return d;
}

struct hosts *hosts_new(struct loop *loop, const struct smtp_settings *settings, bool lmtp)
{
	struct hosts *h = mem_alloc(sizeof(*h));

	h->loop = loop;
	h->settings = settings;
	h->mx = !lmtp;
	if (!no_dns(settings)) {
		h->names = new_dns(loop, "/dev/null");
	}
	if (h->names == NULL || list_has(settings->host_lookup, "native")) {
		h->native = new_dns(loop, param.hosts_file);
	}
	h->only_native = h->names == NULL || !list_has(settings->host_lookup, "dns");
	return h;
}

void hosts_free(struct hosts *h)
{
	dns_free(h->names);
	dns_free(h->native);
	mem_free(h);
}

struct dns *hosts_dns(struct hosts *h)
{
	return h->names != NULL ? h->names : h->native;
}
