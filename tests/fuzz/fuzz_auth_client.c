/*
 * fuzz_auth_client - what an auth server says to smtpd and the login parts
 *
 * The input: a byte of flags, then in parts divided by "%%": what the server says on each of its
 * connections, in turn: its greeting, then what it answers to requests. A part that begins with
 * '!' is said and then the connection is closed. What the client says must be what was asked for,
 * and each request must be answered once; lines are read back as they were put, too.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/unixsock.h"
#include "ipc/auth_client.h"
#include "ipc/auth_protocol.h"
#include "fuzz.h"

enum {
	F_CANCEL = 1,  /* flags: the first challenge ends in a cancellation */
	F_INITIAL = 2, /* requests have an initial response */
	F_PLAIN = 4,   /* no greeting of ours around the server's */
	REQUESTS = 3,
	CONNECTIONS = 6,
	TURNS = 50
};

struct asking {
	struct server *server;
	struct auth_request *request; /* NULL: ended */
	int rounds;
};

struct server {
	unsigned flags;
	struct slice rest; /* parts to be said */
	int fd;            /* the connection; -1 none */
	int connections;
	struct buf heard;
	struct asking asking[REQUESTS];
};

/* ---- The server ---- */

static void hang_up(struct server *s)
{
	if (s->fd >= 0) {
		close(s->fd);
	}
	s->fd = -1;
	buf_reset(&s->heard);
}

