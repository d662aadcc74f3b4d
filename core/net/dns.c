/*
 * dns - asynchronous DNS on the event loop, with c-ares
 *
 * /etc/hosts comes first and is parsed by us (dns_hosts.c), because c-ares would read the
 * file for every question.
 *
 * c-ares cannot take back one question: dns_cancel() only forgets who asked.
 *
 * RFC 1035, RFC 3596, RFC 7505 (null MX), RFC 6761 6.3 (localhost).
 */
#include "net/dns.h"

#include <ares.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <ctype.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/crypto.h"
#include "base/idna.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/dns_channel.h"
#include "net/dns_hosts.h"
#include "net/dns_raw.h"

enum { EDNS_BYTES = 1232 };

enum query_kind { QUERY_PEER, QUERY_HOST, QUERY_MX, QUERY_TLSA };

static const char try_again[] = "Host not found, try again";

struct dns_query {
	struct channel *channel;
	enum query_kind kind;
	int family;        /* of the addresses that are wanted; AF_UNSPEC: both */
	dns_answer_fn *fn; /* NULL: cancelled */
	void *arg;
	char addr[64]; /* PEER: what must be among the addresses */
	char *name;
	bool starting, done, authenticated;
	bool unsure;    /* what was asked for may be known by another spelling (base/idna.h) */
	unsigned port;  /* TLSA */
	char *end_name; /* TLSA: the end of name's CNAMEs, while that is asked for */
};

struct dns *dns_new(struct loop *loop)
{
	struct dns *d = mem_alloc(sizeof(*d));

	d->loop = loop;
	(void)ares_library_init(ARES_LIB_INIT_ALL);
	return d;
}

void dns_free(struct dns *d)
{
	if (d == NULL) {
		return;
	}
	loop_untimer(d->loop, &d->sweep);
	while (d->channels != NULL) {
		struct channel *ch = d->channels;

		d->channels = ch->next;
		dns_channel_free(ch);
	}
	dns_hosts_free(&d->hosts);
	mem_free(d->servers);
	mem_free(d->hosts_path);
	mem_free(d);
	ares_library_cleanup();
}

void dns_set_servers(struct dns *d, const char *servers)
{
	mem_free(d->servers);
	d->servers = mem_strdup(servers);
	if (d->channels != NULL) {
		d->channels->retired = true;
	}
}

void dns_set_hosts(struct dns *d, const char *path)
{
	mem_free(d->hosts_path);
	d->hosts_path = mem_strdup(path);
	d->looked = 0;
}

/* ---- Questions ---- */

static void free_query(struct dns_query *q)
{
	mem_free(q->name);
	mem_free(q->end_name);
	mem_free(q);
}

/* answer - once for each question; q is gone afterwards unless it is still being started */
static void answer(
	struct dns_query *q, enum dns_status status, const char *const *values, size_t count)
{
	dns_answer_fn *fn = q->fn;
	struct channel *ch = q->channel;

	q->fn = NULL;
	q->done = true;
	ch->dns->authenticated = q->authenticated;
	if (ch->pending-- == 1 && ch->retired) {
		loop_timer(ch->dns->loop, &ch->dns->sweep, 0, dns_channel_sweep, ch->dns);
	}
	if (fn != NULL) {
		fn(q->arg, status, values, count);
	}
	if (!q->starting) {
		free_query(q);
	}
}

static struct dns_query *new_query(
	struct dns *d, enum query_kind kind, dns_answer_fn *fn, void *arg)
{
	struct channel *ch = dns_channel_current(d);
	struct dns_query *q;

	if (ch == NULL) {
		d->reason = try_again;
		fn(arg, DNS_TRY_AGAIN, NULL, 0);
		return NULL;
	}
	q = mem_alloc(sizeof(*q));
	q->channel = ch;
	q->kind = kind;
	q->fn = fn;
	q->arg = arg;
	q->starting = true;
	ch->pending++;
	return q;
}

/* started - the question is on its way, or was answered already: then NULL */
static struct dns_query *started(struct dns_query *q)
{
	struct channel *ch = q->channel;

