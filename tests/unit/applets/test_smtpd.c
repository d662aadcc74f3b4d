/*
 * test_smtpd - a session without sockets: memory that runs out at every allocation, STARTTLS
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "net/session.h"
#include "queue/queue_change.h"
#include "queue/queue_read.h"
#include "queue/queue_write.h"
#include "route/resolve.h"
#include "applets/receive/smtpd/smtpd.h"
#include "unit.h"

/* What a piece of work held when it was cut short is lost: no news to the leak checker. */
void __lsan_disable(void) __attribute__((weak));

static struct smtpd server;

static void configure(void)
{
	char path[4096], *error = NULL;
	FILE *f;

	snprintf(path, sizeof(path), "%s/main.cf", unit_tmpdir());
	f = fopen(path, "w");
	REQUIRE(f != NULL);
	fprintf(f,
		"compatibility_level = 3.6\nmyhostname = mx.example\nmydestination = example\n"
		"smtpd_forbid_unauth_pipelining = no\n"
		"mynetworks = 192.0.2.1\nalias_maps =\nlocal_recipient_maps =\nqueue_directory = "
		"%s\n",
		unit_tmpdir());
	fclose(f);
	if (conf_load(unit_tmpdir(), false, &error) != 0) {
		printf("%s\n", error);
		unit_abort();
	}
	route_init();
	memset(&server, 0, sizeof(server));
	server.restrictions = restrict_set_new(&error);
	REQUIRE(server.restrictions != NULL);
	server.queue = queue_open(unit_tmpdir(), QUEUE_CREATE, &error);
	REQUIRE(server.queue != NULL);
	server.bare_lf_ok = match_list_new("a", "", 0);
	server.sasl_exceptions = match_list_new("b", "", 0);
	server.mechanisms = match_list_new("m", "static:all", 0);
	server.flush_domains = match_list_new("c", "", 0);
	server.unlimited = match_list_new("d", "", 0);
	server.service_name = "smtp";
}

static void resume(struct session_io *io)
{
	(void)io;
}

static const char dialogue[] =
	"EHLO client.example\r\nMAIL FROM:<\"a b\"@d.example> SIZE=100 ENVID=x\r\n"
	"RCPT TO:<u@example> ORCPT=rfc822;u NOTIFY=NEVER\r\nRCPT TO:<v@example>\r\n"
	"RCPT TO:<x@far.example>\r\nVRFY u\r\nDATA\r\nFrom: a\r\nTo: b,\r\n c\r\n\r\nbody\r\n.\r\n"
	"MAIL FROM:<>\r\nRCPT TO:<u@example>\r\nBDAT 5 LAST\r\nA: b\nQUIT\r\n";

/*
 * converse - one session from open to close with the n-th allocation failing; true: it came
 * to its end
 */
static bool converse(unsigned long n, struct buf *out)
{
	struct session_io io = { .timeout = 300,
		.resume = resume,
		.tls_version = "",
		.tls_cipher = "",
		.error = "",
		.driver = NULL };
	struct buf in = BUF_INIT;
	void *volatile session = NULL;
	struct mem_guard g;
	volatile bool whole = false;

	(void)str_copy(io.peer.addr, sizeof(io.peer.addr), "192.0.2.7");
	(void)str_copy(io.peer.host, sizeof(io.peer.host), "unknown");
	buf_add(&in, dialogue, sizeof(dialogue) - 1);
	buf_reserve(out, 8192); /* the driver's memory, as in net/conn.c */
	mem_fail_at(n);
	if (mem_guard_enter(&g) == 0) {
		session = smtpd_class.open(&io, &server, out);
		while (session != NULL && smtpd_class.feed(session, &in, out) == SESSION_READ &&
			buf_unread(&in) > 0) {
			continue;
		}
		mem_fail_at(0);
		whole = session != NULL;
	} else {
		mem_fail_at(0);
		if (session != NULL) {
			CHECK_INT(smtpd_class.event(session, SESSION_EV_NO_MEMORY, out),
				SESSION_CLOSE);
		}
	}
	mem_guard_leave(&g);
	if (session != NULL) {
		smtpd_class.close(session);
	}
	buf_free(&in);
	return whole;
}

TEST(smtpd, memory_runs_out)
{
	struct buf out = BUF_INIT;
	unsigned long n = 0;
	bool whole;

	if (__lsan_disable != NULL) {
		__lsan_disable();
	}
	log_open("unit", LOG_TO_FILE);
	configure();
	do {
		struct arena a = ARENA_INIT;
		struct queue_envelope env;
		queue_id id = 0;
		int rc;

		buf_reset(&out);
		whole = converse(++n, &out);
		if (!whole && out.len > 0) {
			CHECK(strstr(buf_str(&out), "Error: out of memory\r\n") != NULL);
		}
		/* Only whole messages are in the queue, and only those that were answered. */
		while ((rc = queue_next(server.queue, id, &a, &env)) == 1) {
			id = env.id;
			CHECK(env.size > 0);
			queue_remove(server.queue, id);
		}
		CHECK_INT(rc, 0);
		CHECK_INT(queue_commit(server.queue), 0);
		CHECK_INT(server.transactions, 0);
		arena_free(&a);
	} while (!whole && n < 2000);
	CHECK(whole);
	CHECK(n > 20);
	CHECK(strstr(buf_str(&out), "250 2.0.0 Ok: queued as ") != NULL);
	CHECK(strstr(buf_str(&out), "bytes queued as ") != NULL);
	CHECK(strstr(buf_str(&out), "221 2.0.0 Bye") != NULL);
	buf_free(&out);
}

/*
 * Commands behind STARTTLS are neither run nor kept for the time after the handshake, whatever
 * the driver does with its buffer (RFC 3207 4.2, CVE-2011-0411).
 */
TEST(smtpd, plaintext_behind_starttls)
{
	static const char clear[] = "EHLO client.example\r\nSTARTTLS\r\n"
				    "MAIL FROM:<evil@d.example>\r\nRCPT TO:<u@example>\r\n";
	static const char covered[] = "RCPT TO:<v@example>\r\n";
	struct session_io io = { .timeout = 300,
		.resume = resume,
		.tls_version = "TLSv1.2",
		.tls_cipher = "x",
		.error = "" };
	struct buf in = BUF_INIT, out = BUF_INIT;
	void *session;

	log_open("unit", LOG_TO_FILE);
	configure();
	server.tls_offered = true;
	(void)str_copy(io.peer.addr, sizeof(io.peer.addr), "192.0.2.7");
	(void)str_copy(io.peer.host, sizeof(io.peer.host), "unknown");
	session = smtpd_class.open(&io, &server, &out);
	REQUIRE(session != NULL);
	buf_add(&in, clear, sizeof(clear) - 1);
	CHECK_INT(smtpd_class.feed(session, &in, &out), SESSION_TLS);
	CHECK(str_ends(buf_str(&out), "\r\n220 2.0.0 Ready to start TLS\r\n"));
	CHECK_INT(buf_unread(&in), 0);
	buf_reset(&out);
	io.tls = true;
	CHECK_INT(smtpd_class.event(session, SESSION_EV_TLS_UP, &out), SESSION_READ);
	buf_add(&in, covered, sizeof(covered) - 1);
	CHECK_INT(smtpd_class.feed(session, &in, &out), SESSION_READ);
	CHECK_STR(buf_str(&out), "503 5.5.1 Error: need MAIL command\r\n");
	smtpd_class.close(session);
	buf_free(&in);
	buf_free(&out);
}
