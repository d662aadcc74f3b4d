/*
 * test_imapd - both IMAP sessions without sockets: bytes in, bytes out
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "conf/dovecot/dovecot_conf.h"
#include "applets/read/imapd/imapd.h"
#include "unit.h"

/* load - a dovecot.conf of these lines */
static void load(const char *text)
{
	char *error = NULL;

	REQUIRE(dovecot_conf_load(unit_file("dovecot.conf", text), false, &error) == 0);
	mem_free(error);
}

static unsigned resumed;

static void on_resume(struct session_io *io)
{
	(void)io;
	resumed++;
}

/* A session as its driver sees it. */
struct rig {
	const struct session_class *class;
	struct session_io io;
	void *session;
	struct buf in, out;
	enum session_want want;
};

static void rig_open(
	struct rig *r, const struct session_class *class, void *service, const char *peer)
{
	memset(r, 0, sizeof(*r));
	r->class = class;
	r->io.resume = on_resume;
	r->io.out_high = 65536;
	snprintf(r->io.peer.addr, sizeof(r->io.peer.addr), "%s", peer);
	snprintf(r->io.local.addr, sizeof(r->io.local.addr), "198.51.100.1");
	r->io.tls_version = r->io.tls_cipher = "";
	r->session = class->open(&r->io, service, &r->out);
	REQUIRE(r->session != NULL);
}

/* rig_feed - bytes from the client; the session goes on until it wants more */
static void rig_feed(struct rig *r, const char *data, size_t len)
{
	size_t before;

	buf_add(&r->in, data, len);
	do {
		before = buf_unread(&r->in);
		r->want = r->class->feed(r->session, &r->in, &r->out);
		while (r->want == SESSION_WAIT) {
			r->want = r->class->event(r->session, SESSION_EV_DRAINED, &r->out);
		}
	} while (r->want == SESSION_READ && buf_unread(&r->in) > 0 && buf_unread(&r->in) != before);
}

static void rig_close(struct rig *r)
{
	r->class->close(r->session);
	buf_free(&r->in);
	buf_free(&r->out);
}

/* ---- Before login ---- */

TEST(imapd, login_disabled_in_the_clear)
{
	struct login_service service = { .tls_available = true, .greeting = "Ready." };
	struct loop *loop = loop_new();
	struct rig r;
	static const char say[] = "a LOGIN u p\r\nb AUTHENTICATE PLAIN AHUAcA==\r\nc LOGOUT\r\n";

	load("disable_plaintext_auth = yes\nssl = required\n");
	service.auth = auth_client_new(loop, "/nonexistent");
	rig_open(&r, &imapd_login_class, &service, "192.0.2.7");
	CHECK(strstr(buf_str(&r.out), " STARTTLS LOGINDISABLED] Ready.\r\n") != NULL);
	buf_reset(&r.out);
	rig_feed(&r, say, sizeof(say) - 1);
	CHECK_INT(r.want, SESSION_CLOSE);
	CHECK(strncmp(buf_str(&r.out), "* BAD [ALERT] ", 14) == 0);
	CHECK(strstr(buf_str(&r.out), "\r\na NO [PRIVACYREQUIRED] ") != NULL);
	CHECK(strstr(buf_str(&r.out), "\r\nb NO [PRIVACYREQUIRED] ") != NULL);
	CHECK(strstr(buf_str(&r.out), "\r\n* BYE Logging out\r\nc OK Logout completed.\r\n") !=
		NULL);
	rig_close(&r);
	auth_client_free(service.auth);
	loop_free(loop);
}

TEST(imapd, login_starttls)
{
	struct login_service service = { .tls_available = true, .greeting = "Ready." };
	struct loop *loop = loop_new();
	struct rig r;

	load("");
	service.auth = auth_client_new(loop, "/nonexistent");
	rig_open(&r, &imapd_login_class, &service, "192.0.2.7");
	rig_feed(&r, "a STARTTLS\r\n", 12);
	CHECK_INT(r.want, SESSION_TLS);
	r.io.tls = true;
	CHECK_INT(r.class->event(r.session, SESSION_EV_TLS_UP, &r.out), SESSION_READ);
	buf_reset(&r.out);
	rig_feed(&r, "b CAPABILITY\r\nc STARTTLS\r\n", 26);
	CHECK(strstr(buf_str(&r.out), "STARTTLS") == NULL);
	CHECK(strstr(buf_str(&r.out), "LOGINDISABLED") == NULL);
	CHECK(strstr(buf_str(&r.out), "c BAD TLS is already active.\r\n") != NULL);
	rig_close(&r);
	auth_client_free(service.auth);
	loop_free(loop);
}

/* ---- After it ---- */

