/*
 * map_net - tables that a server answers for: tcp and socketmap
 *
 *	tcp:host:port			"get key" -> "200 value", "500 none", "400 error";
 *					blanks, '%' and controls as %XX (tcp_table(5))
 *	socketmap:inet:host:port:name	netstrings: "name key" -> "OK value",
 *	socketmap:unix:path:name	"NOTFOUND ", "TEMP why", "TIMEOUT why", "PERM why"
 *
 * These block. Tools and processes that may wait for a look-up (local, pipe) do so for up to
 * TIMEOUT_MS, an event loop with clients for what it says with map_wait_at_most(). A server that
 * did not answer in time is not asked again for REST_MS: an error at once, and those clients who
 * need no such table go on meanwhile.
 *
 * All tables of a process that name the same server share its connection, which is kept and made
 * again when it broke, and what is known of it.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/mem.h"
#include "base/stream.h"
#include "net/dial.h"
#include "map/map_impl.h"

enum { TIMEOUT_MS = 10000, REST_MS = 10000, MAX_REPLY = 100000, ADDRESSES_MAX = 16 };

/* 1: *answer is set, and points into in; 0: there is more to come; -1: malformed. */
typedef int complete_fn(struct buf *in, struct slice *answer);

struct server {
	struct server *next;
	unsigned refs;
	char *host, *port;          /* host "" and port a path: a unix socket */
	struct addrinfo *addresses; /* of host; NULL: not asked for yet */
	struct loop *loop;          /* of the connection alone; NULL: a unix socket */
	struct dial *dial;
	struct stream s;
	complete_fn *complete; /* finds the end of the answer; NULL: none is waited for */
	struct buf in;         /* the answer stands in it */
	struct slice answer;
	int rc;             /* of complete */
	int error;          /* errno: of the connection's end, or of dialling */
	int64_t rest_until; /* did not answer in time */
};

/* What a map has as its state. */
struct table {
	struct server *server;
	char *name; /* socketmap's */
};

/* The servers of this process, for sharing; how long it waits for one. */
static struct {
	struct server *list;
	int wait_ms;
} G = { .wait_ms = TIMEOUT_MS };

void map_wait_at_most(int milliseconds)
{
	G.wait_ms = milliseconds;
}

/* ---- The connection ---- */

static bool on_data(struct stream *stream, struct buf *in)
{
	struct server *s = stream->owner;
	struct buf whole = *in;

	if (s->complete == NULL) {
		return false;
	}
	s->rc = s->complete(in, &s->answer);
	if (s->rc == 0 && in->len > MAX_REPLY) {
		s->rc = -1;
	}
	if (s->rc > 0) {
		/* Ours from now on: the answer points into it. */
		*in = s->in;
		buf_reset(in);
		s->in = whole;
	}
	return s->rc >= 0;
}

static void on_closed(struct stream *stream, enum stream_end why)
{
	struct server *s = stream->owner;

	s->error = why == STREAM_EOF ? ECONNRESET : stream->error;
}

static const struct stream_class server_class = {
	.data = on_data, .closed = on_closed, .read_size = 4096, .in_max = MAX_REPLY * 2
};

static void on_dialled(void *arg, const struct dial_result *result)
{
	struct server *s = arg;

	s->dial = NULL;
	s->error = result->status == DIAL_OK ? 0
		: result->try_count > 0      ? result->tries[result->try_count - 1].error
					     : EADDRNOTAVAIL;
}

static void hang_up(struct server *s)
{
	dial_cancel(s->dial);
	s->dial = NULL;
	stream_close(&s->s);
}

/* find_addresses - once: a name server that is down blocks for longer than any deadline here */
static int find_addresses(struct map *m, struct server *s)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	int64_t start = clock_ms();
	int rc;

	if (s->addresses != NULL) {
		return 0;
	}
	rc = getaddrinfo(s->host, s->port, &hints, &s->addresses);
	if (rc == 0) {
		return 0;
	}
	s->addresses = NULL;
	if (clock_ms() - start > G.wait_ms / 2) {
		s->rest_until = clock_ms() + REST_MS;
	}
	return map_fail(m, "connect to %s port %s: %s", s->host, s->port, gai_strerror(rc));
}

