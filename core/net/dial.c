/*
 * dial - a connection to somebody else
 *
 *	names -> addresses -> attempts, one beside the other -> (TLS) -> the caller's stream
 *
 * RFC 8305: both families are asked for at once; when the second choice answers first, the other
 * has RESOLVE_MS to follow (3). The families take turns, beginning with the first choice (4). An
 * attempt that fails makes room for the next at once; one that does not answer is joined by the
 * next after DELAY_MS, and the first that is connected wins (5).
 *
 * Whatever ends it (a failure, an answer from the hosts file) is acted on in step(), at the end of
 * the turn: so nothing is called from inside dial_start(), and no callback of the name service or
 * of an attempt finds its dial freed.
 */
#include "net/dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/unixsock.h"

enum {
	DELAY_MS = 250,   /* RFC 8305 8: Connection Attempt Delay */
	RESOLVE_MS = 50,  /* RFC 8305 8: Resolution Delay */
	BACKLOG_MS = 100, /* a unix socket whose backlog is full is tried again */
	ADDRESSES_MAX = 64,
	TLS_READ = 16384 + 512
};

/* What one question has brought; [0] is the first choice, or the caller's own list. */
struct family {
	struct dns_query *query;
	bool wanted, asked, v6;
	enum dns_status status;
	char (*list)[64];
	size_t count, at; /* at: the next one to be tried */
};

struct attempt {
	struct attempt *next;
	struct dial *dial;
	size_t try; /* index into tries */
	struct watch watch;
	struct timer timer;
};

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct dial {
	struct loop *loop;
	struct dns *dns;
	struct dial_config config; /* its texts are ours */
	struct stream *stream;
	const struct stream_class *class; /* the caller's, and the owner */
	void *owner;
	dial_fn *fn;
	void *arg;
	struct family families[2];
	unsigned turn; /* the family whose turn it is */
	struct dial_try *tries;
	size_t try_count;
	struct attempt *attempts; /* under way */
	struct timer next, total;
	struct loop_hook step;
	bool next_due, finished;
	char local[64];
	int local_port;
};

static void step(struct loop_hook *h);

/* ---- The end ---- */

static void free_attempt(struct attempt *a, bool close_it)
{
	struct attempt **link = &a->dial->attempts;
	int fd = a->watch.fd;

	while (*link != a) {
		link = &(*link)->next;
	}
	*link = a->next;
	loop_untimer(a->dial->loop, &a->timer);
	loop_unwatch(a->dial->loop, &a->watch);
	if (close_it) {
		close(fd);
	}
	mem_free(a);
}

/* stop - nothing of it goes on */
static void stop(struct dial *d)
{
	while (d->attempts != NULL) {
		free_attempt(d->attempts, true);
	}
	for (size_t i = 0; i < ARRAY_LEN(d->families); i++) {
		dns_cancel(d->families[i].query);
		d->families[i].query = NULL;
	}
	loop_untimer(d->loop, &d->next);
	loop_untimer(d->loop, &d->total);
	loop_unhook(d->loop, &d->step);
}

static void free_text(const char *text)
{
	mem_free((char *)(uintptr_t)text);
}

static void free_dial(struct dial *d)
{
	stop(d);
	for (size_t i = 0; i < ARRAY_LEN(d->families); i++) {
		mem_free(d->families[i].list);
	}
	free_text(d->config.path);
	free_text(d->config.host);
	free_text(d->config.name);
	free_text(d->config.bind_v4);
	free_text(d->config.bind_v6);
	mem_free(d->tries);
	mem_free(d);
}

/* put_error - what was tried last, and what came of it */
static void put_error(struct buf *b, const struct dial *d, enum dial_status status, const char *why)
{
	const char *name = d->config.name != NULL ? d->config.name : "";

	if (status == DIAL_NOT_FOUND) {
		buf_addf(b, "host %s has no address", name);
	} else if (status == DIAL_TRY_AGAIN) {
		buf_addf(b, "host %s: the name service does not answer", name);
	} else if (d->config.path != NULL) {
		buf_addf(b, "connect to %s: %s", d->config.path, why);
	} else if (d->try_count == 0) {
		buf_addf(b, "connect to %s: %s", name, why);
	} else {
		buf_addf(b, "%s %s[%s]:%d: %s",
			status == DIAL_TLS_FAILED ? "TLS handshake with" : "connect to", name,
			d->tries[d->try_count - 1].address, d->config.port, why);
	}
}

