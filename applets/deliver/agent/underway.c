/*
 * underway - what is being delivered, here and by others: nothing is begun twice
 *
 * A recipient may be asked for again while it is still under way: by a queue manager whose
 * predecessor was killed, by one that met a broken connection, through a socket in which the
 * request of a dead one is still to be read. The second request waits until the first has ended,
 * and is suspect then: what the first one did is found in the mailbox, or in a note of the command
 * (applets/deliver/command/command_note.c).
 *
 *	here		a table of the requests under way
 *	in another process (reload: the agent before us still has a slow command)
 *			record locks (queue/queue_hold.h). An agent that is told to end says by
 *			them what it has; until it has said so, it holds QUEUE_HOLD_AGENT, and
 *			nothing that is suspect is begun. The keepers of running commands hold
 *			what those have until they end, even when the agent is killed.
 *
 * Only recipients that are suspect ask others, so a queue without trouble pays nothing.
 */
#include "applets/deliver/agent/underway.h"

#include "base/log.h"
#include "conf/params.h"
#include "applets/deliver/agent/agent.h"
#include "applets/deliver/agent/client.h"

/* AGENT_MS: beyond it the other one is no predecessor that will say something, but one of ours with
 * the same name for good. */
enum { WAIT_MS = 50, AGENT_MS = 20000 };

static struct agent_request **slot_of(struct agent_host *h, queue_id id)
{
	return &h->underway[(id * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - AGENT_UNDERWAY_BITS)];
}

/* agent_name - agents of another name have other mail */
static int64_t agent_name(struct agent_host *h)
{
	uint32_t sum = 0;

	for (const char *p = h->service.name; *p != '\0'; p++) {
		sum = sum * 31 + (unsigned char)*p;
	}
	return sum;
}

/* share - do they ask for the same recipient? */
static bool share(const struct agent_request *a, const struct agent_request *b)
{
	for (size_t i = 0; i < a->r.recipient_count; i++) {
		for (size_t k = 0; k < b->r.recipient_count; k++) {
			if (a->r.recipients[i].n == b->r.recipients[k].n) {
				return true;
			}
		}
	}
	return false;
}

/* is_here - is one of its recipients under way in this process? */
static bool is_here(struct agent_host *h, const struct agent_request *q)
{
	for (const struct agent_request *o = *slot_of(h, q->r.id); o != NULL;
		o = o->underway_next) {
		if (o->r.id == q->r.id && o != q && share(o, q)) {
			return true;
		}
	}
	return false;
}

static bool is_suspect(const struct agent_request *q)
{
	for (size_t i = 0; i < q->r.recipient_count; i++) {
		if ((q->r.recipients[i].flags & DELIVERY_SUSPECT) != 0) {
			return true;
		}
	}
	return false;
}

/* is_elsewhere - is one of its recipients, or may one be, under way in another process? */
static bool is_elsewhere(struct agent_host *h, const struct agent_request *q)
{
	if (h->holds == NULL || !is_suspect(q)) {
		return false;
	}
	/* One that ends itself gets only what its own queue manager holds. */
	if (!h->draining && loop_now(h->service.loop) < h->agent_until &&
		queue_is_held(h->holds, QUEUE_HOLD_AGENT, 0, agent_name(h))) {
		return true;
	}
	for (size_t i = 0; i < q->r.recipient_count; i++) {
		if (queue_is_held(h->holds, QUEUE_HOLD_DELIVERY, q->r.id,
			    (int64_t)q->r.recipients[i].n)) {
			return true;
		}
	}
	return false;
}

/* say - to other processes that the request's recipients are under way, or no longer */
static void say(struct agent_host *h, const struct agent_request *q, bool on)
{
	for (size_t i = 0; h->holds != NULL && i < q->r.recipient_count; i++) {
		(on ? queue_hold : queue_unhold)(
			h->holds, QUEUE_HOLD_DELIVERY, q->r.id, (int64_t)q->r.recipients[i].n);
	}
}

