/*
 * smtp_client_mail - a transaction of an SMTP or LMTP client: commands ahead, replies behind
 *
 * Two positions: what is sent next (sending, sending_rcpt) and what is waited for (state,
 * reading_rcpt). With PIPELINING the first runs ahead of the second by a window of commands; then,
 * as without it after each command, all replies come in before it goes on. DATA and the dot are
 * points where both meet. There it is seen whether going on makes sense: MAIL refused, nobody
 * accepted, DATA refused end in RSET.
 *
 * RFC 5321 3.3, 2920 (PIPELINING), 2033 (LMTP: one reply for each accepted recipient)
 */
#include <string.h>

#include "proto/client/smtp_client_impl.h"

/* Bytes of commands under way: fewer than any host's window, so neither side waits for the other
 * with both buffers full (RFC 2920 3.1). */
enum { WINDOW_MAX = 4096 };

/* ---- Results ---- */

static struct smtp_client_failure said(struct smtp_client *c)
{
	return client_reply_failure(c, &c->results, "host ", " said: ", true);
}

static void sent(struct smtp_client *c, struct smtp_client_recipient *r, const char *dsn)
{
	r->result = (struct smtp_client_failure){ .reason = SMTP_FAILED_NOT,
		.status = SMTP_RCPT_SENT,
		.code = c->reply.code,
		.dsn = arena_strdup(&c->results, dsn),
		.text = client_reply_line(c, &c->results),
		.reply = arena_strdup(&c->results, buf_str(&c->reply.text)) };
}

/* all_sent - everybody who is left was taken: they share the texts */
static void all_sent(struct smtp_client *c, const char *dsn)
{
	struct smtp_client_recipient *first = NULL;

	for (size_t i = 0; i < c->mail->recipient_count; i++) {
		struct smtp_client_recipient *r = &c->mail->recipients[i];

		if (r->result.status != SMTP_RCPT_OPEN) {
			continue;
		}
		if (first == NULL) {
			first = r;
			sent(c, r, dsn);
		}
		r->result = first->result;
	}
}

static struct smtp_client_recipient *first_open(struct smtp_client *c)
{
	for (size_t i = 0; i < c->mail->recipient_count; i++) {
		if (c->mail->recipients[i].result.status == SMTP_RCPT_OPEN) {
			return &c->mail->recipients[i];
		}
	}
	return NULL;
}

static void refuse(struct smtp_client *c, struct smtp_client_recipient *r)
{
	r->result = said(c);
	c->spoiled = c->spoiled || r->result.reason == SMTP_FAILED_PROTOCOL;
}

static void refuse_all(struct smtp_client *c)
{
	struct smtp_client_failure f = said(c);

	client_fail_open(c, &f, false);
	c->spoiled = c->spoiled || f.reason == SMTP_FAILED_PROTOCOL;
}

static void mail_done(struct smtp_client *c)
{
	mime_filter_free(c->filter);
	c->filter = NULL;
	buf_free(&c->filtered);
	c->mail = NULL;
	c->sending_rcpt = c->reading_rcpt = 0;
	client_enter(c, CLIENT_READY);
}

/* ---- Commands ---- */

bool client_is_ahead(const struct smtp_client *c)
{
	return c->state != c->sending || c->reading_rcpt != c->sending_rcpt;
}

/* after - what comes after a command when all goes well */
static enum client_state after(const struct smtp_client *c, enum client_state state)
{
	if (state == CLIENT_XFORWARD_NAME) {
		return c->xforward_proto ? CLIENT_XFORWARD_PROTO : CLIENT_MAIL;
	}
	if (state == CLIENT_RCPT) {
		return c->mail->target == SMTP_TARGET_RCPT ? CLIENT_RSET : CLIENT_DATA;
	}
	return state == CLIENT_XFORWARD_PROTO ? CLIENT_MAIL
		: state == CLIENT_MAIL        ? CLIENT_RCPT
					      : CLIENT_DOT;
}

