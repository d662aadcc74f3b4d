/*
 * fuzz_dns - what name servers answer, and hosts files
 *
 * The input: a byte that says what is asked, a hosts file, "%%", then the answers in their order,
 * divided by "%%": a byte of flags, the three counts, and the records. The header and the question
 * are ours, so that c-ares takes the answer for one. When there are no more: no such name.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/loop.h"
#include "net/dns.h"
#include "fuzz.h"

enum {
	ASK_KINDS = 7,
	F_CANCEL = 8, /* the question is forgotten after the first answer */
	TURNS = 100,
	VALUES = 64,
	NAME_BYTES = 253,
	HEADER = 12,
	TYPE_AND_CLASS = 4
};

struct asking {
	struct loop *loop;
	struct watch watch;
	struct slice rest; /* answers to be given */
	struct buf given;  /* all that was: what is believed must have been said */
	unsigned kind;
	bool cancelled;
	int answers, answered; /* of the server, to us */
};

static const char peer4[] = "192.2.3.4", peer6[] = "2001:db8::7";

/* ---- The name server ---- */

/* put_answer - to a question of len bytes */
static void put_answer(struct asking *a, struct buf *reply, const unsigned char *q, size_t len)
{
	struct slice part = fuzz_part(&a->rest);
	const unsigned char *p = (const unsigned char *)part.ptr;
	static const unsigned char none[] = { 3, 0, 0, 0 };
	size_t records = part.len > 4 ? part.len - 4 : 0;
	unsigned char head[HEADER] = { q[0], q[1], 0x81, 0x80, 0, 1 };

	p = part.len < 4 ? none : p;
	head[2] |= p[0] & 0x10 ? 2 : 0; /* cut off */
	head[3] |= p[0] & 0x2f;         /* a validated answer, and how it went */
	for (size_t i = 0; i < 3; i++) {
		head[7 + 2 * i] = p[1 + i];
	}
	buf_add(reply, head, HEADER);
	buf_add(reply, q + HEADER, len - HEADER);
	buf_add(reply, p + 4, records);
	buf_add(&a->given, p + 4, records);
}

static void on_question(struct watch *w, unsigned events)
{
	struct asking *a = w->owner;
	unsigned char q[1500];
	struct sockaddr_storage from;
	socklen_t from_len = sizeof(from);
	struct buf reply = BUF_INIT;
	ssize_t n = recvfrom(w->fd, q, sizeof(q), 0, (struct sockaddr *)&from, &from_len);

	(void)events;
	if (n < 0) {
		return;
	}
	REQUIRE(n > HEADER + TYPE_AND_CLASS);
	put_answer(a, &reply, q, (size_t)n);
	(void)!sendto(w->fd, reply.data, reply.len, 0, (struct sockaddr *)&from, from_len);
	a->answers++;
	buf_free(&reply);
}

/* server_open - its socket, watched, and how dns_set_servers() names it */
static int server_open(struct asking *a, char name[40])
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	REQUIRE(fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
	REQUIRE(getsockname(fd, (struct sockaddr *)&addr, &len) == 0);
	loop_watch(a->loop, &a->watch, fd, LOOP_READ, on_question, a);
	snprintf(name, 40, "127.0.0.1:%d", ntohs(addr.sin_port));
	return fd;
}

/* ---- What is believed ---- */

