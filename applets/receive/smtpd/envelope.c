/*
 * envelope - MAIL and RCPT: the envelope
 *
 * The message is begun in the queue at its first accepted recipient, which is
 * where the log line "ID: client=host[addr]" belongs; before that a rejection is
 * logged as NOQUEUE.
 *
 * RFC 5321 4.1.1.2, 4.1.1.3; RFC 1870 (SIZE), 6152 (8BITMIME), 3461 (DSN),
 * 6531 (SMTPUTF8), 4954 5 (AUTH=).
 */
#include <string.h>

#include "base/log.h"
#include "conf/params.h"
#include "proto/smtp.h"
#include "queue/queue_message.h"
#include "address/match.h"
#include "address/rewrite.h"
#include "message/verp.h"
#include "applets/receive/smtpd/commands.h"
#include "applets/receive/smtpd/intake.h"
#include "applets/receive/smtpd/restrictions.h"

/* ---- MAIL ---- */

/* What a parameter of MAIL or RCPT says. false: replied. */
typedef bool param_fn(struct smtpd_session *s, struct slice value, void *arg);

struct param_row {
	const char *key;
	bool has_value;
	param_fn *fn;
};

static bool mail_size(struct smtpd_session *s, struct slice value, void *arg)
{
	(void)arg;
	if (smtp_parse_size(value, &s->tx.size)) {
		return true;
	}
	if (smtp_is_number(value)) {
		session_reply(s, "552 5.3.4 Message size exceeds file system imposed limit");
	} else {
		session_reply(s, "501 5.5.4 Bad message size syntax");
	}
	return false;
}

static bool unsupported(struct smtpd_session *s, const char *key, struct slice value)
{
	session_reply(s, "555 5.5.4 Unsupported option: %s=%.*s", key, (int)value.len, value.ptr);
	return false;
}

static bool mail_body(struct smtpd_session *s, struct slice value, void *arg)
{
	(void)arg;
	if (slice_ieq(value, "8BITMIME")) {
		s->tx.flags |= QUEUE_F_8BIT;
		return true;
	}
	return slice_ieq(value, "7BIT") ? true : unsupported(s, "BODY", value);
}

/* no_dsn - RFC 3461 is off for a client that is not told of it; replied */
static bool no_dsn(struct smtpd_session *s)
{
	if (!list_has(session_hidden_words(s), "DSN")) {
		return false;
	}
	session_reply(s, "501 5.7.1 DSN support is disabled");
	return true;
}

static bool mail_ret(struct smtpd_session *s, struct slice value, void *arg)
{
	(void)arg;
	if (no_dsn(s)) {
		return false;
	}
	if ((s->tx.flags & (QUEUE_F_RET_FULL | QUEUE_F_RET_HDRS)) == 0 &&
		slice_ieq(value, "FULL")) {
		s->tx.flags |= QUEUE_F_RET_FULL;
	} else if ((s->tx.flags & (QUEUE_F_RET_FULL | QUEUE_F_RET_HDRS)) == 0 &&
		slice_ieq(value, "HDRS")) {
		s->tx.flags |= QUEUE_F_RET_HDRS;
	} else {
		session_reply(s, "501 5.5.4 Bad RET parameter syntax");
		return false;
	}
	return true;
}

static bool mail_envid(struct smtpd_session *s, struct slice value, void *arg)
{
	(void)arg;
	if (no_dsn(s)) {
		return false;
	}
	s->tx.envid = s->tx.envid == NULL ? smtp_parse_envid(&s->tx.arena, value) : NULL;
	if (s->tx.envid == NULL) {
		session_reply(s, "501 5.5.4 Bad ENVID parameter syntax");
		return false;
	}
	return true;
}

/* mail_auth - who submitted it, as the client says (RFC 4954 5); not used */
static bool mail_auth(struct smtpd_session *s, struct slice value, void *arg)
{
	(void)s, (void)value, (void)arg;
	return true;
}

static bool mail_utf8(struct smtpd_session *s, struct slice value, void *arg)
{
	(void)value, (void)arg;
	s->tx.flags |= QUEUE_F_SMTPUTF8;
	return true;
}

