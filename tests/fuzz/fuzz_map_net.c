/*
 * fuzz_map_net - what servers of tcp: and socketmap: tables answer
 *
 * The input: a byte of flags, the key, "%%", then the answers in their order, divided by "%%". The
 * server is a thread: it reads a request, which must be one for this key, and gives the next
 * answer. Then it waits for another request if the answer was whole, else it closes the
 * connection. What the table says must be what the answer says.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/mem.h"
#include "base/unixsock.h"
#include "map/map.h"
#include "fuzz.h"

enum {
	F_SOCKETMAP = 1, /* flags: which kind */
	F_PIECES = 2,    /* the answer comes in two pieces */
	F_SHUT = 4,      /* the connection is closed behind every answer */
	ASKED_MAX = 6,
	KEY_BYTES = 200,
	ANSWER_BYTES = 3000 /* they arrive all at once */
};

/* What both threads know: the server has it while the table is asked, the asker in between. */
static struct {
	int listeners[2];
	char spec[2][700];
	unsigned flags;
	const char *key;
	struct slice rest;
	int given;                 /* answers */
	char answer[ANSWER_BYTES]; /* the one that was given last */
	struct slice last;
} G;

/* ---- The server ---- */

/* whole_line - the first line without its end; false: there is none */
static bool whole_line(struct slice s, struct slice *line)
{
	const char *end = s.len > 0 ? memchr(s.ptr, '\n', s.len) : NULL;

	if (end == NULL) {
		return false;
	}
	*line = (struct slice){ s.ptr, (size_t)(end - s.ptr) };
	if (line->len > 0 && line->ptr[line->len - 1] == '\r') {
		line->len--;
	}
	return true;
}

/* whole_netstring - what is in it; false: it is not whole, or none */
static bool whole_netstring(struct slice s, struct slice *inside)
{
	size_t len = 0, at = 0;

	while (at < s.len && at < 7 && s.ptr[at] >= '0' && s.ptr[at] <= '9') {
		len = len * 10 + (size_t)(s.ptr[at++] - '0');
	}
	if (at == 0 || at == s.len || s.ptr[at] != ':' || len > 100000 ||
		s.len - at - 1 < len + 1 || s.ptr[at + 1 + len] != ',') {
		return false;
	}
	*inside = (struct slice){ s.ptr + at + 1, len };
	return true;
}

static bool whole(struct slice s, struct slice *inside)
{
	return G.flags & F_SOCKETMAP ? whole_netstring(s, inside) : whole_line(s, inside);
}

/* check_request - "get key" with its %XX, or the netstring of "name key" */
static void check_request(struct slice request)
{
	struct buf key = BUF_INIT;

	if (G.flags & F_SOCKETMAP) {
		REQUIRE(request.len >= 5 && memcmp(request.ptr, "name ", 5) == 0);
		buf_add(&key, request.ptr + 5, request.len - 5);
	} else {
		REQUIRE(request.len >= 4 && memcmp(request.ptr, "get ", 4) == 0);
		for (size_t i = 4; i < request.len; i++) {
			REQUIRE(request.ptr[i] > ' ' && request.ptr[i] < 127);
			if (request.ptr[i] == '%') {
				REQUIRE(i + 2 < request.len &&
					hex_decode(&key, request.ptr + i + 1, 2));
				i += 2;
			} else {
				buf_addc(&key, request.ptr[i]);
			}
		}
	}
	REQUIRE(strcmp(buf_str(&key), G.key) == 0);
	buf_free(&key);
}

/* give - the next answer; true: it was whole. What comes behind a whole one comes with it. */
static bool give(int fd)
{
	struct slice part = fuzz_part(&G.rest), inside;
	size_t len = part.len < ANSWER_BYTES ? part.len : ANSWER_BYTES, first = len / 2;
	bool complete;

	if (len > 0) {
		memcpy(G.answer, part.ptr, len);
	}
	G.last = (struct slice){ G.answer, len };
	G.given++;
	complete = whole(G.last, &inside); /* from the last send on all is the asker's */
	if ((G.flags & F_PIECES) == 0 || whole((struct slice){ G.answer, first }, &inside)) {
		first = 0;
	}
	if (first > 0) {
		(void)!send(fd, G.answer, first, MSG_NOSIGNAL);
	}
	(void)!send(fd, G.answer + first, len - first, MSG_NOSIGNAL);
	return complete;
}

/* serve - a connection until either side closes it */
static void serve(int fd)
{
	struct buf in = BUF_INIT;
	bool more = true;

	while (more) {
		struct slice request;
		ssize_t n = recv(fd, buf_reserve(&in, 4096), 4096, 0);

		if (n <= 0) {
			break;
		}
		buf_added(&in, (size_t)n);
		if (!whole((struct slice){ in.data, in.len }, &request)) {
			continue;
		}
		check_request(request);
		buf_reset(&in);
		more = (G.flags & F_SHUT) == 0;
		more = give(fd) && more;
	}
	buf_free(&in);
	close(fd);
}

