/*
 * test_dns - questions answered by a name server of our own, in the same loop
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/encode.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/str.h"
#include "net/dns.h"
#include "unit.h"

/* With escapes it is four times as long. */
#define FF "\xff\xff\xff\xff\xff\xff\xff\xff"
#define LABEL FF FF FF

/* What the server knows. Types: 1 A, 5 CNAME, 12 PTR, 15 MX, 28 AAAA, 52 TLSA. Unknown names are
 * NXDOMAIN, "dead." names get no answer, "signed." ones a validated answer, when asked for it. */
static const struct {
	const char *name;
	int type;
	const char *value;
	int preference;
} zone[] = {
	{ "4.3.2.192.in-addr.arpa", 12, "mail.good.example", 0 },
	{ "mail.good.example", 1, "192.2.3.4", 0 }, { "mail.good.example", 1, "192.2.3.5", 0 },
	{ "5.3.2.192.in-addr.arpa", 12, "liar.example", 0 }, { "liar.example", 1, "192.2.3.9", 0 },
	{ "6.3.2.192.in-addr.arpa", 12, "1.2.3.4", 0 },
	{ "good.example", 15, "backup.good.example", 20 },
	{ "good.example", 15, "mail.good.example", 10 }, { "null.example", 15, "", 0 },
	{ "odd.example", 15, "a b.example", 10 }, { "odd.example", 15, "mail.good.example", 20 },
	{ "odd.example", 15, LABEL "." LABEL "." LABEL, 30 },
	{ "bad.example", 15, "a\nb.example", 10 }, { "six.example", 28, "2001:db8::7", 0 },
	{ "mixed.example", 1, "2001:db8::7", 0 }, /* AAAA where A was asked for */
	{ "mx.signed.example", 1, "192.2.3.4", 0 },
	{ "_25._tcp.mx.signed.example", 52, "3 1 1 0123abcd", 0 },
	{ "_25._tcp.mx.signed.example", 52, "2 0 2 ff", 0 },
	{ "_25._tcp.mx.signed.example", 52, "", 0 }, /* cut short */
	{ "signed.example", 15, "mx.signed.example", 10 },
	{ "alias.signed.example", 5, "mx.signed.example", 0 },
	{ "lone.signed.example", 5, "bare.signed.example", 0 },
	{ "_25._tcp.lone.signed.example", 52, "3 0 0 aa", 0 },
	{ "loop.signed.example", 5, "loop.signed.example", 0 },
	{ "six.signed.example", 28, "2001:db8::7", 0 },
	{ "_465._tcp.six.signed.example", 52, "3 1 2 00", 0 },
	{ "broken.signed.example", 1, "192.2.3.4", 0 },            /* its TLSA records: servfail */
	{ "_25._tcp.mail.good.example", 52, "3 1 1 0123abcd", 0 }, /* not signed */
	{ "half.signed.example", 1, "192.2.3.4", 0 },
	{ "_25._tcp.half.signed.example", 52, "3 1 1 0123abcd",
		0 },                                     /* not signed, its address is */
	{ "liar.example", 15, "mail.good.example", 10 }, /* says that it is, asked or not */
};

struct server {
	int fd;
	struct watch watch;
	int questions;
	unsigned last_flags; /* of the last question */
};

static void put16(struct buf *b, unsigned n)
{
	buf_addc(b, (char)(n >> 8));
	buf_addc(b, (char)n);
}

static void put_name(struct buf *b, const char *name)
{
	while (*name != '\0') {
		size_t len = strcspn(name, ".");

		buf_addc(b, (char)len);
		buf_add(b, name, len);
		name += len + (name[len] == '.');
	}
	buf_addc(b, '\0');
}

/* read_name - the question's name with dots, and how long it is in the packet */
static size_t read_name(const unsigned char *p, size_t len, char *out, size_t size)
{
	size_t at = 0, n = 0;

	while (at < len && p[at] != 0 && n + p[at] + 2 < size) {
		if (n > 0) {
			out[n++] = '.';
		}
		memcpy(out + n, p + at + 1, p[at]);
		n += p[at];
		at += p[at] + 1u;
	}
	out[n] = '\0';
	return at + 1;
}

