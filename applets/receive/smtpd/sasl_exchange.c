/*
 * sasl_exchange - AUTH and STARTTLS
 *
 * Who is who is asked of the auth process (ipc/auth_client.h); here are the
 * dialogue with the client and the log lines that fail2ban reads.
 *
 *	AUTH mech [initial] -> auth_start() -> AUTH_WAIT -+-> 235, 535, 454
 *				    ^	    continue	  +-> 334 challenge -> AUTH
 *				    +---- response line (or "*") <---------------+
 *
 * RFC 4954 (AUTH), RFC 3207 (STARTTLS: what was said before it is forgotten).
 */
#include "applets/receive/smtpd/sasl_exchange.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "proto/smtp.h"
#include "applets/receive/smtpd/commands.h"
#include "applets/receive/smtpd/intake.h"

enum { MECH_MAX = 20 }; /* RFC 4422 3.1 */

/* has_option - a word of smtpd_sasl_security_options (or the TLS form) */
static bool has_option(const struct smtpd_session *s, const char *option)
{
	return list_has(s->io->tls ? param.smtpd_sasl_tls_security_options
				   : param.smtpd_sasl_security_options,
		option);
}

/* is_allowed - may a mechanism be offered on this connection? */
static bool is_allowed(const struct smtpd_session *s, struct arena *scratch, struct slice mech)
{
	bool plain = slice_ieq(mech, "PLAIN") || slice_ieq(mech, "LOGIN");
	bool cram = slice_ieq(mech, "CRAM-MD5");
	bool scram = mech.len > 6 && slice_ieq((struct slice){ mech.ptr, 6 }, "SCRAM-");

	if ((cram && (has_option(s, "nodictionary") || has_option(s, "noactive"))) ||
		(!scram && has_option(s, "mutual_auth")) || has_option(s, "forward_secrecy")) {
		return false;
	}
	return match_domain(s->d->mechanisms, arena_strndup(scratch, mech.ptr, mech.len)) > 0 &&
		!(plain && has_option(s, "noplaintext")) &&
		!(slice_ieq(mech, "ANONYMOUS") && has_option(s, "noanonymous"));
}

/* needs_tls - AUTH comes after STARTTLS only; a port that wants TLS anyway does not ask twice */
static bool needs_tls(const struct smtpd_session *s)
{
	return (param.smtpd_tls_auth_only || s->d->tls_required) && !s->io->tls;
}

/* offers_auth - is there AUTH at all for this client now? */
static bool offers_auth(const struct smtpd_session *s)
{
	return s->d->auth != NULL && !needs_tls(s) &&
		match_host(s->d->sasl_exceptions, s->io->peer.host, s->io->peer.addr) <= 0;
}

/* mechanisms - what the auth process has; while it cannot be asked, what it surely will have */
static const char *mechanisms(struct smtpd_session *s)
{
	const char *mechs = auth_client_mechs(s->d->auth, true);

	return *mechs != '\0' ? mechs : "PLAIN LOGIN";
}

const char *auth_offer(struct smtpd_session *s)
{
	struct slice rest, word;
	const char *list = "";

	if (!offers_auth(s)) {
		return NULL;
	}
	rest = slice_of(mechanisms(s));
	while ((word = slice_word(&rest, " ")).ptr != NULL) {
		if (is_allowed(s, &s->scratch, word)) {
			list = arena_printf(&s->scratch, "%s%s%.*s", list, *list != '\0' ? " " : "",
				(int)word.len, word.ptr);
		}
	}
	return *list != '\0' ? list : NULL;
}

static bool is_offered(const struct smtpd_session *s, struct slice mech)
{
	return s->mechs != NULL && list_has_slice(s->mechs, mech);
}

void auth_reset(struct smtpd_session *s)
{
	if (s->auth != NULL) {
		auth_cancel(s->auth);
		s->auth = NULL;
	}
	mem_free(s->sasl_user);
	mem_free(s->sasl_method);
	s->sasl_user = s->sasl_method = NULL;
}

/* fail_auth - logged so that fail2ban's postfix filter sees it */
static void fail_auth(
	struct smtpd_session *s, const char *mech, const char *reason, const char *user)
{
	log_warn("%s: SASL %s authentication failed: %s%s%s", session_peer(s), mech, reason,
		user != NULL && *user != '\0' ? ", sasl_username=" : "", user != NULL ? user : "");
}

/* answered - from the auth process, possibly inside auth_start() */
static void answered(void *arg, const struct auth_reply *reply)
{
	struct smtpd_session *s = arg;
	const char *reason = reply->reason != NULL && *reply->reason != '\0'
		? reply->reason
		: "(reason unavailable)";

	switch (reply->result) {
	case AUTH_CONTINUE:
		session_reply(s, "334 %s", reply->challenge != NULL ? reply->challenge : "");
		session_enter(s, ST_AUTH);
		session_resume(s);
		return;
	case AUTH_OK:
		s->auth = NULL;
		s->sasl_user = mem_strdup(reply->user);
		session_reply(s, "235 2.7.0 Authentication successful");
		session_count(s, VERB_AUTH, true);
		break;
	case AUTH_FAIL:
		s->auth = NULL;
		fail_auth(s, s->sasl_method, reason, reply->user);
		session_reply(s, "535 5.7.8 Error: authentication failed: %s", reason);
		session_count(s, VERB_AUTH, false);
		break;
	case AUTH_TEMPFAIL:
		s->auth = NULL;
		fail_auth(s, s->sasl_method, "Connection lost to authentication server", NULL);
		session_reply(s, "454 4.7.0 Temporary authentication failure: %s",
			"Connection lost to authentication server");
		session_count(s, VERB_AUTH, false);
		break;
	}
	if (s->sasl_user == NULL) {
		auth_reset(s);
	}
	session_enter(s, ST_COMMAND);
	session_resume(s);
}

