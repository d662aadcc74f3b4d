/*
 * test_smtpd - a session without sockets: memory that runs out at every allocation, STARTTLS,
 * a stage of the pipeline that waits
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
#include "message/pipeline.h"
#include "applets/receive/smtpd/smtpd.h"
#include "conf_util.h"
#include "unit.h"

/* What a piece of work held when it was cut short is lost: no news to the leak checker. */
void __lsan_disable(void) __attribute__((weak));

static struct smtpd server;

static void configure(void)
{
	char *error = NULL;

	conf_util_load("mydestination = example\nsmtpd_forbid_unauth_pipelining = no\n"
		       "mynetworks = 192.0.2.1\nalias_maps =\nlocal_recipient_maps =\n");
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

/* ---- A stage that waits (message/pipeline.h) ---- */

enum { NEVER, AT_HEADER, AT_BODY, AT_END, REFUSES, MOMENTS };

static struct {
	struct pipeline_stage stage;
	int moment;
	bool done, waits; /* once */
	char text[200];
	size_t len;
	int resumed, waited;
} W;

static enum pipeline_status act(int moment)
{
	if (W.moment == REFUSES && moment == AT_BODY) {
		return pipeline_refuse(&W.stage, PIPELINE_REJECT, "5.7.1", "no");
	}
	if (W.moment != moment || W.done) {
		return PIPELINE_OK;
	}
	W.done = W.waits = true;
	return PIPELINE_WAIT;
}

static enum pipeline_status on_header(struct pipeline_stage *s, const char *text, size_t len)
{
	enum pipeline_status status = act(AT_HEADER);

	if (status == PIPELINE_OK) {
		pipeline_pass_header(s, text, len);
	} else if (status == PIPELINE_WAIT) {
		REQUIRE(len < sizeof(W.text));
		memcpy(W.text, text, len);
		W.len = len;
	}
	return status;
}

static enum pipeline_status on_body(struct pipeline_stage *s, const char *data, size_t len)
{
	enum pipeline_status status = act(AT_BODY);

	if (status == PIPELINE_OK) {
		pipeline_pass_body(s, data, len);
	} else if (status == PIPELINE_WAIT) {
		REQUIRE(len < sizeof(W.text));
		memcpy(W.text, data, len);
		W.len = len;
	}
	return status;
}

static enum pipeline_status on_end(struct pipeline_stage *s)
{
	(void)s;
	return act(AT_END);
}

static const struct pipeline_class waiting_class = {
	.header = on_header, .body = on_body, .end = on_end
};

static void add_stages(void *arg, struct pipeline *p)
{
	(void)arg;
	W.done = false;
	pipeline_add(p, &W.stage, &waiting_class);
}

static void resume_waiting(struct session_io *io)
{
	(void)io;
	W.resumed++;
}

/* go_on - what the stage has waited for is there */
static void go_on(void)
{
	W.waits = false;
	W.waited++;
	if (W.moment == AT_HEADER) {
		pipeline_pass_header(&W.stage, W.text, W.len);
	} else if (W.moment == AT_BODY) {
		pipeline_pass_body(&W.stage, W.text, W.len);
	}
	pipeline_resume(&W.stage, PIPELINE_OK);
}

/* talk - the dialogue in pieces, with a stage that waits in each message */
static void talk(int moment, size_t piece, struct buf *out)
{
	struct session_io io = { .timeout = 300,
		.resume = resume_waiting,
		.tls_version = "",
		.tls_cipher = "",
		.error = "" };
	static const int wants[MOMENTS] = { [AT_HEADER] = 2, [AT_BODY] = 1, [AT_END] = 2 };
	enum session_want want = SESSION_READ;
	struct buf in = BUF_INIT;
	size_t at = 0;
	void *session;

	memset(&W, 0, sizeof(W));
	W.moment = moment;
	(void)str_copy(io.peer.addr, sizeof(io.peer.addr), "192.0.2.7");
	(void)str_copy(io.peer.host, sizeof(io.peer.host), "unknown");
	session = smtpd_class.open(&io, &server, out);
	REQUIRE(session != NULL);
	while (want != SESSION_CLOSE && at < sizeof(dialogue) - 1) {
		size_t n = sizeof(dialogue) - 1 - at < piece ? sizeof(dialogue) - 1 - at : piece;

		buf_add(&in, dialogue + at, n);
		at += n;
		want = smtpd_class.feed(session, &in, out);
		while (want == SESSION_WAIT) {
			REQUIRE(W.waits);
			CHECK_INT(
				smtpd_class.feed(session, &in, out), SESSION_WAIT); /* too early */
			go_on();
			want = smtpd_class.feed(session, &in, out);
		}
	}
	CHECK_INT(want, SESSION_CLOSE);
	/* The second message has no body. */
	CHECK_INT(W.waited, wants[moment]);
	CHECK(W.resumed >= W.waited);
	smtpd_class.close(session);
	buf_free(&in);
}

/* mask_ids - what differs from one run to the next */
static void mask_ids(struct buf *b)
{
	char *at = b->data;

	while ((at = strstr(at, "queued as ")) != NULL) {
		for (at += 10; *at != '\r'; at++) {
			*at = 'X';
		}
	}
}

TEST(smtpd, a_stage_waits)
{
	struct buf plain = BUF_INIT, out = BUF_INIT;
	struct arena a = ARENA_INIT;
	struct queue_envelope env;
	queue_id id = 0;
	size_t messages = 0;

	log_open("unit", LOG_TO_FILE);
	configure();
	pipeline_stages(add_stages, NULL);
	talk(NEVER, sizeof(dialogue), &plain);
	mask_ids(&plain);
	for (int moment = AT_HEADER; moment <= AT_END; moment++) {
		for (size_t piece = 1; piece < sizeof(dialogue); piece += 7) {
			buf_reset(&out);
			talk(moment, piece, &out);
			mask_ids(&out);
			CHECK_STR(buf_str(&out), buf_str(&plain));
		}
	}
	buf_reset(&out);
	talk(REFUSES, 10, &out);
	CHECK(strstr(buf_str(&out), "554 5.7.1 Error: no\r\n") != NULL);
	while (queue_next(server.queue, id, &a, &env) == 1) {
		id = env.id;
		messages++;
	}
	CHECK(messages >= 2 * (1 + 3 * (sizeof(dialogue) / 7)));
	arena_free(&a);
	buf_free(&plain);
	buf_free(&out);
}
