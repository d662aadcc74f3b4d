/*
 * smtp_client - an SMTP or LMTP client's session without I/O: bytes in, bytes out, what it wants
 *
 * A server has to stay in step: what it says when nothing was asked could be taken for the answer
 * to the next command, and a recipient for delivered that was not. So the session ends where more
 * comes than was asked for; 421 alone is heard at any time.
 *
 * RFC 5321, RFC 2033
 */
#include "proto/client/smtp_client.h"

#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "proto/client/smtp_client_impl.h"

struct smtp_client *smtp_client_new(const struct smtp_client_config *config)
{
	struct smtp_client *c = mem_alloc(sizeof(*c));

	c->config = config;
	c->secured = config->wrapped;
	client_enter(c, CLIENT_GREETING);
	return c;
}

void smtp_client_free(struct smtp_client *c)
{
	if (c == NULL) {
		return;
	}
	if (c->sasl_on) {
		sasl_client_free(&c->sasl);
	}
	mime_filter_free(c->filter);
	smtp_reply_free(&c->reply);
	buf_free(&c->filtered);
	buf_free(&c->command);
	buf_free(&c->mechanisms);
	buf_free(&c->server_name);
	buf_free(&c->greeting_name);
	arena_free(&c->results);
	arena_free(&c->texts);
	mem_free(c);
}

/* ---- Input ---- */

static bool in_transaction(const struct smtp_client *c)
{
	return c->state >= CLIENT_XFORWARD_NAME && c->state <= CLIENT_RSET;
}

/* out_of_step - more has come than was asked for */
static void out_of_step(struct smtp_client *c, struct buf *in, struct buf *out)
{
	const char *lf = memchr(buf_head(in), '\n', buf_unread(in));
	size_t len = lf != NULL ? (size_t)(lf - buf_head(in)) : buf_unread(in);
	char text[101] = "";

	len -= lf != NULL && len > 0 && lf[-1] == '\r' ? 1 : 0;
	len = len < sizeof(text) - 1 ? len : sizeof(text) - 1;
	memcpy(text, buf_head(in), len);
	utf8_printable(text, len);
	client_fail_text(c, SMTP_FAILED_PROTOCOL, "4.5.0", out,
		"Protocol error: host %s said without being asked: %s", c->config->peer, text);
}

/* not_a_reply - what has come cannot be one */
static void not_a_reply(struct smtp_client *c, enum smtp_reply_result result)
{
	if (c->state == CLIENT_RSET || c->state == CLIENT_QUIT) {
		client_enter(c, CLIENT_CLOSED);
	} else if (result == SMTP_REPLY_ENDLESS) {
		client_fail_text(c, SMTP_FAILED_PROTOCOL, "4.5.0", NULL,
			"Protocol error: endless reply from host %s while %s", c->config->peer,
			client_doing(c));
	} else {
		client_fail_text(c, SMTP_FAILED_PROTOCOL, "4.5.0", NULL,
			"Protocol error: non-%s response from host %s while %s: %s",
			c->config->lmtp ? "LMTP" : "ESMTP", c->config->peer, client_doing(c),
			client_reply_line(c, &c->texts));
	}
}

/* asked - may there be more input, after the reply that was just read? */
static bool asked(const struct smtp_client *c, const struct buf *in, bool hello)
{
	if (buf_unread(in) >= 4 && memcmp(buf_head(in), "421", 3) == 0) {
		return true;
	}
	/* What comes before the content is for smtp_client_content_end(). */
	return !hello &&
		(client_is_ahead(c) ||
			(c->state == CLIENT_DOT && c->accepted > 0 && !c->data_refused));
}

/* replied - a whole reply is there; in: what comes behind it */
static void replied(struct smtp_client *c, struct buf *in, struct buf *out)
{
	bool more = buf_unread(in) > 0, hello = !in_transaction(c);

	if (c->state == CLIENT_QUIT) {
		client_enter(c, CLIENT_CLOSED);
	} else if (hello) {
		client_hello_reply(c, out);
	} else {
		client_mail_reply(c);
	}
	if (c->state == CLIENT_READY) {
		/* The results stand. */
		c->spoiled = c->spoiled || more;
		buf_consume(in, buf_unread(in));
	} else if (c->state != CLIENT_CLOSED) {
		if (more && !asked(c, in, hello)) {
			out_of_step(c, in, out);
		} else if (!hello) {
			client_pump(c, out);
		}
	}
}