/* dial_all - the addresses that are known; 0, or errno */
static int dial_all(struct server *s, int64_t deadline)
{
	const char *texts[ADDRESSES_MAX];
	char room[ADDRESSES_MAX][64];
	struct dial_config config = { .addresses = texts, .name = s->host };
	const struct addrinfo *ai = s->addresses;
	int64_t left = deadline - clock_ms();

	for (; ai != NULL && config.address_count < ADDRESSES_MAX; ai = ai->ai_next) {
		char port[16];
		size_t i = config.address_count;

		if (getnameinfo(ai->ai_addr, ai->ai_addrlen, room[i], sizeof(room[i]), port,
			    sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
			texts[config.address_count++] = room[i];
			config.port = ntohs(((const struct sockaddr_in *)ai->ai_addr)->sin_port);
		}
	}
	config.total_ms = left > 0 ? left : 1;
	/* What was left undone when memory ran out (base/mem.h). */
	dial_cancel(s->dial);
	s->dial = dial_start(s->loop, NULL, &config, &s->s, on_dialled, s);
	while (s->dial != NULL) {
		loop_turn(s->loop, -1);
	}
	return s->error;
}

/* reach - have a connection; 0, or -1 with the map's error */
static int reach(struct map *m, struct server *s, int64_t deadline)
{
	int error;

	if (s->s.fd >= 0) {
		return 0;
	}
	if (*s->host == '\0') {
		return stream_connect(&s->s, s->port) == 0
			? 0
			: map_fail(m, "connect to %s: %s", s->port, strerror(errno));
	}
	if (find_addresses(m, s) != 0) {
		return -1;
	}
	error = dial_all(s, deadline);
	if (error == 0) {
		return 0;
	}
	if (error == ETIMEDOUT) {
		s->rest_until = clock_ms() + REST_MS;
	}
	freeaddrinfo(s->addresses); /* it may have moved */
	s->addresses = NULL;
	return map_fail(m, "connect to %s port %s: %s", s->host, s->port, strerror(error));
}

/* ask - once; 1: s->answer is there; -1: malformed; 0: it did not come, s->error says why */
static int ask(struct server *s, const struct buf *request, complete_fn *complete, int64_t deadline)
{
	int moved = 1;

	s->complete = complete;
	s->rc = 0;
	s->error = ETIMEDOUT;
	buf_add(&s->s.out, request->data, request->len);
	(void)stream_flush(&s->s);
	while (s->rc == 0 && moved > 0) {
		moved = stream_wait(&s->s, deadline);
	}
	s->complete = NULL;
	return s->rc;
}

/*
 * exchange - send a request, read until complete() finds the end of the answer. What comes behind
 * an answer must never be taken for that to the next request: it is thrown away, and a connection
 * on which more has come since is closed.
 */
static int exchange(
	struct map *m, const struct buf *request, complete_fn *complete, struct slice *answer)
{
	const struct table *t = m->state;
	struct server *s = t->server;
	int64_t deadline = clock_ms() + G.wait_ms;

	if (clock_ms() < s->rest_until) {
		return map_fail(m, "no answer in time: not asked again for %d s", REST_MS / 1000);
	}
	/* Whatever it has said unasked ends it. */
	(void)stream_wait(&s->s, 0);
	/* A kept connection may have been closed by the other side: once more with a new one. */
	for (int try = s->s.fd >= 0 ? 0 : 1; try < 2; try++) {
		int rc;

		if (reach(m, s, deadline) != 0) {
			return -1;
		}
		rc = ask(s, request, complete, deadline);
		if (rc > 0) {
			*answer = s->answer;
			return 0;
		}
		hang_up(s);
		if (rc < 0) {
			return map_fail(m, "malformed answer");
		}
	}
	if (s->error == ETIMEDOUT) {
		s->rest_until = clock_ms() + REST_MS;
	}
	return map_fail(m, "no answer: %s", strerror(s->error));
}

static void release_server(struct server *s)
{
	if (s == NULL || --s->refs > 0) {
		return;
	}
	for (struct server **at = &G.list; *at != NULL; at = &(*at)->next) {
		if (*at == s) {
			*at = s->next;
			break;
		}
	}
	hang_up(s);
	if (s->addresses != NULL) {
		freeaddrinfo(s->addresses);
	}
	loop_free(s->loop);
	mem_free(s->host);
	mem_free(s->port);
	buf_free(&s->in);
	mem_free(s);
}

static void close_table(struct map *m)
{
	struct table *t = m->state;

	if (t == NULL) {
		return;
	}
	release_server(t->server);
	mem_free(t->name);
	mem_free(t);
}

/* use_server - the one at host and port, which this process may know already */
static void use_server(struct map *m, struct slice host, struct slice port)
{
	struct table *t = mem_alloc(sizeof(*t));
	struct server *s = G.list;

	m->state = t;
	while (s != NULL && !(slice_eq(host, s->host) && slice_eq(port, s->port))) {
		s = s->next;
	}
	if (s == NULL) {
		s = mem_alloc(sizeof(*s));
		s->host = mem_strndup(host.ptr, host.len);
		s->port = mem_strndup(port.ptr, port.len);
		s->loop = host.len > 0 ? loop_new() : NULL;
		stream_init(&s->s, s->loop, &server_class, s);
		s->next = G.list;
		G.list = s;
	}
	s->refs++;
	t->server = s;
}

/* use_address - from "host:port", the host perhaps in brackets */
static int use_address(struct map *m, const char *text, size_t len)
{
	const char *colon = memrchr(text, ':', len);
	struct slice host = { text, len };

	if (colon == NULL || colon == text || colon + 1 == text + len) {
		return map_fail(m, "expected host:port");
	}
	host.len = (size_t)(colon - text);
	if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']') {
		host = (struct slice){ host.ptr + 1, host.len - 2 };
	}
	use_server(m, host, (struct slice){ colon + 1, len - (size_t)(colon + 1 - text) });
	return 0;
}

