/*
 * pop3_login - POP3 before anybody has logged in
 *
 * USER and PASS are turned into SASL PLAIN, so there is one way to the auth
 * process. While it thinks, the session waits (SESSION_WAIT). A failure is told
 * only after a delay. Success hands the connection over: the mail part says "+OK
 * Logged in."
 */
#include <string.h>

#include "base/encode.h"
#include "base/mem.h"
#include "applets/read/pop3d/pop3d.h"

enum { LOGIN_TIMEOUT = 180, NAME_MAX_LEN = 255 };

static const char DISALLOWED[] =
	"[AUTH] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.";

static const struct pop3_phase phase;

static void *login_open(struct session_io *io, void *service, struct buf *out)
{
	struct pop3 *s = mem_alloc(sizeof(*s));

	s->io = io;
	s->phase = &phase;
	s->service = service;
	io->timeout = LOGIN_TIMEOUT;
	pop3_ok(out, "%s", s->service->greeting);
	return s;
}

/* wipe_free - a string that may hold a password */
static void wipe_free(struct buf *b)
{
	if (b->data != NULL) {
		memset(b->data, 0, b->cap);
	}
	buf_free(b);
}

/* set_auth_name - whom a PLAIN response names, for the log */
static void set_auth_name(struct pop3 *s, const char *base64)
{
	struct buf b = BUF_INIT;

	mem_free(s->auth_name);
	s->auth_name = NULL;
	if (base64 != NULL && base64_decode(&b, base64, strlen(base64)) && b.len > 1) {
		size_t zid = strlen(buf_str(&b));

		if (zid + 1 < b.len) {
			s->auth_name = mem_strdup(b.data + zid + 1);
		}
	}
	wipe_free(&b);
}

/* ---- The auth process's answer ---- */

static void delay_over(struct timer *t)
{
	struct pop3 *s = t->owner;

	s->io->resume(s->io);
}

/* tell_late - the reply is in s->late; after seconds feed() says it */
static void tell_late(struct pop3 *s, int seconds)
{
	if (seconds > 0 && s->io->loop != NULL) {
		loop_timer(s->io->loop, &s->delay, (int64_t)seconds * 1000, delay_over, s);
	} else {
		s->io->resume(s->io);
	}
}

static void on_answer(void *arg, const struct auth_reply *r)
{
	struct pop3 *s = arg;

	if (r->result != AUTH_CONTINUE) {
		s->auth = NULL;
	}
	switch (r->result) {
	case AUTH_OK:
		login_handoff(s->io, r, s->mech, "");
		s->handoff = true;
		s->io->resume(s->io);
		break;
	case AUTH_CONTINUE:
		s->auth_reads = true;
		buf_addf(&s->late, "+ %s\r\n", r->challenge != NULL ? r->challenge : "");
		s->io->resume(s->io);
		break;
	case AUTH_FAIL:
		pop3_err(&s->late, "[AUTH] Authentication failed.");
		tell_late(s,
			login_failed(s->io, s->auth_name != NULL ? s->auth_name : "", s->mech,
				r->reason != NULL ? r->reason : "auth failed"));
		break;
	case AUTH_TEMPFAIL:
		pop3_err(&s->late, "[SYS/TEMP] Temporary authentication failure.");
		login_failed(s->io, s->auth_name != NULL ? s->auth_name : "", s->mech,
			r->reason != NULL ? r->reason : "temporary failure");
		s->io->resume(s->io);
		break;
	}
}

/* start_auth - base64 NULL: the mechanism asks first */
static enum session_want start_auth(struct pop3 *s, const char *mech, const char *base64)
{
	struct auth_params p = { .service = "pop3", .mech = mech, .initial = base64 };

	login_auth_params(s->io, &p);
	str_copy(s->mech, sizeof(s->mech), mech);
	set_auth_name(s, strcmp(mech, "PLAIN") == 0 ? base64 : NULL);
	s->auth = auth_start(s->service->auth, &p, on_answer, s);
	return SESSION_WAIT;
}

