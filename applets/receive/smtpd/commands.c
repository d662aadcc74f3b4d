/*
 * commands - the table of SMTP and LMTP commands, and the short ones
 *
 * The order of the rows is the order of the counts in the "disconnect from"
 * line. What the flags mean is in commands.h; the dispatcher in smtp_session.c acts on
 * them, so a handler sees legal calls only.
 *
 * RFC 5321 4.1.1, RFC 2033 (LMTP), RFC 1985 (ETRN), RFC 2920 3.1 (which commands
 * must end a pipelined group).
 */
#include "applets/receive/smtpd/commands.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/unixsock.h"
#include "base/wire.h"
#include "conf/params.h"
#include "proto/smtp.h"
#include "applets/receive/smtpd/intake.h"
#include "applets/receive/smtpd/restrictions.h"
#include "applets/receive/smtpd/sasl_exchange.h"

enum { HELO_MAX = 255 };

static handler_fn cmd_helo, cmd_ehlo, cmd_lhlo, cmd_rset, cmd_noop, cmd_vrfy, cmd_etrn, cmd_help,
	cmd_quit;
static ahead_fn ahead_offer, ahead_auth, ahead_hidden, ahead_etrn;

const struct command commands[VERBS] = {
	[VERB_HELO] = { "HELO", cmd_helo, CMD_SMTP | CMD_PRE_TLS | CMD_LAST | CMD_JUNK },
	[VERB_EHLO] = { "EHLO", cmd_ehlo, CMD_SMTP | CMD_PRE_TLS | CMD_LAST | CMD_JUNK,
		ahead_offer },
	[VERB_LHLO] = { "LHLO", cmd_lhlo, CMD_LMTP | CMD_PRE_TLS | CMD_LAST | CMD_JUNK,
		ahead_offer },
	[VERB_STARTTLS] = { "STARTTLS", cmd_starttls, CMD_PRE_TLS | CMD_LAST },
	[VERB_AUTH] = { "AUTH", cmd_auth, 0, ahead_auth },
	[VERB_MAIL] = { "MAIL", cmd_mail, 0, ahead_hidden },
	[VERB_RCPT] = { "RCPT", cmd_rcpt, 0, ahead_hidden },
	[VERB_DATA] = { "DATA", cmd_data, CMD_LAST, ahead_data },
	[VERB_BDAT] = { "BDAT", cmd_bdat, 0, ahead_data },
	[VERB_RSET] = { "RSET", cmd_rset, CMD_JUNK },
	[VERB_NOOP] = { "NOOP", cmd_noop, CMD_PRE_TLS | CMD_LAST | CMD_JUNK },
	[VERB_VRFY] = { "VRFY", cmd_vrfy, CMD_LAST | CMD_JUNK },
	[VERB_ETRN] = { "ETRN", cmd_etrn, CMD_SMTP | CMD_JUNK, ahead_etrn },
	[VERB_HELP] = { "HELP", cmd_help, CMD_PRE_TLS | CMD_JUNK },
	[VERB_QUIT] = { "QUIT", cmd_quit, CMD_PRE_TLS | CMD_DENIED },
};

/* ---- HELO, EHLO, LHLO ---- */

/* set_helo - the name for the log and Received: printable, nothing that could forge either */
static void set_helo(struct smtpd_session *s, const char *name)
{
	mem_free(s->helo);
	s->helo = mem_strndup(name, strnlen(name, HELO_MAX));
	for (char *p = s->helo; *p != '\0'; p++) {
		unsigned char c = (unsigned char)*p;

		if (c < 0x21 || c == 0x7f || strchr("<>()\\\";@", c) != NULL) {
			*p = '?';
		}
	}
}

/* begin_helo - what all three have in common; the lists for it are run before then() */
static enum handled begin_helo(struct smtpd_session *s, struct slice rest, checked_fn *then)
{
	if (rest.len == 0) {
		session_reply(s, "501 Syntax: %s hostname", s->where);
		return HANDLED_BAD;
	}
	check_stage(s, CHECK_HELO, arena_strndup(&s->scratch, rest.ptr, rest.len), then);
	return HANDLED_LATER;
}

static void helo_checked(struct smtpd_session *s, bool permitted, struct restrict_run *run)
{
	(void)run;
	if (permitted) {
		session_reset_mail(s);
		set_helo(s, s->check->helo);
		s->esmtp = false;
		session_reply(s, "250 %s", param.myhostname);
	}
	session_count(s, VERB_HELO, permitted);
}

static enum handled cmd_helo(struct smtpd_session *s, struct slice rest)
{
	return begin_helo(s, rest, helo_checked);
}

/* offer - one more line of the reply, unless it is hidden; word is its first word */
static void offer(struct buf *b, const char *hidden, const char *word, const char *line)
{
	if (!list_has(hidden, word)) {
		buf_addc(b, '\n');
		buf_adds(b, line);
	}
}

