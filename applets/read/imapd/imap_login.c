/*
 * imap_login - what strangers may say: CAPABILITY STARTTLS LOGIN AUTHENTICATE ID NOOP LOGOUT
 *
 *	NEW --AUTHENTICATE--> (SASL lines) --> WAITING for auth --OK--> handed off
 *	  ^                                        |
 *	  `------ NO, after a pause ---------------'
 *
 * Commands are bounded to a few kilobytes, a few bad ones end the session, and three
 * minutes without a command too. The mail part takes over with the connection, what was
 * sent ahead, and the tag of the command that it has to answer.
 *
 * RFC 3501 6.1, 6.2; RFC 4959 (SASL-IR), RFC 4616 (PLAIN)
 */
#include <string.h>

#include "base/encode.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/dovecot/dovecot_conf.h"
#include "applets/read/imapd/imapd.h"

enum {
	LOGIN_BAD_MAX = 3, /* bad commands in a row */
	LOGIN_TIMEOUT = 3 * 60,
	SASL_LINE_MAX = 8192
};

enum login_state {
	LOGIN_COMMANDS,
	LOGIN_SASL_LINE, /* the client owes a response */
	LOGIN_AUTH,      /* the auth process thinks */
	LOGIN_DELAY,     /* a failure is answered after a pause */
	LOGIN_DONE       /* the mail part takes over */
};

struct imap_login {
	struct session_io *io;
	struct login_service *service;
	enum login_state state;
	struct imap_reader reader;
	struct arena arena;
	char tag[65];
	char mech[32];
	struct auth_request *request;
	struct timer delay;
	struct buf answer; /* lines to write when the time has come */
	unsigned bad;
	bool closing;
};

/* ---- Replies ---- */

static void tagged(struct imap_login *l, struct buf *out, const char *text)
{
	buf_addf(out, "%s %s\r\n", l->tag, text);
}

/* bad - a command that is none; too many end the session */
static void bad(struct imap_login *l, struct buf *out, const char *text)
{
	tagged(l, out, text);
	if (++l->bad >= LOGIN_BAD_MAX) {
		buf_adds(out, "* BYE Too many invalid IMAP commands.\r\n");
		l->closing = true;
	}
}

/* put_login_capabilities - what holds before login on this connection */
static void put_login_capabilities(struct imap_login *l, struct buf *out)
{
	const char *mechs, *end;

	buf_adds(out, "IMAP4rev1 SASL-IR ID ENABLE IDLE LITERAL+");
	if (!l->io->tls && l->service->tls_available) {
		buf_adds(out, " STARTTLS");
	}
	if (!login_plaintext_ok(l->io)) {
		buf_adds(out, " LOGINDISABLED");
	}
	mechs = auth_client_mechs(l->service->auth, login_plaintext_ok(l->io));
	for (; *mechs != '\0'; mechs = end + strspn(end, " ")) {
		end = mechs + strcspn(mechs, " ");
		buf_adds(out, " AUTH=");
		buf_add(out, mechs, (size_t)(end - mechs));
	}
}

/* ---- Authentication ---- */

static void resume(struct imap_login *l)
{
	l->io->resume(l->io);
}

static void on_delay(struct timer *t)
{
	struct imap_login *l = t->owner;

	l->state = LOGIN_COMMANDS;
	resume(l);
}

/* fail - the tagged NO, after the pause that login_failed() wants */
static void fail(struct imap_login *l, const struct auth_reply *r)
{
	bool temporary = r->result == AUTH_TEMPFAIL;
	int seconds = login_failed(
		l->io, r->user != NULL ? r->user : "", l->mech, r->reason != NULL ? r->reason : "");

	buf_addf(&l->answer, "%s NO %s\r\n", l->tag,
		temporary ? "[UNAVAILABLE] Temporary authentication failure."
			  : "[AUTHENTICATIONFAILED] Authentication failed.");
	if (seconds > 0 && l->io->loop != NULL) {
		l->state = LOGIN_DELAY;
		loop_timer(l->io->loop, &l->delay, (int64_t)seconds * 1000, on_delay, l);
	} else {
		l->state = LOGIN_COMMANDS;
		resume(l);
	}
}

