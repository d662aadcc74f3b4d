/*
 * restrictions - the restriction lists at each stage of a session, and what is logged of them
 *
 *	stage	lists
 *	CONNECT	client (only without smtpd_delay_reject)
 *	HELO	helo (the same)
 *	MAIL	sender (the same)
 *	RCPT	client, helo, sender (with smtpd_delay_reject), relay and recipient in
 *		the order smtpd_relay_before_recipient_restrictions says
 *	VRFY	like RCPT
 *	DATA	data		END	end of data		ETRN	etrn
 *
 * A stand-alone session (sendmail -bs) is its user's own and passes all lists; so does
 * RCPT TO:<postmaster>, without a domain, whoever says it.
 */
#include "applets/receive/smtpd/restrictions.h"

#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/log.h"
#include "base/str.h"
#include "conf/params.h"
#include "queue/queue_parts.h"
#include "address/rewrite.h"
#include "address/verify_sender.h"
#include "route/resolve.h"
#include "applets/receive/smtpd/intake.h"

enum { SPACE_LOOK_MS = 1000 };

static const struct stage_row {
	const char *where; /* in the log; NULL: the command's name */
	enum restrict_list_name lists[3];
	size_t count;
	bool delayed; /* skipped with smtpd_delay_reject */
} stages[] = {
	[CHECK_CONNECT] = { "CONNECT", { RESTRICT_CLIENT }, 1, true },
	[CHECK_HELO] = { NULL, { RESTRICT_HELO }, 1, true },
	[CHECK_MAIL] = { "MAIL", { RESTRICT_SENDER }, 1, true },
	[CHECK_RCPT] = { "RCPT", { RESTRICT_CLIENT, RESTRICT_HELO, RESTRICT_SENDER }, 3, true },
	[CHECK_VRFY] = { "VRFY", { RESTRICT_CLIENT, RESTRICT_HELO, RESTRICT_SENDER }, 3, true },
	[CHECK_DATA] = { NULL, { RESTRICT_DATA }, 1, false },
	[CHECK_END] = { "END-OF-MESSAGE", { RESTRICT_END_OF_DATA }, 1, false },
	[CHECK_ETRN] = { "ETRN", { RESTRICT_ETRN }, 1, false },
};

static const enum restrict_list_name relay_first[] = { RESTRICT_CLIENT, RESTRICT_HELO,
	RESTRICT_SENDER, RESTRICT_RELAY, RESTRICT_RECIPIENT };
static const enum restrict_list_name relay_last[] = { RESTRICT_CLIENT, RESTRICT_HELO,
	RESTRICT_SENDER, RESTRICT_RECIPIENT, RESTRICT_RELAY };

/* choose_lists - which lists a stage runs */
static void choose_lists(struct check *c)
{
	const struct stage_row *row = &stages[c->stage];

	if (c->stage == CHECK_RCPT || c->stage == CHECK_VRFY) {
		size_t skip = param.smtpd_delay_reject ? 0 : 3;

		c->lists = (param.smtpd_relay_before_recipient_restrictions ? relay_first
									    : relay_last) +
			skip;
		c->list_count = ARRAY_LEN(relay_first) - skip;
		return;
	}
	c->lists = row->lists;
	c->list_count = row->delayed && param.smtpd_delay_reject ? 0 : row->count;
}

static const char *stage_where(const struct smtpd_session *s, const struct check *c)
{
	return stages[c->stage].where != NULL ? stages[c->stage].where : s->where;
}