/* ---- tcp ---- */

static int open_tcp(struct map *m)
{
	return use_address(m, m->name, strlen(m->name));
}

/* add_value - the bytes that a server gave for one; one with a NUL is none */
static int add_value(struct map *m, struct buf *value, const char *data, size_t len)
{
	if (len > 0 && memchr(data, '\0', len) != NULL) {
		return map_fail(m, "malformed answer: a NUL byte");
	}
	buf_add(value, data, len);
	return 1;
}

static int complete_line(struct buf *in, struct slice *answer)
{
	const char *end = memchr(buf_str(in), '\n', in->len);

	if (end == NULL) {
		return 0;
	}
	*answer = (struct slice){ in->data, (size_t)(end - in->data) };
	if (answer->len > 0 && answer->ptr[answer->len - 1] == '\r') {
		answer->len--;
	}
	return 1;
}

static int get_tcp(struct map *m, const char *key, struct buf *value)
{
	struct buf request = BUF_INIT, text = BUF_INIT;
	struct slice answer;
	int rc;

	buf_adds(&request, "get ");
	for (const unsigned char *p = (const unsigned char *)key; *p != '\0'; p++) {
		if (*p <= ' ' || *p == '%' || *p >= 127) {
			buf_addf(&request, "%%%02X", *p);
		} else {
			buf_addc(&request, (char)*p);
		}
	}
	buf_addc(&request, '\n');
	rc = exchange(m, &request, complete_line, &answer);
	buf_free(&request);
	if (rc != 0) {
		return rc;
	}
	if (answer.len < 4 || answer.ptr[3] != ' ') {
		return map_fail(m, "malformed answer");
	}
	if (memcmp(answer.ptr, "500", 3) == 0) {
		return 0;
	}
	if (memcmp(answer.ptr, "400", 3) == 0) {
		return map_fail(m, "%.*s", (int)answer.len, answer.ptr);
	}
	if (memcmp(answer.ptr, "200", 3) != 0) {
		return map_fail(m, "malformed answer");
	}
	rc = 1;
	for (size_t i = 4; i < answer.len && rc == 1; i++) {
		if (answer.ptr[i] != '%') {
			buf_addc(&text, answer.ptr[i]);
		} else if (i + 2 >= answer.len || !hex_decode(&text, answer.ptr + i + 1, 2)) {
			rc = map_fail(m, "malformed answer");
		} else {
			i += 2;
		}
	}
	if (rc == 1) {
		rc = add_value(m, value, buf_str(&text), text.len);
	}
	buf_free(&text);
	return rc;
}