static void enter(struct agent_host *h, struct agent_request *q)
{
	struct agent_request **slot = slot_of(h, q->r.id);

	q->underway_next = *slot;
	*slot = q;
	q->underway = true;
	if (h->draining) {
		say(h, q, true);
	}
}

static void on_wait(struct timer *t);

/* look_soon - something that others may wait for has ended */
static void look_soon(struct agent_host *h, int ms)
{
	loop_timer(h->service.loop, &h->wait_timer, ms, on_wait, h);
}

bool underway_enter(struct agent_host *h, struct agent_request *q)
{
	if (!is_here(h, q) && !is_elsewhere(h, q)) {
		enter(h, q);
		return true;
	}
	q->wait_next = NULL;
	*h->wait_tail = q;
	h->wait_tail = &q->wait_next;
	if (h->wait_timer.slot == 0) {
		look_soon(h, WAIT_MS);
	}
	return false;
}

void underway_leave(struct agent_host *h, struct agent_request *q)
{
	struct agent_request **p = slot_of(h, q->r.id);

	if (!q->underway) {
		return;
	}
	while (*p != q) {
		p = &(*p)->underway_next;
	}
	*p = q->underway_next;
	q->underway = false;
	if (h->draining) {
		say(h, q, false);
	}
	if (h->wait_first != NULL) {
		look_soon(h, 0);
	}
}

/* begin_late - its turn has come, or nobody wants it any more */
static void begin_late(struct agent_host *h, struct agent_request *q)
{
	if (q->client == NULL) {
		agent_request_free(h, q);
		return;
	}
	for (size_t i = 0; i < q->r.recipient_count; i++) {
		q->r.recipients[i].flags |= DELIVERY_SUSPECT | DELIVERY_UNANSWERED;
	}
	enter(h, q);
	h->begin(q);
}

/* on_wait - which of those that wait may begin? In the order they came */
static void on_wait(struct timer *t)
{
	struct agent_host *h = t->owner;
	struct agent_request *q = h->wait_first, *next;

	h->wait_first = NULL;
	h->wait_tail = &h->wait_first;
	for (; q != NULL; q = next) {
		next = q->wait_next;
		if (q->client != NULL && (is_here(h, q) || is_elsewhere(h, q))) {
			*h->wait_tail = q;
			h->wait_tail = &q->wait_next;
			q->wait_next = NULL;
		} else {
			begin_late(h, q);
		}
	}
	if (h->wait_first != NULL && h->wait_timer.slot == 0) {
		look_soon(h, WAIT_MS);
	}
}

void underway_init(struct agent_host *h, void (*begin)(struct agent_request *q))
{
	h->begin = begin;
	h->wait_tail = &h->wait_first;
	h->agent_until = loop_now(h->service.loop) + AGENT_MS;
	h->holds = queue_holds_open(param.queue_directory);
	if (h->holds != NULL) {
		queue_hold(h->holds, QUEUE_HOLD_AGENT, 0, agent_name(h));
	}
}

void underway_publish(struct agent_host *h)
{
	if (h->draining) {
		return;
	}
	h->draining = true;
	for (size_t i = 0; i < 1 << AGENT_UNDERWAY_BITS; i++) {
		for (struct agent_request *q = h->underway[i]; q != NULL; q = q->underway_next) {
			say(h, q, true);
		}
	}
	if (h->holds != NULL) {
		queue_unhold(h->holds, QUEUE_HOLD_AGENT, 0, agent_name(h));
	}
}

struct agent_request *underway_any(struct agent_host *h)
{
	struct agent_request *q = h->wait_first;

	if (q != NULL) {
		h->wait_first = q->wait_next;
	}
	for (size_t i = 0; q == NULL && i < 1 << AGENT_UNDERWAY_BITS; i++) {
		q = h->underway[i];
	}
	return q;
}

void underway_free(struct agent_host *h)
{
	loop_untimer(h->service.loop, &h->wait_timer);
	queue_holds_close(h->holds);
}