	q->starting = false;
	if (q->done) {
		free_query(q);
		q = NULL;
	}
	dns_channel_timer(ch);
	return q;
}

/* map_status - what c-ares says in our words, and for people in those of the resolver library */
static enum dns_status map_status(const struct dns_query *q, int status)
{
	const char **reason = &q->channel->dns->reason;

	switch (status) {
	case ARES_SUCCESS:
		*reason = "";
		return DNS_OK;
	case ARES_ENODATA:
		*reason = "Host found but no data record of requested type";
		return DNS_NOT_FOUND;
	case ARES_ENOTFOUND:
	case ARES_EBADNAME:
		*reason = q->unsure ? try_again : "Host not found";
		return q->unsure ? DNS_TRY_AGAIN : DNS_NOT_FOUND;
	case ARES_EBADSTR: /* of name_to_ask() */
		*reason = "Name cannot be written in ASCII";
		return DNS_TRY_AGAIN;
	default:
		*reason = try_again;
		return DNS_TRY_AGAIN;
	}
}

const char *dns_reason(const struct dns *d)
{
	return d->reason != NULL ? d->reason : "";
}

/* addr_texts - the addresses of an answer as text; it may hold some that were not asked for */
static size_t addr_texts(const struct ares_addrinfo *info, int family,
	char room[DNS_VALUES_MAX][64], const char *values[DNS_VALUES_MAX])
{
	size_t count = 0;

	for (const struct ares_addrinfo_node *n = info->nodes; n != NULL && count < DNS_VALUES_MAX;
		n = n->ai_next) {
		const void *raw = n->ai_family == AF_INET6
			? (const void *)&((const struct sockaddr_in6 *)(const void *)n->ai_addr)
				  ->sin6_addr
			: (const void *)&((const struct sockaddr_in *)(const void *)n->ai_addr)
				  ->sin_addr;

		if ((family == AF_UNSPEC || family == n->ai_family) &&
			inet_ntop(n->ai_family, raw, room[count], 64) != NULL) {
			values[count] = room[count];
			count++;
		}
	}
	return count;
}

static void on_addrs(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
	struct dns_query *q = arg;
	char(*room)[64] = mem_alloc(DNS_VALUES_MAX * 64);
	const char *values[DNS_VALUES_MAX];
	size_t count = 0;
	enum dns_status st = map_status(q, status);

	(void)timeouts;
	if (st == DNS_OK) {
		count = addr_texts(info, q->family, room, values);
	}
	if (info != NULL) {
		ares_freeaddrinfo(info);
	}
	if (q->kind == QUERY_PEER && st == DNS_OK) {
		bool found = false;

		for (size_t i = 0; i < count && !found; i++) {
			found = strcmp(values[i], q->addr) == 0;
		}
		values[0] = q->name;
		answer(q, found ? DNS_OK : DNS_NOT_FOUND, values, found ? 1 : 0);
	} else {
		answer(q, st == DNS_OK && count == 0 ? DNS_NOT_FOUND : st, values, count);
	}
	mem_free(room);
}

/* name_to_ask - as name servers have it; NULL: there is no such form */
static const char *name_to_ask(struct dns_query *q, const char *name, char room[IDNA_ROOM])
{
	bool sure;

	name = idna_ascii(name, room, &sure);
	q->unsure = !sure;
	return name;
}

static void ask_addrs(struct dns_query *q, const char *name, int family)
{
	struct ares_addrinfo_hints hints;
	char room[IDNA_ROOM];

	memset(&hints, 0, sizeof(hints));
	q->family = family;
	hints.ai_family = family;
	hints.ai_flags = ARES_AI_NOSORT;
	name = name_to_ask(q, name, room);
	if (name == NULL) {
		on_addrs(q, ARES_EBADSTR, 0, NULL);
	} else {
		ares_getaddrinfo(q->channel->ares, name, NULL, &hints, on_addrs, q);
	}
}