enum smtp_client_want smtp_client_feed(struct smtp_client *c, struct buf *in, struct buf *out)
{
	struct smtp_reply_options options = { .line_limit = c->config->reply_line_limit,
		.filter = c->config->reply_filter,
		.arg = c->config->arg };

	while (client_want(c) == SMTP_WANT_READ && buf_unread(in) > 0) {
		enum smtp_reply_result result;

		options.strict = (c->features & SMTP_HAS_PIPELINING) != 0;
		result = smtp_reply_take(&c->reply, in, &options);
		if (result == SMTP_REPLY_MORE) {
			break;
		}
		if (result == SMTP_REPLY_WHOLE) {
			replied(c, in, out);
		} else {
			not_a_reply(c, result);
		}
	}
	if (buf_unread(in) > 0 && c->state == CLIENT_READY) {
		client_enter(c, CLIENT_CLOSED);
	} else if (buf_unread(in) > 0 && c->state == CLIENT_DECIDE) {
		out_of_step(c, in, out);
	}
	return client_want(c);
}

/* ---- The end ---- */

/* over - nothing is lost with the connection any more */
static bool over(const struct smtp_client *c)
{
	return c->state == CLIENT_RSET || c->state >= CLIENT_READY;
}

enum smtp_client_want smtp_client_lost(struct smtp_client *c, struct buf *in)
{
	if (over(c) || (c->state == CLIENT_CONTENT && client_early_reply(c, in))) {
		c->mail = NULL;
		client_enter(c, CLIENT_CLOSED);
	} else {
		client_fail_text(c, SMTP_FAILED_LOST, "4.4.2", NULL,
			"lost connection with %s while %s", c->config->peer, client_doing(c));
	}
	return client_want(c);
}

enum smtp_client_want smtp_client_timed_out(struct smtp_client *c)
{
	if (over(c)) {
		c->mail = NULL;
		client_enter(c, CLIENT_CLOSED);
	} else {
		client_fail_text(c, SMTP_FAILED_TIMEOUT, "4.4.2", NULL,
			"conversation with %s timed out while %s", c->config->peer,
			client_doing(c));
	}
	return client_want(c);
}

enum smtp_client_want smtp_client_quit(struct smtp_client *c, struct buf *out)
{
	if (c->state == CLIENT_DECIDE || c->state == CLIENT_READY) {
		buf_adds(out, "QUIT\r\n");
		client_enter(c, c->config->wait_for_quit ? CLIENT_QUIT : CLIENT_CLOSED);
	} else if (over(c)) {
		client_enter(c, CLIENT_CLOSED);
	} else {
		client_fail_text(c, SMTP_FAILED_OURS, "4.3.2", NULL,
			"conversation with %s given up while %s", c->config->peer, client_doing(c));
	}
	return client_want(c);
}

const struct smtp_client_failure *smtp_client_failure(const struct smtp_client *c)
{
	return c->failure.reason != SMTP_FAILED_NOT ? &c->failure : NULL;
}

/* ---- What is known about the server ---- */

unsigned smtp_client_features(const struct smtp_client *c)
{
	return c->features;
}

uint64_t smtp_client_size_limit(const struct smtp_client *c)
{
	return c->size_limit;
}

const char *smtp_client_mechanisms(const struct smtp_client *c)
{
	return buf_str(&c->mechanisms);
}

const char *smtp_client_greeting_name(const struct smtp_client *c)
{
	return buf_str(&c->greeting_name);
}

const char *smtp_client_server_name(const struct smtp_client *c)
{
	return buf_str(&c->server_name);
}

bool smtp_client_authenticated(const struct smtp_client *c)
{
	return c->authenticated;
}

bool smtp_client_reusable(const struct smtp_client *c)
{
	return c->state == CLIENT_READY && !c->spoiled;
}

bool smtp_client_delays_dot(const struct smtp_client *c)
{
	return c->delay_dot;
}
