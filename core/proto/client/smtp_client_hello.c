/*
 * smtp_client_hello - the beginning of an SMTP client's session: greeting, EHLO, STARTTLS, AUTH
 *
 * Postfix's rules: EHLO first, HELO when that is refused (not with 421, not in LMTP); a greeting of
 * 5xx is this host's, so another may be tried; what was announced before STARTTLS is forgotten. A
 * refused password is trouble of ours: the mail waits.
 *
 * RFC 5321 3.1, 4.1.1.1; RFC 2033 4.1; RFC 3207; RFC 4954
 */
#include <string.h>

#include "base/encode.h"
#include "proto/client/smtp_client_impl.h"
#include "proto/smtp.h"

enum {
	COMMAND_MAX = 510, /* RFC 5321 4.5.3.1.4, for AUTH with an initial response (RFC 4954 4) */
	AUTH_STEPS_MAX = 10,  /* challenges */
	MECHANISMS_MAX = 2048 /* bytes of all that AUTH announces */
};

/* The words of XFORWARD, in the order of their bits (1 << n) in c->xforward. */
static const char xforward_words[][8] = { "NAME", "ADDR", "PORT", "PROTO", "HELO", "IDENT",
	"SOURCE" };

/* ---- Greeting ---- */

/* is_pix - the greeting of a PIX is censored: nothing but 2, 0, stars and blanks */
static bool is_pix(const char *greeting)
{
	return greeting[strspn(greeting, "20 *\t\n")] == '\0';
}

/* read_greeting - its first word, and whether it says ESMTP */
static void read_greeting(struct smtp_client *c)
{
	struct slice rest = slice_of(buf_str(&c->reply.text)), word;
	unsigned pix = is_pix(rest.ptr) ? c->config->pix : 0;
	bool says_esmtp = false;

	(void)slice_word(&rest, "- \t\n");
	for (size_t n = 0; (word = slice_word(&rest, " \t\n")).ptr != NULL; n++) {
		if (n == 0) {
			buf_add(&c->greeting_name, word.ptr, word.len);
		}
		says_esmtp = says_esmtp || slice_ieq(word, "ESMTP");
	}
	c->delay_dot = (pix & SMTP_PIX_DELAY_DOTCRLF) != 0;
	c->esmtp = c->config->lmtp ||
		(c->config->hello != SMTP_HELLO_HELO && (pix & SMTP_PIX_DISABLE_ESMTP) == 0 &&
			(c->config->hello == SMTP_HELLO_EHLO || says_esmtp));
	if (pix != 0) {
		client_note(c, false, "enabling PIX workarounds:%s%s for %s",
			(pix & SMTP_PIX_DISABLE_ESMTP) != 0 ? " disable_esmtp" : "",
			c->delay_dot ? " delay_dotcrlf" : "", c->config->peer);
	}
}

/* say_hello - EHLO or LHLO, or HELO where that was refused; what was announced is forgotten */
static void say_hello(struct smtp_client *c, struct buf *out)
{
	c->features = c->xforward = 0;
	c->size_limit = 0;
	buf_reset(&c->mechanisms);
	buf_reset(&c->server_name);
	buf_addf(out, "%s %s\r\n",
		c->config->lmtp    ? "LHLO"
			: c->esmtp ? "EHLO"
				   : "HELO",
		c->config->helo_name);
	client_enter(c, c->esmtp ? CLIENT_EHLO : CLIENT_HELO);
}

/* turned_away - the server will not talk with us */
static void turned_away(struct smtp_client *c, struct buf *out, bool temporary)
{
	struct smtp_client_failure f =
		client_reply_failure(c, &c->texts, "host ", " refused to talk to me: ", false);

	if (temporary && f.status == SMTP_RCPT_BOUNCED) {
		f.dsn = arena_printf(&c->texts, "4%s", f.dsn + 1);
		f.status = SMTP_RCPT_DEFERRED;
	}
	client_fail(c, &f, out, true);
}

