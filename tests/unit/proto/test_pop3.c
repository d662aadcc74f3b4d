/*
 * test_pop3 - the wire of POP3, and whole sessions without sockets
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "conf/dovecot/dovecot_conf.h"
#include "proto/pop3.h"
#include "applets/read/pop3d/pop3d.h"
#include "store_util.h"
#include "unit.h"

#define FROM "From a@b.example Tue Aug  9 14:21:58 2011\n"

TEST(pop3, verbs)
{
	static const struct {
		const char *line, *verb, *rest;
	} rows[] = {
		{ "quit", "QUIT", "" },
		{ "top 1  2", "TOP", "1  2" },
		{ "PASS  a b", "PASS", "a b" },
		{ "", "", "" },
		{ "averyveryverylongverb x", "", "x" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char verb[16];
		struct slice rest = pop3_verb(slice_of(rows[i].line), verb, sizeof(verb));

		CHECK_ROW(rows[i].line);
		CHECK_STR(verb, rows[i].verb);
		CHECK(slice_eq(rest, rows[i].rest));
	}
}

TEST(pop3, bodies)
{
	static const struct {
		const char *in;
		uint64_t lines;
		const char *want;
	} rows[] = {
		{ "A: b\n\n.c\n..\n", POP3_ALL, "A: b\r\n\r\n..c\r\n...\r\n.\r\n" },
		{ "A: b\r\n\r\nc\r\n", POP3_ALL, "A: b\r\n\r\nc\r\n.\r\n" },
		{ "A: b\n\nc\nd\ne\n", 2, "A: b\r\n\r\nc\r\nd\r\n.\r\n" },
		{ "A: b\r\n\r\nc\r\nd\r\n", 1, "A: b\r\n\r\nc\r\n.\r\n" },
		{ "A: b\n\nc\n", 0, "A: b\r\n\r\n.\r\n" },
		{ "A: b\n", 0, "A: b\r\n.\r\n" },
		{ "A: b\n\nc", POP3_ALL, "A: b\r\n\r\nc\r\n.\r\n" },
		{ "A: b\n\nc\r", POP3_ALL, "A: b\r\n\r\nc\r\n.\r\n" },
		{ "\r\rb\n\r\nc\n", 0, "\r\rb\r\n\r\n.\r\n" },
		{ "", POP3_ALL, ".\r\n" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t len = strlen(rows[i].in);

		for (size_t piece = 1; piece <= len + 1; piece++) {
			struct buf out = BUF_INIT;
			struct pop3_body b;

			pop3_body_begin(&b, rows[i].lines);
			for (size_t at = 0; at < len && !b.done; at += piece) {
				pop3_body_add(&b, &out, rows[i].in + at,
					len - at < piece ? len - at : piece);
			}
			pop3_body_end(&b, &out);
			CHECK_ROW(rows[i].in);
			CHECK_STR(buf_str(&out), rows[i].want);
			buf_free(&out);
		}
	}
}

TEST(pop3, uidls)
{
	static const struct {
		const char *format, *want;
	} rows[] = {
		{ "%08Xu%08Xv", "000001ff4e411b00" },
		{ "%v.%u", "1312889600.511" },
		{ "%f", "name" },
		{ "%u %v", "511_1312889600" },
		{ "", "000001ff" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf out = BUF_INIT;

		pop3_uidl(&out, rows[i].format, 511, 1312889600, "name");
		CHECK_ROW(rows[i].format);
		CHECK_STR(buf_str(&out), rows[i].want);
		buf_free(&out);
	}
}

/* ---- Sessions ---- */

static void resume(struct session_io *io)
{
	(void)io;
}

/* say - a session on the test's mbox hears input at once; the replies without the CRs; *want_r as
 * it said */
static char *say(const char *input, enum session_want *want_r)
{
	static char home[2048], location[4200];
	struct session_io io = { .out_high = 65536, .resume = resume };
	struct mail_service service = { .user = { .name = "tester", .home = home } };
	struct buf in = BUF_INIT, out = BUF_INIT, all = BUF_INIT;
	enum session_want want = SESSION_CLOSE;
	void *session;

	snprintf(home, sizeof(home), "%s/home", unit_tmpdir());
	snprintf(location, sizeof(location), "mbox:%s/home/mail:INBOX=%s/inbox", unit_tmpdir(),
		unit_tmpdir());
	service.user.mail_location = location;
	setting.pop3_uidl_format = "%u.%u";
	setting.pop3_logout_format = "top=%t/%p, retr=%r/%b, del=%d/%m, size=%s";
	session = pop3_mail_class.open(&io, &service, &out);
	buf_adds(&in, input);
	while (session != NULL) {
		size_t left = buf_unread(&in), had = out.len;

		want = pop3_mail_class.feed(session, &in, &out);
		if (want != SESSION_READ || (buf_unread(&in) == left && out.len == had)) {
			break;
		}
	}
	if (session != NULL) {
		pop3_mail_class.close(session);
	}
	for (size_t i = 0; i < out.len; i++) {
		if (out.data[i] != '\r') {
			buf_addc(&all, out.data[i]);
		}
	}
	buf_free(&in);
	buf_free(&out);
	if (want_r != NULL) {
		*want_r = want;
	}
	return buf_steal(&all);
}