/* finish - tell the caller, who may cancel; the dial is gone then */
static void finish(struct dial *d, enum dial_status status, const char *why)
{
	struct buf error = BUF_INIT;
	struct dial_result result = { .status = status,
		.tries = d->tries,
		.try_count = d->try_count,
		.address = "",
		.local = d->local,
		.local_port = d->local_port };

	stop(d);
	if (d->config.path == NULL && d->try_count > 0) {
		result.address = d->tries[d->try_count - 1].address;
		result.port = d->config.port;
	}
	if (status != DIAL_OK) {
		put_error(&error, d, status, why);
	}
	result.error = buf_str(&error);
	d->finished = true;
	d->fn(d->arg, &result);
	buf_free(&error);
	free_dial(d);
}

/* ---- TLS ---- */

static void on_secured(struct stream *s)
{
	struct dial *d = s->owner;

	stream_use(s, d->class, d->owner);
	finish(d, DIAL_OK, "");
}

static void on_handshake_closed(struct stream *s, enum stream_end why)
{
	struct dial *d = s->owner;

	stream_use(s, d->class, d->owner);
	finish(d, DIAL_TLS_FAILED, stream_text(s, why));
}

static const struct stream_class handshake_class = {
	.secured = on_secured, .closed = on_handshake_closed, .read_size = TLS_READ
};

/* ---- Attempts ---- */

static void soon(struct dial *d)
{
	loop_at_end(d->loop, &d->step, step, d);
}

/* note_local - our end of the connection */
static void note_local(struct dial *d, int fd)
{
	union address a;
	socklen_t len = sizeof(a);
	const void *raw = &a.v4.sin_addr;

	if (getsockname(fd, &a.any, &len) != 0) {
		return;
	}
	if (a.any.sa_family == AF_INET6) {
		raw = &a.v6.sin6_addr;
	}
	(void)inet_ntop(a.any.sa_family, raw, d->local, sizeof(d->local));
	d->local_port = ntohs(a.any.sa_family == AF_INET6 ? a.v6.sin6_port : a.v4.sin_port);
}

/* won - the connection is there; what else is under way ends */
static void won(struct dial *d, int fd)
{
	const struct dial_config *c = &d->config;

	while (d->attempts != NULL) {
		free_attempt(d->attempts, true);
	}
	for (size_t i = 0; i < ARRAY_LEN(d->families); i++) {
		dns_cancel(d->families[i].query);
		d->families[i].query = NULL;
	}
	loop_untimer(d->loop, &d->next);
	loop_unhook(d->loop, &d->step);
	stream_open(d->stream, fd);
	if (c->begin_tls == NULL) {
		finish(d, DIAL_OK, "");
		return;
	}
	stream_use(d->stream, &handshake_class, d);
	c->begin_tls(d->stream, c->tls_arg);
}

static void lost(struct attempt *a, int error)
{
	struct dial *d = a->dial;

	d->tries[a->try].error = error;
	free_attempt(a, true);
	d->next_due = true;
	soon(d);
}

/* move_last - the try that won stands last, where the result looks for it */
static void move_last(struct dial *d, size_t i)
{
	struct dial_try t = d->tries[i];

	memmove(d->tries + i, d->tries + i + 1, (d->try_count - i - 1) * sizeof(t));
	d->tries[d->try_count - 1] = t;
}

static void on_connected(struct watch *w, unsigned events)
{
	struct attempt *a = w->owner;
	struct dial *d = a->dial;
	int error = 0, fd = w->fd;
	socklen_t len = sizeof(error);

	(void)events;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) {
		error = errno;
	}
	if (error != 0) {
		lost(a, error);
		return;
	}
	note_local(d, fd);
	move_last(d, a->try);
	free_attempt(a, false);
	won(d, fd);
}

static void on_attempt_timeout(struct timer *t)
{
	lost(t->owner, ETIMEDOUT);
}

/* parse_v6 - with a zone where there is one: "fe80::1%eth0" (RFC 4007 11) */
static bool parse_v6(const char *text, struct sockaddr_in6 *a)
{
	const char *zone = strchr(text, '%');
	size_t len = zone != NULL ? (size_t)(zone - text) : strlen(text);
	char address[64];
	int64_t number;

	if (len >= sizeof(address)) {
		return false;
	}
	memcpy(address, text, len);
	address[len] = '\0';
	if (zone != NULL) {
		a->sin6_scope_id = str_to_int(zone + 1, 1, UINT32_MAX, &number)
			? (uint32_t)number
			: if_nametoindex(zone + 1);
		if (a->sin6_scope_id == 0) {
			return false;
		}
	}
	return inet_pton(AF_INET6, address, &a->sin6_addr) == 1;
}

