/*
 * dns - asynchronous DNS on the event loop, with c-ares
 *
 * /etc/hosts comes first and is parsed by us (dns_hosts.c), because c-ares would read the
 * file for every question. Both it and /etc/resolv.conf are looked at once a
 * second at most; when resolv.conf changes, new questions use a new channel
 * and the old one lives until its last answer.
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

#include "base/mem.h"
#include "base/str.h"
#include "net/dns_hosts.h"

enum { QUERY_MS = 3000, QUERY_TRIES = 2 };

struct channel;

struct dns_watch {
	struct watch watch;
	struct dns_watch *next;
	struct channel *channel;
};

struct channel {
	struct dns *dns;
	struct channel *next;
	ares_channel ares;
	struct dns_watch *watches;
	struct timer timer;
	unsigned pending; /* questions under way */
	bool retired;
};

struct dns {
	struct loop *loop;
	struct channel *channels; /* the first one takes new questions */
	struct timer sweep;
	time_t looked;
	struct timespec resolv_time, hosts_time;
	struct dns_hosts hosts;
	char *servers;    /* instead of resolv.conf's; NULL: those */
	char *hosts_path; /* instead of /etc/hosts; NULL: that */
};

enum query_kind { QUERY_PEER, QUERY_HOST, QUERY_MX };

struct dns_query {
	struct channel *channel;
	enum query_kind kind;
	int family;        /* of the addresses that are wanted; AF_UNSPEC: both */
	dns_answer_fn *fn; /* NULL: cancelled */
	void *arg;
	char addr[64]; /* PEER: what must be among the addresses */
	char *name;
	bool starting, done;
};

static const char *hosts_path(const struct dns *d)
{
	return d->hosts_path != NULL ? d->hosts_path : "/etc/hosts";
}

/* ---- Channels ---- */

static void set_timer(struct channel *ch);

static void on_dns_ready(struct watch *w, unsigned events)
{
	struct dns_watch *dw = w->owner;
	struct channel *ch = dw->channel;
	int fd = w->fd;

	ares_process_fd(ch->ares, events & (LOOP_READ | LOOP_HANGUP) ? fd : ARES_SOCKET_BAD,
		events & LOOP_WRITE ? fd : ARES_SOCKET_BAD);
	set_timer(ch);
}

static void on_dns_timer(struct timer *t)
{
	struct channel *ch = t->owner;

	ares_process_fd(ch->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	set_timer(ch);
}

static void set_timer(struct channel *ch)
{
	struct timeval tv, *left = ares_timeout(ch->ares, NULL, &tv);

	if (left == NULL) {
		loop_untimer(ch->dns->loop, &ch->timer);
	} else {
		loop_timer(ch->dns->loop, &ch->timer,
			(int64_t)left->tv_sec * 1000 + left->tv_usec / 1000 + 1, on_dns_timer, ch);
	}
}

/* on_socket_state - c-ares opens, uses and closes sockets */
static void on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct channel *ch = arg;
	struct dns_watch **link = &ch->watches, *dw;
	unsigned events = (readable ? LOOP_READ : 0u) | (writable ? LOOP_WRITE : 0u);

	while (*link != NULL && (*link)->watch.fd != fd) {
		link = &(*link)->next;
	}
	dw = *link;
	if (events == 0) {
		if (dw != NULL) {
			*link = dw->next;
			loop_unwatch(ch->dns->loop, &dw->watch);
			mem_free(dw);
		}
		return;
	}
	if (dw != NULL) {
		loop_want(ch->dns->loop, &dw->watch, events);
		return;
	}
	dw = mem_alloc(sizeof(*dw));
	dw->channel = ch;
	dw->next = ch->watches;
	ch->watches = dw;
	loop_watch(ch->dns->loop, &dw->watch, fd, events, on_dns_ready, dw);
}