/* mail_verp - XVERP, or XVERP=xy with delimiters */
static bool mail_verp(struct smtpd_session *s, struct slice value, void *arg)
{
	unsigned flags = verp_flags(value);

	(void)arg;
	if (match_host(s->d->verp_clients, s->io->peer.host, s->io->peer.addr) <= 0) {
		session_reply(s, "503 5.7.0 Error: access denied for %s", session_peer(s));
		return false;
	}
	if (flags == 0) {
		session_reply(s, "501 5.5.4 Error: XVERP needs two characters from %s",
			param.verp_delimiter_filter);
		return false;
	}
	s->tx.flags |= flags;
	return true;
}

static bool mail_verp_plain(struct smtpd_session *s, struct slice value, void *arg)
{
	(void)value;
	return mail_verp(s, (struct slice){ "", 0 }, arg);
}

static const struct param_row mail_params[] = {
	{ "SIZE", true, mail_size },
	{ "BODY", true, mail_body },
	{ "RET", true, mail_ret },
	{ "ENVID", true, mail_envid },
	{ "AUTH", true, mail_auth },
	{ "SMTPUTF8", false, mail_utf8 },
	{ "XVERP", false, mail_verp_plain },
	{ "XVERP", true, mail_verp },
};

/* read_params - each by its row; false: replied */
static bool read_params(struct smtpd_session *s, struct slice rest, const struct param_row *rows,
	size_t count, void *arg)
{
	struct smtp_param p;

	while (smtp_next_param(&rest, &p)) {
		size_t i = 0;

		while (i < count &&
			(!slice_ieq(p.key, rows[i].key) ||
				(p.value.ptr != NULL) != rows[i].has_value)) {
			i++;
		}
		if (i == count || (rows[i].fn == mail_utf8 && !param.smtputf8_enable)) {
			session_reply(s, "555 5.5.4 Unsupported option: %.*s", (int)p.text.len,
				p.text.ptr);
			return false;
		}
		if (!rows[i].fn(s, p.value, arg)) {
			return false;
		}
	}
	return true;
}

/* bad_address - the reply is the caller's */
static void bad_address(struct smtpd_session *s, const char *command, struct slice text)
{
	log_warn("Illegal address syntax from %s in %s command: %.*s", session_peer(s), command,
		(int)text.len, text.ptr);
}

/* parse_path - an address that may be used; '-' at its head would be an option to some command */
static bool parse_path(struct arena *a, struct slice *rest, unsigned flags, struct smtp_path *out)
{
	if (param.strict_rfc821_envelopes) {
		flags |= SMTP_PATH_STRICT;
	}
	return smtp_parse_path(a, rest, flags, out) &&
		(*out->address != '-' || param.allow_min_user);
}

/* may_utf8 - without SMTPUTF8: never in the domain, in the local part unless strict_smtputf8 */
static bool may_utf8(const struct smtpd_session *s, const struct smtp_path *path)
{
	return (s->tx.flags & QUEUE_F_SMTPUTF8) != 0 ||
		!(path->utf8_domain || (path->utf8 && param.strict_smtputf8));
}

static void mail_checked(struct smtpd_session *s, bool permitted, struct restrict_run *run)
{
	(void)run;
	if (permitted && !check_space(s)) {
		check_refuse(s, "MAIL", NULL, "452 4.3.1 Insufficient system storage");
		permitted = false;
	}
	if (permitted) {
		session_reply(s, "250 2.1.0 Ok");
	} else {
		session_reset_mail(s);
	}
	session_count(s, VERB_MAIL, permitted);
}

/* refuse_mail - a reply after the arguments were read in part */
static enum handled refuse_mail(struct smtpd_session *s, const char *reply)
{
	if (reply != NULL) {
		session_reply(s, "%s", reply);
	}
	session_reset_mail(s);
	return HANDLED_BAD;
}

enum handled cmd_mail(struct smtpd_session *s, struct slice rest)
{
	struct smtp_path path;
	struct slice whole;

