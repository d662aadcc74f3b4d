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
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/mem.h"
#include "base/unixsock.h"
#include "map/map_impl.h"

enum { TIMEOUT_MS = 10000, REST_MS = 10000, MAX_REPLY = 100000 };

struct server {
	struct server *next;
	unsigned refs;
	char *host, *port;          /* host "" and port a path: a unix socket */
	struct addrinfo *addresses; /* of host; NULL: not asked for yet */
	int fd;
	struct buf in;
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

/* wait_for - the descriptor to become ready before deadline; 0, or -1 with errno */
static int wait_for(int fd, short events, int64_t deadline)
{
	struct pollfd p = { .fd = fd, .events = events };
	int64_t left;
	int rc;

	do {
		left = deadline - clock_ms();
		rc = left > 0 ? poll(&p, 1, (int)left) : 0;
	} while (rc < 0 && errno == EINTR);
	if (rc == 0) {
		errno = ETIMEDOUT;
	}
	return rc > 0 ? 0 : -1;
}

static void hang_up(struct server *s)
{
	if (s->fd >= 0) {
		close(s->fd);
	}
	s->fd = -1;
	buf_reset(&s->in);
}

/* connect_one - to one address; fd, or -1 with errno */
static int connect_one(const struct addrinfo *ai, int64_t deadline)
{
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err = 0;
	socklen_t len = sizeof(err);

	if (fd < 0) {
		return -1;
	}
	if (connect(fd, ai->ai_addr, ai->ai_addrlen) == 0) {
		return fd;
	}
	if (errno == EINPROGRESS && wait_for(fd, POLLOUT, deadline) == 0 &&
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0 && err == 0) {
		return fd;
	}
	if (err != 0) {
		errno = err;
	}
	err = errno;
	close(fd);
	errno = err;
	return -1;
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

static int dial(struct map *m, struct server *s, int64_t deadline)
{
	int saved;

	if (s->fd >= 0) {
		return 0;
	}
	buf_reset(&s->in);
	if (*s->host == '\0') {
		s->fd = unix_connect(s->port);
		return s->fd >= 0 ? 0 : map_fail(m, "connect to %s: %s", s->port, strerror(errno));
	}
	if (find_addresses(m, s) != 0) {
		return -1;
	}
	for (const struct addrinfo *ai = s->addresses; ai != NULL && s->fd < 0; ai = ai->ai_next) {
		s->fd = connect_one(ai, deadline);
	}
	if (s->fd >= 0) {
		return 0;
	}
	saved = errno;
	if (saved == ETIMEDOUT) {
		s->rest_until = clock_ms() + REST_MS;
	}
	freeaddrinfo(s->addresses); /* it may have moved */
	s->addresses = NULL;
	return map_fail(m, "connect to %s port %s: %s", s->host, s->port, strerror(saved));
}

static int send_all(struct server *s, const struct buf *out, int64_t deadline)
{
	size_t done = 0;

	while (done < out->len) {
		ssize_t n = send(s->fd, out->data + done, out->len - done, MSG_NOSIGNAL);

		if (n >= 0) {
			done += (size_t)n;
		} else if (errno != EAGAIN && errno != EINTR) {
			return -1;
		} else if (wait_for(s->fd, POLLOUT, deadline) != 0) {
			return -1;
		}
	}
	return 0;
}

/* receive - some more bytes; 0, or -1 with errno */
static int receive(struct server *s, int64_t deadline)
{
	ssize_t n;

	for (;;) {
		n = recv(s->fd, buf_reserve(&s->in, 4096), 4096, 0);
		if (n > 0) {
			buf_added(&s->in, (size_t)n);
			return 0;
		}
		if (n == 0) {
			errno = ECONNRESET;
			return -1;
		}
		if (errno != EAGAIN && errno != EINTR) {
			return -1;
		}
		if (wait_for(s->fd, POLLIN, deadline) != 0) {
			return -1;
		}
	}
}

/* is_quiet - nothing came on the connection that nobody asked for, nor its end */
static bool is_quiet(const struct server *s)
{
	char c;

	return recv(s->fd, &c, 1, MSG_PEEK) < 0 && errno == EAGAIN;
}

/*
 * exchange - send a request, read until complete() finds the end of the answer. What comes behind
 * an answer must never be taken for that to the next request: it is thrown away, and a connection
 * on which more has come since is closed.
 */
static int exchange(struct map *m, const struct buf *request,
	int (*complete)(struct buf *in, struct slice *answer), struct slice *answer)
{
	const struct table *t = m->state;
	struct server *s = t->server;
	int64_t deadline = clock_ms() + G.wait_ms;
	int rc = 0;

	if (clock_ms() < s->rest_until) {
		return map_fail(m, "no answer in time: not asked again for %d s", REST_MS / 1000);
	}

	if (s->fd >= 0 && !is_quiet(s)) {
		hang_up(s);
	}
	/* A kept connection may have been closed by the other side: once more with a new one. */
	for (int try = s->fd >= 0 ? 0 : 1; try < 2; try++) {
		if (dial(m, s, deadline) != 0) {
			return -1;
		}
		buf_reset(&s->in);
		rc = send_all(s, request, deadline);
		while (rc == 0) {
			rc = complete(&s->in, answer);
			if (rc > 0) {
				return 0;
			}
			if (rc < 0 || s->in.len > MAX_REPLY) {
				hang_up(s);
				return map_fail(m, "malformed answer");
			}
			rc = receive(s, deadline);
		}
		rc = errno;
		hang_up(s);
	}
	if (rc == ETIMEDOUT) {
		s->rest_until = clock_ms() + REST_MS;
	}
	return map_fail(m, "no answer: %s", strerror(rc));
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
		s->fd = -1;
		s->host = mem_strndup(host.ptr, host.len);
		s->port = mem_strndup(port.ptr, port.len);
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
