/*
 * test_smtp_client_owner - what an owner of an SMTP client's session is told, and what he may do
 */
#include <string.h>

#include "base/str.h"
#include "proto/client/smtp_client.h"
#include "unit.h"

struct rig {
	struct smtp_client_config config;
	struct smtp_client *c;
	struct buf in, out, notes;
	struct smtp_client_recipient recipients[200];
	struct smtp_client_mail mail;
};

static void note(void *arg, bool warning, const char *text)
{
	struct rig *r = arg;

	buf_addf(&r->notes, "%s%s\n", warning ? "warning: " : "", text);
}

static void rig_new(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	r->config = (struct smtp_client_config){ .peer = "mx[192.0.2.1]",
		.helo_name = "me",
		.discard = "",
		.line_limit = 998,
		.note = note,
		.arg = r };
	for (size_t i = 0; i < ARRAY_LEN(r->recipients); i++) {
		r->recipients[i].address = "somebody.with.a.long.name@some.long.example.net";
		r->recipients[i].original = r->recipients[i].orcpt = "";
	}
	r->mail = (struct smtp_client_mail){ .sender = "",
		.ret = "",
		.envid = "",
		.recipients = r->recipients,
		.recipient_count = 1 };
	r->c = smtp_client_new(&r->config);
}

static void rig_free(struct rig *r)
{
	smtp_client_free(r->c);
	buf_free(&r->in);
	buf_free(&r->out);
	buf_free(&r->notes);
}

/* say - the server's words; what is wanted then. What went out before is forgotten. */
static enum smtp_client_want say(struct rig *r, const char *text)
{
	buf_reset(&r->out);
	buf_adds(&r->in, text);
	return smtp_client_feed(r->c, &r->in, &r->out);
}

TEST(smtp_client, what_the_server_has)
{
	struct rig r;

	rig_new(&r);
	CHECK_INT(smtp_client_stage(r.c), SMTP_STAGE_HELO);
	CHECK_INT(say(&r, "220 gate.example ESMTP\r\n"), SMTP_WANT_READ);
	CHECK_STR(buf_str(&r.out), "EHLO me\r\n");
	CHECK_INT(say(&r,
			  "250-mx.example at your service\r\n250-SIZE 1000\r\n250-AUTH PLAIN "
			  "LOGIN\r\n"
			  "250-AUTH=LOGIN XOAUTH2\r\n250-STARTTLS\r\n250-XFORWARD NAME\r\n"
			  "250-CHUNKING\r\n250-8BITMIME\r\n250-DSN\r\n250-SMTPUTF8\r\n"
			  "250 PIPELINING\r\n"),
		SMTP_WANT_DECIDE);
	CHECK_INT(smtp_client_features(r.c), 1023);
	CHECK_INT(smtp_client_size_limit(r.c), 1000);
	CHECK_STR(smtp_client_mechanisms(r.c), "PLAIN LOGIN XOAUTH2");
	CHECK_STR(smtp_client_greeting_name(r.c), "gate.example");
	CHECK_STR(smtp_client_server_name(r.c), "mx.example");
	CHECK(smtp_client_failure(r.c) == NULL);
	/* After STARTTLS nothing of it is left. */
	CHECK_INT(smtp_client_starttls(r.c, false, &r.out), SMTP_WANT_READ);
	CHECK_INT(smtp_client_stage(r.c), SMTP_STAGE_STARTTLS);
	CHECK_INT(say(&r, "220 go\r\n"), SMTP_WANT_TLS);
	CHECK_INT(smtp_client_secured(r.c, &r.out), SMTP_WANT_READ);
	CHECK_INT(smtp_client_features(r.c), 0);
	CHECK_STR(smtp_client_mechanisms(r.c), "");
	CHECK_INT(smtp_client_size_limit(r.c), 0);
	CHECK_INT(say(&r, "250-other\r\n250 STARTTLS\r\n"), SMTP_WANT_DECIDE);
	CHECK_INT(smtp_client_features(r.c), SMTP_HAS_ESMTP);
	CHECK_STR(smtp_client_server_name(r.c), "other");
	CHECK_INT(smtp_client_starttls(r.c, true, &r.out), SMTP_WANT_DECIDE);
	rig_free(&r);
}