/* usable_name - what a record says is a host name and nothing that looks like an address */
static bool usable_name(const char *name)
{
	bool letter = false;
	size_t len = strlen(name);

	if (len == 0 || len > 253) {
		return false;
	}
	for (const char *p = name; *p != '\0'; p++) {
		if (isalpha((unsigned char)*p)) {
			letter = true;
		} else if (!isdigit((unsigned char)*p) && strchr("-_.", *p) == NULL) {
			return false;
		}
	}
	return letter && name[0] != '.' && name[0] != '-' && strstr(name, "..") == NULL;
}

static void on_ptr(void *arg, int status, int timeouts, struct hostent *host)
{
	struct dns_query *q = arg;
	enum dns_status st = map_status(q, status);

	(void)timeouts;
	if (st == DNS_OK && (host->h_name == NULL || !usable_name(host->h_name))) {
		st = DNS_NOT_FOUND;
	}
	if (st != DNS_OK || q->fn == NULL) {
		answer(q, st, NULL, 0);
		return;
	}
	q->name = mem_strdup(host->h_name);
	ask_addrs(q, q->name, strchr(q->addr, ':') != NULL ? AF_INET6 : AF_INET);
}

static bool is_loopback(const char *addr)
{
	return strncmp(addr, "127.", 4) == 0 || strcmp(addr, "::1") == 0;
}

struct dns_query *dns_peer_name(struct dns *d, const char *addr, dns_answer_fn *fn, void *arg)
{
	char canon[64], name[256];
	const char *value = name;
	unsigned char raw[16];
	int family = strchr(addr, ':') != NULL ? AF_INET6 : AF_INET;
	struct dns_query *q;

	dns_refresh(d);
	if (!dns_canonical_addr(addr, canon)) {
		fn(arg, DNS_NOT_FOUND, NULL, 0);
		return NULL;
	}
	if (dns_hosts_name(&d->hosts, canon, name, sizeof(name))) {
		fn(arg, DNS_OK, &value, 1);
		return NULL;
	}
	if (is_loopback(canon)) {
		value = "localhost";
		fn(arg, DNS_OK, &value, 1);
		return NULL;
	}
	q = new_query(d, QUERY_PEER, fn, arg);
	if (q == NULL) {
		return NULL;
	}
	(void)str_copy(q->addr, sizeof(q->addr), canon);
	(void)inet_pton(family, canon, raw);
	ares_gethostbyaddr(q->channel->ares, raw, family == AF_INET6 ? 16 : 4, family, on_ptr, q);
	return started(q);
}

struct dns_query *dns_host(
	struct dns *d, const char *name, bool v4, bool v6, dns_answer_fn *fn, void *arg)
{
	const char *values[DNS_VALUES_MAX];
	char canon[64];
	struct dns_query *q;
	size_t count;

	dns_refresh(d);
	if (dns_canonical_addr(name, canon)) {
		bool is6 = strchr(canon, ':') != NULL;

		values[0] = canon;
		fn(arg, (is6 ? v6 : v4) ? DNS_OK : DNS_NOT_FOUND, values, (is6 ? v6 : v4) ? 1 : 0);
		return NULL;
	}
	count = dns_hosts_addrs(&d->hosts, name, v4, v6, values);
	if (count == 0 && str_ieq(name, "localhost")) {
		if (v4) {
			values[count++] = "127.0.0.1";
		}
		if (v6) {
			values[count++] = "::1";
		}
	}
	if (count > 0) {
		fn(arg, DNS_OK, values, count);
		return NULL;
	}
	q = new_query(d, QUERY_HOST, fn, arg);
	if (q == NULL) {
		return NULL;
	}
	ask_addrs(q, name, v4 && v6 ? AF_UNSPEC : v6 ? AF_INET6 : AF_INET);
	return started(q);
}

/* ---- Answers with their flags ---- */

/* vouches - does it count what the channel's servers say of validation? */
static bool vouches(struct channel *ch)
{
	enum dns_trust trust = ch->dns->trust;
	struct ares_addr_node *list = NULL;

	if (ch->vouches < 0) {
		ch->vouches = trust == DNS_TRUST_ANY ||
			(trust == DNS_TRUST_LOOPBACK &&
				ares_get_servers(ch->ares, &list) == ARES_SUCCESS && list != NULL);
		for (const struct ares_addr_node *n = list; n != NULL; n = n->next) {
			char text[64] = "";

			(void)inet_ntop(n->family, &n->addr, text, sizeof(text));
			ch->vouches = ch->vouches && is_loopback(text);
		}
		ares_free_data(list);
	}
	return ch->vouches > 0;
}

