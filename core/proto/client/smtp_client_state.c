/*
 * smtp_client_state - the states of an SMTP client's session, and what comes of its failures
 *
 *	GREETING -> EHLO -> [HELO] -> DECIDE -> STARTTLS -> HANDSHAKE -> EHLO -> DECIDE
 *	                              DECIDE -> AUTH -> DECIDE
 *	DECIDE, READY -> [XFORWARD] -> MAIL -> RCPT.. -> DATA -> CONTENT -> DOT -> READY
 *	                               +---------+--------+-> RSET -> READY
 *	READY, DECIDE -> QUIT -> CLOSED          any -> CLOSED
 *
 * Texts are Postfix's: people and programs look for them in logs. One thing differs: what a server
 * says out of turn (a reply of the wrong kind, a line that is no reply) is no word about a
 * recipient, so mail is kept (4.5.0) where Postfix bounces it (5.5.0, with the same text).
 */
#include <string.h>

#include "proto/client/smtp_client_impl.h"

struct state_row {
	enum smtp_client_want want;
	enum smtp_client_stage stage;
	const char *doing;   /* "lost connection with X while ..." */
	const char *command; /* "(in reply to ...)" */
};

static const struct state_row rows[CLIENT_STATES] = {
	[CLIENT_GREETING] = { SMTP_WANT_READ, SMTP_STAGE_HELO,
		"receiving the initial server greeting", "connection" },
	[CLIENT_EHLO] = { SMTP_WANT_READ, SMTP_STAGE_HELO, "performing the EHLO handshake",
		"EHLO command" },
	[CLIENT_HELO] = { SMTP_WANT_READ, SMTP_STAGE_HELO, "performing the HELO handshake",
		"HELO command" },
	[CLIENT_DECIDE] = { SMTP_WANT_DECIDE, SMTP_STAGE_HELO, "performing the EHLO handshake",
		"EHLO command" },
	[CLIENT_STARTTLS] = { SMTP_WANT_READ, SMTP_STAGE_STARTTLS,
		"receiving the STARTTLS response", "STARTTLS command" },
	[CLIENT_HANDSHAKE] = { SMTP_WANT_TLS, SMTP_STAGE_STARTTLS,
		"receiving the STARTTLS response", "STARTTLS command" },
	[CLIENT_AUTH] = { SMTP_WANT_READ, SMTP_STAGE_HELO, "performing the EHLO handshake",
		"AUTH command" },
	[CLIENT_XFORWARD_NAME] = { SMTP_WANT_READ, SMTP_STAGE_XFORWARD,
		"sending XFORWARD name/address", "XFORWARD name/address command" },
	[CLIENT_XFORWARD_PROTO] = { SMTP_WANT_READ, SMTP_STAGE_XFORWARD,
		"sending XFORWARD protocol/helo_name", "XFORWARD helo/protocol command" },
	[CLIENT_MAIL] = { SMTP_WANT_READ, SMTP_STAGE_MAIL, "sending MAIL FROM",
		"MAIL FROM command" },
	[CLIENT_RCPT] = { SMTP_WANT_READ, SMTP_STAGE_RCPT, "sending RCPT TO", "RCPT TO command" },
	[CLIENT_DATA] = { SMTP_WANT_READ, SMTP_STAGE_DATA_INIT, "sending DATA command",
		"DATA command" },
	[CLIENT_CONTENT] = { SMTP_WANT_CONTENT, SMTP_STAGE_DATA_XFER, "sending message body",
		"end of DATA command" },
	[CLIENT_DOT] = { SMTP_WANT_READ, SMTP_STAGE_DATA_DONE,
		"sending end of data -- message may be sent more than once",
		"end of DATA command" },
	[CLIENT_RSET] = { SMTP_WANT_READ, SMTP_STAGE_RSET, "sending final RSET",
		"final RSET command" },
	[CLIENT_READY] = { SMTP_WANT_READY, SMTP_STAGE_RSET, "waiting", "nothing" },
	[CLIENT_QUIT] = { SMTP_WANT_READ, SMTP_STAGE_QUIT, "sending QUIT", "QUIT command" },
	[CLIENT_CLOSED] = { SMTP_WANT_CLOSE, SMTP_STAGE_QUIT, "closing", "nothing" },
};

void client_enter(struct smtp_client *c, enum client_state state)
{
	c->state = state;
}

