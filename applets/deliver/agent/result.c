/*
 * result - what became of a recipient: the log line, and what qmgr is told
 */
#include "applets/deliver/agent/result.h"

#include "base/log.h"
#include "queue/queue_message.h"
#include "ipc/delivery_log.h"
#include "applets/deliver/agent/client.h"
#include "applets/deliver/agent/orphan.h"
#include "applets/deliver/agent/status_filter.h"
#include "applets/deliver/agent/underway.h"

static void on_client_turn(struct loop_hook *hook)
{
	struct agent_client *c = hook->owner;

	/* What is told is never asked again: if we are killed now, the log has it. */
	if (c->answers.len > 0) {
		log_flush();
	}
	c->io->resume(c->io);
}

void agent_client_wake(struct agent_client *c)
{
	loop_at_end(c->host->service.loop, &c->hook, on_client_turn, c);
}

/* ---- Requests ---- */

void agent_keep(struct agent_request *q)
{
	q->open++;
}

void agent_release(struct agent_request *q)
{
	struct agent_host *h = q->host;
	struct agent_client *c = q->client;

	if (--q->open == 0) {
		underway_leave(h, q);
		agent_request_free(h, q);
		if (c != NULL) {
			agent_client_wake(c); /* it may be the last that it waited for */
		}
	}
}

void agent_abandon(struct agent_request *q)
{
	q->open = 1; /* whoever keeps it, and those that are left */
	agent_release(q);
}

void agent_drop(struct agent_host *h)
{
	struct agent_request *q, *next;

	for (q = h->wait_first; q != NULL; q = next) {
		next = q->wait_next;
		agent_request_free(h, q);
	}
	h->wait_first = NULL;
	h->wait_tail = &h->wait_first;
	for (size_t i = 0; i < 1 << AGENT_UNDERWAY_BITS; i++) {
		for (q = h->underway[i]; q != NULL; q = next) {
			next = q->underway_next;
			if (h->class->may_drop(q)) {
				agent_abandon(q);
			}
		}
	}
}

bool agent_is_wanted(const struct agent_request *q)
{
	return q->client != NULL;
}

/* wake_paused - the connections that were not read because there was too much work */
static void wake_paused(struct agent_host *h)
{
	for (struct agent_client *c = h->clients; c != NULL; c = c->next) {
		if (c->paused) {
			agent_client_wake(c);
		}
	}
}

void agent_load(struct agent_host *h, int delta)
{
	size_t before = h->load;

	h->load += (size_t)delta;
	if (before > AGENT_LOAD_HIGH / 2 && h->load <= AGENT_LOAD_HIGH / 2) {
		wake_paused(h);
	}
}

/* ---- Results ---- */

void agent_log(
	struct agent_request *q, const struct delivery_recipient *r, struct agent_result *res)
{
	struct delivery_log line = { .queue_id = q->id,
		.to = res->to != NULL ? res->to : r->address,
		.orig_to = r->original[0] != '\0' ? r->original : r->address,
		.relay = res->relay,
		.arrival = q->r.arrival,
		.active_since = q->r.active_since,
		.begun = q->begun,
		.connected = res->connected,
		.conn_use = res->conn_use };

	status_filter_apply(q->host->filter, &q->arena, res);
	line.dsn = res->dsn;
	line.status = (q->r.env_flags & QUEUE_F_VERIFY) == 0 ? delivery_status_name(res->status)
		: res->status == DELIVERY_SENT               ? "deliverable"
							     : "undeliverable";
	line.text = res->text;
	delivery_log_line(&line);
	res->relay = NULL;
}

/* tell - the answer to this request's connection */
static void tell(struct agent_request *q, uint64_t n, const struct agent_result *res)
{
	const struct delivery_answer a = { .serial = q->r.serial,
		.n = n,
		.status = res->status,
		.unreachable = res->unreachable && res->status == DELIVERY_DEFERRED,
		.dsn = res->dsn,
		.text = res->text,
		.mta = res->mta,
		.diagnostic_type = res->diagnostic_type,
		.diagnostic = res->diagnostic,
		.reach = res->reach,
		.added_count = res->added_count,
		.added = res->added,
		.owner = res->owner != NULL && res->added_count > 0 ? res->owner : "" };

	delivery_put_answer(&q->client->answers, &a);
	agent_client_wake(q->client);
}

/* drop - recipient i of q is answered before it began */
static void drop(struct agent_request *q, size_t i)
{
	q->r.recipients[i] = q->r.recipients[--q->r.recipient_count];
}

/*
 * hand_over - nobody waits for q any more, but a request for the same recipient does, until q has
 * ended (underway.c), or will come: the answer is its, and nothing is delivered again to find it
 * out
 */
static void hand_over(const struct agent_request *q, uint64_t n, const struct agent_result *res)
{
	bool told = false;

	for (struct agent_request *o = q->host->wait_first; o != NULL; o = o->wait_next) {
		struct delivery_recipient *list = o->r.recipients;

		for (size_t i = o->r.id == q->r.id && o->client != NULL ? o->r.recipient_count : 0;
			i-- > 0;) {
			if (list[i].n == n) {
				tell(o, n, res);
				drop(o, i);
				told = true;
			}
		}
	}
	if (!told && res->added_count == 0) {
		orphan_keep(q->host, q->r.id, n, res);
	}
}

void agent_answer(
	struct agent_request *q, const struct delivery_recipient *r, const struct agent_result *res)
{
	struct agent_result told = *res;

	if (told.relay != NULL) {
		agent_log(q, r, &told);
	}
	if (q->client != NULL) {
		tell(q, r->n, &told);
	} else if (told.status != DELIVERY_DEFERRED) {
		hand_over(q, r->n, &told); /* what was only put off is begun anew */
	}
	agent_load(q->host, -1);
	agent_release(q);
}

/* ---- The beginning ---- */

/* answer_known - what was decided while there was no queue manager */
static void answer_known(struct agent_request *q)
{
	struct agent_host *h = q->host;

	for (size_t i = h->orphans != NULL ? q->r.recipient_count : 0; i-- > 0;) {
		struct orphan *o = orphan_take(h, q->r.id, q->r.recipients[i].n);

		if (o != NULL) {
			tell(q, q->r.recipients[i].n, orphan_result(o));
			orphan_free(o);
			drop(q, i);
		}
	}
}

/* note_repeats - the agent cannot find out what an earlier try has done */
static void note_repeats(struct agent_request *q)
{
	for (size_t i = 0; i < q->r.recipient_count; i++) {
		if ((q->r.recipients[i].flags & DELIVERY_UNANSWERED) != 0) {
			log_info("%s: to=<%s>: an earlier try may have ended without an answer: "
				 "given again",
				q->id, q->r.recipients[i].address);
		}
	}
}

void agent_begin(struct agent_request *q)
{
	struct agent_host *h = q->host;

	answer_known(q);
	h->load += q->r.recipient_count;
	q->open = q->r.recipient_count + 1;
	if (h->class->repeats) {
		note_repeats(q);
	}
	if (q->r.recipient_count > 0) { /* an earlier request's answers may have been enough */
		q->started = true;
		h->class->begin(q);
	}
	agent_release(q);
}