/* ask_raw - the answer comes as it is (raw_status) */
static void ask_raw(struct dns_query *q, const char *name, int type, ares_callback fn)
{
	unsigned char *query = NULL;
	char room[IDNA_ROOM];
	unsigned short id;
	int len = 0, status;

	name = name_to_ask(q, name, room);
	if (name == NULL) {
		fn(q, ARES_EBADSTR, 0, NULL, 0);
		return;
	}
	if (!vouches(q->channel)) {
		ares_query(q->channel->ares, name, ns_c_in, type, fn, q);
		return;
	}
	random_bytes(&id, sizeof(id));
	status = ares_create_query(name, ns_c_in, type, id, 1, &query, &len, EDNS_BYTES);
	if (status != ARES_SUCCESS) {
		fn(q, status, 0, NULL, 0);
		return;
	}
	dns_raw_ask_authenticated(query, (size_t)len);
	ares_send(q->channel->ares, query, len, fn, q);
	ares_free_string(query);
}

/* raw_status - c-ares says of what it sent as it was only whether something came */
static int raw_status(struct dns_query *q, int status, const unsigned char *reply, int len)
{
	q->authenticated = false;
	if (status != ARES_SUCCESS) {
		return status;
	}
	q->authenticated = vouches(q->channel) && dns_raw_authenticated(reply, (size_t)len);
	switch (dns_raw_rcode(reply, (size_t)len)) {
	case 0:
		return ARES_SUCCESS;
	case 3:
		return ARES_ENOTFOUND;
	default:
		return ARES_ESERVFAIL;
	}
}

struct mx_row {
	unsigned short priority;
	const char *host;
};

static int by_priority(const void *a, const void *b)
{
	return (int)((const struct mx_row *)a)->priority -
		(int)((const struct mx_row *)b)->priority;
}

static void on_mx(void *arg, int status, int timeouts, unsigned char *reply, int len)
{
	struct dns_query *q = arg;
	struct ares_mx_reply *list = NULL;
	struct mx_row rows[DNS_VALUES_MAX] = { { 0 } };
	char(*room)[300] = mem_alloc(DNS_VALUES_MAX * 300);
	const char *values[DNS_VALUES_MAX];
	size_t count = 0;
	enum dns_status st;

	(void)timeouts;
	status = raw_status(q, status, reply, len);
	if (status == ARES_SUCCESS) {
		status = ares_parse_mx_reply(reply, len, &list);
	}
	st = map_status(q, status);
	for (struct ares_mx_reply *mx = list; mx != NULL && count < DNS_VALUES_MAX; mx = mx->next) {
		if (mx->host[0] == '\0' || usable_name(mx->host)) {
			rows[count].priority = mx->priority;
			rows[count++].host = mx->host;
		}
	}
	if (st == DNS_OK && list != NULL && count == 0) {
		st = DNS_TRY_AGAIN; /* RFC 5321 5.1: not as if there were none */
	}
	qsort(rows, count, sizeof(rows[0]), by_priority);
	for (size_t i = 0; i < count; i++) {
		snprintf(room[i], 300, "%u %s", rows[i].priority,
			rows[i].host[0] != '\0' ? rows[i].host : ".");
		values[i] = room[i];
	}
	if (list != NULL) {
		ares_free_data(list);
	}
	answer(q, st == DNS_OK && count == 0 ? DNS_NOT_FOUND : st, values, count);
	mem_free(room);
}

struct dns_query *dns_mx(struct dns *d, const char *domain, dns_answer_fn *fn, void *arg)
{
	struct dns_query *q;

	dns_refresh(d);
	q = new_query(d, QUERY_MX, fn, arg);
	if (q == NULL) {
		return NULL;
	}
	ask_raw(q, domain, DNS_RAW_MX, on_mx);
	return started(q);
}

/* ---- TLSA ---- */

static void ask_tlsa(struct dns_query *q, const char *host);

