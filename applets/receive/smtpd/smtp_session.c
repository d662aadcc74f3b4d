/*
 * smtp_session - one SMTP conversation: lines, the dispatcher, events
 *
 *	COMMAND --line--> handler --+--> COMMAND
 *	   ^			    +--> CHECK, AUTH_WAIT, COMMIT: SESSION_WAIT until resumed
 *	   |			    +--> DATA, BDAT: bytes go to data.c
 *	   +---- reply -------------+--> AUTH: the next line is a SASL response
 *				    +--> TLS, CLOSING
 *
 * What a command line may look like is enforced here for all of them: length,
 * UTF-8, NUL, TLS first, pipelining, error and junk limits. Handlers see
 * legal calls only.
 *
 * RFC 5321 4.1, 4.5.3; RFC 2920 (pipelining); RFC 2034 (enhanced codes).
 */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "proto/smtp.h"
#include "applets/receive/smtpd/commands.h"
#include "applets/receive/smtpd/data.h"
#include "applets/receive/smtpd/intake.h"
#include "applets/receive/smtpd/restrictions.h"
#include "applets/receive/smtpd/sasl_exchange.h"
#include "applets/receive/smtpd/session_state.h"
#include "applets/receive/smtpd/smtpd.h"
#include "applets/receive/smtpd/transcript.h"

enum { OUT_HIGH = 65536 };

/* ---- Opening and closing ---- */

static void greet(struct smtpd_session *s, bool permitted, struct restrict_run *run)
{
	if (!permitted) {
		s->denied = mem_strdup(run->reply);
		s->errors++;
		return;
	}
	session_reply(s, "220 %s", param.smtpd_banner);
}

/* count_client - one connection more or less from an address; how many there are */
static size_t count_client(struct smtpd *d, const char *addr, int change)
{
	size_t n = (size_t)(uintptr_t)hash_get(&d->clients, addr) + (size_t)change;

	if (n == 0) {
		(void)hash_del(&d->clients, addr);
	} else {
		(void)hash_set(&d->clients, addr, (void *)(uintptr_t)n);
	}
	return n;
}

/* is_crowded - smtpd_client_connection_count_limit; 421 and gone */
static bool is_crowded(struct smtpd_session *s)
{
	const struct session_io *io = s->io;
	const struct smtpd *d = s->d;
	size_t n;

	if (param.smtpd_client_connection_count_limit == 0 || d->stand_alone) {
		return false;
	}
	n = (size_t)(uintptr_t)hash_get(&d->clients, io->peer.addr) + 1;
	if ((int64_t)n <= param.smtpd_client_connection_count_limit ||
		match_host(d->unlimited, io->peer.host, io->peer.addr) > 0 || map_is_waiting()) {
		return false;
	}
	log_warn("Connection concurrency limit exceeded: %zu from %s[%s] for service %s", n,
		io->peer.host, io->peer.addr, d->service_name);
	session_reply(s, "421 4.7.0 %s Error: too many connections from %s", param.myhostname,
		io->peer.addr);
	return true;
}

/* begin_session - count it and greet, or refuse it */
static void begin_session(struct smtpd_session *s)
{
	struct session_io *io = s->io;
	struct smtpd *d = s->d;

	io->timeout = (int)param.smtpd_timeout;
	io->out_high = OUT_HIGH;
	if (is_crowded(s) || session_waits(s, begin_session)) {
		return;
	}
	count_client(d, io->peer.addr, 1);
	s->counted = true;
	log_info("connect from %s[%s]", io->peer.host, io->peer.addr);
	if (d->lmtp) {
		session_reply(s, "220 %s LMTP %s", param.myhostname, param.mail_name);
	} else {
		check_stage(s, CHECK_CONNECT, NULL, greet);
	}
}

/* on_answer - what a look-up has waited for */
static void on_answer(void *arg)
{
	session_resume(arg);
}

static void close_session(void *session);