static void put_record(struct buf *b, size_t i)
{
	bool v6 = strchr(zone[i].value, ':') != NULL;
	struct buf data = BUF_INIT;
	struct in6_addr addr;

	put16(b, 0xc00c);
	put16(b, v6 ? 28 : (unsigned)zone[i].type);
	put16(b, 1);
	put16(b, 0);
	put16(b, 60);
	if (zone[i].type == 1 || zone[i].type == 28) {
		(void)inet_pton(v6 ? AF_INET6 : AF_INET, zone[i].value, &addr);
		buf_add(&data, &addr, v6 ? 16 : 4);
	} else if (zone[i].type == 52) {
		struct slice rest = slice_of(zone[i].value), word;

		for (int k = 0; (word = slice_word(&rest, " ")).ptr != NULL; k++) {
			if (k < 3) {
				buf_addc(&data, (char)(word.ptr[0] - '0'));
			} else {
				(void)hex_decode(&data, word.ptr, word.len);
			}
		}
	} else {
		if (zone[i].type == 15) {
			put16(&data, (unsigned)zone[i].preference);
		}
		put_name(&data, zone[i].value);
	}
	put16(b, (unsigned)data.len);
	buf_add(b, data.data, data.len);
	buf_free(&data);
}

static bool answers(size_t i, const char *name, unsigned type)
{
	return str_ieq(zone[i].name, name) &&
		((unsigned)zone[i].type == type || (zone[i].type == 5 && type != 52));
}

static void on_question(struct watch *w, unsigned events)
{
	struct server *s = w->owner;
	unsigned char q[512];
	struct sockaddr_storage from;
	socklen_t from_len = sizeof(from);
	struct buf reply = BUF_INIT;
	char name[300];
	ssize_t n = recvfrom(s->fd, q, sizeof(q), 0, (struct sockaddr *)&from, &from_len);
	unsigned type, count = 0, validated = 0;
	size_t name_len;
	bool known = false;

	(void)events;
	if (n < 17) {
		return;
	}
	s->questions++;
	name_len = read_name(q + 12, (size_t)n - 12, name, sizeof(name));
	type = (unsigned)q[12 + name_len] << 8 | q[13 + name_len];
	if (str_ends(name, "dead.example")) {
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(zone); i++) {
		known = known || str_ieq(zone[i].name, name);
		count += answers(i, name, type);
	}
	buf_add(&reply, q, 2);
	s->last_flags = (unsigned)q[2] << 8 | q[3];
	if ((str_ends(name, "signed.example") && !str_ends(name, "_tcp.half.signed.example") &&
		    (q[3] & 0x20)) ||
		str_ieq(name, "liar.example")) {
		validated = 0x20; /* RFC 6840 5.7: only for those who ask */
	}
	put16(&reply,
		(str_ends(name, "servfail.example") || str_ends(name, "_tcp.broken.signed.example")
				? 0x8182
				: known ? 0x8180
					: 0x8183) |
			validated);
	put16(&reply, 1);
	put16(&reply, count);
	put16(&reply, 0);
	put16(&reply, 0);
	buf_add(&reply, q + 12, name_len + 4);
	for (size_t i = 0; i < ARRAY_LEN(zone); i++) {
		if (answers(i, name, type)) {
			put_record(&reply, i);
		}
	}
	(void)!sendto(s->fd, reply.data, reply.len, 0, (struct sockaddr *)&from, from_len);
	buf_free(&reply);
}

struct rig {
	struct loop *loop;
	struct dns *dns;
	struct server server;
	bool done, authenticated;
	enum dns_status status;
	char text[500]; /* the values, separated by blanks */
};

static struct rig *new_rig(void)
{
	static struct rig r;
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	char servers[40];

