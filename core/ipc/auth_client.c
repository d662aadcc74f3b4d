/*
 * auth_client - many questions over one connection to the auth process
 *
 * The connection is made when the client is created (and waited for up to
 * half a second, so that the first EHLO can name the mechanisms) and again with
 * the next request after it broke. Requests that come before the handshake is done
 * are held back. When the connection breaks, a request that had no answer yet is sent again on a
 * new one, a few times: the auth process may have been replaced (reload) in this moment. Those in
 * the middle of an exchange end with AUTH_TEMPFAIL. The mechanisms that were offered last stay
 * known meanwhile.
 *
 * Answers are given from the loop, never from inside auth_start() itself.
 */
#include "ipc/auth_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/encode.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/stream.h"
#include "base/unixsock.h"
#include "base/utf8.h"
#include "ipc/auth_protocol.h"

enum {
	FIRST_WAIT_MS = 500,
	ANSWER_MS = 150000, /* Dovecot's own limit for a request */
	TRIES_MAX = 4,      /* connections that a request is put on */
	MECHS_MAX = 512,
	MECH_NAME_MAX = 20,
	READ_SIZE = 4096
};

struct auth_request {
	struct auth_request *next;
	struct auth_client *client;
	unsigned id;
	void (*fn)(void *arg, const struct auth_reply *reply);
	void *arg;
	struct timer timer;
	struct buf first; /* its line while unanswered; may hold a password */
	int tries;
	unsigned connection; /* the one that it was put on */
};

struct auth_client {
	struct loop *loop;
	char *path;
	int (*open_fn)(const char *name, void *arg);
	void *open_arg;
	struct stream s;
	unsigned connection; /* counts them */
	bool ready;          /* DONE was seen */
	bool closed;         /* by the server, and not yet complained about */
	struct buf held;     /* lines that wait for DONE */
	char mechs[MECHS_MAX], safe_mechs[MECHS_MAX]; /* all; those that are not plaintext */
	char new_mechs[MECHS_MAX], new_safe[MECHS_MAX];
	char cookie[64];
	unsigned long server_pid;
	unsigned last_id;
	struct auth_request *requests;
	struct loop_hook broken_hook;
	bool said; /* that the server is not there */
};

static bool on_line(struct stream *s, char *text, size_t len);
static void on_closed(struct stream *s, enum stream_end why);

static const struct stream_class auth_class = {
	.line = on_line, .closed = on_closed, .read_size = READ_SIZE, .in_max = AUTH_LINE_MAX
};

static struct auth_request *find_request(struct auth_client *c, const char *id_text)
{
	int64_t id;

	if (str_to_int(id_text, 0, UINT32_MAX, &id)) {
		for (struct auth_request *r = c->requests; r != NULL; r = r->next) {
			if (r->id == (unsigned)id) {
				return r;
			}
		}
	}
	return NULL;
}

static void forget_first(struct auth_request *r)
{
	forget(r->first.data, r->first.cap);
	buf_free(&r->first);
}

static void forget_request(struct auth_request *r)
{
	struct auth_request **link = &r->client->requests;

	while (*link != NULL && *link != r) {
		link = &(*link)->next;
	}
	if (*link == r) {
		*link = r->next;
	}
	loop_untimer(r->client->loop, &r->timer);
	forget_first(r);
	mem_free(r);
}

static void finish(struct auth_request *r, const struct auth_reply *reply)
{
	void (*fn)(void *arg, const struct auth_reply *reply) = r->fn;
	void *arg = r->arg;

	forget_request(r);
	fn(arg, reply);
}

static void finish_temp(struct auth_request *r, const char *reason)
{
	struct auth_reply reply = {
		.result = AUTH_TEMPFAIL, .user = "", .challenge = "", .reason = reason, .cookie = ""
	};

	finish(r, &reply);
}

/* ---- The connection ---- */

static bool connect_now(struct auth_client *c);
static void flush(struct auth_client *c);

/* first_broken - a request whose connection is gone */
static struct auth_request *first_broken(struct auth_client *c)
{
	struct auth_request *r = c->requests;