static void *open_session(struct session_io *io, void *service, struct buf *out)
{
	struct smtpd_session *s;
	struct mem_guard g;

	s = mem_alloc(sizeof(*s));
	s->io = io;
	s->d = service;
	s->out = out;
	map_wait_init(&s->wait, s->d->loop, on_answer, s);
	s->where = "CONNECT";
	s->tx.rcpts_tail = &s->tx.rcpts;
	if (mem_guard_enter(&g) != 0) {
		/* The driver does not know the session yet: what it has goes here. */
		mem_guard_leave(&g);
		close_session(s);
		buf_adds(out, "421 4.3.2 Error: out of memory\r\n");
		return NULL;
	}
	map_wait_enter(&s->wait);
	begin_session(s);
	(void)map_wait_leave(&s->wait);
	mem_guard_leave(&g);
	s->out = &s->held;
	if (!s->counted && s->state == ST_CLOSING) {
		close_session(s);
		return NULL;
	}
	return s;
}

/* log_counts - "disconnect from host[addr] ehlo=1 mail=1/2 commands=2/3" */
static void log_counts(struct smtpd_session *s)
{
	struct buf b = BUF_INIT;
	unsigned good = 0, all = 0;

	for (size_t i = 0; i < VERBS; i++) {
		const unsigned g = s->counts[i].good, a = s->counts[i].all;
		const char *p = i < VERB_UNKNOWN ? commands[i].name : "UNKNOWN";

		if (a == 0) {
			continue;
		}
		buf_addc(&b, ' ');
		for (; *p != '\0'; p++) {
			buf_addc(&b, (char)(*p | 32));
		}
		buf_addf(&b, g == a ? "=%u" : "=%u/%u", g, a);
		good += g;
		all += a;
	}
	buf_addf(&b, good == all && all > 0 ? " commands=%u" : " commands=%u/%u", good, all);
	log_info("disconnect from %s[%s]%s", s->io->peer.host, s->io->peer.addr, buf_str(&b));
	buf_free(&b);
}

static void close_session(void *session)
{
	struct smtpd_session *s = session;

	if (s->d->loop != NULL) {
		loop_untimer(s->d->loop, &s->delay);
	}
	map_wait_end(&s->wait);
	auth_reset(s);
	session_reset_mail(s);
	transcript_end(s);
	if (s->counted) {
		log_counts(s);
		count_client(s->d, s->io->peer.addr, -1);
	}
	arena_free(&s->tx.arena);
	arena_free(&s->scratch);
	buf_free(&s->held);
	mem_free(s->hidden);
	mem_free(s->helo);
	mem_free(s->denied);
	mem_free(s);
}

/* ---- Commands ---- */

/* is_header - somebody's web form or proxy sends a message without SMTP round it */
static bool is_header(struct slice line)
{
	size_t n = 0;

	while (n < line.len && (unsigned char)line.ptr[n] > ' ' && line.ptr[n] != ':') {
		n++;
	}
	while (n > 0 && n < line.len && (line.ptr[n] == ' ' || line.ptr[n] == '\t')) {
		n++;
	}
	return n > 0 && n < line.len && line.ptr[n] == ':';
}

/* is_forbidden - smtpd_forbidden_commands: browsers and scripts that speak to the wrong port */
static bool is_forbidden(struct smtpd_session *s, struct slice verb, struct slice line)
{
	bool found = is_header(line) || list_has_slice(param.smtpd_forbidden_commands, verb);

	if (!found && s->d->forbidden != NULL) {
		struct buf value = BUF_INIT;

		found = maps_get(s->d->forbidden, arena_strndup(&s->scratch, line.ptr, line.len),
				&value) > 0;
		buf_free(&value);
	}
	return found;
}

/* is_denied - a client that was refused at connect may only go; replied */
static bool is_denied(struct smtpd_session *s)
{
	if (s->denied != NULL) {
		session_reply(s, "503 5.7.0 Error: access denied for %s", session_peer(s));
	}
	return s->denied != NULL;
}

/* refuse_unknown - a verb that is no command */
static void refuse_unknown(struct smtpd_session *s, struct slice verb, struct slice line)
{
	s->where = "UNKNOWN";
	if (is_denied(s)) {
		session_count(s, VERB_UNKNOWN, false);
		return;
	}
	if (list_has_slice(param.smtpd_noop_commands, verb)) {
		session_reply(s, "250 2.0.0 Ok");
		return;
	}
	if (is_forbidden(s, verb, line)) {
		log_warn("non-SMTP command from %s: %.*s", session_peer(s),
			(int)(line.len > 100 ? 100 : line.len), line.ptr);
		session_reply(s, "221 2.7.0 Error: I can break rules, too. Goodbye.");
		session_enter(s, ST_CLOSING);
	} else {
		session_reply(s, "500 5.5.2 Error: command not recognized");
	}
	session_count(s, VERB_UNKNOWN, false);
}