void check_log(struct smtpd_session *s, const char *verb, const char *where, const char *recipient,
	const char *reply)
{
	struct buf b = BUF_INIT;
	const char *helo = s->check != NULL && s->check->helo != NULL ? s->check->helo : s->helo;

	if (s->tx.open) {
		buf_addf(&b, " from=<%s>", s->tx.sender);
	}
	if (recipient == NULL && s->tx.rcpts != NULL) {
		recipient = s->tx.rcpts->address; /* DATA and behind: the first one */
	}
	if (recipient != NULL) {
		buf_addf(&b, " to=<%s>", recipient);
	}
	buf_addf(&b, " proto=%s", s->d->lmtp ? "LMTP" : s->esmtp ? "ESMTP" : "SMTP");
	if (helo != NULL) {
		buf_addf(&b, " helo=<%s>", helo);
	}
	if (s->sasl_user != NULL) {
		buf_addf(&b, " sasl_username=<%s>", s->sasl_user);
	}
	log_info("%s: %s: %s from %s: %s;%s",
		s->tx.intake != NULL ? intake_id(s->tx.intake) : "NOQUEUE", verb, where,
		session_peer(s), reply, buf_str(&b));
	buf_free(&b);
}

void check_refuse(
	struct smtpd_session *s, const char *where, const char *recipient, const char *reply)
{
	char *text = arena_strdup(&s->scratch, reply);

	session_soften(text);
	check_log(s, "reject", where, recipient, text);
	session_reply(s, "%s", text);
}

/* log_action - from the lists: what they did without an end */
static void log_action(void *arg, const char *what, const char *text)
{
	struct smtpd_session *s = arg;

	if (s->tx.hold && strcmp(what, "hold") == 0) {
		return; /* the lists run again for each recipient */
	}
	check_log(s, what, stage_where(s, s->check), s->check->recipient, text);
}

/* fill_query - what is known now */
static void fill_query(struct smtpd_session *s, struct check *c)
{
	c->query = (struct restrict_query){
		.client_name = s->io->peer.host,
		.client_addr = s->io->peer.addr,
		.local_addr = s->io->local.addr,
		.helo = c->helo != NULL   ? c->helo
			: s->helo != NULL ? s->helo
					  : "",
		.sender = s->tx.open ? s->tx.sender : NULL,
		.sender_full = s->tx.open ? s->tx.sender_full : NULL,
		.recipient = c->recipient,
		.recipient_full = c->recipient_full,
		.etrn = c->etrn,
		.sasl_user = s->sasl_user,
		.tls = s->io->tls,
		.pipelined = s->pipelined,
		.recipient_count = s->tx.rcpt_count,
		.log = log_action,
		.arg = s,
	};
}

/* keep_header - PREPEND, once: the lists run again for each recipient */
static void keep_header(struct transaction *tx, const char *text)
{
	struct restrict_header **tail = &tx->prepend;

	for (; *tail != NULL; tail = &(*tail)->next) {
		if (strcmp((*tail)->text, text) == 0) {
			return;
		}
	}
	*tail = arena_alloc(&tx->arena, sizeof(**tail));
	(*tail)->text = arena_strdup(&tx->arena, text);
}

/* keep_effects - HOLD, DISCARD, REDIRECT and PREPEND stay with the mail */
static void keep_effects(struct smtpd_session *s, const struct restrict_run *run)
{
	if (!s->tx.open) {
		return;
	}
	s->tx.hold = s->tx.hold || run->hold;
	s->tx.discard = s->tx.discard || run->discard;
	if (run->redirect != NULL) {
		s->tx.redirect = arena_strdup(&s->tx.arena, run->redirect);
	}
	for (const struct restrict_header *h = run->prepend; h != NULL; h = h->next) {
		keep_header(&s->tx, h->text);
	}
}

/* finish - the verdict is there */
static void finish(struct smtpd_session *s, struct check *c, bool permitted)
{
	if (permitted) {
		keep_effects(s, &c->run);
	} else {
		check_refuse(s, stage_where(s, c), c->recipient, c->run.reply);
	}
	c->then(s, permitted, &c->run);
}

