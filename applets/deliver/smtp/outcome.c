/*
 * outcome - what has become of recipients
 *
 * A host's "not now" is the end at the last host only; "no" is the end at any. Whatever is no word
 * of the next host about this recipient, or this message, is trouble that waits.
 */
#include "applets/deliver/smtp/outcome.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "applets/deliver/agent/result.h"

const char *outcome_errno(int error)
{
	switch (error) {
	case ETIMEDOUT:
		return "Connection timed out";
	case EHOSTUNREACH:
		return "No route to host";
	case ENETUNREACH:
		return "Network is unreachable";
	case ECONNRESET:
		return "Connection reset by peer";
	case EADDRNOTAVAIL:
		return "Cannot assign requested address";
	default:
		return strerror(error);
	}
}

static void set_why(struct delivery *d, const char *dsn, const char *text, const char *mta,
	const char *diagnostic)
{
	struct arena *a = &d->q.arena;

	d->why = (struct delivery_why){ .dsn = arena_strdup(a, dsn),
		.text = arena_strdup(a, text),
		.mta = arena_strdup(a, mta),
		.diagnostic = arena_strdup(a, diagnostic) };
}

void outcome_why(struct delivery *d, const char *dsn, const char *text)
{
	set_why(d, dsn, text, NULL, NULL);
}

/* answer - of recipient n, which is done with */
static void answer(struct delivery *d, size_t n, const struct link *l, struct agent_result *res)
{
	res->relay = l != NULL ? l->relay : "none";
	res->connected = d->connected;
	res->conn_use = l != NULL ? l->uses : 0;
	d->done[n] = true;
	d->left--;
	agent_answer(&d->q, &d->q.r.recipients[n], res);
}

static enum delivery_status status_of(enum smtp_client_status status)
{
	return status == SMTP_RCPT_SENT       ? DELIVERY_SENT
		: status == SMTP_RCPT_BOUNCED ? DELIVERY_BOUNCED
					      : DELIVERY_DEFERRED;
}

/* in_one_line - the server's words for a DSN's Diagnostic-Code */
static const char *in_one_line(struct delivery *d, const char *reply)
{
	char *text = arena_strdup(&d->q.arena, reply);

	for (char *p = text; p != NULL && *p != '\0'; p++) {
		if (*p == '\n') {
			*p = ' ';
		}
	}
	return text;
}

/* decide - recipient n has this failure (or is sent) */
static void decide(struct delivery *d, size_t n, const struct link *l,
	const struct smtp_client_failure *f, bool site)
{
	struct agent_result res = { .status = status_of(f->status),
		.dsn = f->dsn,
		.text = f->text,
		.unreachable =
			site && f->status != SMTP_RCPT_BOUNCED && f->status != SMTP_RCPT_SENT };

	if (f->reply != NULL && f->reply[0] != '\0') {
		res.mta = l != NULL ? l->host : NULL;
		res.diagnostic_type = "smtp";
		res.diagnostic = in_one_line(d, f->reply);
	}
	if (f->status == SMTP_RCPT_SENT) {
		bool dsn = (smtp_client_features(l->client) & SMTP_HAS_DSN) != 0;

		res.reach = dsn ? DELIVERY_PASSED_ON : DELIVERY_RELAYED;
	}
	answer(d, n, l, &res);
}

/* keep - for the next host; said once */
static void keep(struct delivery *d, const struct link *l, const struct smtp_client_failure *f)
{
	if (d->why.text == NULL || strcmp(d->why.text, f->text) != 0) {
		log_info("%s: %s", d->q.id, f->text);
	}
	set_why(d, f->dsn, f->text, l != NULL ? l->host : NULL,
		f->reply != NULL && f->reply[0] != '\0' ? in_one_line(d, f->reply) : NULL);
}

static bool is_kept(const struct delivery *d, const struct smtp_client_failure *f)
{
	return !d->final_host && (f->status == SMTP_RCPT_DEFERRED || f->status == SMTP_RCPT_OPEN);
}

void outcome_host(struct delivery *d, const struct link *l,
	const struct smtp_client_failure *failure, bool site)
{
	if (is_kept(d, failure)) {
		keep(d, l, failure);
		return;
	}
	for (size_t i = 0; i < d->q.r.recipient_count; i++) {
		if (!d->done[i]) {
			decide(d, i, l, failure, site);
		}
	}
}

void outcome_transaction(
	struct delivery *d, const struct link *l, const struct smtp_client_failure *failure)
{
	static const struct smtp_client_failure unknown = { .status = SMTP_RCPT_DEFERRED,
		.dsn = "4.3.0",
		.text = "server unavailable or unable to receive mail",
		.reply = "" };

	for (size_t i = 0; i < d->mail.recipient_count; i++) {
		const struct smtp_client_recipient *r = &d->mail.recipients[i];
		const struct smtp_client_failure *f = &r->result;
		const struct delivery_recipient *to = r->owner;
		bool open = f->status == SMTP_RCPT_OPEN;

		if (open) {
			f = failure != NULL ? failure : &unknown;
		}
		if (is_kept(d, f)) {
			keep(d, l, f);
		} else {
			decide(d, (size_t)(to - d->q.r.recipients), l, f, open || r->site);
		}
	}
}

void outcome_give_up(struct delivery *d)
{
	const struct delivery_why *w = &d->why;
	bool later = w->dsn[0] == '4';

	for (size_t i = 0; i < d->q.r.recipient_count; i++) {
		struct agent_result res = { .status = later ? DELIVERY_DEFERRED : DELIVERY_BOUNCED,
			.dsn = w->dsn,
			.text = w->text,
			.unreachable = later,
			.mta = w->mta,
			.diagnostic_type = w->diagnostic != NULL ? "smtp" : NULL,
			.diagnostic = w->diagnostic };

		if (!d->done[i]) {
			answer(d, i, NULL, &res);
		}
	}
}