TEST(smtp_client, stages)
{
	struct rig r;

	rig_new(&r);
	(void)say(&r, "220 mx\r\n");
	(void)say(&r, "250 mx\r\n");
	CHECK_INT(smtp_client_begin(r.c, &r.mail, &r.out), SMTP_WANT_READ);
	CHECK_STR(buf_str(&r.out), "MAIL FROM:<>\r\n");
	CHECK_INT(smtp_client_stage(r.c), SMTP_STAGE_MAIL);
	(void)say(&r, "250 ok\r\n");
	CHECK_INT(smtp_client_stage(r.c), SMTP_STAGE_RCPT);
	(void)say(&r, "250 ok\r\n");
	CHECK_INT(smtp_client_stage(r.c), SMTP_STAGE_DATA_INIT);
	CHECK_INT(say(&r, "354 go\r\n"), SMTP_WANT_CONTENT);
	CHECK_INT(smtp_client_stage(r.c), SMTP_STAGE_DATA_XFER);
	/* Input is not touched meanwhile. */
	CHECK_INT(say(&r, "x"), SMTP_WANT_CONTENT);
	CHECK_INT(buf_unread(&r.in), 1);
	buf_consume(&r.in, 1);
	CHECK_INT(smtp_client_content(r.c, "a\n", 2, &r.out), SMTP_WANT_CONTENT);
	CHECK_INT(smtp_client_content_end(r.c, &r.in, &r.out), SMTP_WANT_READ);
	CHECK_STR(buf_str(&r.out), "a\r\n.\r\n");
	CHECK_INT(smtp_client_stage(r.c), SMTP_STAGE_DATA_DONE);
	CHECK_INT(say(&r, "250 ok\r\n"), SMTP_WANT_READY);
	CHECK(smtp_client_reusable(r.c));
	/* An idle server says goodbye: nothing is lost. */
	CHECK_INT(say(&r, "421 idle\r\n"), SMTP_WANT_CLOSE);
	CHECK(smtp_client_failure(r.c) == NULL);
	CHECK_INT(r.recipients[0].result.status, SMTP_RCPT_SENT);
	rig_free(&r);
}

/* our own content cannot be read: no dot, nobody is bounced, whoever had a result keeps it */
TEST(smtp_client, content_failed)
{
	struct rig r;

	rig_new(&r);
	r.mail.recipient_count = 2;
	r.mail.body = SMTP_BODY_7BIT;
	(void)say(&r, "220 mx\r\n");
	(void)say(&r, "250 mx\r\n");
	(void)smtp_client_begin(r.c, &r.mail, &r.out);
	(void)say(&r, "250 ok\r\n");
	(void)say(&r, "550 5.1.1 no\r\n");
	(void)say(&r, "250 ok\r\n");
	CHECK_INT(say(&r, "354 go\r\n"), SMTP_WANT_CONTENT);
	(void)smtp_client_content(r.c, "abc", 3, &r.out);
	CHECK_INT(
		smtp_client_content_failed(r.c, "4.3.0", "queue file read error"), SMTP_WANT_CLOSE);
	CHECK_STR(buf_str(&r.out), "abc");
	CHECK_INT(r.recipients[0].result.status, SMTP_RCPT_BOUNCED);
	CHECK_INT(r.recipients[1].result.status, SMTP_RCPT_DEFERRED);
	CHECK_INT(r.recipients[1].result.reason, SMTP_FAILED_OURS);
	CHECK_STR(r.recipients[1].result.text, "queue file read error");
	rig_free(&r);
}

/* the window: with PIPELINING at most 4096 bytes of commands wait for their replies */
TEST(smtp_client, window)
{
	struct rig r;
	size_t lines = 0, sent = 0, turns = 0;

	rig_new(&r);
	r.mail.recipient_count = ARRAY_LEN(r.recipients);
	(void)say(&r, "220 mx\r\n");
	(void)say(&r, "250-mx\r\n250 PIPELINING\r\n");
	buf_reset(&r.out);
	(void)smtp_client_begin(r.c, &r.mail, &r.out);
	while (turns++ < 100 && strstr(buf_str(&r.out), "DATA\r\n") == NULL) {
		enum smtp_client_want want = SMTP_WANT_READ;

		CHECK(r.out.len > 3900 && r.out.len <= 4096);
		lines = 0;
		for (const char *p = buf_str(&r.out); *p != '\0'; p++) {
			lines += *p == '\n' ? 1 : 0;
		}
		sent += lines;
		while (lines-- > 0) {
			/* Nothing goes out before the last reply is in. */
			CHECK_INT(want, SMTP_WANT_READ);
			want = say(&r, "250 ok\r\n");
			CHECK(lines == 0 || r.out.len == 0);
		}
	}
	CHECK(turns > 2 && sent > 100);
	CHECK_INT(smtp_client_quit(r.c, &r.out), SMTP_WANT_CLOSE);
	CHECK_STR(r.recipients[0].result.text,
		"conversation with mx[192.0.2.1] given up while sending RCPT TO");
	rig_free(&r);
}