	memset(&r, 0, sizeof(r));
	r.loop = loop_new();
	r.dns = dns_new(r.loop);
	r.server.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	REQUIRE(r.server.fd >= 0 && bind(r.server.fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
	REQUIRE(getsockname(r.server.fd, (struct sockaddr *)&addr, &len) == 0);
	loop_watch(r.loop, &r.server.watch, r.server.fd, LOOP_READ, on_question, &r.server);
	snprintf(servers, sizeof(servers), "127.0.0.1:%d", ntohs(addr.sin_port));
	dns_set_servers(r.dns, servers);
	return &r;
}

static void end_rig(struct rig *r)
{
	dns_free(r->dns);
	loop_unwatch(r->loop, &r->server.watch);
	close(r->server.fd);
	loop_free(r->loop);
}

static void on_answer(void *arg, enum dns_status status, const char *const *values, size_t count)
{
	struct rig *r = arg;

	r->done = true;
	r->authenticated = dns_authenticated(r->dns);
	r->status = status;
	r->text[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(r->text);

		snprintf(
			r->text + len, sizeof(r->text) - len, "%s%s", i > 0 ? ", " : "", values[i]);
	}
}

static void wait_answer(struct rig *r)
{
	for (int i = 0; i < 1000 && !r->done; i++) {
		loop_turn(r->loop, 100);
	}
	CHECK(r->done);
}

TEST(dns, peer_names)
{
	static const struct {
		const char *addr;
		enum dns_status status;
		const char *name;
	} rows[] = {
		{ "192.2.3.4", DNS_OK, "mail.good.example" },
		{ "192.2.3.5", DNS_NOT_FOUND, "" }, /* the name does not lead back */
		{ "192.2.3.6", DNS_NOT_FOUND, "" }, /* the name is no name */
		{ "192.2.3.7", DNS_NOT_FOUND, "" },
		{ "not an address", DNS_NOT_FOUND, "" },
	};
	struct rig *r = new_rig();

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CHECK_ROW(rows[i].addr);
		r->done = false;
		(void)dns_peer_name(r->dns, rows[i].addr, on_answer, r);
		wait_answer(r);
		CHECK_INT(r->status, rows[i].status);
		CHECK_STR(r->text, rows[i].name);
	}
	end_rig(r);
}

/* Nobody local waits for a name server. */
TEST(dns, loopback_is_known)
{
	struct rig *r = new_rig();
	struct dns_query *q = dns_peer_name(r->dns, "127.0.0.1", on_answer, r);

	CHECK(q == NULL && r->done);
	CHECK_INT(r->status, DNS_OK);
	r->done = false;
	q = dns_peer_name(r->dns, "::1", on_answer, r);
	CHECK(q == NULL && r->done);
	r->done = false;
	q = dns_host(r->dns, "localhost", true, false, on_answer, r);
	CHECK(q == NULL && r->done);
	CHECK_STR(r->text, "127.0.0.1");
	CHECK_INT(r->server.questions, 0);
	end_rig(r);
}

TEST(dns, hosts_and_exchangers)
{
	struct rig *r = new_rig();

	(void)dns_host(r->dns, "mail.good.example", true, false, on_answer, r);
	wait_answer(r);
	CHECK_INT(r->status, DNS_OK);
	CHECK_STR(r->text, "192.2.3.4, 192.2.3.5");
	r->done = false;
	(void)dns_host(r->dns, "no.such.example", true, true, on_answer, r);
	wait_answer(r);
	CHECK_INT(r->status, DNS_NOT_FOUND);
	r->done = false;
	(void)dns_host(r->dns, "192.0.2.77", true, true, on_answer, r);
	CHECK_STR(r->text, "192.0.2.77");
	r->done = false;
	(void)dns_mx(r->dns, "good.example", on_answer, r);
	wait_answer(r);
	CHECK_STR(r->text, "10 mail.good.example, 20 backup.good.example");
	r->done = false;
	(void)dns_mx(r->dns, "null.example", on_answer, r);
	wait_answer(r);
	CHECK_STR(r->text, "0 .");
	r->done = false;
	(void)dns_mx(r->dns, "mail.good.example", on_answer, r);
	wait_answer(r);
	CHECK_INT(r->status, DNS_NOT_FOUND);
	r->done = false;
	(void)dns_mx(r->dns, "x.servfail.example", on_answer, r);
	wait_answer(r);
	CHECK_INT(r->status, DNS_TRY_AGAIN);
	end_rig(r);
}

TEST(dns, dead_server_and_cancel)
{
	struct rig *r = new_rig();
	struct dns_query *q = dns_mx(r->dns, "cancel.dead.example", on_answer, r);

	REQUIRE(q != NULL);
	dns_cancel(q);
	loop_turn(r->loop, 100);
	CHECK(!r->done);
	/* Nobody at the port: an answer at once, and not "no such name". */
	loop_unwatch(r->loop, &r->server.watch);
	close(r->server.fd);
	(void)dns_mx(r->dns, "x.good.example", on_answer, r);
	wait_answer(r);
	CHECK_INT(r->status, DNS_TRY_AGAIN);
	dns_free(r->dns);
	loop_free(r->loop);
}

/* What is no host name is no exchanger; mail is not delivered elsewhere for it. */
TEST(dns, odd_records)
{
	struct rig *r = new_rig();

	(void)dns_mx(r->dns, "odd.example", on_answer, r);
	wait_answer(r);
	CHECK_STR(r->text, "20 mail.good.example");
	r->done = false;
	(void)dns_mx(r->dns, "bad.example", on_answer, r);
	wait_answer(r);
	CHECK_INT(r->status, DNS_TRY_AGAIN);
	r->done = false;
	(void)dns_host(r->dns, "six.example", true, true, on_answer, r);
	wait_answer(r);
	CHECK_STR(r->text, "2001:db8::7");
	r->done = false;
	(void)dns_host(r->dns, "mixed.example", true, false, on_answer, r);
	wait_answer(r);
	CHECK_INT(r->status, DNS_NOT_FOUND);
	end_rig(r);
}

TEST(dns, hosts_file)
{
	static const char text[] =
		"192.2.3.4\tmail.hosts.example mail # other\r\n"
		"nonsense x.example\n2001:DB8:0::7 MAIL.hosts.example\n192.2.3.9";
	struct rig *r = new_rig();
	char path[4096];
	FILE *fp;

	snprintf(path, sizeof(path), "%s/hosts", unit_tmpdir());
	fp = fopen(path, "w");
	REQUIRE(fp != NULL && fputs(text, fp) >= 0 && fclose(fp) == 0);
	dns_set_hosts(r->dns, path);
	(void)dns_host(r->dns, "mail.hosts.example", true, true, on_answer, r);
	CHECK(r->done);
	CHECK_STR(r->text, "192.2.3.4, 2001:db8::7");
	r->done = false;
	(void)dns_peer_name(r->dns, "2001:db8::7", on_answer, r);
	CHECK(r->done);
	CHECK_STR(r->text, "MAIL.hosts.example");
	end_rig(r);
}

static void ask_tlsa(
	struct rig *r, const char *host, unsigned port, enum dns_status status, const char *text)
{
	CHECK_ROW(host);
	r->done = false;
	(void)dns_tlsa(r->dns, host, port, on_answer, r);
	wait_answer(r);
	CHECK_INT(r->status, status);
	CHECK_STR(r->text, text);
	CHECK_ROW(NULL);
}

TEST(dns, tlsa)
{
	struct rig *r = new_rig();

	ask_tlsa(r, "mx.signed.example", 25, DNS_OK, "3 1 1 0123abcd, 2 0 2 ff");
	CHECK(r->authenticated);
	ask_tlsa(r, "MX.signed.example", 587, DNS_NOT_FOUND, "");
	/* At the end of the aliases, then at the name itself. */
	ask_tlsa(r, "alias.signed.example", 25, DNS_OK, "3 1 1 0123abcd, 2 0 2 ff");
	ask_tlsa(r, "lone.signed.example", 25, DNS_OK, "3 0 0 aa");
	ask_tlsa(r, "loop.signed.example", 25, DNS_TRY_AGAIN, "");
	ask_tlsa(r, "six.signed.example", 465, DNS_OK, "3 1 2 00");
	ask_tlsa(r, "nobody.signed.example", 25, DNS_NOT_FOUND, "");
	ask_tlsa(r, "broken.signed.example", 25, DNS_TRY_AGAIN, "");
	ask_tlsa(r, "servfail.example", 25, DNS_TRY_AGAIN, "");
	ask_tlsa(r, "192.0.2.1", 25, DNS_NOT_FOUND, "");
	ask_tlsa(r, "half.signed.example", 25, DNS_NOT_FOUND, "");
	/* A zone that is not signed is not even asked. */
	r->server.questions = 0;
	ask_tlsa(r, "mail.good.example", 25, DNS_NOT_FOUND, "");
	CHECK_INT(r->server.questions, 1);
	CHECK(!r->authenticated);
	end_rig(r);
}

static struct buf logged;

static void take_lines(void *arg, const char *lines, size_t len)
{
	buf_add(arg, lines, len);
}

TEST(dns, whose_word_counts)
{
	struct rig *r = new_rig();

	(void)dns_mx(r->dns, "signed.example", on_answer, r);
	wait_answer(r);
	CHECK_STR(r->text, "10 mx.signed.example");
	CHECK(r->authenticated);
	CHECK(r->server.last_flags & 0x20);
	r->done = false;
	(void)dns_mx(r->dns, "good.example", on_answer, r);
	wait_answer(r);
	CHECK_STR(r->text, "10 mail.good.example, 20 backup.good.example");
	CHECK(!r->authenticated);
	r->done = false;
	(void)dns_mx(r->dns, "nobody.signed.example", on_answer, r);
	wait_answer(r);
	CHECK_INT(r->status, DNS_NOT_FOUND);
	r->done = false;
	(void)dns_mx(r->dns, "servfail.example", on_answer, r);
	wait_answer(r);
	CHECK_INT(r->status, DNS_TRY_AGAIN);
	dns_trust_resolver(r->dns, DNS_TRUST_NONE);
	r->done = false;
	(void)dns_mx(r->dns, "signed.example", on_answer, r);
	wait_answer(r);
	CHECK_STR(r->text, "10 mx.signed.example");
	CHECK(!r->authenticated);
	CHECK(!(r->server.last_flags & 0x20));
	r->done = false;
	(void)dns_mx(r->dns, "liar.example", on_answer, r);
	wait_answer(r);
	CHECK_STR(r->text, "10 mail.good.example");
	CHECK(!r->authenticated);
	r->server.questions = 0;
	ask_tlsa(r, "mx.signed.example", 25, DNS_NOT_FOUND, "");
	CHECK_INT(r->server.questions, 0);
	dns_trust_resolver(r->dns, DNS_TRUST_ANY);
	ask_tlsa(r, "mx.signed.example", 25, DNS_OK, "3 1 1 0123abcd, 2 0 2 ff");
	/* One that is not on this host is not asked, and that is said, once. */
	log_open("unit", LOG_TO_SINK);
	log_set_sink(take_lines, &logged);
	dns_trust_resolver(r->dns, DNS_TRUST_LOOPBACK);
	dns_set_servers(r->dns, "192.0.2.1:53");
	ask_tlsa(r, "mx.signed.example", 25, DNS_NOT_FOUND, "");
	CHECK(strstr(buf_str(&logged), "no TLSA records are asked for") != NULL);
	buf_reset(&logged);
	ask_tlsa(r, "mx.signed.example", 25, DNS_NOT_FOUND, "");
	CHECK_STR(buf_str(&logged), "");
	end_rig(r);
}
