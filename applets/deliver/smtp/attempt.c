/*
 * attempt - one connection tried for one delivery
 *
 *	decide: is it ourselves? TLS as the policy wants it; account; then the transaction
 *	ready:  results are taken, the connection rests or goes
 *	closed: the same, and what it failed with is everybody's who has no result
 *
 * A connection that was at rest and is dead before the next host has said a word about this mail
 * costs nothing: it is as if there had been none.
 */
#include "applets/deliver/smtp/attempt.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "conf/params.h"
#include "net/stream_tls.h"
#include "net/tls_client.h"
#include "proto/smtp.h"
#include "queue/queue_message.h"
#include "queue/queue_read.h"
#include "applets/deliver/smtp/account.h"
#include "applets/deliver/smtp/outcome.h"
#include "applets/deliver/smtp/tls_policy.h"

enum { SMTP_PORT = 25 };

/* ---- The end of it ---- */

/* leave - the link is another's, or goes; the ladder goes on */
static void leave(struct delivery *d)
{
	d->link = NULL;
	d->begun = d->counted = false;
	d->connected = 0;
	account_forget(&d->account);
	map_wait_forget(&d->wait);
	arena_reset(&d->session);
	d->g->next(d);
}

/* give_back - the link, to the next mail or to its end */
static void give_back(struct delivery *d)
{
	struct smtp_agent *g = d->g;
	struct link *l = d->link;

	if (!link_cache_wants(&g->cache, d->key, delivery_site(d), l)) {
		link_quit(l);
	} else if (!g->offer(g, d->key, l)) {
		link_cache_put(&g->cache, d->key, l); /* who waits for room may have it ended */
	}
}

/* refuse - we do not want this host: the reason is ours */
static void refuse(struct delivery *d, const char *dsn, const char *text, bool site)
{
	const struct smtp_client_failure f = { .status = dsn[0] == '5' ? SMTP_RCPT_BOUNCED
								       : SMTP_RCPT_DEFERRED,
		.dsn = dsn,
		.text = text,
		.reply = "" };
	struct link *l = d->link;

	outcome_host(d, l, &f, site);
	link_quit(l);
	leave(d);
}

/* is_silent - nothing but a goodbye was said about the recipient */
static bool is_silent(const struct smtp_client_recipient *r)
{
	return r->result.status != SMTP_RCPT_SENT && (r->result.code == 0 || r->result.code == 421);
}

/*
 * was_dead - did the connection at rest end before anything was said about this mail? Then it is as
 * if there had been none.
 */
static bool was_dead(struct delivery *d)
{
	if (d->link->uses < 2 || d->offset > 0) {
		return false;
	}
	for (size_t i = 0; i < d->mail.recipient_count; i++) {
		if (!is_silent(&d->mail.recipients[i])) {
			return false;
		}
	}
	d->visited = NULL;
	d->dead = true;
	return true;
}

static bool is_lost(const struct smtp_client_failure *f)
{
	return f != NULL &&
		(f->reason == SMTP_FAILED_LOST || f->reason == SMTP_FAILED_TIMEOUT ||
			f->code == 421);
}

/* harden - smtp_sasl_auth_soft_bounce = no: a password that is refused is the end of the mail */
static const struct smtp_client_failure *harden(
	struct delivery *d, const struct smtp_client_failure *f, struct smtp_client_failure *hard)
{
	if (f == NULL || f->reason != SMTP_FAILED_AUTH || f->code != 535 ||
		d->g->settings.sasl_auth_soft_bounce) {
		return f;
	}
	*hard = *f;
	hard->status = SMTP_RCPT_BOUNCED;
	hard->dsn = arena_printf(&d->session, "5%s", f->dsn + 1);
	return hard;
}

static void on_closed(struct link *l)
{
	struct delivery *d = l->owner;
	struct smtp_client_failure hard;
	const struct smtp_client_failure *f = harden(d, smtp_client_failure(l->client), &hard);

	if (d->begun && is_lost(f) && was_dead(d)) {
		leave(d);
		return;
	}
	if (d->begun) {
		outcome_transaction(d, l, f);
	} else if (f != NULL && f->reason == SMTP_FAILED_TLS && !d->plain && !l->tls_first &&
		tls_policy_level(l->policy) == TLS_LEVEL_MAY) {
		log_info("%s: %s", d->q.id, f->text);
		d->plain_due = true;
	} else if (f != NULL) {
		outcome_host(d, l, f, true);
	}
	leave(d);
}

static void on_ready(struct link *l)
{
	struct delivery *d = l->owner;

	if (was_dead(d)) {
		link_quit(l);
		leave(d);
		return;
	}
	outcome_transaction(d, l, NULL);
	give_back(d);
	leave(d);
}

/* ---- TLS ---- */

static struct tls *on_engine(struct link *l)
{
	struct buf error = BUF_INIT;
	struct tls *engine = tls_policy_start(l->policy, l->relay, &error);