TEST(smtp_client, long_lines_and_pix)
{
	struct rig r;

	rig_new(&r);
	r.config.pix = SMTP_PIX_DELAY_DOTCRLF;
	r.config.line_limit = 10;
	(void)say(&r, "220 *****2*0**\r\n");
	CHECK_STR(buf_str(&r.notes), "enabling PIX workarounds: delay_dotcrlf for mx[192.0.2.1]\n");
	CHECK(smtp_client_delays_dot(r.c));
	buf_reset(&r.notes);
	(void)say(&r, "250-mx\r\n250-8BITMIME\r\n250-SIZE x\r\n250 SMTPUTF8\r\n");
	CHECK_STR(buf_str(&r.notes), "warning: bad EHLO SIZE limit \"x\" from mx[192.0.2.1]\n");
	buf_reset(&r.notes);
	(void)smtp_client_begin(r.c, &r.mail, &r.out);
	(void)say(&r, "250 ok\r\n");
	(void)say(&r, "250 ok\r\n");
	(void)say(&r, "354 go\r\n");
	(void)smtp_client_content(r.c, "0123456789\n", 11, &r.out);
	CHECK_STR(buf_str(&r.notes), "");
	(void)smtp_client_content(r.c, "0123456789a\n0123456789a\n", 24, &r.out);
	CHECK_STR(buf_str(&r.notes), "breaking line > 10 bytes with <CR><LF>SPACE\n");
	rig_free(&r);
}

/* whatever an address has in it, a command is one line; a token too long waits for its challenge */
TEST(smtp_client, commands_are_lines)
{
	static char token[600];
	struct sasl_account account = { .user = "u", .token = token };
	struct sasl_client_choice choice = { .options = 0 };
	struct rig r;

	rig_new(&r);
	memset(token, 't', sizeof(token) - 1);
	r.mail.sender = "a\r\nRCPT TO:<b>\177@x";
	(void)say(&r, "220 mx\r\n");
	(void)say(&r, "250-mx\r\n250 AUTH XOAUTH2\r\n");
	buf_reset(&r.out);
	CHECK_INT(smtp_client_auth(r.c, &account, &choice, &r.out), SMTP_WANT_READ);
	CHECK_STR(buf_str(&r.out), "AUTH XOAUTH2\r\n");
	(void)say(&r, "334 \r\n");
	CHECK(str_starts(buf_str(&r.out), "dXNlcj11AWF1dGg9QmVhcmVyIHR0dHR0"));
	CHECK_INT(say(&r, "235 ok\r\n"), SMTP_WANT_DECIDE);
	CHECK(smtp_client_authenticated(r.c));
	(void)smtp_client_begin(r.c, &r.mail, &r.out);
	CHECK_STR(buf_str(&r.out), "MAIL FROM:<a??RCPT TO:<b>?@x>\r\n");
	rig_free(&r);
}

static void turn_around(void *arg, struct buf *line)
{
	(void)arg;
	if (str_starts(buf_str(line), "550 5.7.1 greylisted")) {
		buf_reset(line);
		buf_adds(line, "450 4.7.1 later");
	}
}

TEST(smtp_client, reply_filter)
{
	struct rig r;

	rig_new(&r);
	r.config.reply_filter = turn_around;
	(void)say(&r, "220 mx\r\n");
	(void)say(&r, "250 mx\r\n");
	(void)smtp_client_begin(r.c, &r.mail, &r.out);
	(void)say(&r, "550 5.7.1 greylisted\r\n");
	CHECK_INT(r.recipients[0].result.status, SMTP_RCPT_DEFERRED);
	CHECK_STR(r.recipients[0].result.reply, "450 4.7.1 later");
	rig_free(&r);
}