	if (s->helo == NULL && (param.smtpd_helo_required || s->d->lmtp)) {
		session_reply(
			s, "503 5.5.1 Error: send %s first", s->d->lmtp ? "LHLO" : "HELO/EHLO");
		return HANDLED_BAD;
	}
	if (s->tx.open) {
		session_reply(s, "503 5.5.1 Error: nested MAIL command");
		return HANDLED_BAD;
	}
	if (!smtp_keyword(&rest, "FROM") || rest.len == 0) {
		session_reply(s, "501 5.5.4 Syntax: MAIL FROM:<address>");
		return HANDLED_BAD;
	}
	session_reset_mail(s);
	whole = rest;
	if (!parse_path(&s->tx.arena, &rest, SMTP_PATH_NULL, &path)) {
		bad_address(s, "MAIL", whole);
		return refuse_mail(s, "501 5.1.7 Bad sender address syntax");
	}
	if (!read_params(s, rest, mail_params, ARRAY_LEN(mail_params), NULL)) {
		return refuse_mail(s, NULL);
	}
	if (!may_utf8(s, &path)) {
		if (path.utf8_domain) {
			bad_address(s, "MAIL", whole);
		}
		return refuse_mail(s,
			path.utf8_domain
				? "501 5.1.7 Bad sender address syntax"
				: "553 5.6.7 Must declare SMTPUTF8 to send unicode address");
	}
	s->tx.sender = path.address;
	s->tx.sender_full = *path.address == '\0'
		? ""
		: rewrite_address(&s->tx.arena, path.address, REWRITE_LOCAL);
	if (QUEUE_VERP_FIRST(s->tx.flags) != '\0' && *path.address == '\0') {
		return refuse_mail(s, "503 5.5.4 Error: XVERP requires non-null sender");
	}
	s->tx.open = true;
	s->d->transactions++;
	if (param.message_size_limit > 0 && s->tx.size > (uint64_t)param.message_size_limit) {
		check_log(s, "reject", "MAIL", NULL, "552 5.3.4 Message size exceeds fixed limit");
		return refuse_mail(s, "552 5.3.4 Message size exceeds fixed limit");
	}
	check_stage(s, CHECK_MAIL, NULL, mail_checked);
	return HANDLED_LATER;
}

/* ---- RCPT ---- */

static bool rcpt_notify(struct smtpd_session *s, struct slice value, void *arg)
{
	struct queue_recipient *r = arg;

	if (no_dsn(s)) {
		return false;
	}
	if (r->notify != 0 || !smtp_parse_notify(value, &r->notify)) {
		session_reply(s, "501 5.5.4 Error: Bad NOTIFY parameter syntax");
		return false;
	}
	return true;
}

static bool rcpt_orcpt(struct smtpd_session *s, struct slice value, void *arg)
{
	struct queue_recipient *r = arg;

	if (no_dsn(s)) {
		return false;
	}
	r->orcpt = *r->orcpt == '\0' ? smtp_parse_orcpt(&s->scratch, value) : NULL;
	if (r->orcpt == NULL) {
		session_reply(s, "501 5.5.4 Error: Bad ORCPT parameter syntax");
		return false;
	}
	return true;
}

static const struct param_row rcpt_params[] = {
	{ "NOTIFY", true, rcpt_notify },
	{ "ORCPT", true, rcpt_orcpt },
};

/* begin_message - the first recipient opens it in the queue; false: replied */
static bool begin_message(struct smtpd_session *s)
{
	struct buf b = BUF_INIT;

	s->tx.intake = intake_begin(s);
	if (s->tx.intake == NULL) {
		session_reply(s, "451 4.3.0 Error: queue file write error");
		return false;
	}
	if (s->sasl_method != NULL) {
		buf_addf(&b, ", sasl_method=%s", s->sasl_method);
	}
	if (s->sasl_user != NULL) {
		buf_addf(&b, ", sasl_username=%s", s->sasl_user);
	}
	log_info("%s: client=%s%s", intake_id(s->tx.intake), session_peer(s), buf_str(&b));
	buf_free(&b);
	return true;
}

/* accept_recipient - r->address is rewritten, texts may be in scratch; false: replied */
static bool accept_recipient(
	struct smtpd_session *s, const char *address, const struct queue_recipient *r, bool silent)
{
	struct arena *a = &s->tx.arena;
	struct rcpt *rcpt;