/* give_tlsa - the texts stand one after the other in list */
static void give_tlsa(struct dns_query *q, const struct buf *list, size_t count)
{
	const char *values[DNS_VALUES_MAX], *p = buf_str(list);

	for (size_t i = 0; i < count; i++) {
		values[i] = p;
		p += strlen(p) + 1;
	}
	answer(q, DNS_OK, values, count);
}

static void on_tlsa(void *arg, int status, int timeouts, unsigned char *reply, int len)
{
	struct dns_query *q = arg;
	struct buf list = BUF_INIT;
	bool aliased = q->end_name != NULL;
	enum dns_status st;
	int count = 0;

	(void)timeouts;
	status = raw_status(q, status, reply, len);
	st = map_status(q, status);
	if (st == DNS_OK) {
		count = dns_raw_tlsa(reply, (size_t)len, DNS_VALUES_MAX, &list);
	}
	mem_free(q->end_name);
	q->end_name = NULL;
	if (st == DNS_TRY_AGAIN || count < 0) {
		answer(q, DNS_TRY_AGAIN, NULL, 0);
	} else if (q->authenticated && count > 0) {
		give_tlsa(q, &list, (size_t)count);
	} else if (aliased && q->fn != NULL) {
		ask_tlsa(q, q->name); /* RFC 7672 2.2.2: then at the name itself */
	} else {
		answer(q, DNS_NOT_FOUND, NULL, 0);
	}
	buf_free(&list);
}

static void ask_tlsa(struct dns_query *q, const char *host)
{
	char name[300];

	(void)snprintf(name, sizeof(name), "_%u._tcp.%s", q->port, host);
	ask_raw(q, name, DNS_RAW_TLSA, on_tlsa);
}

/*
 * on_signed - the host's address: is its zone signed? Where it is not, nobody asks for TLSA: some
 * name servers fail at a type that they do not know (RFC 7672 2.2.1).
 */
static void on_signed(void *arg, int status, int timeouts, unsigned char *reply, int len)
{
	struct dns_query *q = arg;
	enum dns_status st;
	char end[256];

	(void)timeouts;
	status = raw_status(q, status, reply, len);
	st = map_status(q, status);
	if (st == DNS_TRY_AGAIN ||
		(st == DNS_OK && q->authenticated &&
			!dns_raw_end(reply, (size_t)len, q->name, end))) {
		answer(q, DNS_TRY_AGAIN, NULL, 0);
	} else if (!q->authenticated || q->fn == NULL) {
		answer(q, DNS_NOT_FOUND, NULL, 0);
	} else if (st == DNS_OK && !str_ieq(end, q->name)) {
		q->end_name = mem_strdup(end);
		ask_tlsa(q, end);
	} else {
		ask_tlsa(q, q->name);
	}
}

struct dns_query *dns_tlsa(
	struct dns *d, const char *host, unsigned port, dns_answer_fn *fn, void *arg)
{
	char canon[64];
	struct dns_query *q;

	dns_refresh(d);
	q = new_query(d, QUERY_TLSA, fn, arg);
	if (q == NULL) {
		return NULL;
	}
	if (!vouches(q->channel) && d->trust == DNS_TRUST_LOOPBACK && !d->trust_said) {
		d->trust_said = true;
		log_warn("no TLSA records are asked for: the name server is not on this host, so "
			 "its "
			 "word that it has validated an answer does not count (dnssec_resolver)");
	}
	if (!vouches(q->channel) || dns_canonical_addr(host, canon)) {
		answer(q, DNS_NOT_FOUND, NULL, 0);
	} else {
		q->port = port;
		q->name = mem_strdup(host);
		ask_raw(q, host, DNS_RAW_A, on_signed);
	}
	return started(q);
}

void dns_trust_resolver(struct dns *d, enum dns_trust trust)
{
	d->trust = trust;
	for (struct channel *ch = d->channels; ch != NULL; ch = ch->next) {
		ch->vouches = -1;
	}
}

bool dns_authenticated(const struct dns *d)
{
	return d->authenticated;
}

void dns_cancel(struct dns_query *q)
{
	if (q != NULL) {
		q->fn = NULL;
	}
}