/* on_auth - the auth process answered */
static void on_auth(void *arg, const struct auth_reply *r)
{
	struct imap_login *l = arg;

	switch (r->result) {
	case AUTH_CONTINUE:
		buf_addf(&l->answer, "+ %s\r\n", r->challenge != NULL ? r->challenge : "");
		l->state = LOGIN_SASL_LINE;
		resume(l);
		return;
	case AUTH_OK:
		l->request = NULL;
		login_handoff(l->io, r, l->mech, l->tag);
		l->state = LOGIN_DONE;
		resume(l);
		return;
	case AUTH_FAIL:
	case AUTH_TEMPFAIL:
		l->request = NULL;
		fail(l, r);
		return;
	}
}

/* start - ask the auth process; initial: base64 or NULL */
static void start(struct imap_login *l, const char *mech, const char *initial)
{
	struct auth_request *request;
	struct auth_params p;

	memset(&p, 0, sizeof(p));
	login_auth_params(l->io, &p);
	p.service = "imap";
	p.mech = mech;
	p.initial = initial;
	(void)str_copy(l->mech, sizeof(l->mech), mech);
	l->state = LOGIN_AUTH;
	request = auth_start(l->service->auth, &p, on_auth, l);
	if (l->state == LOGIN_AUTH) { /* else it was answered at once and is gone */
		l->request = request;
	}
}

/* plaintext_refused - the reply when plaintext is not allowed here */
static bool plaintext_refused(struct imap_login *l, struct buf *out)
{
	if (login_plaintext_ok(l->io)) {
		return false;
	}
	/* The password is out already: say so, that it be changed. */
	buf_adds(out,
		"* BAD [ALERT] Plaintext authentication not allowed without SSL/TLS, "
		"but your client did it anyway. If anyone was listening, the password was "
		"exposed.\r\n");
	tagged(l, out,
		"NO [PRIVACYREQUIRED] Plaintext authentication disallowed on non-secure "
		"(SSL/TLS) connections.");
	return true;
}

static void cmd_login(struct imap_login *l, struct imap_args *a, struct buf *out)
{
	const char *user, *password;
	struct buf plain = BUF_INIT, coded = BUF_INIT;

	if (!imap_args_space(a) || !imap_args_astring(a, &user) || !imap_args_space(a) ||
		!imap_args_astring(a, &password) || !imap_args_end(a)) {
		bad(l, out, "BAD Error in IMAP command LOGIN: Invalid arguments.");
		return;
	}
	if (plaintext_refused(l, out)) {
		return;
	}
	buf_addc(&plain, '\0');
	buf_adds(&plain, user);
	buf_addc(&plain, '\0');
	buf_adds(&plain, password);
	base64_encode(&coded, plain.data, plain.len);
	start(l, "PLAIN", buf_str(&coded));
	memset(plain.data, 0, plain.len);
	memset(coded.data, 0, coded.len);
	buf_free(&plain);
	buf_free(&coded);
}

/* is_plaintext - a mechanism that shows the password to who listens */
static bool is_plaintext(const char *mech)
{
	return str_ieq(mech, "PLAIN") || str_ieq(mech, "LOGIN");
}

/* offered - is it among the auth process's mechanisms? */
static bool offered(struct imap_login *l, const char *mech)
{
	return list_has(auth_client_mechs(l->service->auth, true), mech);
}

static void cmd_authenticate(struct imap_login *l, struct imap_args *a, struct buf *out)
{
	struct slice mech, initial = { NULL, 0 };
	char name[32];
	const char *first = NULL;

	if (!imap_args_space(a) || !imap_args_atom(a, &mech) || mech.len >= sizeof(name) ||
		(imap_args_char(a, ' ') && !imap_args_atom(a, &initial)) || !imap_args_end(a)) {
		bad(l, out, "BAD Error in IMAP command AUTHENTICATE: Invalid arguments.");
		return;
	}
	memcpy(name, mech.ptr, mech.len);
	name[mech.len] = '\0';
	if (is_plaintext(name) && plaintext_refused(l, out)) {
		return;
	}
	if (!offered(l, name)) {
		tagged(l, out, "NO [CANNOT] Unsupported authentication mechanism.");
		return;
	}
	if (initial.ptr != NULL) {
		/* RFC 4959 3: "=" is an empty response, not none */
		first = slice_eq(initial, "=") ? ""
					       : arena_strndup(&l->arena, initial.ptr, initial.len);
	}
	start(l, name, first);
}