static enum verb find_verb(const struct smtpd *d, struct slice verb)
{
	const unsigned wrong = d->lmtp ? CMD_SMTP : CMD_LMTP;

	for (size_t i = 0; i < VERB_UNKNOWN; i++) {
		if (slice_ieq(verb, commands[i].name)) {
			return (commands[i].flags & wrong) != 0 ? VERB_UNKNOWN : (enum verb)i;
		}
	}
	return VERB_UNKNOWN;
}

/*
 * watch_pipelining - input behind a command that ends its group: the client did
 * not wait for the reply (RFC 2920 3.1), or it was never told that it may
 */
static bool watch_pipelining(struct smtpd_session *s, const struct command *c, const struct buf *in)
{
	size_t n = buf_unread(in);
	struct buf shown = BUF_INIT;

	if (n == 0 || s->pipelined || s->d->stand_alone ||
		((c->flags & CMD_LAST) == 0 && s->esmtp)) {
		return true;
	}
	s->pipelined = true;
	for (size_t i = 0; i < n && i < 100; i++) {
		char b = buf_head(in)[i];

		if (b == '\r' || b == '\n') {
			buf_adds(&shown, b == '\r' ? "\\r" : "\\n");
		} else {
			buf_addc(&shown, b);
		}
	}
	log_info("improper command pipelining after %s from %s: %s", c->name, session_peer(s),
		buf_str(&shown));
	buf_free(&shown);
	if (!param.smtpd_forbid_unauth_pipelining) {
		return true;
	}
	session_reply(s, "554 5.5.0 Error: SMTP protocol synchronization");
	session_enter(s, ST_CLOSING);
	return false;
}

/* is_legal - what the table's flags ask for; replies when it is not there */
static bool is_legal(struct smtpd_session *s, const struct command *c)
{
	if ((c->flags & CMD_DENIED) == 0 && is_denied(s)) {
		return false;
	}
	if (s->d->tls_required && !s->io->tls && (c->flags & CMD_PRE_TLS) == 0 &&
		!s->d->stand_alone) {
		session_reply(s, "530 5.7.0 Must issue a STARTTLS command first");
		return false;
	}
	return true;
}

/* A line that is a command. */
struct said {
	struct slice line, verb, rest;
	enum verb v;
};

/* run_command - one line */
static void run_command(struct smtpd_session *s, const struct said *said, const struct buf *in)
{
	const struct slice line = said->line;
	const enum verb v = said->v;

	log_debug(1, "< %s[%s]: %.*s", s->io->peer.host, s->io->peer.addr, (int)line.len, line.ptr);
	transcript_in(s, line, v == VERB_AUTH);
	if (said->verb.len == 0 || memchr(line.ptr, '\0', line.len) != NULL) {
		session_reply(s, "500 5.5.2 Error: bad syntax");
		s->errors++;
		return;
	}
	if (param.smtputf8_enable && smtp_has_8bit(line) && !smtp_valid_utf8(line)) {
		session_reply(s, "500 5.5.2 Error: bad UTF-8 syntax");
		s->errors++;
		return;
	}
	if (v == VERB_UNKNOWN) {
		refuse_unknown(s, said->verb, line);
		return;
	}
	s->where = commands[v].name;
	if (!is_legal(s, &commands[v]) || !watch_pipelining(s, &commands[v], in)) {
		session_count(s, v, false);
		return;
	}
	if ((commands[v].flags & CMD_JUNK) != 0 &&
		(int64_t)s->junk++ > param.smtpd_junk_command_limit) {
		s->errors++;
	}
	switch (commands[v].handler(s, said->rest)) {
	case HANDLED_BAD:
		session_count(s, v, false);
		break;
	case HANDLED_GOOD:
		session_count(s, v, true);
		break;
	case HANDLED_LATER:
		break;
	}
}