enum smtp_client_want client_want(const struct smtp_client *c)
{
	return rows[c->state].want;
}

enum smtp_client_stage smtp_client_stage(const struct smtp_client *c)
{
	return rows[c->state].stage;
}

const char *client_doing(const struct smtp_client *c)
{
	return c->state == CLIENT_EHLO && c->config->lmtp ? "performing the LHLO handshake"
							  : rows[c->state].doing;
}

void client_note(struct smtp_client *c, bool warning, const char *fmt, ...)
{
	struct buf text = BUF_INIT;
	va_list ap;

	if (c->config->note == NULL) {
		return;
	}
	va_start(ap, fmt);
	buf_addvf(&text, fmt, ap);
	va_end(ap);
	c->config->note(c->config->arg, warning, buf_str(&text));
	buf_free(&text);
}

const char *client_reply_line(const struct smtp_client *c, struct arena *a)
{
	char *text = arena_strdup(a, buf_str(&c->reply.text));

	for (char *p = text; *p != '\0'; p++) {
		if (*p == '\n') {
			*p = ' ';
		}
	}
	return text;
}

struct smtp_client_failure client_reply_failure(
	struct smtp_client *c, struct arena *a, const char *before, const char *between, bool stage)
{
	struct smtp_client_failure f = { .reason = SMTP_FAILED_REPLY,
		.status = SMTP_RCPT_DEFERRED,
		.code = c->reply.code,
		.dsn = arena_strdup(a, c->reply.dsn),
		.reply = arena_strdup(a, buf_str(&c->reply.text)) };
	const char *command = rows[c->state].command;
	bool refusal = c->reply.code / 100 == 4 || c->reply.code / 100 == 5;

	if (!refusal) {
		f.reason = SMTP_FAILED_PROTOCOL;
		f.dsn = "4.5.0";
	} else if (c->reply.code / 100 == 5) {
		f.status = SMTP_RCPT_BOUNCED;
	}
	f.text = arena_printf(a, "%s%s%s%s%s%s%s%s",
		c->reply.code / 100 == 2 ? "Protocol error: " : "", before, c->config->peer,
		between, client_reply_line(c, a), stage ? " (in reply to " : "",
		stage ? command : "", stage ? ")" : "");
	return f;
}

/* copy - a failure with its texts in a */
static struct smtp_client_failure copy(struct arena *a, const struct smtp_client_failure *f)
{
	struct smtp_client_failure to = *f;

	to.dsn = arena_strdup(a, f->dsn);
	to.text = arena_strdup(a, f->text);
	to.reply = arena_strdup(a, f->reply);
	return to;
}

void client_fail_open(struct smtp_client *c, const struct smtp_client_failure *failure, bool site)
{
	struct smtp_client_failure f;

	if (c->mail == NULL) {
		return;
	}
	f = copy(&c->results, failure);
	for (size_t i = 0; i < c->mail->recipient_count; i++) {
		struct smtp_client_recipient *r = &c->mail->recipients[i];

		if (r->result.status == SMTP_RCPT_OPEN) {
			r->result = f;
			r->site = site;
		}
	}
}

void client_fail(struct smtp_client *c, const struct smtp_client_failure *failure, struct buf *out,
	bool polite)
{
	if (c->state == CLIENT_CLOSED) {
		return;
	}
	/* Before its first word in a transaction nothing is decided: a connection that was at rest
	 * may have been dead, which is nothing against the host. */
	if (c->heard) {
		client_fail_open(c, failure, true);
	}
	c->mail = NULL;
	c->failure = copy(&c->texts, failure);
	if (polite && out != NULL) {
		buf_adds(out, "QUIT\r\n");
	}
	client_enter(c, CLIENT_CLOSED);
}

void client_fail_text(struct smtp_client *c, enum smtp_client_reason reason, const char *dsn,
	struct buf *out, const char *fmt, ...)
{
	struct smtp_client_failure f = { .reason = reason,
		.status = dsn[0] == '5' ? SMTP_RCPT_BOUNCED : SMTP_RCPT_DEFERRED,
		.dsn = dsn,
		.reply = "" };
	struct buf text = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_addvf(&text, fmt, ap);
	va_end(ap);
	f.text = buf_str(&text);
	client_fail(c, &f, out, out != NULL);
	buf_free(&text);
}