/* sasl_line - the client's response */
static enum session_want sasl_line(struct imap_login *l, struct buf *in, struct buf *out)
{
	const char *lf = memchr(buf_head(in), '\n', buf_unread(in));
	struct slice line;
	char *copy;

	if (lf == NULL && buf_unread(in) <= SASL_LINE_MAX) {
		return SESSION_READ;
	}
	if (lf == NULL) {
		auth_cancel(l->request);
		l->request = NULL;
		buf_adds(out, "* BYE Authentication response too long.\r\n");
		return SESSION_CLOSE;
	}
	line = slice_trim((struct slice){ buf_head(in), (size_t)(lf - buf_head(in)) });
	if (slice_eq(line, "*")) {
		buf_consume(in, (size_t)(lf - buf_head(in)) + 1);
		auth_cancel(l->request);
		l->request = NULL;
		l->state = LOGIN_COMMANDS;
		tagged(l, out, "BAD Authentication aborted by client.");
		return SESSION_READ;
	}
	copy = mem_strndup(line.ptr, line.len);
	buf_consume(in, (size_t)(lf - buf_head(in)) + 1);
	l->state = LOGIN_AUTH;
	auth_continue(l->request, copy);
	memset(copy, 0, strlen(copy));
	mem_free(copy);
	return SESSION_READ;
}

/* ---- Commands ---- */

/* run - one command; SESSION_TLS when STARTTLS was said */
static enum session_want run(struct imap_login *l, struct imap_args *a, struct buf *out)
{
	if (imap_args_word(a, "LOGIN")) {
		cmd_login(l, a, out);
	} else if (imap_args_word(a, "AUTHENTICATE")) {
		cmd_authenticate(l, a, out);
	} else if (imap_args_word(a, "CAPABILITY") && imap_args_end(a)) {
		buf_adds(out, "* CAPABILITY ");
		put_login_capabilities(l, out);
		buf_adds(out, "\r\n");
		tagged(l, out,
			"OK Pre-login capabilities listed, post-login capabilities have more.");
	} else if (imap_args_word(a, "NOOP") && imap_args_end(a)) {
		tagged(l, out, "OK NOOP completed.");
	} else if (imap_args_word(a, "LOGOUT") && imap_args_end(a)) {
		buf_adds(out, "* BYE Logging out\r\n");
		tagged(l, out, "OK Logout completed.");
		return SESSION_CLOSE;
	} else if (imap_args_word(a, "ID") && (imap_args_space(a) || imap_args_end(a))) {
		id_put(out);
		tagged(l, out, "OK ID completed.");
	} else if (imap_args_word(a, "STARTTLS") && imap_args_end(a)) {
		if (l->io->tls) {
			bad(l, out, "BAD TLS is already active.");
		} else if (!l->service->tls_available) {
			bad(l, out, "BAD TLS support isn't enabled.");
		} else {
			tagged(l, out, "OK Begin TLS negotiation now.");
			return SESSION_TLS;
		}
		return SESSION_READ;
	} else {
		bad(l, out, "BAD Error in IMAP command received by server.");
		return SESSION_READ;
	}
	if (l->state != LOGIN_COMMANDS) {
		l->bad = 0;
	}
	return SESSION_READ;
}

/* read_command - a whole one is in the reader */
static enum session_want read_command(struct imap_login *l, struct buf *out)
{
	enum session_want want = SESSION_READ;
	struct imap_args a;
	struct slice tag;

	imap_args_init(&a, &l->arena, buf_str(&l->reader.text), l->reader.text.len);
	(void)str_copy(l->tag, sizeof(l->tag), "*");
	if (l->reader.text.len == 0) {
		/* Nothing was said. */
	} else if (!imap_args_tag(&a, &tag) || tag.len >= sizeof(l->tag) || !imap_args_space(&a)) {
		bad(l, out, "BAD Error in IMAP command received by server.");
	} else {
		memcpy(l->tag, tag.ptr, tag.len);
		l->tag[tag.len] = '\0';
		want = run(l, &a, out);
	}
	/* The text may hold a password. */
	if (l->reader.text.data != NULL) {
		memset(l->reader.text.data, 0, l->reader.text.len);
	}
	imap_reader_reset(&l->reader);
	arena_free(&l->arena);
	return want;
}

