/*
 * smtp_script - see smtp_script.h
 */
#include "smtp_script.h"

#include <string.h>

#include "base/str.h"
#include "unit.h"

struct player {
	const struct script *script;
	struct script_result *r;
	const char *at;    /* the next part of the script, NULL: there is none */
	struct buf typed;  /* from the client, not looked at */
	struct buf spoken; /* from the server, not yet given to the client */
	size_t given;      /* bytes given so far */
	bool in_data, closes, silent;
};

/* speak - the next part of the script */
static void speak(struct player *p, bool to_data)
{
	const char *end;
	size_t len;

	if (p->at == NULL) {
		return;
	}
	end = strchr(p->at, '|');
	len = end != NULL ? (size_t)(end - p->at) : strlen(p->at);
	p->in_data = to_data && len >= 3 && memcmp(p->at, "354", 3) == 0;
	if (len > 0 && (p->at[len - 1] == '!' || p->at[len - 1] == '~')) {
		p->closes = p->at[len - 1] == '!';
		p->silent = !p->closes;
		len--;
	}
	for (size_t i = 0; i < len; i++) {
		if (p->at[i] == '\n') {
			buf_addc(&p->spoken, '\r');
		}
		buf_addc(&p->spoken, p->at[i]);
	}
	if (len > 0 && !(p->closes || p->silent)) {
		buf_adds(&p->spoken, "\r\n");
	}
	p->at = end != NULL ? end + 1 : NULL;
}

/* hear - lines of the client; each command is answered */
static void hear(struct player *p, struct buf *out)
{
	struct buf *commands = &p->r->commands;

	buf_add(&p->typed, buf_head(out), buf_unread(out));
	buf_consume(out, buf_unread(out));
	for (;;) {
		const char *line = buf_head(&p->typed);
		const char *lf = memchr(line, '\n', buf_unread(&p->typed));
		size_t len;

		if (lf == NULL) {
			return;
		}
		len = (size_t)(lf - line) + 1;
		CHECK(len >= 2 && line[len - 2] == '\r');
		if (p->in_data) {
			bool dot = len == 3 && line[0] == '.';

			buf_add(&p->r->wire, line, len);
			buf_consume(&p->typed, len);
			if (dot) {
				buf_adds(commands, "|.");
				speak(p, false);
			}
			continue;
		}
		buf_adds(commands, commands->len > 0 ? "|" : "");
		buf_add(commands, line, len - 2);
		buf_consume(&p->typed, len);
		speak(p, str_ends(buf_str(commands), "|DATA"));
	}
}

/* give - the next piece of what the server said; false: there is none */
static bool give(struct player *p, int split, struct buf *in)
{
	size_t n = buf_unread(&p->spoken);

	if (n == 0) {
		return false;
	}
	if (split < SCRIPT_WHOLE) {
		n = n < (size_t)-split ? n : (size_t)-split;
	} else if (split >= 0 && p->given < (size_t)split && p->given + n > (size_t)split) {
		n = (size_t)split - p->given;
	}
	buf_add(in, buf_head(&p->spoken), n);
	buf_consume(&p->spoken, n);
	p->given += n;
	return true;
}

static void note(void *arg, bool warning, const char *text)
{
	struct player *p = arg;

	buf_addf(&p->r->notes, "%s%s\n", warning ? "warning: " : "", text);
}

static void put_result(
	struct buf *to, const struct smtp_client_failure *f, const char *what, bool site)
{
	buf_addf(to, "%s %s%s %s\n", what, f->dsn, site ? " (site)" : "", f->text);
}

static void results(struct player *p, const struct smtp_client_mail *mail)
{
	static const char words[][5] = { "", "sent", "wait", "back" };

	for (size_t i = 0; i < mail->recipient_count; i++) {
		const struct smtp_client_recipient *r = &mail->recipients[i];

		if (r->result.status != SMTP_RCPT_OPEN) {
			put_result(&p->r->result, &r->result, words[r->result.status], r->site);
		}
	}
	memcpy(p->r->last, mail->recipients, sizeof(p->r->last));
}