/* ---- EHLO ---- */

/* auth_words - the mechanisms of one more line */
static void auth_words(struct smtp_client *c, struct slice rest)
{
	struct slice word;

	c->features |= SMTP_HAS_AUTH;
	while ((word = slice_word(&rest, " \t=")).ptr != NULL) {
		if (c->mechanisms.len + word.len < MECHANISMS_MAX &&
			!list_has_slice(buf_str(&c->mechanisms), word)) {
			buf_adds(&c->mechanisms, c->mechanisms.len > 0 ? " " : "");
			buf_add(&c->mechanisms, word.ptr, word.len);
		}
	}
}

static void size_word(struct smtp_client *c, struct slice rest)
{
	struct slice word = slice_word(&rest, " \t");

	c->features |= SMTP_HAS_SIZE;
	if (word.ptr != NULL && !smtp_parse_size(word, &c->size_limit)) {
		client_note(c, true, "bad EHLO SIZE limit \"%.*s\" from %s", (int)word.len,
			word.ptr, c->config->peer);
	}
}

static void xforward_list(struct smtp_client *c, struct slice rest)
{
	struct slice word;

	c->features |= SMTP_HAS_XFORWARD;
	while ((word = slice_word(&rest, " \t")).ptr != NULL) {
		for (size_t i = 0; i < ARRAY_LEN(xforward_words); i++) {
			if (slice_ieq(word, xforward_words[i])) {
				c->xforward |= 1U << i;
			}
		}
	}
}

/* keyword - one line of the reply to EHLO, behind its code */
static void keyword(struct smtp_client *c, struct slice line)
{
	static const struct {
		const char *name;
		unsigned feature;
	} names[] = {
		{ "8BITMIME", SMTP_HAS_8BITMIME },
		{ "PIPELINING", SMTP_HAS_PIPELINING },
		{ "STARTTLS", SMTP_HAS_STARTTLS },
		{ "DSN", SMTP_HAS_DSN },
		{ "SMTPUTF8", SMTP_HAS_SMTPUTF8 },
		{ "CHUNKING", SMTP_HAS_CHUNKING },
	};
	/* Microsoft's servers once had "AUTH=LOGIN". */
	struct slice word = slice_word(&line, " \t=");

	if (word.ptr == NULL || list_has_slice(c->config->discard, word)) {
		return;
	}
	if (slice_ieq(word, "SIZE")) {
		size_word(c, line);
	} else if (slice_ieq(word, "AUTH")) {
		auth_words(c, line);
	} else if (slice_ieq(word, "XFORWARD")) {
		xforward_list(c, line);
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (slice_ieq(word, names[i].name)) {
			c->features |= names[i].feature;
		}
	}
}

/* read_features - of the reply to EHLO or LHLO */
static void read_features(struct smtp_client *c)
{
	struct slice rest = slice_of(buf_str(&c->reply.text)), line, word;

	c->features = SMTP_HAS_ESMTP;
	for (size_t n = 0; (line = slice_word(&rest, "\n")).ptr != NULL; n++) {
		/* The code, and what stands behind it. */
		(void)slice_word(&line, "- ");
		line = line.len > 0 ? (struct slice){ line.ptr + 1, line.len - 1 } : line;
		if (n == 0) {
			word = slice_word(&line, " \t=");
			buf_add(&c->server_name, word.ptr != NULL ? word.ptr : "", word.len);
		} else {
			keyword(c, line);
		}
	}
	if (c->secured) {
		c->features &= ~(unsigned)SMTP_HAS_STARTTLS;
	}
	if ((c->features & (SMTP_HAS_SMTPUTF8 | SMTP_HAS_8BITMIME)) == SMTP_HAS_SMTPUTF8) {
		client_note(c, false, "host %s offers SMTPUTF8 support, but not 8BITMIME",
			c->config->peer);
		c->features |= SMTP_HAS_8BITMIME;
	}
}