/* one_command - read and run; *more_r false: bytes are missing */
static enum session_want one_command(
	struct imap_login *l, struct buf *in, struct buf *out, bool *more_r)
{
	*more_r = true;
	switch (imap_reader_next(&l->reader, in)) {
	case IMAP_READ_MORE:
		*more_r = false;
		if (!imap_reader_skipping(&l->reader)) {
			return SESSION_READ;
		}
		buf_adds(out, "* BYE Input buffer full, aborting\r\n");
		return SESSION_CLOSE;
	case IMAP_READ_COMMAND:
		return read_command(l, out);
	case IMAP_READ_LITERAL:
		if (!imap_reader_fits(&l->reader)) {
			buf_adds(out, "* BYE [TOOBIG] Literal too large.\r\n");
			return SESSION_CLOSE;
		}
		buf_adds(out, l->reader.sync ? "+ OK\r\n" : "");
		imap_reader_accept(&l->reader);
		return SESSION_READ;
	case IMAP_READ_TOO_LONG:
		buf_adds(out, "* BYE Input buffer full, aborting\r\n");
		return SESSION_CLOSE;
	}
	return SESSION_CLOSE;
}

/* ---- The session class ---- */

static void *login_open(struct session_io *io, void *service, struct buf *out)
{
	struct imap_login *l = mem_alloc(sizeof(*l));

	l->io = io;
	l->service = service;
	l->reader.max = IMAPD_LOGIN_LINE_MAX;
	io->timeout = LOGIN_TIMEOUT;
	buf_adds(out, "* OK [CAPABILITY ");
	put_login_capabilities(l, out);
	buf_addf(out, "] %s\r\n", l->service->greeting);
	return l;
}

static enum session_want login_feed(void *session, struct buf *in, struct buf *out)
{
	struct imap_login *l = session;
	enum session_want want = SESSION_READ;
	bool more = true;

	while (more && want == SESSION_READ && !l->closing) {
		buf_add(out, l->answer.data, l->answer.len);
		buf_free(&l->answer);
		switch (l->state) {
		case LOGIN_COMMANDS:
			want = one_command(l, in, out, &more);
			break;
		case LOGIN_SASL_LINE:
			want = sasl_line(l, in, out);
			more = l->state != LOGIN_SASL_LINE;
			break;
		case LOGIN_AUTH:
		case LOGIN_DELAY:
			return SESSION_WAIT;
		case LOGIN_DONE:
			return SESSION_HANDOFF;
		}
	}
	return l->closing ? SESSION_CLOSE : want;
}

static enum session_want login_event(void *session, enum session_event event, struct buf *out)
{
	struct imap_login *l = session;

	switch (event) {
	case SESSION_EV_TIMEOUT:
		buf_adds(out, "* BYE Disconnected for inactivity.\r\n");
		return SESSION_CLOSE;
	case SESSION_EV_SHUTDOWN:
		buf_adds(out, "* BYE Server shutting down.\r\n");
		return SESSION_CLOSE;
	case SESSION_EV_NO_MEMORY:
		buf_adds(out, "* BYE [SERVERBUG] Out of memory\r\n");
		return SESSION_CLOSE;
	case SESSION_EV_TLS_UP:
	case SESSION_EV_DRAINED:
		return l->state == LOGIN_AUTH || l->state == LOGIN_DELAY ? SESSION_WAIT
									 : SESSION_READ;
	case SESSION_EV_TLS_FAILED:
	case SESSION_EV_EOF:
	case SESSION_EV_ERROR:
		return SESSION_CLOSE;
	}
	return SESSION_CLOSE;
}

static void login_close(void *session)
{
	struct imap_login *l = session;

	if (l->request != NULL) {
		auth_cancel(l->request);
	}
	if (l->io->loop != NULL) {
		loop_untimer(l->io->loop, &l->delay);
	}
	imap_reader_free(&l->reader);
	arena_free(&l->arena);
	buf_free(&l->answer);
	mem_free(l);
}

const struct session_class imapd_login_class = {
	.name = "imap-login",
	.open = login_open,
	.feed = login_feed,
	.event = login_event,
	.close = login_close,
};