	while (r != NULL && c->s.fd >= 0 && r->connection == c->connection) {
		r = r->next;
	}
	return r;
}

/* put_first - the request's line onto the connection, or with those that wait for the handshake */
static void put_first(struct auth_request *r)
{
	struct auth_client *c = r->client;

	buf_add(c->ready ? &c->s.out : &c->held, buf_head(&r->first), buf_unread(&r->first));
	r->tries++;
	r->connection = c->connection;
}

static void complain(struct auth_client *c, const char *why)
{
	if (!c->said) {
		c->said = true;
		log_warn("auth service %s: %s", c->path, why);
	}
}

/* mend - what was open on a connection that broke goes on with a new one, or ends */
static void mend(struct loop_hook *h)
{
	struct auth_client *c = h->owner;
	struct auth_request *r;

	while ((r = first_broken(c)) != NULL) {
		if (buf_unread(&r->first) > 0 && r->tries < TRIES_MAX && connect_now(c)) {
			put_first(r);
			continue;
		}
		if (c->closed) {
			complain(c, "closed the connection");
		}
		finish_temp(r, "the auth service is not available");
	}
	if (c->ready && c->s.fd >= 0) {
		flush(c);
	}
}

/* disconnect - why: for the log; NULL: the server closed, which counts if a request fails by it */
static void disconnect(struct auth_client *c, const char *why)
{
	stream_close(&c->s);
	c->ready = false;
	buf_free(&c->held);
	c->closed = why == NULL;
	if (why != NULL) {
		complain(c, why);
	}
	if (c->requests != NULL) {
		loop_at_end(c->loop, &c->broken_hook, mend, c);
	}
}

static void on_closed(struct stream *s, enum stream_end why)
{
	struct auth_client *c = s->owner;

	switch (why) {
	case STREAM_EOF:
	case STREAM_LOST:
		disconnect(c, NULL);
		break;
	case STREAM_MALFORMED:
		disconnect(c, "does not speak the auth protocol");
		break;
	case STREAM_TOO_LONG:
		disconnect(c, "sent a line that is too long");
		break;
	case STREAM_OPEN:
	case STREAM_ERROR:
	case STREAM_TIMEOUT:
	case STREAM_TLS:
	case STREAM_DONE:
		disconnect(c, stream_text(s, why));
		break;
	}
}

/*
 * flush - a server that takes no more may have answered others before: on_closed() comes when that
 * is read. A request that it granted and that is asked again leaves a grant that nobody takes.
 */
static void flush(struct auth_client *c)
{
	(void)stream_flush(&c->s);
}

static bool connect_now(struct auth_client *c)
{
	int fd;

	if (c->s.fd >= 0) {
		return true;
	}
	fd = c->open_fn(c->path, c->open_arg);
	if (fd < 0) {
		disconnect(c, strerror(errno));
		return false;
	}
	c->connection++;
	c->new_mechs[0] = c->new_safe[0] = '\0';
	stream_open(&c->s, fd);
	buf_addf(&c->s.out, "VERSION\t%d\t%d\nCPID\t%ld\n", AUTH_PROTO_MAJOR, AUTH_PROTO_MINOR,
		(long)getpid());
	flush(c);
	return c->s.fd >= 0;
}

/* line_buf - where a request line goes: out, or into those that wait for the handshake */
static struct buf *line_buf(struct auth_client *c)
{
	return c->ready ? &c->s.out : &c->held;
}

/* ---- What the server says ---- */

/* add_word - unless there is no room for all of it */
static void add_word(char *list, const char *word)
{
	size_t len = strlen(list);

	if (len + 1 + strlen(word) < MECHS_MAX) {
		snprintf(list + len, MECHS_MAX - len, "%s%s", len > 0 ? " " : "", word);
	}
}

/* is_mech - a name that clients may be shown (RFC 4422 3.1) */
static bool is_mech(const char *name)
{
	size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");

	return len > 0 && len <= MECH_NAME_MAX && name[len] == '\0';
}