static void *server(void *arg)
{
	(void)arg;
	for (;;) {
		struct pollfd p[2] = { { .fd = G.listeners[0], .events = POLLIN },
			{ .fd = G.listeners[1], .events = POLLIN } };

		(void)poll(p, 2, -1);
		for (int i = 0; i < 2; i++) {
			int fd = p[i].revents ? accept4(p[i].fd, NULL, NULL, SOCK_CLOEXEC) : -1;

			if (fd >= 0) {
				serve(fd);
			}
		}
	}
}

/* configure - where tcp: and socketmap: ask, and who listens there */
static void configure(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	pthread_t thread;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	G.listeners[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	REQUIRE(G.listeners[0] >= 0 && bind(G.listeners[0], (struct sockaddr *)&addr, len) == 0 &&
		listen(G.listeners[0], 64) == 0 &&
		getsockname(G.listeners[0], (struct sockaddr *)&addr, &len) == 0);
	snprintf(G.spec[0], sizeof(G.spec[0]), "tcp:127.0.0.1:%d", ntohs(addr.sin_port));
	G.listeners[1] = unix_listen(fuzz_path("socket"), 0600);
	REQUIRE(G.listeners[1] >= 0);
	snprintf(G.spec[1], sizeof(G.spec[1]), "socketmap:unix:%s:name", fuzz_path("socket"));
	REQUIRE(pthread_create(&thread, NULL, server, NULL) == 0);
}

/* ---- What is believed ---- */

/* undo_hex - %XX of a value; false: it is none, or holds a NUL */
static bool undo_hex(struct slice s, struct buf *out)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] != '%') {
			buf_addc(out, s.ptr[i]);
		} else if (i + 2 < s.len && hex_decode(out, s.ptr + i + 1, 2)) {
			i += 2;
		} else {
			return false;
		}
	}
	return out->len == 0 || memchr(out->data, '\0', out->len) == NULL;
}

/* meant - what the answer means: as map_get() */
static int meant(struct slice answer, struct buf *value)
{
	struct slice s;

	if (!whole(answer, &s)) {
		return -1;
	}
	if (G.flags & F_SOCKETMAP) {
		if (s.len >= 3 && memcmp(s.ptr, "OK ", 3) == 0) {
			buf_add(value, s.ptr + 3, s.len - 3);
			return memchr(s.ptr, '\0', s.len) == NULL ? 1 : -1;
		}
		return s.len >= 8 && memcmp(s.ptr, "NOTFOUND", 8) == 0 ? 0 : -1;
	}
	if (s.len < 4 || s.ptr[3] != ' ') {
		return -1;
	}
	if (memcmp(s.ptr, "200", 3) == 0) {
		return undo_hex((struct slice){ s.ptr + 4, s.len - 4 }, value) ? 1 : -1;
	}
	return memcmp(s.ptr, "500", 3) == 0 ? 0 : -1;
}

/* ask - once; an answer that is not whole is asked for again when the connection was kept */
static void ask(struct map *m)
{
	struct buf value = BUF_INIT, want = BUF_INIT;
	int given = G.given, rc;

	buf_adds(&value, "before");
	rc = map_get(m, G.key, &value);
	REQUIRE(G.given > given && G.given <= given + 2);
	REQUIRE(rc == meant(G.last, &want));
	REQUIRE(value.len >= 6 && memcmp(value.data, "before", 6) == 0);
	if (rc == 1) {
		REQUIRE(value.len == 6 + want.len);
		REQUIRE(want.len == 0 || memcmp(value.data + 6, want.data, want.len) == 0);
	} else {
		REQUIRE(value.len == 6); /* not a part of it */
		REQUIRE(rc == 0 || *map_error(m) != '\0');
	}
	buf_free(&value);
	buf_free(&want);
}

void fuzz(const char *data, size_t len)
{
	char *error = NULL, *key;
	struct slice part;
	struct map *m;

	if (len == 0) {
		return;
	}
	if (G.spec[0][0] == '\0') {
		configure();
	}
	G.flags = (unsigned char)data[0];
	G.rest = (struct slice){ data + 1, len - 1 };
	part = fuzz_part(&G.rest);
	part.len -= part.len > 0 && part.ptr[part.len - 1] == '\n';
	key = mem_strndup(part.ptr, part.len < KEY_BYTES ? part.len : KEY_BYTES);
	G.key = key;
	m = map_open(G.spec[G.flags & F_SOCKETMAP ? 1 : 0], MAP_EXACT, &error);
	REQUIRE(m != NULL);
	for (int i = 0; i < ASKED_MAX && (i == 0 || G.rest.len > 0); i++) {
		ask(m);
	}
	map_close(m);
	mem_free(key);
}