/* ahead_hidden - for those to whom DSN may be hidden */
static void ahead_hidden(struct smtpd_session *s, struct slice rest)
{
	(void)rest;
	(void)session_hidden_words(s);
}

static void ahead_auth(struct smtpd_session *s, struct slice rest)
{
	(void)rest;
	s->mechs = auth_offer(s);
}

/* ahead_offer - what EHLO tells, and the commands after it hold to */
static void ahead_offer(struct smtpd_session *s, struct slice rest)
{
	mem_free(s->hidden);
	s->hidden = NULL;
	ahead_hidden(s, rest);
	ahead_auth(s, rest);
}

/* greet_extended - the reply to EHLO and LHLO: what we can do */
static void greet_extended(struct smtpd_session *s)
{
	const char *hidden = session_hidden_words(s), *auth = s->mechs;
	struct buf b = BUF_INIT;
	char size[40];

	buf_addf(&b, "250 %s", param.myhostname);
	offer(&b, hidden, "PIPELINING", "PIPELINING");
	snprintf(size, sizeof(size), param.message_size_limit > 0 ? "SIZE %lld" : "SIZE",
		(long long)param.message_size_limit);
	offer(&b, hidden, "SIZE", size);
	if (!param.disable_vrfy_command) {
		offer(&b, hidden, "VRFY", "VRFY");
	}
	if (!s->d->lmtp) {
		offer(&b, hidden, "ETRN", "ETRN");
	}
	if (s->d->tls_offered && !s->io->tls) {
		offer(&b, hidden, "STARTTLS", "STARTTLS");
	}
	if (auth != NULL) {
		offer(&b, hidden, "AUTH", arena_printf(&s->scratch, "AUTH %s", auth));
		if (param.broken_sasl_auth_clients) {
			offer(&b, hidden, "AUTH", arena_printf(&s->scratch, "AUTH=%s", auth));
		}
	}
	if (match_host(s->d->verp_clients, s->io->peer.host, s->io->peer.addr) > 0) {
		offer(&b, hidden, "XVERP", "XVERP");
	}
	offer(&b, hidden, "ENHANCEDSTATUSCODES", "ENHANCEDSTATUSCODES");
	offer(&b, hidden, "8BITMIME", "8BITMIME");
	offer(&b, hidden, "DSN", "DSN");
	if (param.smtputf8_enable) {
		offer(&b, hidden, "SMTPUTF8", "SMTPUTF8");
	}
	offer(&b, hidden, "CHUNKING", "CHUNKING");
	session_reply(s, "%s", buf_str(&b));
	buf_free(&b);
}

static void ehlo_checked(struct smtpd_session *s, bool permitted, struct restrict_run *run)
{
	(void)run;
	if (permitted) {
		session_reset_mail(s);
		set_helo(s, s->check->helo);
		s->esmtp = true;
		greet_extended(s);
	}
	session_count(s, s->d->lmtp ? VERB_LHLO : VERB_EHLO, permitted);
}

static enum handled cmd_ehlo(struct smtpd_session *s, struct slice rest)
{
	return begin_helo(s, rest, ehlo_checked);
}

static enum handled cmd_lhlo(struct smtpd_session *s, struct slice rest)
{
	return begin_helo(s, rest, ehlo_checked);
}

/* ---- RSET, NOOP, HELP, QUIT ---- */

static enum handled cmd_rset(struct smtpd_session *s, struct slice rest)
{
	if (rest.len > 0) {
		session_reply(s, "501 5.5.4 Syntax: RSET");
		return HANDLED_BAD;
	}
	session_reset_mail(s);
	session_reply(s, "250 2.0.0 Ok");
	return HANDLED_GOOD;
}

static enum handled cmd_noop(struct smtpd_session *s, struct slice rest)
{
	(void)rest;
	session_reply(s, "250 2.0.0 Ok");
	return HANDLED_GOOD;
}

static enum handled cmd_help(struct smtpd_session *s, struct slice rest)
{
	struct buf b = BUF_INIT;

	(void)rest;
	buf_adds(&b, "214 2.0.0 Commands:");
	for (size_t i = 0; i < VERB_UNKNOWN; i++) {
		if ((commands[i].flags & (s->d->lmtp ? CMD_SMTP : CMD_LMTP)) == 0) {
			buf_addf(&b, " %s", commands[i].name);
		}
	}
	session_reply(s, "%s", buf_str(&b));
	buf_free(&b);
	return HANDLED_GOOD;
}

static enum handled cmd_quit(struct smtpd_session *s, struct slice rest)
{
	(void)rest;
	session_reply(s, "221 2.0.0 Bye");
	session_enter(s, ST_CLOSING);
	return HANDLED_GOOD;
}

/* ---- VRFY ---- */

static void vrfy_checked(struct smtpd_session *s, bool permitted, struct restrict_run *run)
{
	(void)run;
	if (permitted) {
		session_reply(s, "252 2.0.0 %s", s->argument);
	}
	session_count(s, VERB_VRFY, permitted);
}