/* check_name - a host name of letters, digits, '-', '_', one or more, and dots between them */
static void check_name(const char *name)
{
	size_t len = strlen(name);

	REQUIRE(len > 0 && len <= NAME_BYTES && name[0] != '.' && name[0] != '-');
	REQUIRE(name[strspn(name,
			"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			"0123456789-_.")] == '\0');
	REQUIRE(strstr(name, "..") == NULL);
}

/* check_peer - a verified name: the address stands in an answer, or both in the hosts file */
static void check_peer(const struct asking *a, const char *name)
{
	unsigned char raw[16];
	bool v6 = a->kind == 1;

	if (a->answers == 0) {
		REQUIRE(name[0] != '\0' && name[strcspn(name, " \t\r\n#")] == '\0');
		return;
	}
	check_name(name);
	REQUIRE(inet_pton(v6 ? AF_INET6 : AF_INET, v6 ? peer6 : peer4, raw) == 1);
	REQUIRE(a->answers >= 2 && memmem(a->given.data, a->given.len, raw, v6 ? 16 : 4) != NULL);
}

static void check_address(const struct asking *a, const char *text)
{
	unsigned char raw[16];
	bool v6 = strchr(text, ':') != NULL;

	REQUIRE(inet_pton(v6 ? AF_INET6 : AF_INET, text, raw) == 1);
	REQUIRE(a->kind == 4 || v6 == (a->kind == 3));
}

/* check_exchanger - "preference host" or "0 .", not better than the one before */
static void check_exchanger(const char *text, unsigned *before)
{
	unsigned preference = 0;
	int len = 0;

	REQUIRE(sscanf(text, "%u %n", &preference, &len) == 1 && len > 1);
	REQUIRE(preference <= 65535 && preference >= *before);
	*before = preference;
	if (strcmp(text + len, ".") != 0) {
		check_name(text + len);
	}
}

/* check_record - "usage selector type hex" */
static void check_record(const char *text)
{
	unsigned part[3];
	int len = 0;

	REQUIRE(sscanf(text, "%3u %3u %3u %n", &part[0], &part[1], &part[2], &len) == 3 && len > 0);
	REQUIRE(part[0] < 256 && part[1] < 256 && part[2] < 256);
	REQUIRE(text[len] != '\0' &&
		text[len + (int)strspn(text + len, "0123456789abcdef")] == '\0');
}

static void on_answer(void *arg, enum dns_status status, const char *const *values, size_t count)
{
	struct asking *a = arg;
	unsigned preference = 0;

	REQUIRE(!a->cancelled && a->answered++ == 0);
	REQUIRE(status == DNS_OK || count == 0);
	if (status != DNS_OK) {
		return;
	}
	REQUIRE(count > 0 && count <= VALUES);
	for (size_t i = 0; i < count; i++) {
		if (a->kind < 2) {
			REQUIRE(count == 1);
			check_peer(a, values[i]);
		} else if (a->kind < 5) {
			check_address(a, values[i]);
		} else if (a->kind == 6) {
			REQUIRE(a->answers >= 2);
			check_record(values[i]);
		} else {
			check_exchanger(values[i], &preference);
		}
	}
}

static struct dns_query *ask(struct asking *a, struct dns *d)
{
	static const char name[] = "mail.good.example";

	switch (a->kind) {
	case 0:
		return dns_peer_name(d, peer4, on_answer, a);
	case 1:
		return dns_peer_name(d, peer6, on_answer, a);
	case 2:
		return dns_host(d, name, true, false, on_answer, a);
	case 3:
		return dns_host(d, name, false, true, on_answer, a);
	case 4:
		return dns_host(d, name, true, true, on_answer, a);
	case 6:
		return dns_tlsa(d, name, 25, on_answer, a);
	default:
		return dns_mx(d, name, on_answer, a);
	}
}

void fuzz(const char *data, size_t len)
{
	struct asking a = { .loop = NULL };
	struct slice hosts;
	struct dns *d;
	struct dns_query *q;
	char name[40];
	int fd;

	if (len == 0) {
		return;
	}
	a.kind = (unsigned char)data[0] % 8 % ASK_KINDS;
	a.rest = (struct slice){ data + 1, len - 1 };
	hosts = fuzz_part(&a.rest);
	a.loop = loop_new();
	d = dns_new(a.loop);
	fd = server_open(&a, name);
	dns_set_servers(d, name);
	dns_set_hosts(d, fuzz_file(hosts.ptr, hosts.len));
	q = ask(&a, d);
	for (int turn = 0; turn < TURNS && q != NULL && a.answered == 0 && !a.cancelled; turn++) {
		loop_turn(a.loop, 0);
		if (((unsigned char)data[0] & F_CANCEL) && a.answers == 1 && a.answered == 0) {
			dns_cancel(q);
			a.cancelled = true;
		}
	}
	for (int turn = 0; turn < 4; turn++) {
		loop_turn(a.loop, 0);
	}
	dns_free(d); /* whoever still waits is answered */
	REQUIRE(a.cancelled || a.answered == 1);
	loop_unwatch(a.loop, &a.watch);
	close(fd);
	loop_free(a.loop);
	buf_free(&a.given);
}