	if (engine == NULL) {
		link_refuse(l, buf_str(&error));
	}
	buf_free(&error);
	return engine;
}

static bool on_secured(struct link *l)
{
	struct buf error = BUF_INIT;
	bool good = tls_policy_done(l->policy, l->relay, stream_tls_engine(&l->stream), &error);

	if (!good) {
		link_refuse(l, buf_str(&error));
	}
	buf_free(&error);
	return good;
}

/* ask_tls - true: it has been acted on; false: as it is, it will do */
static bool ask_tls(struct delivery *d)
{
	struct link *l = d->link;
	bool offered = (smtp_client_features(l->client) & SMTP_HAS_STARTTLS) != 0;
	enum tls_level level = tls_policy_level(l->policy);
	struct buf text = BUF_INIT;

	if (l->tls) {
		return false;
	}
	if (level == TLS_LEVEL_NONE || d->plain) {
		if (offered) {
			tls_policy_note_offer(l->policy, l->peer);
		}
		return false;
	}
	if (offered) {
		link_starttls(l, level > TLS_LEVEL_MAY);
		return true;
	}
	if (level == TLS_LEVEL_MAY) {
		return false;
	}
	tls_policy_refusal(l->policy, l->peer, NULL, &text);
	refuse(d, "4.7.4", buf_str(&text), true);
	buf_free(&text);
	return true;
}

/* ---- Who we are, who they are ---- */

/* is_ourselves - the host calls itself as we do: true, and it was acted on */
static bool is_ourselves(struct delivery *d)
{
	struct link *l = d->link;
	const struct nexthop *hop = delivery_site(d);
	bool best;

	if (d->g->lmtp || l->port != SMTP_PORT) {
		return false;
	}
	if (!l->tls && str_ieq(smtp_client_greeting_name(l->client), param.myhostname)) {
		log_warn("host %s greeted me with my own hostname %s", l->relay, param.myhostname);
	}
	if (!str_ieq(smtp_client_server_name(l->client), param.myhostname)) {
		return false;
	}
	log_warn(
		"host %s replied to HELO/EHLO with my own hostname %s", l->relay, param.myhostname);
	best = d->host > 0 && d->hosts[d->host - 1].preference == d->best;
	refuse(d, best ? "5.4.6" : "4.4.6",
		arena_printf(&d->session, "mail for %s loops back to myself", hop->host), true);
	return true;
}

/* ask_account - true: it has been acted on, or answers are waited for */
static bool ask_account(struct delivery *d)
{
	struct smtp_agent *g = d->g;
	struct link *l = d->link;
	const struct account_place place = { .sender = d->q.r.sender,
		.host = l->host,
		.port = l->port,
		.hop = delivery_site(d)->text };
	struct buf error = BUF_INIT;
	bool verified;
	int rc;

	if (!g->settings.sasl_auth_enable || l->accounted ||
		(smtp_client_features(l->client) & SMTP_HAS_AUTH) == 0) {
		return false;
	}
	map_wait_enter(&d->wait);
	rc = account_find(g->accounts, &d->session, &place, &d->account, &error);
	if (map_wait_leave(&d->wait)) {
		buf_free(&error);
		return true; /* on_answers() */
	}
	l->accounted = true;
	if (rc > 0) {
		verified = l->tls && tls_peer(stream_tls_engine(&l->stream))->matched;
		account_choice(g->accounts, l->tls, verified, &d->choice);
		link_auth(l, &d->account, &d->choice);
	} else if (rc < 0) {
		refuse(d, "4.7.0", buf_str(&error), true);
	}
	buf_free(&error);
	return rc != 0;
}

/* ---- The transaction ---- */

static int64_t on_content(struct link *l, const char **data_r)
{
	struct delivery *d = l->owner;
	char *room = d->q.host->scratch;
	int64_t n = agent_read(&d->q, d->offset, room, AGENT_CONTENT_KEEP);

	if (n > 0) {
		d->offset += n;
	}
	*data_r = room;
	return d->rewritten.failed ? -1 : n;
}

/* outward - an address as it is to be outside; false: a table does not answer */
static bool outward(struct delivery *d, const char *address, const char **out)
{
	return rewriting_address(d->g->rewriting, &d->session, address, out) == 0;
}

/* put_recipients - those that are left; false: a table does not answer */
static bool put_recipients(struct delivery *d)
{
	const struct delivery_request *r = &d->q.r;
	size_t count = 0;

	if (d->recipients == NULL) {
		d->recipients =
			arena_alloc(&d->q.arena, r->recipient_count * sizeof(*d->recipients));
	}
	for (size_t i = 0; i < r->recipient_count; i++) {
		const char *address;

		if (!d->done[i]) {
			if (!outward(d, r->recipients[i].address, &address)) {
				return false;
			}
			d->recipients[count++] = (struct smtp_client_recipient){ .address = address,
				.original = r->recipients[i].original,
				.orcpt = r->recipients[i].orcpt,
				.notify = r->recipients[i].notify,
				.owner = &r->recipients[i] };
		}
	}
	d->mail.recipients = d->recipients;
	d->mail.recipient_count = count;
	return true;
}

