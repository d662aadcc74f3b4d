/*
 * map_net - tables that a server answers for: tcp and socketmap
 *
 *	tcp:host:port			"get key" -> "200 value", "500 none", "400 error";
 *					blanks, '%' and controls as %XX (tcp_table(5))
 *	socketmap:inet:host:port:name	netstrings: "name key" -> "OK value",
 *	socketmap:unix:path:name	"NOTFOUND ", "TEMP why", "TIMEOUT why", "PERM why"
 *
 * Who computes with answers that come later (map/map_wait.h) waits for the server without holding
 * anybody up; tools and the like block. How a server is reached, and when it is given up, is
 * map_server.c's.
 */
#include <string.h>

#include "base/encode.h"
#include "base/mem.h"
#include "map/map_impl.h"
#include "map/map_server.h"

enum { MAX_VALUE = 100000 };

/* What a map has as its state. */
struct table {
	char *host, *port;                 /* host "" and port a path: a unix socket */
	char *name;                        /* socketmap's */
	struct map_server *waits, *blocks; /* the server, as it was asked; NULL: not yet */
};

/*
 * ask - a request, whose answer ends where complete() says: 0, or -1 with the map's error. The
 * answer is valid until the next look-up.
 */
static int ask(
	struct map *m, const struct buf *request, map_complete_fn *complete, struct slice *answer)
{
	struct table *t = m->state;
	struct map_wait *w = map_wait_current();
	const struct slice host = slice_of(t->host), port = slice_of(t->port);
	struct map_question *q;

	if (w == NULL) {
		if (t->blocks == NULL) {
			t->blocks = map_server_use(host, port, NULL);
		}
		q = map_server_ask_now(t->blocks, request, complete);
	} else {
		if (t->waits == NULL || map_server_loop(t->waits) != w->loop) {
			map_server_release(t->waits);
			t->waits = map_server_use(host, port, w->loop);
		}
		q = map_server_ask(t->waits, w, request, complete);
	}
	if (q == NULL || q->state == MAP_ASKED) {
		return map_later(m);
	}
	*answer = (struct slice){ buf_str(&q->answer), q->answer.len };
	return q->state == MAP_ANSWERED ? 0 : map_fail(m, "%s", answer->ptr);
}

static void close_table(struct map *m)
{
	struct table *t = m->state;

	if (t == NULL) {
		return;
	}
	map_server_release(t->waits);
	map_server_release(t->blocks);
	mem_free(t->host);
	mem_free(t->port);
	mem_free(t->name);
	mem_free(t);
}

static void use_server(struct map *m, struct slice host, struct slice port)
{
	struct table *t = mem_alloc(sizeof(*t));

	m->state = t;
	t->host = mem_strndup(host.ptr, host.len);
	t->port = mem_strndup(port.ptr, port.len);
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

static int complete_line(const struct buf *in, struct slice *answer, size_t *size)
{
	const char *text = buf_head(in), *end = memchr(text, '\n', buf_unread(in));

	if (end == NULL) {
		return 0;
	}
	*size = (size_t)(end - text) + 1;
	*answer = (struct slice){ text, *size - 1 };
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
	rc = ask(m, &request, complete_line, &answer);
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
static int complete_netstring(const struct buf *in, struct slice *answer, size_t *size)
{
	const char *text = buf_head(in);
	size_t had = buf_unread(in), digits = strspn(text, "0123456789");
	int64_t len;
	char number[8];

	if (digits == had && digits < sizeof(number)) {
		return 0;
	}
	if (digits == 0 || digits >= sizeof(number) || text[digits] != ':') {
		return -1;
	}
	memcpy(number, text, digits);
	number[digits] = '\0';
	if (!str_to_int(number, 0, MAX_VALUE, &len)) {
		return -1;
	}
	*size = digits + 1 + (size_t)len + 1;
	if (had < *size) {
		return 0;
	}
	*answer = (struct slice){ text + digits + 1, (size_t)len };
	return text[*size - 1] == ',' ? 1 : -1;
}

static int get_socketmap(struct map *m, const char *key, struct buf *value)
{
	const struct table *t = m->state;
	struct buf request = BUF_INIT;
	struct slice answer;
	int rc;

	buf_addf(&request, "%zu:%s %s,", strlen(t->name) + 1 + strlen(key), t->name, key);
	rc = ask(m, &request, complete_netstring, &answer);
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
