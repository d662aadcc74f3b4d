/*
 * session_state - what a session is in, has said and has counted
 *
 * Replies go where s->out points: to the driver's buffer inside feed() and
 * event(), else into s->held, which the next feed() passes on. An error above the
 * soft limit holds its reply back for a while, and nothing is read meanwhile.
 */
#include "applets/receive/smtpd/session_state.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "proto/smtp.h"
#include "queue/queue_message.h"
#include "applets/receive/smtpd/transcript.h"

enum { REPLY_MAX = 1200, DELAY_FACTOR_MAX = 10 };

static const char *state_name(enum session_state state)
{
	switch (state) {
	case ST_COMMAND:
		return "command";
	case ST_CHECK:
		return "check";
	case ST_AUTH_WAIT:
		return "auth-wait";
	case ST_AUTH:
		return "auth";
	case ST_DATA:
		return "data";
	case ST_BDAT:
		return "bdat";
	case ST_COMMIT:
		return "commit";
	case ST_TLS:
		return "tls";
	case ST_CLOSING:
		return "closing";
	}
	return "?";
}

void session_enter(struct smtpd_session *s, enum session_state state)
{
	log_debug(3, "%s[%s]: state %s -> %s", s->io->peer.host, s->io->peer.addr,
		state_name(s->state), state_name(state));
	s->state = state;
}

const char *session_peer(struct smtpd_session *s)
{
	return arena_printf(&s->scratch, "%s[%s]", s->io->peer.host, s->io->peer.addr);
}

const char *session_proto(const struct smtpd_session *s)
{
	static const char *const names[2][2][2] = {
		{ { "ESMTP", "ESMTPA" }, { "ESMTPS", "ESMTPSA" } },
		{ { "UTF8SMTP", "UTF8SMTPA" }, { "UTF8SMTPS", "UTF8SMTPSA" } },
	};
	static const char *const lmtp[2][2] = { { "LMTP", "LMTPA" }, { "LMTPS", "LMTPSA" } };
	bool auth = s->sasl_user != NULL;

	if (s->d->lmtp) {
		return lmtp[s->io->tls][auth];
	}
	if (!s->esmtp) {
		return "SMTP";
	}
	return names[(s->tx.flags & QUEUE_F_SMTPUTF8) != 0][s->io->tls][auth];
}

/* ---- Replies ---- */

static void delay_over(struct timer *t)
{
	struct smtpd_session *s = t->owner;

	s->delayed = false;
	s->io->resume(s->io);
}

/* delay_reply - errors come slower and slower above smtpd_soft_error_limit */
static void delay_reply(struct smtpd_session *s)
{
	int64_t over = (int64_t)s->errors + 1 - param.smtpd_soft_error_limit;
	int64_t factor = over > DELAY_FACTOR_MAX ? DELAY_FACTOR_MAX : over;

	if (factor <= 0 || param.smtpd_error_sleep_time == 0 || s->delayed || s->d->loop == NULL ||
		s->d->stand_alone) {
		return;
	}
	s->delayed = true;
	s->out = &s->held;
	loop_timer(
		s->d->loop, &s->delay, param.smtpd_error_sleep_time * 1000 * factor, delay_over, s);
}

void session_soften(char *reply)
{
	if (reply[0] == '5' && param.soft_bounce) {
		reply[0] = '4';
		if (reply[4] == '5' && reply[5] == '.') {
			reply[4] = '4';
		}
	}
}

void session_reply(struct smtpd_session *s, const char *fmt, ...)
{
	char text[REPLY_MAX];
	va_list ap;

	va_start(ap, fmt);
	if (strchr(fmt, '%') == NULL) {
		/* most replies: nothing to format */
		(void)str_copy(text, sizeof(text), fmt);
	} else {
		vsnprintf(text, sizeof(text), fmt, ap);
	}
	va_end(ap);
	session_soften(text);
	if (text[0] == '4' || text[0] == '5') {
		delay_reply(s);
	}
	log_debug(1, "> %s[%s]: %s", s->io->peer.host, s->io->peer.addr, text);
	transcript_out(s, text);
	smtp_put_reply(s->out, text);
	/* RFC 5321 3.8: these end the connection. */
	if (strncmp(text, "421", 3) == 0 || strncmp(text, "521", 3) == 0) {
		session_enter(s, ST_CLOSING);
	}
}

void session_resume(struct smtpd_session *s)
{
	s->io->resume(s->io);
}

/* ---- Waiting ---- */

void session_wait(struct smtpd_session *s, void (*again)(struct smtpd_session *s))
{
	s->before = s->state;
	s->again = again;
	session_enter(s, ST_CHECK);
}

bool session_waits(struct smtpd_session *s, void (*again)(struct smtpd_session *s))
{
	if (!map_is_waiting()) {
		return false;
	}
	session_wait(s, again);
	return true;
}

void session_again(struct smtpd_session *s)
{
	void (*again)(struct smtpd_session * s) = s->again;

	session_enter(s, s->before);
	s->again = NULL;
	if (again != NULL) {
		again(s);
	}
}

/* ---- Counting ---- */

void session_count(struct smtpd_session *s, enum verb verb, bool good)
{
	s->counts[verb].all++;
	if (good) {
		s->counts[verb].good++;
	} else {
		s->errors++;
	}
}

void session_forgive(struct smtpd_session *s)
{
	s->errors = s->junk = 0;
}

/* session_log_lost - "lost connection after DATA (1024 bytes) from host[addr]" */
void session_log_lost(struct smtpd_session *s, const char *what)
{
	enum session_state state = s->state == ST_CHECK ? s->before : s->state;

	if (s->lost) {
		return;
	}
	s->lost = true;
	if (state == ST_DATA || (state == ST_BDAT && !s->tx.drop_chunk)) {
		log_info("%s after %s (%llu bytes) from %s", what, s->where,
			(unsigned long long)s->tx.received, session_peer(s));
		s->counts[state == ST_DATA ? VERB_DATA : VERB_BDAT].all++;
	} else {
		log_info("%s after %s from %s", what, s->where, session_peer(s));
	}
}

/* ---- What EHLO does not tell ---- */

const char *session_hidden_words(struct smtpd_session *s)
{
	struct buf value = BUF_INIT;
	int rc;

	if (s->d->hidden_words == NULL) {
		return param.smtpd_discard_ehlo_keywords;
	}
	if (s->hidden == NULL) {
		rc = maps_get(s->d->hidden_words, s->io->peer.addr, &value);
		if (rc >= 0) {
			s->hidden = mem_strdup(
				rc > 0 ? buf_str(&value) : param.smtpd_discard_ehlo_keywords);
		}
		buf_free(&value);
	}
	return s->hidden != NULL ? s->hidden : param.smtpd_discard_ehlo_keywords;
}