/* needs_utf8 - in an address of the envelope, or in what comes first of the message: its headers */
static bool needs_utf8(struct delivery *d)
{
	int64_t n = agent_read_first(&d->q);
	const char *text = d->q.host->scratch, *end;

	if (smtp_has_8bit(slice_of(d->mail.sender))) {
		return true;
	}
	for (size_t i = 0; i < d->mail.recipient_count; i++) {
		if (smtp_has_8bit(slice_of(d->mail.recipients[i].address))) {
			return true;
		}
	}
	end = n > 0 ? memmem(text, (size_t)n, "\n\n", 2) : NULL;
	n = end != NULL ? end - text : n;
	return n > 0 && smtp_has_8bit((struct slice){ text, (size_t)n });
}

/* put_client - whose mail it was, for XFORWARD */
static void put_client(struct delivery *d)
{
	struct queue *queue = agent_queue(d->q.host);
	struct queue_envelope env;

	if (!d->g->settings.send_xforward_command || queue == NULL ||
		queue_get(queue, d->q.r.id, &d->q.arena, &env) <= 0) {
		return;
	}
	d->xforward = (struct smtp_client_xforward){ .name = env.client_name,
		.addr = env.client_addr,
		.proto = env.proto,
		.helo = env.helo,
		.ident = d->q.id,
		.source = (env.flags & QUEUE_F_LOCAL) != 0 ? "LOCAL" : "REMOTE" };
	d->mail.xforward = &d->xforward;
}

static void begin(struct delivery *d)
{
	const struct delivery_request *r = &d->q.r;
	unsigned flags = r->env_flags;
	bool ready;

	d->mail = (struct smtp_client_mail){ .sender = r->sender,
		.size = (uint64_t)r->size,
		.body = (flags & QUEUE_F_8BIT) != 0 ? SMTP_BODY_8BITMIME : SMTP_BODY_UNKNOWN,
		.no_convert = param.disable_mime_output_conversion,
		.smtputf8 = (flags & QUEUE_F_SMTPUTF8) != 0,
		.target = (flags & QUEUE_F_VERIFY) != 0 ? SMTP_TARGET_RCPT : SMTP_TARGET_SEND,
		.ret = (flags & QUEUE_F_RET_FULL) != 0    ? "FULL"
			: (flags & QUEUE_F_RET_HDRS) != 0 ? "HDRS"
							  : "",
		.envid = r->envid };
	map_wait_enter(&d->wait);
	ready = put_recipients(d) && outward(d, r->sender, &d->mail.sender);
	if (map_wait_leave(&d->wait)) {
		return; /* attempt_resume() */
	}
	if (!ready) {
		refuse(d, "4.3.0", "Temporary lookup error", false);
		return;
	}
	d->mail.smtputf8_required = d->mail.smtputf8 && needs_utf8(d);
	put_client(d);
	d->rewritten = (struct rewriting_mail){ .rewriting = d->g->rewriting, .id = d->q.id };
	rewriting_hooks(d->g->rewriting, &d->rewritten, &d->mail.hooks);
	d->offset = 0;
	d->begun = true;
	d->connected = clock_wall_us();
	link_begin(d->link, &d->mail);
}

/* on_decide - greeting and EHLO are over, or TLS, or AUTH */
static void on_decide(struct link *l)
{
	struct delivery *d = l->owner;

	if (is_ourselves(d) || ask_tls(d) || ask_account(d)) {
		return;
	}
	d->counted = true;
	d->sessions++;
	if (d->sessions == (size_t)d->g->settings.mx_session_limit) {
		d->host = d->host_count;
		d->final_host = d->final_site;
	}
	begin(d);
}

static const struct link_events session_events = { .decide = on_decide,
	.engine = on_engine,
	.secured = on_secured,
	.content = on_content,
	.ready = on_ready,
	.closed = on_closed };

void attempt_start(struct delivery *d)
{
	link_use(d->link, &session_events, d);
	if (d->link->client == NULL) {
		link_start(d->link, tls_policy_wrapper(d->link->policy));
	} else {
		begin(d);
	}
}

void attempt_resume(struct delivery *d)
{
	if (d->link->want == SMTP_WANT_DECIDE && !d->counted) {
		on_decide(d->link);
	} else {
		begin(d);
	}
}

void attempt_cancel(struct delivery *d)
{
	if (d->link != NULL) {
		link_free(d->link);
		d->link = NULL;
	}
	account_forget(&d->account);
	arena_free(&d->session);
}