static void say(struct server *s, const char *data, size_t len)
{
	if (s->fd >= 0 && len > 0) {
		(void)!send(s->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
}

static void say_part(struct server *s)
{
	struct slice part = fuzz_part(&s->rest);

	if (part.len > 0 && part.ptr[0] == '!') {
		say(s, part.ptr + 1, part.len - 1);
		hang_up(s);
	} else {
		say(s, part.ptr, part.len);
	}
}

/* open_connection - with the greeting said already: the client waits for its end */
static int open_connection(const char *name, void *arg)
{
	static const char begin[] = "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t7\nCOOKIE\tc0\n";
	struct server *s = arg;
	int fds[2];

	REQUIRE(strcmp(name, "auth") == 0);
	hang_up(s);
	if (s->connections >= CONNECTIONS) {
		errno = ECONNREFUSED;
		return -1;
	}
	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
	s->connections++;
	s->fd = fds[1];
	if ((s->flags & F_PLAIN) == 0) {
		say(s, begin, sizeof(begin) - 1);
	}
	say_part(s);
	say(s, "\nDONE\n", 6);
	return fds[0];
}

/* check_line - what the client said is what we know */
static void check_line(const struct server *s, char *text, size_t len)
{
	struct auth_line line;
	const char *verb, *initial;

	REQUIRE(auth_line_parse(&line, text, len));
	verb = line.field[0];
	if (strcmp(verb, "AUTH") == 0) {
		REQUIRE(line.count >= 4 && strcmp(line.field[2], "SCRAM-SHA-1") == 0);
		REQUIRE(strcmp(auth_line_get(&line, 3, "service"), "smtp") == 0);
		REQUIRE(strcmp(auth_line_get(&line, 3, "rip"), "2001:db8::1") == 0);
		initial = auth_line_get(&line, 3, "resp");
		REQUIRE((initial != NULL) == ((s->flags & F_INITIAL) != 0));
		REQUIRE(initial == NULL || line.field[line.count - 1] == initial - 5);
	} else if (strcmp(verb, "CONT") == 0) {
		REQUIRE(line.count == 3 && strcmp(line.field[2], "Yg==") == 0);
	} else if (strcmp(verb, "CANCEL") == 0 || strcmp(verb, "CPID") == 0) {
		REQUIRE(line.count == 2);
	} else {
		REQUIRE(strcmp(verb, "VERSION") == 0 && strcmp(auth_line_at(&line, 1), "1") == 0);
	}
}

static void hear(struct server *s)
{
	ssize_t n =
		s->fd >= 0 ? recv(s->fd, buf_reserve(&s->heard, 65536), 65536, MSG_DONTWAIT) : 0;
	char *end;

	if (n > 0) {
		buf_added(&s->heard, (size_t)n);
	}
	while (buf_unread(&s->heard) > 0 &&
		(end = memchr(s->heard.data + s->heard.pos, '\n', buf_unread(&s->heard))) != NULL) {
		char *start = s->heard.data + s->heard.pos;

		check_line(s, start, (size_t)(end - start));
		buf_consume(&s->heard, (size_t)(end - start) + 1);
	}
}

/* ---- Its client ---- */

/* check_text - it comes into a line that a client or a header gets */
static void check_text(const char *text)
{
	for (; *text != '\0'; text++) {
		REQUIRE((unsigned char)*text >= 0x20 && *text != 0x7f);
	}
}

/* check_base64 - it goes to the client as it is: "334 " and this */
static void check_base64(const char *text)
{
	struct buf raw = BUF_INIT;

	REQUIRE(base64_decode(&raw, text, strlen(text)));
	buf_free(&raw);
}

static void on_reply(void *arg, const struct auth_reply *reply)
{
	struct asking *a = arg;

	REQUIRE(a->request != NULL); /* no answer after the last one */
	REQUIRE(reply->user != NULL && reply->challenge != NULL && reply->reason != NULL &&
		reply->cookie != NULL);
	if (reply->result != AUTH_CONTINUE) {
		check_text(reply->reason);
		if (reply->result == AUTH_OK) {
			REQUIRE(reply->user[0] != '\0');
			check_text(reply->user);
		}
		a->request = NULL;
		return;
	}
	check_base64(reply->challenge);
	if (a->server->flags & F_CANCEL) {
		auth_cancel(a->request);
		a->request = NULL;
	} else {
		REQUIRE(a->rounds++ < 20000);
		auth_continue(a->request, "Yg==");
	}
}

/* check_mechs - names of mechanisms that an EHLO answer may hold (RFC 4422 3.1) */
static void check_mechs(const char *list)
{
	struct slice rest = slice_of(list), word;

	while ((word = slice_word(&rest, " ")).ptr != NULL) {
		REQUIRE(word.len <= 20);
		for (size_t i = 0; i < word.len; i++) {
			REQUIRE(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", word.ptr[i]));
		}
	}
}

/* read_back - fields that are put are the fields that are read */
static void read_back(struct slice data)
{
	struct buf b = BUF_INIT;
	char *fields[8], *copy;
	size_t count = 0;
	struct slice word;
	struct auth_line line;

	auth_put(&b, "X");
	while (count < ARRAY_LEN(fields) && (word = slice_word(&data, "%")).ptr != NULL) {
		fields[count] = mem_strndup(word.ptr, word.len);
		auth_put_field(&b, fields[count++]);
	}
	auth_end(&b);
	copy = mem_strndup(b.data, b.len);
	REQUIRE(memchr(copy, '\n', b.len) == copy + b.len - 1);
	REQUIRE(auth_line_parse(&line, copy, b.len - 1) && line.count == count + 1);
	for (size_t i = 0; i < count; i++) {
		REQUIRE(strcmp(line.field[i + 1], fields[i]) == 0);
		mem_free(fields[i]);
	}
	mem_free(copy);
	buf_free(&b);
}

static void ask(struct auth_client *c, struct server *s)
{
	const struct auth_params p = { .service = "smtp",
		.mech = "SCRAM-SHA-1",
		.initial = s->flags & F_INITIAL ? "biws" : NULL,
		.remote_ip = "2001:db8::1",
		.local_ip = "",
		.secured = true };

	for (size_t i = 0; i < REQUESTS; i++) {
		s->asking[i] = (struct asking){ .server = s };
		s->asking[i].request = auth_start(c, &p, on_reply, &s->asking[i]);
		REQUIRE(s->asking[i].request != NULL);
	}
}

void fuzz(const char *data, size_t len)
{
	struct server s = { .fd = -1 };
	struct loop *loop;
	struct auth_client *c;

	if (len == 0) {
		return;
	}
	s.flags = (unsigned char)data[0];
	s.rest = (struct slice){ data + 1, len - 1 };
	read_back(s.rest);
	loop = loop_new();
	c = auth_client_new_by(loop, "auth", open_connection, &s);
	ask(c, &s);
	for (int turn = 0; turn < TURNS && (s.rest.len > 0 || turn < 2); turn++) {
		check_mechs(auth_client_mechs(c, true));
		check_mechs(auth_client_mechs(c, false));
		loop_turn(loop, 0);
		hear(&s);
		say_part(&s);
	}
	/* Whoever asked is told, or forgets it: nothing comes afterwards. */
	hang_up(&s);
	s.connections = CONNECTIONS;
	loop_turn(loop, 0);
	loop_turn(loop, 0);
	for (size_t i = 0; i < REQUESTS; i++) {
		REQUIRE(s.asking[i].request == NULL);
	}
	auth_client_free(c);
	loop_free(loop);
	buf_free(&s.heard);
}