/* ---- Commands ---- */

static enum session_want cmd_user(struct pop3 *s, struct slice args, struct buf *out)
{
	if (!login_plaintext_ok(s->io)) {
		pop3_err(out, "%s", DISALLOWED);
		return SESSION_READ;
	}
	if (args.len > NAME_MAX_LEN) {
		pop3_err(out, "[AUTH] Authentication failed.");
		return SESSION_READ;
	}
	mem_free(s->user);
	s->user = mem_strndup(args.ptr, args.len);
	pop3_ok(out, "%s", "");
	return SESSION_READ;
}

static enum session_want cmd_pass(struct pop3 *s, struct slice args, struct buf *out)
{
	struct buf plain = BUF_INIT, base64 = BUF_INIT;
	enum session_want want;

	if (!login_plaintext_ok(s->io)) {
		pop3_err(out, "%s", DISALLOWED);
		return SESSION_READ;
	}
	if (s->user == NULL) {
		pop3_err(out, "No username given.");
		return SESSION_READ;
	}
	/* RFC 4616: authorization id, authentication id, password. */
	buf_addc(&plain, '\0');
	buf_adds(&plain, s->user);
	buf_addc(&plain, '\0');
	buf_add(&plain, args.ptr, args.len);
	base64_encode(&base64, plain.data, plain.len);
	want = start_auth(s, "PLAIN", buf_str(&base64));
	wipe_free(&plain);
	wipe_free(&base64);
	mem_free(s->user);
	s->user = NULL;
	return want;
}

/* list_mechs - AUTH alone: what there is (RFC 1734's habit, which clients still have) */
static enum session_want list_mechs(const char *mechs, struct buf *out)
{
	struct slice rest = slice_of(mechs), word;

	pop3_ok(out, "%s", "");
	for (word = slice_word(&rest, " "); word.ptr != NULL; word = slice_word(&rest, " ")) {
		buf_addf(out, "%.*s\r\n", (int)word.len, word.ptr);
	}
	buf_adds(out, ".\r\n");
	return SESSION_READ;
}

static enum session_want cmd_auth(struct pop3 *s, struct slice args, struct buf *out)
{
	bool plain = login_plaintext_ok(s->io);
	const char *mechs = auth_client_mechs(s->service->auth, plain);
	struct slice initial;
	enum session_want want;
	char mech[32], *base64;

	if (args.len == 0) {
		return list_mechs(mechs, out);
	}
	initial = pop3_verb(args, mech, sizeof(mech));
	if (!list_has(mechs, mech)) {
		if (!plain && list_has(auth_client_mechs(s->service->auth, true), mech)) {
			pop3_err(out, "%s", DISALLOWED);
		} else {
			pop3_err(out, "[AUTH] Unsupported authentication mechanism.");
		}
		return SESSION_READ;
	}
	if (initial.len == 0) {
		return start_auth(s, mech, NULL);
	}
	/* RFC 5034 4: "=" is an empty response. */
	base64 = slice_eq(initial, "=") ? mem_strdup("") : mem_strndup(initial.ptr, initial.len);
	want = start_auth(s, mech, base64);
	memset(base64, 0, strlen(base64));
	mem_free(base64);
	return want;
}

/* answer - the line that answers a challenge */
static enum session_want answer(struct pop3 *s, struct slice line, struct buf *out)
{
	char *base64;

	s->auth_reads = false;
	if (slice_eq(line, "*")) {
		auth_cancel(s->auth);
		s->auth = NULL;
		pop3_err(out, "Authentication aborted by client.");
		return SESSION_READ;
	}
	base64 = mem_strndup(line.ptr, line.len);
	if (s->auth_name == NULL && strcmp(s->mech, "PLAIN") == 0) {
		set_auth_name(s, base64);
	}
	auth_continue(s->auth, base64);
	memset(base64, 0, strlen(base64));
	mem_free(base64);
	return SESSION_WAIT;
}