static void add_channel(struct dns *d)
{
	struct channel *ch = mem_alloc(sizeof(*ch));
	struct ares_options options;
	char lookups[] = "b";
	int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
		ARES_OPT_SOCK_STATE_CB;

	memset(&options, 0, sizeof(options));
	options.flags = ARES_FLAG_NOSEARCH; /* mail domains are complete */
	options.timeout = QUERY_MS;
	options.tries = QUERY_TRIES;
	options.lookups = lookups;
	options.sock_state_cb = on_socket_state;
	options.sock_state_cb_data = ch;
	ch->dns = d;
	if (ares_init_options(&ch->ares, &options, mask) != ARES_SUCCESS) {
		mem_free(ch);
		return;
	}
	if (d->servers != NULL) {
		(void)ares_set_servers_ports_csv(ch->ares, d->servers);
	}
	ch->next = d->channels;
	d->channels = ch;
}

static void free_channel(struct channel *ch)
{
	loop_untimer(ch->dns->loop, &ch->timer);
	ares_destroy(ch->ares); /* ends its questions; their sockets are reported closed */
	mem_free(ch);
}

/* sweep - retired channels without questions go; not from inside their own callbacks */
static void sweep(struct timer *t)
{
	struct dns *d = t->owner;
	struct channel **link = &d->channels;

	while (*link != NULL) {
		struct channel *ch = *link;

		if (ch->retired && ch->pending == 0) {
			*link = ch->next;
			free_channel(ch);
		} else {
			link = &ch->next;
		}
	}
}

static bool changed(const char *path, struct timespec *seen)
{
	struct stat st;
	struct timespec now = { 0, 0 };
	bool differs;

	if (stat(path, &st) == 0) {
		now = st.st_mtim;
	}
	differs = now.tv_sec != seen->tv_sec || now.tv_nsec != seen->tv_nsec;
	*seen = now;
	return differs;
}

/* refresh - follow /etc/hosts and /etc/resolv.conf, once a second at most */
static void refresh(struct dns *d)
{
	time_t now = time(NULL);

	if (now == d->looked) {
		return;
	}
	d->looked = now;
	if (changed(hosts_path(d), &d->hosts_time)) {
		dns_hosts_read(&d->hosts, hosts_path(d));
	}
	if (changed("/etc/resolv.conf", &d->resolv_time) && d->channels != NULL) {
		d->channels->retired = true;
		if (d->channels->pending == 0) {
			loop_timer(d->loop, &d->sweep, 0, sweep, d);
		}
	}
}

/* current_channel - made with the first question; NULL: c-ares cannot start */
static struct channel *current_channel(struct dns *d)
{
	if (d->channels == NULL || d->channels->retired) {
		add_channel(d);
	}
	return d->channels != NULL && !d->channels->retired ? d->channels : NULL;
}

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
		free_channel(ch);
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
	if (ch->pending-- == 1 && ch->retired) {
		loop_timer(ch->dns->loop, &ch->dns->sweep, 0, sweep, ch->dns);
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
	struct channel *ch = current_channel(d);
	struct dns_query *q;

	if (ch == NULL) {
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
	set_timer(ch);
	return q;
}

static enum dns_status map_status(int status)
{
	switch (status) {
	case ARES_SUCCESS:
		return DNS_OK;
	case ARES_ENOTFOUND:
	case ARES_ENODATA:
	case ARES_EBADNAME:
		return DNS_NOT_FOUND;
	default:
		return DNS_TRY_AGAIN;
	}
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
	enum dns_status st = map_status(status);

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

static void ask_addrs(struct dns_query *q, const char *name, int family)
{
	struct ares_addrinfo_hints hints;

	memset(&hints, 0, sizeof(hints));
	q->family = family;
	hints.ai_family = family;
	hints.ai_flags = ARES_AI_NOSORT;
	ares_getaddrinfo(q->channel->ares, name, NULL, &hints, on_addrs, q);
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
	enum dns_status st = map_status(status);

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

	refresh(d);
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

	refresh(d);
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
	if (status == ARES_SUCCESS) {
		status = ares_parse_mx_reply(reply, len, &list);
	}
	st = map_status(status);
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

	refresh(d);
	q = new_query(d, QUERY_MX, fn, arg);
	if (q == NULL) {
		return NULL;
	}
	ares_query(q->channel->ares, domain, ns_c_in, ns_t_mx, on_mx, q);
	return started(q);
}

void dns_cancel(struct dns_query *q)
{
	if (q != NULL) {
		q->fn = NULL;
	}
}