static void put_command(struct smtp_client *c, struct buf *out)
{
	buf_add(out, c->command.data, c->command.len);
	buf_add(out, "\r\n", 2);
	c->window += c->command.len + 2;
	if (c->sending == CLIENT_RCPT && c->sending_rcpt + 1 < c->mail->recipient_count) {
		c->sending_rcpt++;
		return;
	}
	c->sending = after(c, c->sending);
}

/* give_up - the transaction goes no further; it is taken back */
static void give_up(struct smtp_client *c, struct buf *out)
{
	buf_adds(out, "RSET\r\n");
	c->sending = CLIENT_READY;
	client_enter(c, CLIENT_RSET);
}

/* begin_content - DATA was accepted; with nobody to get it there is only the dot (RFC 2920 3.1) */
static void begin_content(struct smtp_client *c, struct buf *out)
{
	if (c->accepted == 0) {
		buf_adds(out, ".\r\n");
		c->sending = CLIENT_READY;
		return;
	}
	c->encoder = (struct smtp_encoder){ .limit = c->config->line_limit };
	c->broken_said = false;
	if (c->downgrade || c->mail->hooks.header != NULL || c->mail->hooks.body != NULL) {
		c->filter =
			mime_filter_new(c->downgrade ? MIME_FILTER_DOWNGRADE : 0, &c->mail->hooks);
	}
	client_enter(c, CLIENT_CONTENT);
}

void client_pump(struct smtp_client *c, struct buf *out)
{
	while (c->state >= CLIENT_XFORWARD_NAME && c->state <= CLIENT_DOT) {
		bool ahead = client_is_ahead(c);

		if (c->sending == CLIENT_READY || c->state == CLIENT_CONTENT) {
			return;
		}
		if (!ahead) {
			c->window = 0;
			if ((c->sending == CLIENT_RCPT && c->mail_refused) ||
				(c->sending == CLIENT_DATA && c->accepted == 0) ||
				(c->sending == CLIENT_DOT && c->data_refused)) {
				give_up(c, out);
				return;
			}
		}
		if (c->sending >= CLIENT_CONTENT) {
			if (!ahead && c->sending == CLIENT_DOT) {
				begin_content(c, out);
			}
			return;
		}
		(void)client_build(c);
		if (ahead &&
			((c->features & SMTP_HAS_PIPELINING) == 0 ||
				c->window + c->command.len + 2 > WINDOW_MAX)) {
			return;
		}
		put_command(c, out);
	}
	if (c->state == CLIENT_RSET && c->sending == CLIENT_RSET) {
		give_up(c, out);
	}
}

/* ---- Replies ---- */

static void rcpt_reply(struct smtp_client *c)
{
	struct smtp_client_recipient *r = &c->mail->recipients[c->reading_rcpt];

	if (c->mail_refused) {
		/* They have their results. */
	} else if (c->reply.code / 100 != 2) {
		refuse(c, r);
	} else if (c->mail->target == SMTP_TARGET_RCPT) {
		sent(c, r, c->reply.dsn);
	} else {
		c->accepted++;
	}
	if (c->reading_rcpt + 1 < c->mail->recipient_count) {
		c->reading_rcpt++;
	} else {
		client_enter(c, after(c, CLIENT_RCPT));
	}
}

static void data_reply(struct smtp_client *c)
{
	if (c->reply.code / 100 != 3) {
		if (c->accepted > 0) {
			refuse_all(c);
		}
		c->data_refused = true;
	} else if (c->mail->target == SMTP_TARGET_DATA && c->accepted > 0) {
		/* There is no way back from here but to hang up. */
		all_sent(c, "2.0.0");
		c->mail = NULL;
		client_enter(c, CLIENT_CLOSED);
		return;
	}
	client_enter(c, CLIENT_DOT);
}