/* hello_reply - to EHLO, LHLO or HELO */
static void hello_reply(struct smtp_client *c, struct buf *out)
{
	bool accepted = c->reply.code / 100 == 2;

	if (accepted) {
		if (c->state == CLIENT_EHLO) {
			read_features(c);
		}
		client_enter(c, CLIENT_DECIDE);
	} else if (c->state == CLIENT_EHLO && !c->config->lmtp && c->reply.code != 421) {
		c->esmtp = false;
		say_hello(c, out);
	} else {
		turned_away(c, out, false);
	}
}

/* ---- STARTTLS ---- */

enum smtp_client_want smtp_client_starttls(struct smtp_client *c, bool required, struct buf *out)
{
	if (c->state != CLIENT_DECIDE || c->secured) {
		return client_want(c);
	}
	c->tls_required = required;
	if ((c->features & SMTP_HAS_STARTTLS) != 0) {
		buf_adds(out, "STARTTLS\r\n");
		client_enter(c, CLIENT_STARTTLS);
	} else if (required) {
		client_fail_text(c, SMTP_FAILED_TLS, "4.7.4", out,
			"TLS is required, but was not offered by host %s", c->config->peer);
	}
	return client_want(c);
}

static void starttls_reply(struct smtp_client *c, struct buf *out)
{
	struct smtp_client_failure f;

	if (c->reply.code / 100 == 2) {
		client_enter(c, CLIENT_HANDSHAKE);
		return;
	}
	c->features &= ~(unsigned)SMTP_HAS_STARTTLS;
	if (!c->tls_required) {
		client_enter(c, CLIENT_DECIDE);
		return;
	}
	f = client_reply_failure(
		c, &c->texts, "TLS is required, but host ", " refused to start TLS: ", false);
	f.reason = SMTP_FAILED_TLS;
	client_fail(c, &f, out, true);
}

enum smtp_client_want smtp_client_secured(struct smtp_client *c, struct buf *out)
{
	if (c->state == CLIENT_HANDSHAKE) {
		c->secured = c->esmtp = true;
		say_hello(c, out);
	}
	return client_want(c);
}

enum smtp_client_want smtp_client_tls_failed(struct smtp_client *c, const char *why)
{
	client_fail_text(c, SMTP_FAILED_TLS, "4.7.5", NULL, "%s",
		why != NULL ? why : "Cannot start TLS: handshake failure");
	return client_want(c);
}

/* ---- AUTH ---- */

static void auth_end(struct smtp_client *c)
{
	if (c->sasl_on) {
		sasl_client_free(&c->sasl);
		c->sasl_on = false;
	}
}

/* auth_fail - the exchange cannot go on, for a reason of ours or because of what the server says */
static void auth_fail(struct smtp_client *c, const char *why, struct buf *out)
{
	client_fail_text(c, SMTP_FAILED_AUTH, "4.7.0", out,
		"SASL authentication failed; cannot authenticate to server %s: %s", c->config->peer,
		why);
	auth_end(c);
}

/* put_response - in base64; an empty initial response is "=" (RFC 4954 4) */
static void put_response(struct smtp_client *c, const char *before, bool initial, struct buf *out)
{
	struct buf *r = &c->sasl.response;

	buf_adds(out, before);
	/* So it does not move and leave a copy behind: whoever sends it wipes it. */
	(void)buf_reserve(out, (r->len + 2) / 3 * 4 + sizeof("=\r\n"));
	if (r->len > 0) {
		base64_encode(out, r->data, r->len);
	} else {
		buf_adds(out, initial ? "=" : "");
	}
	buf_adds(out, "\r\n");
}