/*
 * is_ready - have the tables answered what the command is going to ask? False: it waits where it
 * is, in the input
 */
static bool is_ready(struct smtpd_session *s, struct said *said)
{
	smtp_split(said->line, &said->verb, &said->rest);
	said->v = find_verb(s->d, said->verb);
	if (said->v == VERB_UNKNOWN && s->d->forbidden != NULL) {
		(void)is_forbidden(s, said->verb, said->line);
	} else if (said->v != VERB_UNKNOWN && commands[said->v].ahead != NULL) {
		commands[said->v].ahead(s, said->rest);
	}
	return !session_waits(s, NULL);
}

/* may_bare_lf - is LF alone fine as a line end from this client? */
static bool may_bare_lf(const struct smtpd_session *s)
{
	return strcmp(param.smtpd_forbid_bare_newline, "reject") != 0 || s->d->stand_alone ||
		match_host(s->d->bare_lf_ok, s->io->peer.host, s->io->peer.addr) > 0;
}

/*
 * drop_long_line - len bytes of a line above limit, lf: with its end. RFC 5321 4.5.3.1.4: it is
 * answered once, when its end has come
 */
static void drop_long_line(
	struct smtpd_session *s, struct buf *in, size_t len, size_t limit, bool lf)
{
	if (!s->skip_line) {
		log_warn("%s: request longer than %zu: %.30s...", session_peer(s), limit,
			buf_head(in));
	}
	s->skip_line = !lf;
	buf_consume(in, len + (lf ? 1 : 0));
	if (lf) {
		if (s->state == ST_AUTH) {
			auth_reset(s);
			session_enter(s, ST_COMMAND);
		}
		session_reply(s, "500 5.5.2 Error: line too long");
		session_count(s, VERB_UNKNOWN, false);
	}
}

/* take_line - the next line as a command or SASL response; false: it is not there yet */
static bool take_line(struct smtpd_session *s, struct buf *in)
{
	const size_t limit = s->state == ST_AUTH ? (size_t)param.smtpd_sasl_response_limit
						 : (size_t)param.line_length_limit;
	const char *lf = memchr(buf_head(in), '\n', buf_unread(in));
	size_t len = lf != NULL ? (size_t)(lf - buf_head(in)) : buf_unread(in);
	struct slice line;
	struct said said;

	if (lf == NULL && len <= limit) {
		return false;
	}
	if (len > limit || s->skip_line) {
		drop_long_line(s, in, len, limit, lf != NULL);
		return true;
	}
	if ((len == 0 || lf[-1] != '\r') && !may_bare_lf(s)) {
		if (session_waits(s, NULL)) {
			return false;
		}
		check_log(s, "reject", s->where, NULL, "bare <LF> received");
		session_reply(s, "%d 5.5.2 %s Error: bare <LF> received",
			(int)param.smtpd_forbid_bare_newline_reject_code, param.myhostname);
		session_enter(s, ST_CLOSING);
		return true;
	}
	line = (struct slice){ arena_strndup(&s->scratch, buf_head(in), len), len };
	while (line.len > 0 && line.ptr[line.len - 1] == '\r') {
		line.len--;
	}
	said.line = line;
	if (s->state == ST_COMMAND && !is_ready(s, &said)) {
		return false;
	}
	buf_consume(in, len + 1);
	if (s->state == ST_AUTH) {
		transcript_in(s, line, true);
		auth_response(s, line);
		return true;
	}
	run_command(s, &said, in);
	if (s->state == ST_TLS) {
		/*
		 * What came with STARTTLS in the clear must not be taken for what comes
		 * under TLS.
		 */
		buf_consume(in, buf_unread(in));
	}
	return true;
}

/* ---- The class ---- */

static enum session_want wanted(const struct smtpd_session *s)
{
	switch (s->state) {
	case ST_COMMAND:
	case ST_AUTH:
	case ST_DATA:
	case ST_BDAT:
		return s->delayed ? SESSION_WAIT : SESSION_READ;
	case ST_CHECK:
	case ST_AUTH_WAIT:
	case ST_COMMIT:
		return SESSION_WAIT;
	case ST_TLS:
		return SESSION_TLS;
	case ST_CLOSING:
		return s->delayed ? SESSION_WAIT : SESSION_CLOSE;
	}
	return SESSION_CLOSE;
}