static void fill_mail(const struct script *s, struct smtp_client_mail *mail,
	struct smtp_client_recipient *recipients)
{
	static const char addresses[SCRIPT_RECIPIENTS][4] = { "a@b", "c@d", "e@f", "g@h" };
	static const struct smtp_client_xforward xforward = { .name = "client.example",
		.addr = "192.0.2.9",
		.port = "unknown",
		.proto = "ESMTP",
		.helo = "he lo+",
		.ident = "4F00",
		.source = "REMOTE" };
	unsigned flags = s->flags;
	const char *content = s->content != NULL ? s->content : "Subject: x\n\n.hello\n";

	memset(recipients, 0, SCRIPT_RECIPIENTS * sizeof(*recipients));
	*mail = (struct smtp_client_mail){ .sender = "s@x",
		.size = strlen(content),
		.body = (flags & S_8BIT) != 0   ? SMTP_BODY_8BITMIME
			: (flags & S_7BIT) != 0 ? SMTP_BODY_7BIT
						: SMTP_BODY_UNKNOWN,
		.no_convert = (flags & S_NO_CONVERT) != 0,
		.smtputf8 = (flags & S_UTF8) != 0,
		.smtputf8_required = (flags & S_UTF8) != 0,
		.target = (flags & S_ASK_RCPT) != 0 ? SMTP_TARGET_RCPT
			: (flags & S_ASK_DATA) != 0 ? SMTP_TARGET_DATA
						    : SMTP_TARGET_SEND,
		.ret = (flags & S_DSN) != 0 ? "HDRS" : "",
		.envid = (flags & S_DSN) != 0 ? "QQ+1=2" : "",
		.xforward = (flags & S_XFORWARD) != 0 ? &xforward : NULL,
		.recipients = recipients,
		.recipient_count = s->recipients != 0 ? s->recipients : 1 };
	for (size_t i = 0; i < SCRIPT_RECIPIENTS; i++) {
		recipients[i].address = addresses[i];
		recipients[i].original = (flags & S_DSN) != 0 && i == 1 ? "old+c@d" : "";
		recipients[i].orcpt = (flags & S_DSN) != 0 && i == 0 ? "rfc822;Bob@b" : "";
		recipients[i].notify = (flags & S_DSN) != 0 ? (i == 0 ? 14 : 1) : 0;
	}
}

/* decide - what an owner does after EHLO */
static enum smtp_client_want decide(struct player *p, struct smtp_client *c,
	struct smtp_client_mail *mail, struct buf *out, bool *asked)
{
	static const struct sasl_account account = { .user = "me", .password = "pass" };
	static const struct sasl_client_choice choice = { .options = SASL_OPT_NOANONYMOUS };
	unsigned flags = p->script->flags;

	if ((flags & (S_TLS | S_TLS_MUST)) != 0 && !*asked) {
		*asked = true;
		return smtp_client_starttls(c, (flags & S_TLS_MUST) != 0, out);
	}
	if ((flags & S_AUTH) != 0 && !smtp_client_authenticated(c)) {
		return smtp_client_auth(c, &account, &choice, out);
	}
	return smtp_client_begin(c, mail, out);
}

static enum smtp_client_want put_content(struct player *p, struct smtp_client *c, size_t *at,
	size_t piece, struct buf *in, struct buf *out)
{
	const char *content =
		p->script->content != NULL ? p->script->content : "Subject: x\n\n.hello\n";
	size_t left = strlen(content) - *at, n = piece != 0 && piece < left ? piece : left;

	if (n == 0) {
		return smtp_client_content_end(c, in, out);
	}
	*at += n;
	return smtp_client_content(c, content + *at - n, n, out);
}