static enum session_want cmd_stls(struct pop3 *s, struct slice args, struct buf *out)
{
	(void)args;
	if (s->io->tls) {
		pop3_err(out, "TLS is already active.");
		return SESSION_READ;
	}
	if (!s->service->tls_available) {
		pop3_err(out, "TLS support isn't enabled.");
		return SESSION_READ;
	}
	pop3_ok(out, "Begin TLS negotiation now.");
	return SESSION_TLS;
}

static enum session_want cmd_quit(struct pop3 *s, struct slice args, struct buf *out)
{
	(void)args;
	pop3_ok(out, "Logging out");
	return pop3_close(s, "Aborted login by logging out");
}

static enum session_want cmd_capa(struct pop3 *s, struct slice args, struct buf *out)
{
	bool plain = login_plaintext_ok(s->io);

	(void)args;
	pop3_put_capa(out);
	if (s->service->tls_available && !s->io->tls) {
		buf_adds(out, "STLS\r\n");
	}
	if (plain) {
		buf_adds(out, "USER\r\n");
	}
	buf_addf(out, "SASL %s\r\n.\r\n", auth_client_mechs(s->service->auth, plain));
	return SESSION_READ;
}

static const struct pop3_command commands[] = {
	{ "AUTH", cmd_auth, false },
	{ "CAPA", cmd_capa, false },
	{ "PASS", cmd_pass, false },
	{ "QUIT", cmd_quit, false },
	{ "STLS", cmd_stls, false },
	{ "USER", cmd_user, true },
};

static const struct pop3_phase phase = { commands, ARRAY_LEN(commands), false, answer };

/* ---- Driving ---- */

static enum session_want login_feed(void *session, struct buf *in, struct buf *out)
{
	struct pop3 *s = session;

	if (s->handoff) {
		return SESSION_HANDOFF;
	}
	if (s->late.len > 0) {
		buf_add(out, s->late.data, s->late.len);
		buf_reset(&s->late);
	} else if (s->auth != NULL && !s->auth_reads) {
		return SESSION_WAIT;
	}
	return pop3_feed(s, in, out);
}

static enum session_want login_event(void *session, enum session_event event, struct buf *out)
{
	struct pop3 *s = session;

	switch (event) {
	case SESSION_EV_TLS_UP:
		/* RFC 2595 4: what was known before TLS is forgotten. */
		mem_free(s->user);
		s->user = NULL;
		return SESSION_READ;
	case SESSION_EV_TIMEOUT:
		pop3_err(out, "Disconnected for inactivity.");
		return pop3_close(s, "Inactivity");
	case SESSION_EV_SHUTDOWN:
		pop3_err(out, "[SYS/TEMP] Server shutting down.");
		return pop3_close(s, "Server shutting down");
	case SESSION_EV_NO_MEMORY:
		pop3_err(out, "[SYS/TEMP] Out of memory.");
		return pop3_close(s, "Out of memory");
	case SESSION_EV_DRAINED:
		return s->auth != NULL && !s->auth_reads ? SESSION_WAIT : SESSION_READ;
	case SESSION_EV_TLS_FAILED:
	case SESSION_EV_EOF:
	case SESSION_EV_ERROR:
		return SESSION_CLOSE;
	}
	return SESSION_CLOSE;
}

static void login_close(void *session)
{
	struct pop3 *s = session;

	if (s->auth != NULL) {
		auth_cancel(s->auth);
	}
	if (s->io->loop != NULL) {
		loop_untimer(s->io->loop, &s->delay);
	}
	buf_free(&s->late);
	mem_free(s->auth_name);
	mem_free(s->user);
	mem_free(s);
}

const struct session_class pop3_login_class = {
	.name = "pop3-login",
	.open = login_open,
	.feed = login_feed,
	.event = login_event,
	.close = login_close,
};