static const char script[] =
	"a1 NOOP\r\na2 CREATE Work\r\na3 APPEND Work (\\Seen kw) {31}\r\nSubject: "
	"x\r\n\r\nline\r\nfrom here\r\n\r\n"
	"a4 APPEND {4+}\r\nWork {5+}\r\nhello (\\Flagged) {7+}\r\na\r\n\r\nb\n\r\na5 SELECT "
	"Work\r\n"
	"a6 FETCH 1:* (FLAGS UID RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY[] BODY[TEXT]<2.3>)\r\n"
	"a7 SEARCH TEXT {4+}\r\nfrom\r\na8 UID STORE 2 +FLAGS (\\Deleted other)\r\na9 BAD\r\n"
	"b1 EXPUNGE\r\nb2 IDLE\r\nDONE\r\nb3 LIST \"\" *\r\nb4 SEARCH BODY {99999}\r\n"
	"b5 APPEND Nowhere {9+}\r\nb6 NOOP\r\n\r\nb7 UID FETCH 1:* BODY.PEEK[HEADER.FIELDS "
	"(SUBJECT)]\r\n"
	"b8 CLOSE\r\nb9 LOGOUT\r\n";

/* run_script - in pieces of up to most bytes (0: at once); what came out */
static char *run_script(const char *home, size_t most)
{
	struct mail_service service = {
		.user = { .name = "tester", .home = home }, .tag = "", .preauth = true
	};
	char location[400], *text, *p;
	size_t at = 0, n;
	struct rig r;

	snprintf(location, sizeof(location), "maildir:%s/Maildir", home);
	service.user.mail_location = location;
	service.user.uid = geteuid();
	service.user.gid = getegid();
	rig_open(&r, &imapd_mail_class, &service, "192.0.2.7");
	for (; at < sizeof(script) - 1; at += n) {
		n = most == 0 ? sizeof(script) - 1 : 1 + (size_t)rand() % most;
		n = n < sizeof(script) - 1 - at ? n : sizeof(script) - 1 - at;
		rig_feed(&r, script + at, n);
	}
	CHECK_INT(r.want, SESSION_CLOSE);
	CHECK_INT(buf_unread(&r.in), 0);
	text = mem_strdup(buf_str(&r.out));
	rig_close(&r);
	/* What differs from run to run. */
	for (p = text; (p = strpbrk(p, "0123456789")) != NULL; p += strspn(p, "0123456789")) {
		if (strspn(p, "0123456789") >= 9) {
			memset(p, '#', strspn(p, "0123456789"));
		}
	}
	return text;
}

TEST(imapd, pieces_do_not_matter)
{
	char home[300], *whole, *again;
	int round;

	load("");
	srand(1);
	snprintf(home, sizeof(home), "%s/whole", unit_tmpdir());
	whole = run_script(home, 0);
	CHECK(strstr(whole, "a6 OK Fetch completed.") != NULL);
	CHECK(strstr(whole, "a7 OK Search completed.") != NULL);
	CHECK(strstr(whole, "b4 BAD [TOOBIG]") != NULL);
	CHECK(strstr(whole, "b5 NO [TRYCREATE]") != NULL);
	CHECK(strstr(whole, "b6 OK") == NULL);
	CHECK(strstr(whole, "b9 OK Logout completed.") != NULL);
	for (round = 0; round < 40; round++) {
		snprintf(home, sizeof(home), "%s/%d", unit_tmpdir(), round);
		again = run_script(home, 1 + (size_t)round);
		CHECK_STR(again, whole);
		mem_free(again);
	}
	mem_free(whole);
}

TEST(imapd, noise_does_not_hurt)
{
	char home[300], location[400], text[sizeof(script)];
	struct mail_service service = {
		.user = { .name = "tester", .home = home }, .tag = "", .preauth = true
	};
	int round, hits;

	load("");
	srand(2);
	snprintf(home, sizeof(home), "%s/noise", unit_tmpdir());
	snprintf(location, sizeof(location), "maildir:%s/Maildir", home);
	service.user.mail_location = location;
	service.user.uid = geteuid();
	service.user.gid = getegid();
	for (round = 0; round < 300; round++) {
		struct rig r;

		memcpy(text, script, sizeof(script));
		for (hits = rand() % 8; hits > 0; hits--) {
			text[(size_t)rand() % (sizeof(script) - 1)] =
				"\r\n\0(){}\"\\*1 \377"[rand() % 13];
		}
		rig_open(&r, &imapd_mail_class, &service, "192.0.2.7");
		rig_feed(&r, text, sizeof(script) - 1);
		CHECK(r.out.len > 0);
		(void)r.class->event(r.session, SESSION_EV_EOF, &r.out);
		rig_close(&r);
	}
}