void auth_response(struct smtpd_session *s, struct slice line)
{
	if (slice_eq(line, "*")) { /* RFC 4954 4: the client gives up */
		log_warn("%s: SASL %s authentication aborted", session_peer(s), s->sasl_method);
		auth_reset(s);
		session_enter(s, ST_COMMAND);
		session_reply(s, "501 5.7.0 Authentication aborted");
		session_count(s, VERB_AUTH, false);
		return;
	}
	session_enter(s, ST_AUTH_WAIT);
	auth_continue(s->auth, arena_strndup(&s->scratch, line.ptr, line.len));
}

/* auth_refusal - why AUTH cannot be had now, or NULL */
static const char *auth_refusal(struct smtpd_session *s, struct slice rest)
{
	if (s->d->auth == NULL) {
		return "503 5.5.1 Error: authentication not enabled";
	}
	if (s->helo == NULL) {
		return "503 5.5.1 Error: send HELO/EHLO first";
	}
	if (s->tx.open) {
		return "503 5.5.1 Error: MAIL transaction in progress";
	}
	if (needs_tls(s)) {
		return "504 5.5.4 Encryption required for requested authentication mechanism";
	}
	if (!offers_auth(s)) {
		return "503 5.5.1 Error: authentication not enabled";
	}
	if (s->sasl_user != NULL) {
		return "503 5.5.1 Error: already authenticated";
	}
	return rest.len == 0 ? "501 5.5.4 Syntax: AUTH mechanism" : NULL;
}

enum handled cmd_auth(struct smtpd_session *s, struct slice rest)
{
	const char *refusal = auth_refusal(s, rest);
	struct slice mech = slice_word(&rest, " \t"), initial = slice_word(&rest, " \t");
	struct auth_params p = {
		.service = param.smtpd_sasl_service,
		.remote_ip = s->io->peer.addr,
		.remote_port = s->io->peer.port,
		.local_ip = s->io->local.addr,
		.local_port = s->io->local.port,
		.secured = s->io->tls,
	};
	struct auth_request *request;

	if (refusal == NULL && slice_word(&rest, " \t").ptr != NULL) {
		refusal = "501 5.5.4 Syntax: AUTH mechanism";
	}
	if (refusal != NULL) {
		session_reply(s, "%s", refusal);
		return HANDLED_BAD;
	}
	if (mech.len > MECH_MAX || !is_offered(s, mech)) {
		fail_auth(s, arena_strndup(&s->scratch, mech.ptr, mech.len < 100 ? mech.len : 100),
			"Invalid authentication mechanism", NULL);
		session_reply(s,
			"535 5.7.8 Error: authentication failed: Invalid authentication"
			" mechanism");
		return HANDLED_BAD;
	}
	s->sasl_method = mem_strndup(mech.ptr, mech.len);
	for (char *c = s->sasl_method; *c != '\0'; c++) {
		*c = *c >= 'a' && *c <= 'z' ? (char)(*c - 32) : *c;
	}
	p.mech = s->sasl_method;
	if (initial.ptr != NULL) { /* "=" stands for an empty one, RFC 4954 4 */
		p.initial = slice_eq(initial, "=")
			? ""
			: arena_strndup(&s->scratch, initial.ptr, initial.len);
	}
	session_enter(s, ST_AUTH_WAIT);
	request = auth_start(s->d->auth, &p, answered, s);
	/* The answer may have come already: then the request is gone. */
	if (s->state == ST_AUTH_WAIT || s->state == ST_AUTH) {
		s->auth = request;
	}
	return HANDLED_LATER;
}

/* ---- STARTTLS ---- */

enum handled cmd_starttls(struct smtpd_session *s, struct slice rest)
{
	const char *reply = NULL;

	if (rest.len > 0) {
		reply = "501 5.5.4 Syntax: STARTTLS";
	} else if (s->io->tls) {
		reply = "554 5.5.1 Error: TLS already active";
	} else if (!s->d->tls_offered) {
		reply = s->d->tls_required ? "454 4.7.0 TLS not available due to local problem"
					   : "502 5.5.1 Error: command not implemented";
	}
	if (reply != NULL) {
		session_reply(s, "%s", reply);
		return HANDLED_BAD;
	}
	session_reply(s, "220 2.0.0 Ready to start TLS");
	session_enter(s, ST_TLS);
	s->io->timeout = (int)param.smtpd_starttls_timeout;
	return HANDLED_GOOD;
}

void tls_started(struct smtpd_session *s)
{
	s->io->timeout = (int)param.smtpd_timeout;
	if (param.smtpd_tls_loglevel > 0) {
		log_info("Anonymous TLS connection established from %s: %s with cipher %s"
			 " (%d/%d bits)",
			session_peer(s), s->io->tls_version, s->io->tls_cipher, s->io->tls_bits,
			s->io->tls_bits);
	}
	if (s->state != ST_TLS) {
		return; /* wrapper mode: nothing was said before */
	}
	/* RFC 3207 4.2: the client has to say again who it is. */
	session_reset_mail(s);
	auth_reset(s);
	mem_free(s->helo);
	s->helo = NULL;
	s->esmtp = false;
	s->pipelined = false;
	session_enter(s, ST_COMMAND);
}