/* make_address - from text; its length, or 0: it is no address */
static socklen_t make_address(const char *text, int port, union address *a)
{
	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET, text, &a->v4.sin_addr) == 1) {
		a->v4.sin_family = AF_INET;
		a->v4.sin_port = htons((uint16_t)port);
		return sizeof(a->v4);
	}
	if (parse_v6(text, &a->v6)) {
		a->v6.sin6_family = AF_INET6;
		a->v6.sin6_port = htons((uint16_t)port);
		return sizeof(a->v6);
	}
	return 0;
}

/* bind_own - to our own address, if one is set for the family; 0, or -1 with errno */
static int bind_own(const struct dial *d, int fd, int family)
{
	static const int on = 1;
	const char *own = family == AF_INET6 ? d->config.bind_v6 : d->config.bind_v4;
	union address a;
	socklen_t len;

	if (own == NULL || *own == '\0') {
		return 0;
	}
	len = make_address(own, 0, &a);
	if (len == 0 || a.any.sa_family != family) {
		errno = EADDRNOTAVAIL;
		return -1;
	}
	/* The port is chosen by connect(2), which knows the whole pair of addresses. */
	(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	return bind(fd, &a.any, len);
}

/* open_socket - on its way to the address, or there already; -1 with errno */
static int open_socket(const struct dial *d, const char *text)
{
	static const int on = 1;
	union address a;
	socklen_t len = make_address(text, d->config.port, &a);
	int fd, error;

	if (len == 0) {
		errno = EINVAL;
		return -1;
	}
	fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return -1;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind_own(d, fd, a.any.sa_family) == 0 &&
		(connect(fd, &a.any, len) == 0 || errno == EINPROGRESS)) {
		return fd;
	}
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* take_address - the next one: the families take turns; NULL: there is none (now) */
static const char *take_address(struct dial *d)
{
	for (size_t i = 0; i < ARRAY_LEN(d->families); i++) {
		struct family *f = &d->families[d->turn];

		d->turn ^= 1;
		if (f->at < f->count) {
			return f->list[f->at++];
		}
	}
	return NULL;
}

static bool has_address(const struct dial *d)
{
	return d->families[0].at < d->families[0].count || d->families[1].at < d->families[1].count;
}

static void on_next(struct timer *t)
{
	struct dial *d = t->owner;

	d->next_due = true;
	soon(d);
}

/* attempt - the next address */
static void attempt(struct dial *d)
{
	const char *text = take_address(d);
	struct dial_try *t;
	struct attempt *a;
	int fd;

	d->next_due = false;
	loop_untimer(d->loop, &d->next);
	d->tries = mem_realloc(d->tries, (d->try_count + 1) * sizeof(*d->tries));
	t = &d->tries[d->try_count++];
	memset(t, 0, sizeof(*t));
	(void)str_copy(t->address, sizeof(t->address), text);
	fd = open_socket(d, text);
	if (fd < 0) {
		t->error = errno;
		d->next_due = true;
		return;
	}
	a = mem_alloc(sizeof(*a));
	a->dial = d;
	a->try = d->try_count - 1;
	a->next = d->attempts;
	d->attempts = a;
	loop_watch(d->loop, &a->watch, fd, LOOP_WRITE, on_connected, a);
	if (d->config.attempt_ms > 0) {
		loop_timer(d->loop, &a->timer, d->config.attempt_ms, on_attempt_timeout, a);
	}
	if (d->config.delay_ms >= 0) {
		loop_timer(d->loop, &d->next,
			d->config.delay_ms > 0 ? d->config.delay_ms : DELAY_MS, on_next, d);
	}
}

/* ---- Names ---- */

/* is_asking - is f still to answer? */
static bool is_asking(const struct family *f)
{
	return f->wanted && f->asked && f->query != NULL;
}

static void add_address(struct family *f, const char *text)
{
	f->list = mem_realloc(f->list, (f->count + 1) * sizeof(*f->list));
	(void)str_copy(f->list[f->count++], sizeof(f->list[0]), text);
}

static void take_answer(struct dial *d, struct family *f, enum dns_status status,
	const char *const *values, size_t count)
{
	const struct family *first = &d->families[0];

	f->query = NULL;
	f->status = status;
	for (size_t i = 0; i < count && status == DNS_OK && i < ADDRESSES_MAX; i++) {
		add_address(f, values[i]);
	}
	if (f != first && is_asking(first) && f->count > 0) {
		loop_timer(d->loop, &d->next, RESOLVE_MS, on_next, d);
		return;
	}
	d->next_due = d->next_due || (d->attempts == NULL && d->try_count == 0);
	soon(d);
}

static void on_first(void *arg, enum dns_status status, const char *const *values, size_t count)
{
	struct dial *d = arg;

	take_answer(d, &d->families[0], status, values, count);
}

static void on_second(void *arg, enum dns_status status, const char *const *values, size_t count)
{
	struct dial *d = arg;

	take_answer(d, &d->families[1], status, values, count);
}

/* resolve - ask for both families, the first choice first */
static void resolve(struct dial *d)
{
	static dns_answer_fn *const answers[] = { on_first, on_second };
	const struct dial_config *c = &d->config;

	d->families[0].v6 = !c->v4_first;
	d->families[1].v6 = c->v4_first;
	for (size_t i = 0; i < ARRAY_LEN(d->families); i++) {
		struct family *f = &d->families[i];

		f->status = DNS_NOT_FOUND;
		f->wanted = f->v6 ? !c->no_v6 : !c->no_v4;
		f->asked = true;
		if (f->wanted) {
			f->query = dns_host(d->dns, c->host, !f->v6, f->v6, answers[i], d);
		}
	}
}

/* ---- Unix sockets ---- */

static void try_path(struct dial *d)
{
	int fd = unix_connect(d->config.path);

	d->next_due = false;
	if (fd >= 0) {
		won(d, fd);
	} else if (errno == EAGAIN) {
		loop_timer(d->loop, &d->next, BACKLOG_MS, on_next, d);
	} else {
		finish(d, DIAL_FAILED, strerror(errno));
	}
}

/* ---- Steps ---- */

/* give_up - nothing is under way any more */
static void give_up(struct dial *d)
{
	if (d->try_count > 0) {
		finish(d, DIAL_FAILED, strerror(d->tries[d->try_count - 1].error));
	} else if (d->families[0].status == DNS_TRY_AGAIN ||
		d->families[1].status == DNS_TRY_AGAIN) {
		finish(d, DIAL_TRY_AGAIN, "");
	} else {
		finish(d, DIAL_NOT_FOUND, "");
	}
}

/* step - what is due */
static void step(struct loop_hook *h)
{
	struct dial *d = h->owner;

	if (d->config.path != NULL) {
		try_path(d);
		return;
	}
	while (d->next_due && has_address(d)) {
		attempt(d);
	}
	if (d->attempts == NULL && !has_address(d) && !is_asking(&d->families[0]) &&
		!is_asking(&d->families[1])) {
		give_up(d);
	}
}

static void on_total(struct timer *t)
{
	struct dial *d = t->owner;
	const char *why = strerror(ETIMEDOUT);

	for (struct attempt *a = d->attempts; a != NULL; a = a->next) {
		d->tries[a->try].error = ETIMEDOUT;
	}
	if (d->stream->fd >= 0) {
		stream_close(d->stream);
		stream_use(d->stream, d->class, d->owner);
		finish(d, DIAL_TLS_FAILED, why);
	} else if (d->config.path == NULL && d->try_count == 0) {
		finish(d, DIAL_TRY_AGAIN, "");
	} else {
		finish(d, DIAL_FAILED, why);
	}
}

/* ---- For the caller ---- */

static void copy_config(struct dial *d, const struct dial_config *c)
{
	d->config = *c;
	d->config.path = mem_strdup(c->path);
	d->config.host = mem_strdup(c->host);
	d->config.name = mem_strdup(c->name != NULL ? c->name : c->host);
	d->config.bind_v4 = mem_strdup(c->bind_v4);
	d->config.bind_v6 = mem_strdup(c->bind_v6);
	d->config.addresses = NULL;
}

/* find_addresses - those that are known, or the question for them */
static void find_addresses(struct dial *d, const struct dial_config *c)
{
	union address a;

	d->next_due = true;
	if (c->path != NULL) {
		return;
	}
	for (size_t i = 0; i < c->address_count; i++) {
		add_address(&d->families[0], c->addresses[i]);
	}
	if (c->address_count == 0 && c->host != NULL && make_address(c->host, 0, &a) > 0) {
		add_address(&d->families[0], c->host);
	} else if (c->address_count == 0 && c->host != NULL) {
		d->next_due = false;
		resolve(d);
	}
}

struct dial *dial_start(struct loop *loop, struct dns *dns, const struct dial_config *config,
	struct stream *s, dial_fn *fn, void *arg)
{
	struct dial *d = mem_alloc(sizeof(*d));

	d->loop = loop;
	d->dns = dns;
	d->stream = s;
	d->class = s->class;
	d->owner = s->owner;
	d->fn = fn;
	d->arg = arg;
	copy_config(d, config);
	find_addresses(d, config);
	if (config->total_ms > 0) {
		loop_timer(loop, &d->total, config->total_ms, on_total, d);
	}
	soon(d);
	return d;
}

void dial_cancel(struct dial *d)
{
	if (d == NULL || d->finished) {
		return;
	}
	if (d->stream->fd >= 0) {
		stream_close(d->stream);
		stream_use(d->stream, d->class, d->owner);
	}
	free_dial(d);
}
