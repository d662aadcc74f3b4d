/*
 * dial_util - somebody who dials, and whom he reaches
 */
#include "dial_util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "unit.h"

enum { TEST_MS = 5000 };

/* A name server: an answer for each name and type, some milliseconds later; -1: none at all. */
struct zone_row {
	const char *name;
	int type; /* 1 A, 28 AAAA */
	const char *addresses;
	int delay_ms;
	int code; /* of the answer; 2: SERVFAIL, 3: NXDOMAIN */
};

static const struct zone_row zone[] = {
	{ "both.example", 1, "127.0.0.1", 0, 0 },
	{ "both.example", 28, "::1", 20, 0 },
	{ "late6.example", 1, "127.0.0.1", 0, 0 },
	{ "late6.example", 28, "::1", 400, 0 },
	{ "never6.example", 1, "127.0.0.1", 0, 0 },
	{ "never6.example", 28, "", -1, 0 },
	{ "only6.example", 1, "", 0, 0 },
	{ "only6.example", 28, "::1", 30, 0 },
	{ "many.example", 1, "127.0.0.2 127.0.0.3", 0, 0 },
	{ "many.example", 28, "::1", 0, 0 },
	{ "ill.example", 1, "", 0, 2 },
	{ "ill.example", 28, "", 0, 3 },
	{ "none.example", 1, "", 0, 3 },
	{ "none.example", 28, "", 0, 3 },
	{ "dead.example", 1, "", -1, 0 },
	{ "dead.example", 28, "", -1, 0 },
};

struct late {
	struct late *next;
	struct timer timer;
	struct dial_rig *rig;
	struct buf packet;
	struct sockaddr_in to;
};

/* ---- The name server ---- */

static void put_record(struct buf *b, int type, const char *text, size_t len)
{
	unsigned char raw[16];
	char one[64] = "";
	size_t size = type == 1 ? 4 : 16;
	const unsigned char head[] = { 0xc0, 0x0c, 0, (unsigned char)type, 0, 1, 0, 0, 0, 60, 0,
		(unsigned char)size };

	memcpy(one, text, len);
	REQUIRE(inet_pton(type == 1 ? AF_INET : AF_INET6, one, raw) == 1);
	buf_add(b, head, sizeof(head));
	buf_add(b, raw, size);
}

static void send_late(struct timer *t)
{
	struct late *l = t->owner;

	(void)sendto(l->rig->ns.fd, l->packet.data, l->packet.len, 0, (struct sockaddr *)&l->to,
		sizeof(l->to));
}

/* answer - the question q, of which name and type are known */
static void answer(struct dial_rig *r, const char *q, size_t len, const char *name, int type,
	const struct sockaddr_in *to)
{
	struct late *l = mem_alloc(sizeof(*l));
	struct slice rest, word;

	l->rig = r;
	l->to = *to;
	l->next = r->late;
	r->late = l;
	for (size_t i = 0; i < ARRAY_LEN(zone); i++) {
		if (!str_ieq(zone[i].name, name) || zone[i].type != type) {
			continue;
		}
		buf_add(&l->packet, q, len);
		l->packet.data[2] = (char)0x81;
		l->packet.data[3] = (char)(0x80 | zone[i].code);
		memset(l->packet.data + 10, 0, 2); /* no additional records */
		rest = slice_of(zone[i].addresses);
		while ((word = slice_word(&rest, " ")).ptr != NULL) {
			l->packet.data[7]++;
			put_record(&l->packet, type, word.ptr, word.len);
		}
		if (zone[i].delay_ms >= 0) {
			loop_timer(r->loop, &l->timer, zone[i].delay_ms, send_late, l);
		}
		return;
	}
}

static void on_question(struct watch *w, unsigned events)
{
	struct dial_rig *r = w->owner;
	char q[512], name[300];
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	ssize_t n = recvfrom(w->fd, q, sizeof(q), 0, (struct sockaddr *)&from, &from_len);
	size_t at = 12, len = 0;

	(void)events;
	while (n > 16 && at + 5 < (size_t)n && q[at] != 0 &&
		len + (size_t)q[at] + 2 < sizeof(name)) {
		memcpy(name + len, q + at + 1, (size_t)q[at]);
		len += (size_t)q[at];
		name[len++] = '.';
		at += (size_t)q[at] + 1;
	}
	if (len > 0) {
		name[len - 1] = '\0';
		/* The question alone: c-ares adds an EDNS record. */
		answer(r, q, at + 5, name, q[at + 2], &from);
	}
}

void dial_rig_name_server(struct dial_rig *r)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	char text[64];

	REQUIRE(fd >= 0 && bind(fd, (struct sockaddr *)&a, len) == 0);
	REQUIRE(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	loop_watch(r->loop, &r->ns, fd, LOOP_READ, on_question, r);
	snprintf(text, sizeof(text), "127.0.0.1:%d", ntohs(a.sin_port));
	dns_set_servers(r->dns, text);
}

/* ---- The rig ---- */

static bool on_data(struct stream *s, struct buf *in)
{
	struct dial_rig *r = s->owner;

	CHECK(s == r->s);
	(void)str_copy(r->heard, sizeof(r->heard), buf_head(in));
	return true;
}

static void on_closed(struct stream *s, enum stream_end why)
{
	((struct dial_rig *)s->owner)->why = why;
}

const struct stream_class dial_rig_caller = {
	.data = on_data, .closed = on_closed, .read_size = 4096, .in_max = 4096
};

static bool on_server_data(struct stream *s, struct buf *in)
{
	struct dial_rig *r = s->owner;

	(void)str_copy(r->secret, sizeof(r->secret), buf_head(in));
	return true;
}

static const struct stream_class server_class = {
	.data = on_server_data, .read_size = 20000, .in_max = 4096
};