static void dot_reply(struct smtp_client *c)
{
	struct smtp_client_recipient *r = c->accepted > 0 ? first_open(c) : NULL;

	if (r != NULL && c->config->lmtp) {
		if (c->reply.code / 100 == 2) {
			sent(c, r, c->reply.dsn);
		} else {
			refuse(c, r);
		}
		if (first_open(c) != NULL) {
			return;
		}
	} else if (r != NULL && c->reply.code / 100 == 2) {
		all_sent(c, c->reply.dsn);
	} else if (r != NULL) {
		refuse_all(c);
	}
	mail_done(c);
}

/* was_asleep - a connection that was used again was given up by the server meanwhile */
static bool was_asleep(struct smtp_client *c)
{
	struct smtp_client_failure f;

	if (c->heard || c->transactions < 2 || c->reply.code != 421) {
		return false;
	}
	f = said(c);
	client_fail(c, &f, NULL, false);
	return true;
}

void client_mail_reply(struct smtp_client *c)
{
	bool good = c->reply.code / 100 == 2;

	if (was_asleep(c)) {
		return;
	}
	c->heard = true;
	c->spoiled = c->spoiled || c->reply.code == 421;
	switch (c->state) {
	case CLIENT_XFORWARD_NAME:
	case CLIENT_XFORWARD_PROTO:
		if (!good) {
			client_note(c, true, "%s", said(c).text);
		}
		client_enter(c, after(c, c->state));
		break;
	case CLIENT_MAIL:
		if (!good) {
			refuse_all(c);
			c->mail_refused = true;
		}
		client_enter(c, CLIENT_RCPT);
		break;
	case CLIENT_RCPT:
		rcpt_reply(c);
		break;
	case CLIENT_DATA:
		data_reply(c);
		break;
	case CLIENT_DOT:
		dot_reply(c);
		break;
	default: /* CLIENT_RSET */
		c->spoiled = c->spoiled || !good;
		mail_done(c);
		break;
	}
}

/* ---- Beginning ---- */

/* unfit - the server says beforehand that it will not take this mail */
static bool unfit(struct smtp_client *c)
{
	const struct smtp_client_mail *m = c->mail;
	struct smtp_client_failure f = {
		.reason = SMTP_FAILED_FEATURE, .status = SMTP_RCPT_BOUNCED, .reply = ""
	};

	if (c->size_limit > 0 && c->size_limit < m->size) {
		f.dsn = "5.3.4";
		f.text = arena_printf(&c->results,
			"message size %llu exceeds size limit %llu of server %s",
			(unsigned long long)m->size, (unsigned long long)c->size_limit,
			c->config->peer);
	} else if (m->smtputf8_required && (c->features & SMTP_HAS_SMTPUTF8) == 0) {
		f.dsn = "5.6.7";
		f.text = arena_printf(&c->results,
			"SMTPUTF8 is required, but was not offered by host %s", c->config->peer);
	} else {
		return false;
	}
	client_fail_open(c, &f, false);
	return true;
}

enum smtp_client_want smtp_client_begin(
	struct smtp_client *c, struct smtp_client_mail *mail, struct buf *out)
{
	if (c->state != CLIENT_DECIDE && c->state != CLIENT_READY) {
		return client_want(c);
	}
	arena_reset(&c->results);
	c->mail = mail;
	c->transactions++;
	c->heard = false;
	for (size_t i = 0; i < mail->recipient_count; i++) {
		mail->recipients[i].result = (struct smtp_client_failure){
			.status = SMTP_RCPT_OPEN, .dsn = "", .text = "", .reply = ""
		};
		mail->recipients[i].site = false;
	}
	c->mail_refused = c->data_refused = false;
	c->accepted = c->window = 0;
	c->sending_rcpt = c->reading_rcpt = 0;
	if (mail->recipient_count == 0 || unfit(c)) {
		mail_done(c);
		return client_want(c);
	}
	c->downgrade = !mail->no_convert && (c->features & SMTP_HAS_8BITMIME) == 0 &&
		mail->body != SMTP_BODY_7BIT;
	c->sending = CLIENT_XFORWARD_PROTO;
	c->xforward_proto = client_build(c);
	c->sending = CLIENT_XFORWARD_NAME;
	c->sending = client_build(c) ? CLIENT_XFORWARD_NAME : after(c, CLIENT_XFORWARD_NAME);
	client_enter(c, c->sending);
	client_pump(c, out);
	return client_want(c);
}