static void check_say(const char *input, const char *want)
{
	char *got = say(input, NULL);

	CHECK_ROW(input);
	CHECK_STR(got, want);
	mem_free(got);
}

TEST(pop3, session)
{
	static const char text[] = FROM "Subject: a\n\n.1\n\n" FROM "Subject: b\n\n2\n3\n\n" FROM
					"Status: RO\nSubject: c\n\n4\n\n";
	char *file;

	store_write("inbox", text, strlen(text));
	check_say("stat\nlist\nlist 2\nuidl\nuidl 3\nlast\n",
		"+OK Logged in.\n+OK 3 55\n+OK 3 messages:\n1 18\n2 20\n3 17\n.\n+OK 2 20\n"
		"+OK\n1 1.1\n2 2.2\n3 3.3\n.\n+OK 3 3.3\n+OK 3\n");
	check_say("retr 1\ntop 2 1\ntop 2 0\nnoop\n",
		"+OK Logged in.\n+OK 18 octets\nSubject: a\n\n..1\n.\n"
		"+OK\nSubject: b\n\n2\n.\n+OK\nSubject: b\n\n.\n+OK\n");
	check_say(
		"retr 0\nretr 4\nretr x\nretr 1 2\nretr\nretr 99999999999999999999\ntop 1\nxyzzy\n",
		"+OK Logged in.\n-ERR There's no message 0.\n-ERR There's no message 4.\n"
		"-ERR Invalid message number: x\n-ERR Noise after message number: 1 2\n"
		"-ERR Invalid message number: \n-ERR Message number too large: "
		"99999999999999999999\n"
		"-ERR Invalid line count.\n-ERR Unknown command: XYZZY\n");
	/* Marked, and the connection breaks: nothing is deleted. */
	check_say("dele 1\ndele 1\nretr 1\nlist\nstat\n",
		"+OK Logged in.\n+OK Marked to be deleted.\n-ERR Message is deleted.\n"
		"-ERR Message is deleted.\n+OK 2 messages:\n2 20\n3 17\n.\n+OK 2 37\n");
	check_say("dele 1\nrset\nquit\n",
		"+OK Logged in.\n+OK Marked to be deleted.\n+OK\n+OK Logging out.\n");
	check_say("dele 1\ndele 3\nquit\n",
		"+OK Logged in.\n+OK Marked to be deleted.\n+OK Marked to be deleted.\n"
		"+OK Logging out, messages deleted.\n");
	check_say("uidl\nquit\n", "+OK Logged in.\n+OK\n1 2.2\n.\n+OK Logging out.\n");
	file = store_read("inbox", NULL);
	CHECK(strstr(file, "Subject: b") != NULL && strstr(file, "Subject: a") == NULL);
	mem_free(file);
}

TEST(pop3, junk)
{
	enum session_want want;
	struct buf in = BUF_INIT;
	char *got;

	for (int i = 0; i < 2000; i++) {
		buf_addc(&in, 'x');
	}
	got = say(buf_str(&in), &want);
	CHECK_INT(want, SESSION_CLOSE);
	CHECK(strstr(got, "-ERR Input line too long") != NULL);
	mem_free(got);
	buf_reset(&in);
	for (int i = 0; i < 30; i++) {
		buf_adds(&in, "what\r\n");
	}
	got = say(buf_str(&in), &want);
	CHECK_INT(want, SESSION_CLOSE);
	CHECK(strstr(got, "-ERR Too many bad commands.") != NULL);
	mem_free(got);
	buf_free(&in);
}

TEST(pop3, one_session_at_a_time)
{
	struct mailstore *ms = store_open("mbox");
	struct mailbox_view *v = mailbox_open(ms, "INBOX", false);
	char *got;

	REQUIRE(v != NULL);
	REQUIRE(mailbox_session_lock(v) == 0);
	got = say("stat\n", NULL);
	CHECK(strstr(got, "-ERR [IN-USE]") != NULL);
	mem_free(got);
	mailbox_close(v);
	got = say("stat\n", NULL);
	CHECK_STR(got, "+OK Logged in.\n+OK 0 0\n");
	mem_free(got);
	mailstore_close(ms);
}