static void got_mech(struct auth_client *c, const struct auth_line *line)
{
	if (auth_line_get(line, 2, "private") != NULL || !is_mech(auth_line_at(line, 1))) {
		return;
	}
	add_word(c->new_mechs, auth_line_at(line, 1));
	if (auth_line_get(line, 2, "plaintext") == NULL) {
		add_word(c->new_safe, auth_line_at(line, 1));
	}
}

static void got_done(struct auth_client *c)
{
	c->ready = true;
	c->said = false;
	(void)str_copy(c->mechs, sizeof(c->mechs), c->new_mechs);
	(void)str_copy(c->safe_mechs, sizeof(c->safe_mechs), c->new_safe);
	buf_add(&c->s.out, buf_head(&c->held), buf_unread(&c->held));
	buf_free(&c->held);
	flush(c);
}

static bool is_base64(const char *text)
{
	struct buf raw = BUF_INIT;
	bool is = base64_decode(&raw, text, strlen(text));

	buf_free(&raw);
	return is;
}

/* is_user - somebody, in one line: the name comes into headers */
static bool is_user(const char *name)
{
	for (const char *p = name; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f) {
			return false;
		}
	}
	return name[0] != '\0';
}

/* got_challenge - which goes on to the client as it is */
static void got_challenge(struct auth_request *r, struct auth_reply *reply)
{
	if (!is_base64(reply->challenge)) {
		finish_temp(r, "the auth service sent a challenge that is not base64");
		return;
	}
	loop_timer(r->client->loop, &r->timer, ANSWER_MS, r->timer.fn, r);
	r->fn(r->arg, reply);
}

static void got_answer(struct auth_client *c, const struct auth_line *line, enum auth_result result)
{
	struct auth_request *r = find_request(c, auth_line_at(line, 1));
	struct auth_reply reply = { .result = result,
		.user = "",
		.challenge = "",
		.reason = "",
		.server_pid = c->server_pid,
		.cookie = c->cookie };
	struct buf reason = BUF_INIT; /* it is shown to clients, in one line */
	const char *text;

	if (r == NULL) {
		return; /* cancelled */
	}
	reply.request_id = r->id;
	forget_first(r);
	if (result == AUTH_CONTINUE) {
		reply.challenge = auth_line_at(line, 2);
		got_challenge(r, &reply);
		return;
	}
	text = auth_line_get(line, 2, "user");
	reply.user = text != NULL ? text : "";
	if (result == AUTH_OK && !is_user(reply.user)) {
		finish_temp(r, "the auth service did not say who it is");
		return;
	}
	text = auth_line_get(line, 2, "reason");
	buf_adds(&reason, text != NULL ? text : "");
	if (reason.len > 0) {
		utf8_printable(reason.data, reason.len);
	}
	reply.reason = buf_str(&reason);
	if (result == AUTH_FAIL && auth_line_get(line, 2, "temp") != NULL) {
		reply.result = AUTH_TEMPFAIL;
	}
	finish(r, &reply);
	buf_free(&reason);
}

/* on_line - false: the server is no auth server */
static bool on_line(struct stream *s, char *text, size_t len)
{
	struct auth_client *c = s->owner;
	struct auth_line line;
	const char *verb;

	if (!auth_line_parse(&line, text, len)) {
		return false;
	}
	verb = line.field[0];
	if (strcmp(verb, "VERSION") == 0) {
		return strcmp(auth_line_at(&line, 1), "1") == 0;
	}
	if (strcmp(verb, "MECH") == 0) {
		got_mech(c, &line);
	} else if (strcmp(verb, "SPID") == 0) {
		c->server_pid = strtoul(auth_line_at(&line, 1), NULL, 10);
	} else if (strcmp(verb, "COOKIE") == 0) {
		(void)str_copy(c->cookie, sizeof(c->cookie), auth_line_at(&line, 1));
	} else if (strcmp(verb, "DONE") == 0) {
		got_done(c);
	} else if (strcmp(verb, "OK") == 0) {
		got_answer(c, &line, AUTH_OK);
	} else if (strcmp(verb, "CONT") == 0) {
		got_answer(c, &line, AUTH_CONTINUE);
	} else if (strcmp(verb, "FAIL") == 0) {
		got_answer(c, &line, AUTH_FAIL);
	}
	return true;
}