static enum smtp_client_want wait_input(
	struct player *p, struct smtp_client *c, int split, struct buf *in, struct buf *out)
{
	if (give(p, split, in)) {
		return smtp_client_feed(c, in, out);
	}
	if (!p->silent) {
		return smtp_client_lost(c, in);
	}
	return smtp_client_timed_out(c);
}

static void play(struct player *p, struct smtp_client *c, int split, size_t piece)
{
	struct smtp_client_recipient recipients[SCRIPT_RECIPIENTS];
	struct smtp_client_mail mail;
	struct buf in = BUF_INIT, out = BUF_INIT;
	enum smtp_client_want want;
	bool asked = false, again = (p->script->flags & S_TWICE) != 0;
	size_t at = 0, turns = 0;

	fill_mail(p->script, &mail, recipients);
	speak(p, false);
	want = smtp_client_feed(c, &in, &out);
	for (; want != SMTP_WANT_CLOSE && turns < 100000; turns++) {
		hear(p, &out);
		if (want == SMTP_WANT_READ) {
			want = wait_input(p, c, split, &in, &out);
		} else if (want == SMTP_WANT_DECIDE) {
			want = decide(p, c, &mail, &out, &asked);
		} else if (want == SMTP_WANT_TLS) {
			want = (p->script->flags & S_TLS_BAD) != 0 ? smtp_client_tls_failed(c, NULL)
								   : smtp_client_secured(c, &out);
		} else if (want == SMTP_WANT_CONTENT) {
			/* What the server says meanwhile is there. */
			while (give(p, split, &in)) {
			}
			want = p->closes && buf_unread(&p->spoken) == 0
				? smtp_client_lost(c, &in)
				: put_content(p, c, &at, piece, &in, &out);
		} else {
			results(p, &mail);
			buf_adds(&p->r->result, smtp_client_reusable(c) ? "" : "spoiled\n");
			at = 0;
			want = again ? smtp_client_begin(c, &mail, &out)
				     : smtp_client_quit(c, &out);
			mail.recipient_count = again ? mail.recipient_count : 0;
			again = false;
		}
	}
	hear(p, &out);
	p->r->ended = want == SMTP_WANT_CLOSE;
	results(p, &mail);
	buf_free(&in);
	buf_free(&out);
}

void script_run(const struct script *s, int split, size_t content_piece, struct script_result *r)
{
	struct player p = { .script = s, .r = r, .at = s->server };
	const struct smtp_client_config config = { .lmtp = (s->flags & S_LMTP) != 0,
		.wrapped = (s->flags & S_WRAPPED) != 0,
		.hello = (s->flags & S_HELO) != 0         ? SMTP_HELLO_HELO
			: (s->flags & S_BY_GREETING) != 0 ? SMTP_HELLO_BY_GREETING
							  : SMTP_HELLO_EHLO,
		.keep_5xx_greeting = (s->flags & S_KEEP_5XX) != 0,
		.wait_for_quit = (s->flags & S_WAIT_QUIT) != 0,
		.peer = "mx[192.0.2.1]",
		.helo_name = "me",
		.discard = s->discard != NULL ? s->discard : "",
		.line_limit = 998,
		.pix = (s->flags & S_PIX) != 0 ? SMTP_PIX_DISABLE_ESMTP | SMTP_PIX_DELAY_DOTCRLF
					       : 0,
		.note = note,
		.arg = &p };
	struct smtp_client *c = smtp_client_new(&config);
	const struct smtp_client_failure *f;

	memset(r, 0, sizeof(*r));
	play(&p, c, split, content_piece);
	f = smtp_client_failure(c);
	if (f != NULL) {
		put_result(&r->result, f,
			f->status == SMTP_RCPT_BOUNCED ? "failure: back" : "failure: wait", false);
	}
	r->server_bytes = p.given;
	smtp_client_free(c);
	buf_free(&p.typed);
	buf_free(&p.spoken);
}

void script_free(struct script_result *r)
{
	buf_free(&r->commands);
	buf_free(&r->wire);
	buf_free(&r->result);
	buf_free(&r->notes);
}