/* give_held - replies that waited go out */
static void give_held(struct smtpd_session *s, struct buf *out)
{
	if (buf_unread(&s->held) > 0) {
		buf_add(out, buf_head(&s->held), buf_unread(&s->held));
		buf_free(&s->held);
	}
}

/* end_when_told - the server stops, and nothing is under way */
static void end_when_told(struct smtpd_session *s)
{
	if (s->shutdown && s->state == ST_COMMAND && !s->tx.open) {
		session_reply(s, "421 4.3.2 %s Service shutting down", param.myhostname);
	}
}

/* end_after_errors - smtpd_hard_error_limit */
static void end_after_errors(struct smtpd_session *s)
{
	if (s->state == ST_COMMAND && (int64_t)s->errors >= param.smtpd_hard_error_limit &&
		!s->d->stand_alone) {
		log_info("too many errors after %s from %s", s->where, session_peer(s));
		session_reply(s, "421 4.7.0 %s Error: too many errors", param.myhostname);
	}
}

/* step - use some input; false: there is nothing to do with it now */
static bool step(struct smtpd_session *s, struct buf *in)
{
	bool more;

	switch (s->state) {
	case ST_COMMAND:
	case ST_AUTH:
		more = take_line(s, in);
		if (s->state != ST_CHECK) {
			arena_reset(&s->scratch);
			map_wait_forget(&s->wait);
			s->check = NULL;
		}
		return more;
	case ST_DATA:
	case ST_BDAT:
		if (buf_unread(in) == 0) {
			return false;
		}
		data_feed(s, in);
		return true;
	case ST_CHECK:
	case ST_AUTH_WAIT:
	case ST_COMMIT:
	case ST_TLS:
	case ST_CLOSING:
		break;
	}
	return false;
}

static enum session_want feed(void *session, struct buf *in, struct buf *out)
{
	struct smtpd_session *s = session;

	if (s->delayed) {
		return SESSION_WAIT;
	}
	s->out = out;
	give_held(s, out);
	map_wait_enter(&s->wait);
	if (s->state == ST_CHECK) {
		session_again(s);
	}
	do {
		end_after_errors(s);
		end_when_told(s);
	} while (!s->delayed && buf_unread(out) <= s->io->out_high && step(s, in));
	(void)map_wait_leave(&s->wait);
	s->out = &s->held;
	return wanted(s);
}

static enum session_want event(void *session, enum session_event event, struct buf *out)
{
	struct smtpd_session *s = session;

	if (event != SESSION_EV_NO_MEMORY) {
		give_held(s, out);
	}
	s->out = out;
	switch (event) {
	case SESSION_EV_TLS_UP:
		tls_started(s);
		break;
	case SESSION_EV_TLS_FAILED:
		log_info("SSL_accept error from %s: %s", session_peer(s), s->io->error);
		session_log_lost(s, "lost connection");
		session_enter(s, ST_CLOSING);
		break;
	case SESSION_EV_TIMEOUT:
		session_log_lost(s, "timeout");
		session_reply(s, "421 4.4.2 %s Error: timeout exceeded", param.myhostname);
		break;
	case SESSION_EV_EOF:
	case SESSION_EV_ERROR:
		if (s->state != ST_CLOSING) {
			session_log_lost(s, "lost connection");
		}
		session_enter(s, ST_CLOSING);
		break;
	case SESSION_EV_NO_MEMORY:
		/* Short, from what is there: nothing here may ask for memory again. */
		buf_adds(out, "451 4.3.0 Error: out of memory\r\n");
		s->state = ST_CLOSING;
		break;
	case SESSION_EV_SHUTDOWN:
		s->shutdown = true;
		end_when_told(s);
		break;
	case SESSION_EV_DRAINED:
		break;
	}
	s->out = &s->held;
	return wanted(s);
}

const struct session_class smtpd_class = {
	.name = "smtp",
	.open = open_session,
	.feed = feed,
	.event = event,
	.close = close_session,
};