enum smtp_client_want smtp_client_auth(struct smtp_client *c, const struct sasl_account *account,
	const struct sasl_client_choice *choice, struct buf *out)
{
	struct sasl_client_choice wanted = *choice;
	enum sasl_client_mech mech;
	const char *name;

	if (c->state != CLIENT_DECIDE || c->authenticated) {
		return client_want(c);
	}
	wanted.announced = buf_str(&c->mechanisms);
	if (!sasl_client_choose(&wanted, account, &mech)) {
		client_fail_text(c, SMTP_FAILED_AUTH, "4.7.0", out,
			"SASL authentication failed: server %s offered no compatible "
			"authentication mechanisms for this type of connection security",
			c->config->peer);
		return client_want(c);
	}
	memset(&c->sasl, 0, sizeof(c->sasl));
	c->sasl_on = true;
	c->sasl_steps = 0;
	sasl_client_start(&c->sasl, mech, account);
	name = sasl_client_name(mech);
	/* An initial response that makes the command too long waits for the challenge. */
	c->sasl_held = c->sasl.first &&
		strlen(name) + 6 + (c->sasl.response.len + 2) / 3 * 4 > COMMAND_MAX;
	buf_addf(out, "AUTH %s", name);
	if (c->sasl.first && !c->sasl_held) {
		put_response(c, " ", true, out);
	} else {
		buf_adds(out, "\r\n");
	}
	client_enter(c, CLIENT_AUTH);
	return client_want(c);
}

/* challenge - 334 with base64 behind it */
static void challenge(struct smtp_client *c, struct buf *out)
{
	const char *text = buf_str(&c->reply.text) + 3;
	struct buf raw = BUF_INIT;
	bool good;

	text += strspn(text, " ");
	if (++c->sasl_steps > AUTH_STEPS_MAX) {
		client_fail_text(c, SMTP_FAILED_AUTH, "4.7.0", out,
			"SASL authentication failed; authentication protocol loop with server %s",
			c->config->peer);
		auth_end(c);
	} else if (strcmp(text, "=") != 0 && !base64_decode(&raw, text, strlen(text))) {
		buf_adds(out, "*\r\n");
		auth_fail(c, "the challenge is not base64", out);
	} else {
		struct slice s = { buf_str(&raw), raw.len };

		good = c->sasl_held || sasl_client_step(&c->sasl, s);
		c->sasl_held = false;
		if (good) {
			put_response(c, "", false, out);
		} else {
			buf_adds(out, "*\r\n");
			auth_fail(c, c->sasl.error, out);
		}
	}
	buf_free(&raw);
}

static void auth_reply(struct smtp_client *c, struct buf *out)
{
	struct smtp_client_failure f;

	if (c->reply.code / 100 == 3) {
		challenge(c, out);
		return;
	}
	if (c->reply.code / 100 == 2) {
		if (!sasl_client_done(&c->sasl)) {
			auth_fail(c, c->sasl.error, out);
			return;
		}
		auth_end(c);
		c->authenticated = true;
		client_enter(c, CLIENT_DECIDE);
		return;
	}
	f = client_reply_failure(
		c, &c->texts, "SASL authentication failed; server ", " said: ", false);
	f.reason = SMTP_FAILED_AUTH;
	f.status = SMTP_RCPT_DEFERRED;
	if (f.dsn[0] == '5') {
		f.dsn = arena_printf(&c->texts, "4%s", f.dsn + 1);
	}
	client_fail(c, &f, out, true);
	auth_end(c);
}

void client_hello_reply(struct smtp_client *c, struct buf *out)
{
	if (c->state == CLIENT_GREETING) {
		if (c->reply.code / 100 == 2) {
			read_greeting(c);
			say_hello(c, out);
		} else {
			turned_away(c, out, !c->config->keep_5xx_greeting);
		}
	} else if (c->state == CLIENT_STARTTLS) {
		starttls_reply(c, out);
	} else if (c->state == CLIENT_AUTH) {
		auth_reply(c, out);
	} else {
		hello_reply(c, out);
	}
}