/* ---- Content ---- */

/* too_deep - it cannot be made fit for a server of seven bits; hanging up is the only way out */
static void too_deep(struct smtp_client *c)
{
	struct smtp_client_failure f = { .reason = SMTP_FAILED_FEATURE,
		.status = SMTP_RCPT_BOUNCED,
		.dsn = "5.6.0",
		.text = "MIME nesting exceeds safety limit",
		.reply = "" };

	client_fail_open(c, &f, false);
	client_fail(c, &f, NULL, false);
}

/* put_content - bytes for the wire, perhaps through the filter; end: no more will come */
static void put_content(
	struct smtp_client *c, const char *data, size_t len, bool end, struct buf *out)
{
	bool good = true;

	if (c->filter != NULL) {
		buf_reset(&c->filtered);
		good = mime_filter_write(c->filter, data, len, &c->filtered) &&
			(!end || mime_filter_end(c->filter, &c->filtered));
		data = buf_str(&c->filtered);
		len = c->filtered.len;
	}
	if (!good) {
		too_deep(c);
		return;
	}
	smtp_encode(&c->encoder, data, len, out);
	if (c->encoder.broken && !c->broken_said) {
		c->broken_said = true;
		client_note(
			c, false, "breaking line > %zu bytes with <CR><LF>SPACE", c->encoder.limit);
	}
}

enum smtp_client_want smtp_client_content(
	struct smtp_client *c, const char *data, size_t len, struct buf *out)
{
	if (c->state == CLIENT_CONTENT) {
		put_content(c, data, len, false, out);
	}
	return client_want(c);
}

bool client_early_reply(struct smtp_client *c, struct buf *in)
{
	const struct smtp_reply_options options = { .line_limit = c->config->reply_line_limit,
		.strict = true,
		.filter = c->config->reply_filter,
		.arg = c->config->arg };
	struct smtp_client_recipient *r;

	while ((r = first_open(c)) != NULL &&
		smtp_reply_take(&c->reply, in, &options) == SMTP_REPLY_WHOLE &&
		(c->reply.code / 100 == 4 || c->reply.code / 100 == 5)) {
		if (c->config->lmtp) {
			refuse(c, r);
		} else {
			refuse_all(c);
		}
	}
	return r == NULL;
}

enum smtp_client_want smtp_client_content_end(
	struct smtp_client *c, struct buf *in, struct buf *out)
{
	if (c->state != CLIENT_CONTENT) {
		return client_want(c);
	}
	if (buf_unread(in) > 0) {
		if (client_early_reply(c, in)) {
			c->mail = NULL;
			client_enter(c, CLIENT_CLOSED);
		} else {
			const char *said_so = client_reply_line(c, &c->texts);

			/* With LMTP the others may have been refused; half a line is no word. */
			client_fail_text(c, SMTP_FAILED_PROTOCOL, "4.5.0", NULL,
				"Protocol error: host %s answered before the end of data%s%s",
				c->config->peer, *said_so != '\0' ? ": " : "", said_so);
		}
		return client_want(c);
	}
	put_content(c, "", 0, true, out);
	if (c->state == CLIENT_CONTENT) {
		smtp_encode_end(&c->encoder, out);
		c->sending = CLIENT_READY;
		client_enter(c, CLIENT_DOT);
	}
	return client_want(c);
}

enum smtp_client_want smtp_client_content_failed(
	struct smtp_client *c, const char *dsn, const char *text)
{
	if (c->state == CLIENT_CONTENT) {
		client_fail_text(c, SMTP_FAILED_OURS, dsn, NULL, "%s", text);
	}
	return client_want(c);
}