static int listen_at(const char *address, int port, int backlog)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	bool is6 = strchr(address, ':') != NULL;
	int fd = socket(is6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	static const int on = 1;

	if (fd < 0) {
		return -1;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (is6) {
		(void)inet_pton(AF_INET6, address, &six.sin6_addr);
	} else {
		(void)inet_pton(AF_INET, address, &four.sin_addr);
	}
	if (bind(fd, is6 ? (struct sockaddr *)&six : (struct sockaddr *)&four,
		    is6 ? sizeof(six) : sizeof(four)) == 0 &&
		listen(fd, backlog) == 0) {
		return fd;
	}
	close(fd);
	return -1;
}

static int port_of(int fd)
{
	struct sockaddr_in6 a;
	socklen_t len = sizeof(a);

	REQUIRE(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	return ntohs(a.sin6_port);
}

void dial_rig_open(struct dial_rig *r, const char *address)
{
	memset(r, 0, sizeof(*r));
	r->loop = loop_new();
	r->dns = dns_new(r->loop);
	r->ns.fd = -1;
	r->s = mem_alloc(sizeof(*r->s));
	stream_init(r->s, r->loop, &dial_rig_caller, r);
	stream_init(&r->server, r->loop, &server_class, r);
	r->hanger = -1;
	r->listener = listen_at(address, 0, 16);
	if (r->listener < 0 && strchr(address, ':') != NULL) {
		unit_skip("no IPv6 on loopback");
	}
	REQUIRE(r->listener >= 0);
	r->our_port = r->config.port = port_of(r->listener);
}

void dial_rig_hang(struct dial_rig *r, const char *address)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)r->our_port) };

	r->hanger = listen_at(address, r->our_port, 0);
	REQUIRE(r->hanger >= 0 && inet_pton(AF_INET, address, &a.sin_addr) == 1);
	for (size_t i = 0; i < HANGERS; i++) {
		r->hangers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)connect(r->hangers[i], (struct sockaddr *)&a, sizeof(a));
	}
	usleep(20000);
}

void dial_rig_close(struct dial_rig *r)
{
	dial_cancel(r->dial);
	if (r->s != NULL) {
		stream_close(r->s);
		mem_free(r->s);
	}
	stream_close(&r->server);
	dns_free(r->dns);
	while (r->late != NULL) {
		struct late *next = r->late->next;

		loop_untimer(r->loop, &r->late->timer);
		buf_free(&r->late->packet);
		mem_free(r->late);
		r->late = next;
	}
	if (r->ns.fd >= 0) {
		close(r->ns.fd);
	}
	for (size_t i = 0; i < HANGERS && r->hanger >= 0; i++) {
		close(r->hangers[i]);
	}
	close(r->hanger);
	close(r->listener);
	tls_context_free(r->server_tls);
	tls_client_free(r->client_tls);
	loop_free(r->loop);
}

static void on_dialled(void *arg, const struct dial_result *result)
{
	struct dial_rig *r = arg;
	size_t len = 0;

	r->called++;
	r->status = result->status;
	(void)str_copy(r->error, sizeof(r->error), result->error);
	(void)str_copy(r->address, sizeof(r->address), result->address);
	(void)str_copy(r->local, sizeof(r->local), result->local);
	r->port = result->port;
	r->local_port = result->local_port;
	for (size_t i = 0; i < result->try_count; i++) {
		len += (size_t)snprintf(r->tried + len, sizeof(r->tried) - len, "%s%s=%s",
			i > 0 ? " " : "", result->tries[i].address,
			result->tries[i].error == 0                       ? "ok"
				: result->tries[i].error == ECONNREFUSED  ? "refused"
				: result->tries[i].error == ETIMEDOUT     ? "timeout"
				: result->tries[i].error == EADDRNOTAVAIL ? "notavail"
									  : "other");
	}
	CHECK((r->s->fd >= 0) == (r->status == DIAL_OK));
	switch (r->in_fn) {
	case FN_NONE:
		break;
	case FN_CANCEL:
		dial_cancel(r->dial);
		break;
	case FN_FREE:
		dial_cancel(r->dial);
		stream_close(r->s);
		mem_free(r->s);
		r->s = NULL;
		break;
	case FN_CLOSE:
		stream_close(r->s);
		break;
	}
	r->dial = NULL;
}

void dial_rig_start(struct dial_rig *r)
{
	r->dial = dial_start(r->loop, r->dns, &r->config, r->s, on_dialled, r);
	CHECK(r->dial != NULL);
	CHECK_INT(r->called, 0);
}

int64_t dial_rig_finish(struct dial_rig *r)
{
	int64_t begin = clock_ms();

	while (r->called == 0 && clock_ms() - begin < TEST_MS) {
		loop_turn(r->loop, DIAL_TURN_MS);
	}
	CHECK_INT(r->called, 1);
	return clock_ms() - begin;
}

int64_t dial_rig_all(struct dial_rig *r)
{
	dial_rig_start(r);
	return dial_rig_finish(r);
}

void dial_rig_turns(struct dial_rig *r, int count)
{
	for (int i = 0; i < count; i++) {
		loop_turn(r->loop, DIAL_TURN_MS);
	}
}

void dial_rig_talk(struct dial_rig *r)
{
	int fd = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC);
	char got[16] = "";

	REQUIRE(fd >= 0);
	CHECK_INT(write(fd, "hello", 5), 5);
	dial_rig_turns(r, 5);
	CHECK_STR(r->heard, "hello");
	CHECK_INT(stream_send(r->s, "you", 3), 3);
	CHECK_INT(read(fd, got, sizeof(got)), 3);
	CHECK_STR(got, "you");
	close(fd);
}