/* go_on - run what is left of the lists */
static void go_on(struct smtpd_session *s)
{
	struct check *c = s->check;
	bool rcpt = c->stage == CHECK_RCPT || c->stage == CHECK_VRFY;
	enum restrict_verdict end;

	for (; c->list_at < c->list_count; c->list_at++) {
		enum restrict_verdict v = restrict_run(&c->run, c->lists[c->list_at]);

		if (v == RESTRICT_PENDING) {
			session_wait(s, go_on);
			return;
		}
		if (v == RESTRICT_REJECT) {
			finish(s, c, false);
			return;
		}
	}
	end = restrict_end(&c->run, rcpt);
	if (end == RESTRICT_PENDING) {
		session_wait(s, go_on);
		return;
	}
	finish(s, c, end != RESTRICT_REJECT);
}

void check_stage(
	struct smtpd_session *s, enum check_stage stage, const char *what, checked_fn *then)
{
	struct check *c = arena_alloc(&s->scratch, sizeof(*c));

	s->check = c;
	c->stage = stage;
	c->then = then;
	switch (stage) {
	case CHECK_HELO:
		c->helo = what;
		break;
	case CHECK_RCPT:
	case CHECK_VRFY:
		c->recipient = what;
		c->recipient_full = rewrite_address(&s->scratch, what, REWRITE_LOCAL);
		break;
	case CHECK_ETRN:
		c->etrn = what;
		break;
	case CHECK_DATA:
	case CHECK_END:
		/* Of several recipients none is asked about: the answer is for all of them. */
		if (s->tx.rcpt_count == 1) {
			c->recipient = s->tx.rcpts->address;
			c->recipient_full = s->tx.rcpts->r.address;
		}
		break;
	case CHECK_CONNECT:
	case CHECK_MAIL:
		break;
	}
	/*
	 * RFC 5321 4.5.1: whoever has trouble with us can always reach a person. Whom we probe may
	 * look whether we are there. And what is thrown away needs no check.
	 */
	if (s->d->stand_alone || s->tx.discard ||
		(stage == CHECK_RCPT &&
			(str_ieq(what, "postmaster") || verify_sender_is(&s->scratch, what)))) {
		then(s, true, &c->run);
		return;
	}
	choose_lists(c);
	fill_query(s, c);
	restrict_begin(&c->run, s->d->restrictions, &c->query, &s->scratch);
	go_on(s);
}

bool check_local_client(const struct smtpd_session *s)
{
	const char *list = param.local_header_rewrite_clients, *addr = s->io->peer.addr;

	if (s->d->stand_alone) {
		return true;
	}
	if (list_has(list, "permit_inet_interfaces") &&
		(strcmp(addr, "127.0.0.1") == 0 || strcmp(addr, "::1") == 0 ||
			strcmp(addr, s->io->local.addr) == 0)) {
		return true;
	}
	if (list_has(list, "permit_mynetworks") && route_mynetworks_match(addr) > 0) {
		return true;
	}
	return list_has(list, "permit_sasl_authenticated") && s->sasl_user != NULL;
}

bool check_space(struct smtpd_session *s)
{
	struct smtpd *d = s->d;
	int64_t now = d->loop != NULL ? loop_now(d->loop) : 0;
	struct statvfs fs;
	double room, need;

	if (d->queue != NULL && !queue_has_room(d->queue)) {
		return false;
	}
	if (d->space_checked != 0 && now - d->space_checked < SPACE_LOOK_MS) {
		return !d->space_low;
	}
	if (statvfs(param.queue_directory, &fs) != 0) {
		return true; /* nothing known: the commit will tell */
	}
	d->space_checked = now;
	room = (double)fs.f_bavail * (double)fs.f_frsize;
	/* As much again and a half: the log of the database grows beside it (Postfix's factor). */
	need = (double)param.message_size_limit * 1.5;
	if ((double)param.queue_minfree > need) {
		need = (double)param.queue_minfree;
	}
	d->space_low = room < need;
	if (d->space_low) {
		log_warn("not enough free space in mail queue: %.0f bytes < %.0f", room, need);
	}
	return !d->space_low;
}