/* ---- For the caller ---- */

static int connect_path(const char *path, void *arg)
{
	(void)arg;
	return unix_connect(path);
}

struct auth_client *auth_client_new(struct loop *loop, const char *socket_path)
{
	return auth_client_new_by(loop, socket_path, connect_path, NULL);
}

struct auth_client *auth_client_new_by(
	struct loop *loop, const char *name, int (*open_fn)(const char *name, void *arg), void *arg)
{
	struct auth_client *c = mem_alloc(sizeof(*c));
	int64_t until = clock_ms() + FIRST_WAIT_MS;

	c->loop = loop;
	c->path = mem_strdup(name);
	c->open_fn = open_fn;
	c->open_arg = arg;
	stream_init(&c->s, loop, &auth_class, c);
	(void)connect_now(c);
	while (!c->ready && stream_wait(&c->s, until) > 0) {
	}
	return c;
}

void auth_client_free(struct auth_client *c)
{
	if (c == NULL) {
		return;
	}
	disconnect(c, NULL);
	loop_unhook(c->loop, &c->broken_hook);
	while (c->requests != NULL) {
		forget_request(c->requests);
	}
	mem_free(c->path);
	mem_free(c);
}

const char *auth_client_mechs(struct auth_client *c, bool secure)
{
	(void)connect_now(c);
	return secure ? c->mechs : c->safe_mechs;
}

static void on_timeout(struct timer *t)
{
	finish_temp(t->owner, "the auth service does not answer");
}

static void put_params(struct buf *b, unsigned id, const struct auth_params *p)
{
	auth_put(b, "AUTH");
	auth_put_number(b, id);
	auth_put_field(b, p->mech);
	auth_put_pair(b, "service", p->service);
	if (strcmp(p->service, "imap") != 0 && strcmp(p->service, "pop3") != 0) {
		auth_put_field(b, "nologin"); /* nobody will ask for the grant */
	}
	if (p->secured) {
		auth_put_field(b, "secured");
	}
	if (p->trusted) {
		auth_put_field(b, "no-penalty");
	}
	if (p->local_ip != NULL && p->local_ip[0] != '\0') {
		auth_put_pair(b, "lip", p->local_ip);
		buf_addf(b, "\tlport=%d", p->local_port);
	}
	if (p->remote_ip != NULL && p->remote_ip[0] != '\0') {
		auth_put_pair(b, "rip", p->remote_ip);
		buf_addf(b, "\trport=%d", p->remote_port);
	}
	if (p->initial != NULL) {
		auth_put_pair(b, "resp", p->initial); /* always the last one */
	}
	auth_end(b);
}

struct auth_request *auth_start(struct auth_client *c, const struct auth_params *p,
	void (*fn)(void *arg, const struct auth_reply *reply), void *arg)
{
	struct auth_request *r = mem_alloc(sizeof(*r));

	r->client = c;
	r->id = ++c->last_id;
	r->fn = fn;
	r->arg = arg;
	r->next = c->requests;
	c->requests = r;
	put_params(&r->first, r->id, p);
	loop_timer(c->loop, &r->timer, ANSWER_MS, on_timeout, r);
	if (!connect_now(c)) {
		loop_at_end(c->loop, &c->broken_hook, mend, c);
		return r;
	}
	put_first(r);
	if (c->ready) {
		flush(c);
	}
	return r;
}

void auth_continue(struct auth_request *r, const char *response_base64)
{
	struct auth_client *c = r->client;
	struct buf *b = line_buf(c);

	auth_put(b, "CONT");
	auth_put_number(b, r->id);
	auth_put_field(b, response_base64);
	auth_end(b);
	if (c->ready && c->s.fd >= 0) {
		flush(c);
	}
}

void auth_cancel(struct auth_request *r)
{
	if (r != NULL) {
		struct auth_client *c = r->client;

		if (c->ready && c->s.fd >= 0) {
			auth_put(&c->s.out, "CANCEL");
			auth_put_number(&c->s.out, r->id);
			auth_end(&c->s.out);
			flush(c);
		}
		forget_request(r);
	}
}