/* bad_vrfy - what was asked for is no address */
static enum handled bad_vrfy(struct smtpd_session *s, struct slice text)
{
	log_warn("Illegal address syntax from %s in VRFY command: %.*s", session_peer(s),
		(int)text.len, text.ptr);
	session_reply(s, "501 5.1.3 Bad recipient address syntax");
	return HANDLED_BAD;
}

static enum handled cmd_vrfy(struct smtpd_session *s, struct slice rest)
{
	const struct slice all = rest;
	struct slice whole = rest;
	struct smtp_path path;
	struct smtp_param p;

	if (param.disable_vrfy_command) {
		session_reply(s, "502 5.5.1 VRFY command is disabled");
		return HANDLED_BAD;
	}
	if (param.smtpd_helo_required && s->helo == NULL) {
		session_reply(s, "503 5.5.1 Error: send HELO/EHLO first");
		return HANDLED_BAD;
	}
	if (rest.len == 0) {
		session_reply(s, "501 5.5.4 Syntax: VRFY address%s",
			param.smtputf8_enable ? " [SMTPUTF8]" : "");
		return HANDLED_BAD;
	}
	if (!smtp_parse_path(&s->scratch, &rest, 0, &path)) {
		return bad_vrfy(s, all);
	}
	whole = slice_trim((struct slice){ whole.ptr, whole.len - rest.len });
	while (smtp_next_param(&rest, &p)) {
		if (!slice_ieq(p.text, "SMTPUTF8")) {
			return bad_vrfy(s, all);
		}
	}
	s->argument = arena_strndup(&s->scratch, whole.ptr, whole.len);
	check_stage(s, CHECK_VRFY, path.address, vrfy_checked);
	return HANDLED_LATER;
}

/* ---- ETRN ---- */

/* ask_flush - one message to qmgr, who answers nobody; false: it cannot be reached */
static bool ask_flush(const char *domain)
{
	struct buf b = BUF_INIT;
	char path[1024];
	bool ok = false;
	size_t mark;
	int fd;

	snprintf(path, sizeof(path), "%s/public/qmgr", param.queue_directory);
	fd = unix_connect(path);
	if (fd >= 0) {
		mark = wire_begin(&b);
		wire_put_int(&b, QMGR_FLUSH_SITE);
		wire_put_str(&b, domain);
		wire_end(&b, mark);
		ok = write(fd, b.data, b.len) == (ssize_t)b.len;
		close(fd);
		buf_free(&b);
	}
	return ok;
}

/* etrn_domain - without the sign of RFC 1985 5.3: subdomains, named queues */
static struct slice etrn_domain(struct slice rest)
{
	if (rest.len > 0 && (rest.ptr[0] == '@' || rest.ptr[0] == '#')) {
		rest.ptr++;
		rest.len--;
	}
	return rest;
}

static void ahead_etrn(struct smtpd_session *s, struct slice rest)
{
	rest = etrn_domain(rest);
	if (smtp_valid_hostname(rest) || smtp_valid_literal(rest, NULL)) {
		(void)match_domain(
			s->d->flush_domains, arena_strndup(&s->scratch, rest.ptr, rest.len));
	}
}

static void etrn_checked(struct smtpd_session *s, bool permitted, struct restrict_run *run)
{
	const char *domain = s->check->etrn;

	(void)run;
	if (!permitted) {
		session_count(s, VERB_ETRN, false);
		return;
	}
	if (match_domain(s->d->flush_domains, domain) <= 0) {
		log_warn("reject: ETRN %.100s... from %s", domain, session_peer(s));
		session_reply(s, "459 <%s>: service unavailable", domain);
		session_count(s, VERB_ETRN, false);
	} else if (ask_flush(domain)) {
		session_reply(s, "250 Queuing started");
		session_count(s, VERB_ETRN, true);
	} else {
		log_warn("bad ETRN %.100s... from %s", domain, session_peer(s));
		session_reply(s, "458 Unable to queue messages");
		session_count(s, VERB_ETRN, false);
	}
}

static enum handled cmd_etrn(struct smtpd_session *s, struct slice rest)
{
	if (param.smtpd_helo_required && s->helo == NULL) {
		session_reply(s, "503 Error: send HELO/EHLO first");
		return HANDLED_BAD;
	}
	if (s->tx.open) {
		session_reply(s, "503 Error: MAIL transaction in progress");
		return HANDLED_BAD;
	}
	if (rest.len == 0 || memchr(rest.ptr, ' ', rest.len) != NULL) {
		session_reply(s, "500 Syntax: ETRN domain");
		return HANDLED_BAD;
	}
	rest = etrn_domain(rest);
	if (!smtp_valid_hostname(rest) && !smtp_valid_literal(rest, NULL)) {
		session_reply(s, "501 Error: invalid parameter syntax");
		return HANDLED_BAD;
	}
	check_stage(s, CHECK_ETRN, arena_strndup(&s->scratch, rest.ptr, rest.len), etrn_checked);
	return HANDLED_LATER;
}