const struct map_type map_type_tcp = {
	.name = "tcp",
	.whole = true,
	.open = open_tcp,
	.get = get_tcp,
	.close = close_table,
};

/* ---- socketmap ---- */

static int open_socketmap(struct map *m)
{
	const char *last = strrchr(m->name, ':');
	struct table *t;
	size_t len;

	if (last == NULL || last <= m->name + 5) {
		return map_fail(m, "expected inet:host:port:name or unix:path:name");
	}
	len = (size_t)(last - m->name) - 5;
	if (str_starts(m->name, "unix:")) {
		use_server(m, (struct slice){ "", 0 }, (struct slice){ m->name + 5, len });
	} else if (!str_starts(m->name, "inet:")) {
		return map_fail(m, "expected inet:host:port:name or unix:path:name");
	} else if (use_address(m, m->name + 5, len) != 0) {
		return -1;
	}
	t = m->state;
	t->name = mem_strdup(last + 1);
	return 0;
}

/* complete_netstring - "12:hello world!," */
static int complete_netstring(struct buf *in, struct slice *answer)
{
	size_t digits = strspn(buf_str(in), "0123456789");
	int64_t len;
	char number[8];

	if (digits == in->len && digits < sizeof(number)) {
		return 0;
	}
	if (digits == 0 || digits >= sizeof(number) || in->data[digits] != ':') {
		return -1;
	}
	memcpy(number, in->data, digits);
	number[digits] = '\0';
	if (!str_to_int(number, 0, MAX_REPLY, &len)) {
		return -1;
	}
	if (in->len < digits + 1 + (size_t)len + 1) {
		return 0;
	}
	*answer = (struct slice){ in->data + digits + 1, (size_t)len };
	return in->data[digits + 1 + (size_t)len] == ',' ? 1 : -1;
}

static int get_socketmap(struct map *m, const char *key, struct buf *value)
{
	const struct table *t = m->state;
	struct buf request = BUF_INIT;
	struct slice answer;
	int rc;

	buf_addf(&request, "%zu:%s %s,", strlen(t->name) + 1 + strlen(key), t->name, key);
	rc = exchange(m, &request, complete_netstring, &answer);
	buf_free(&request);
	if (rc != 0) {
		return rc;
	}
	if (answer.len >= 3 && memcmp(answer.ptr, "OK ", 3) == 0) {
		return add_value(m, value, answer.ptr + 3, answer.len - 3);
	}
	if (answer.len >= 8 && memcmp(answer.ptr, "NOTFOUND", 8) == 0) {
		return 0;
	}
	if (answer.len == 0 || answer.ptr[0] < 'A' || answer.ptr[0] > 'Z') {
		return map_fail(m, "malformed answer");
	}
	return map_fail(m, "%.*s", (int)answer.len, answer.ptr); /* TEMP why and its like */
}

const struct map_type map_type_socketmap = {
	.name = "socketmap",
	.whole = true,
	.open = open_socketmap,
	.get = get_socketmap,
	.close = close_table,
};