	if (s->tx.intake == NULL && !begin_message(s)) {
		return false;
	}
	rcpt = arena_alloc(a, sizeof(*rcpt));
	rcpt->address = arena_strdup(a, address);
	rcpt->silent = silent;
	rcpt->r = *r;
	rcpt->r.address =
		strcmp(r->address, address) == 0 ? rcpt->address : arena_strdup(a, r->address);
	rcpt->r.original = rcpt->r.address == rcpt->address ? "" : rcpt->address;
	rcpt->r.orcpt = *r->orcpt == '\0' ? "" : arena_strdup(a, r->orcpt);
	rcpt->r.dsn = rcpt->r.reason = "";
	*s->tx.rcpts_tail = rcpt;
	s->tx.rcpts_tail = &rcpt->next;
	s->tx.rcpt_count++;
	return true;
}

/* The recipient that is being checked, in scratch. */
struct pending_rcpt {
	struct queue_recipient r;
	const char *address; /* as given */
};

static void rcpt_checked(struct smtpd_session *s, bool permitted, struct restrict_run *run)
{
	if (permitted) {
		permitted = accept_recipient(s, s->pending->address, &s->pending->r, false);
		if (permitted) {
			session_reply(s, "250 2.1.5 Ok");
		}
	}
	if (permitted && run->bcc != NULL) {
		const struct queue_recipient bcc = {
			.address = rewrite_address(&s->scratch, run->bcc, REWRITE_LOCAL),
			.notify = DSN_NEVER,
			.orcpt = "",
		};

		(void)accept_recipient(s, run->bcc, &bcc, true);
	}
	session_count(s, VERB_RCPT, permitted);
}

/* too_many - smtpd_recipient_limit; the client may try on for a while without it being an error */
static enum handled too_many(struct smtpd_session *s)
{
	session_reply(s, "452 4.5.3 Error: too many recipients");
	if ((int64_t)s->tx.rcpt_overshoot++ < param.smtpd_recipient_overshoot_limit) {
		s->counts[VERB_RCPT].all++;
		s->counts[VERB_RCPT].good++;
		return HANDLED_LATER;
	}
	return HANDLED_BAD;
}

enum handled cmd_rcpt(struct smtpd_session *s, struct slice rest)
{
	struct pending_rcpt *p;
	struct smtp_path path;
	struct slice whole;

	if (!s->tx.open || s->tx.bdat) {
		session_reply(s,
			s->tx.bdat ? "503 5.5.1 Error: RCPT after BDAT"
				   : "503 5.5.1 Error: need MAIL command");
		return HANDLED_BAD;
	}
	if (!smtp_keyword(&rest, "TO") || rest.len == 0) {
		session_reply(s, "501 5.5.4 Syntax: RCPT TO:<address>");
		return HANDLED_BAD;
	}
	whole = rest;
	if (!parse_path(&s->scratch, &rest, 0, &path)) {
		bad_address(s, "RCPT", whole);
		session_reply(s, "501 5.1.3 Bad recipient address syntax");
		return HANDLED_BAD;
	}
	p = s->pending = arena_alloc(&s->scratch, sizeof(*p));
	p->r.orcpt = "";
	if (!read_params(s, rest, rcpt_params, ARRAY_LEN(rcpt_params), &p->r)) {
		return HANDLED_BAD;
	}
	if (!may_utf8(s, &path)) {
		if (path.utf8_domain) {
			bad_address(s, "RCPT", whole);
		}
		session_reply(s,
			path.utf8_domain
				? "501 5.1.3 Bad recipient address syntax"
				: "553 5.6.7 Must declare SMTPUTF8 to send unicode address");
		return HANDLED_BAD;
	}
	if ((int64_t)s->tx.rcpt_count >= param.smtpd_recipient_limit) {
		return too_many(s);
	}
	p->address = path.address;
	p->r.address = rewrite_address(&s->scratch, path.address, REWRITE_LOCAL);
	check_stage(s, CHECK_RCPT, path.address, rcpt_checked);
	return HANDLED_LATER;
}
