/*
 * underway - what is being delivered, here and by others: nothing is begun twice
 *
 * A recipient may be asked for again while it is still under way: by a queue manager whose
 * predecessor was killed, by one that met a broken connection, through a socket in which the
 * request of a dead one is still to be read. The second request waits until the first has ended,
 * and is suspect then: what the first one did is found in the mailbox, or in a note of the command
 * (command_note.c).
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
#include "applets/deliver/local/underway.h"

#include "base/log.h"
#include "conf/params.h"
#include "applets/deliver/local/jobs.h"
#include "applets/deliver/local/local.h"

/* AGENT_MS: beyond it the other one is no predecessor that will say something, but one of ours with
 * the same name for good. */
enum { WAIT_MS = 50, AGENT_MS = 20000 };

static struct request **slot_of(struct local *g, queue_id id)
{
	return &g->underway[(id * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - UNDERWAY_BITS)];
}

/* agent_name - agents of another name have other mail */
static int64_t agent_name(struct local *g)
{
	uint32_t sum = 0;

	for (const char *p = g->service.name; *p != '\0'; p++) {
		sum = sum * 31 + (unsigned char)*p;
	}
	return sum;
}

/* share - do they ask for the same recipient? */
static bool share(const struct request *a, const struct request *b)
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
static bool is_here(struct local *g, const struct request *q)
{
	for (const struct request *o = *slot_of(g, q->r.id); o != NULL; o = o->underway_next) {
		if (o->r.id == q->r.id && o != q && share(o, q)) {
			return true;
		}
	}
	return false;
}

static bool is_suspect(const struct request *q)
{
	for (size_t i = 0; i < q->r.recipient_count; i++) {
		if ((q->r.recipients[i].flags & DELIVERY_SUSPECT) != 0) {
			return true;
		}
	}
	return false;
}

/* is_elsewhere - is one of its recipients, or may one be, under way in another process? */
static bool is_elsewhere(struct local *g, const struct request *q)
{
	if (g->holds == NULL || !is_suspect(q)) {
		return false;
	}
	/* One that ends itself gets only what its own queue manager holds. */
	if (!g->draining && loop_now(g->service.loop) < g->agent_until &&
		queue_is_held(g->holds, QUEUE_HOLD_AGENT, 0, agent_name(g))) {
		return true;
	}
	for (size_t i = 0; i < q->r.recipient_count; i++) {
		if (queue_is_held(g->holds, QUEUE_HOLD_DELIVERY, q->r.id,
			    (int64_t)q->r.recipients[i].n)) {
			return true;
		}
	}
	return false;
}

/* say - to other processes that the request's recipients are under way, or no longer */
static void say(struct local *g, const struct request *q, bool on)
{
	for (size_t i = 0; g->holds != NULL && i < q->r.recipient_count; i++) {
		(on ? queue_hold : queue_unhold)(
			g->holds, QUEUE_HOLD_DELIVERY, q->r.id, (int64_t)q->r.recipients[i].n);
	}
}

static void enter(struct local *g, struct request *q)
{
	struct request **slot = slot_of(g, q->r.id);

	q->underway_next = *slot;
	*slot = q;
	q->underway = true;
	if (g->draining) {
		say(g, q, true);
	}
}

static void on_wait(struct timer *t);

/* look_soon - something that others may wait for has ended */
static void look_soon(struct local *g, int ms)
{
	loop_timer(g->service.loop, &g->wait_timer, ms, on_wait, g);
}

bool underway_enter(struct local *g, struct request *q)
{
	if (!is_here(g, q) && !is_elsewhere(g, q)) {
		enter(g, q);
		return true;
	}
	q->wait_next = NULL;
	*g->wait_tail = q;
	g->wait_tail = &q->wait_next;
	if (g->wait_timer.slot == 0) {
		look_soon(g, WAIT_MS);
	}
	return false;
}

void underway_leave(struct local *g, struct request *q)
{
	struct request **p = slot_of(g, q->r.id);

	if (!q->underway) {
		return;
	}
	while (*p != q) {
		p = &(*p)->underway_next;
	}
	*p = q->underway_next;
	q->underway = false;
	if (g->draining) {
		say(g, q, false);
	}
	if (g->wait_first != NULL) {
		look_soon(g, 0);
	}
}

/* begin_late - its turn has come, or nobody wants it any more */
static void begin_late(struct local *g, struct request *q)
{
	if (q->client == NULL) {
		request_free(g, q);
		return;
	}
	for (size_t i = 0; i < q->r.recipient_count; i++) {
		q->r.recipients[i].flags |= DELIVERY_SUSPECT;
	}
	enter(g, q);
	g->begin(g, q);
}

/* on_wait - which of those that wait may begin? In the order they came */
static void on_wait(struct timer *t)
{
	struct local *g = t->owner;
	struct request *q = g->wait_first, *next;

	g->wait_first = NULL;
	g->wait_tail = &g->wait_first;
	for (; q != NULL; q = next) {
		next = q->wait_next;
		if (q->client != NULL && (is_here(g, q) || is_elsewhere(g, q))) {
			*g->wait_tail = q;
			g->wait_tail = &q->wait_next;
			q->wait_next = NULL;
		} else {
			begin_late(g, q);
		}
	}
	if (g->wait_first != NULL && g->wait_timer.slot == 0) {
		look_soon(g, WAIT_MS);
	}
}

void underway_init(struct local *g, void (*begin)(struct local *g, struct request *q))
{
	g->begin = begin;
	g->wait_tail = &g->wait_first;
	g->agent_until = loop_now(g->service.loop) + AGENT_MS;
	g->holds = queue_holds_open(param.queue_directory);
	if (g->holds != NULL) {
		queue_hold(g->holds, QUEUE_HOLD_AGENT, 0, agent_name(g));
	}
}

void underway_publish(struct local *g)
{
	if (g->draining) {
		return;
	}
	g->draining = true;
	for (size_t i = 0; i < 1 << UNDERWAY_BITS; i++) {
		for (struct request *q = g->underway[i]; q != NULL; q = q->underway_next) {
			say(g, q, true);
		}
	}
	if (g->holds != NULL) {
		queue_unhold(g->holds, QUEUE_HOLD_AGENT, 0, agent_name(g));
	}
}

struct request *underway_any(struct local *g)
{
	struct request *q = g->wait_first;

	if (q != NULL) {
		g->wait_first = q->wait_next;
	}
	for (size_t i = 0; q == NULL && i < 1 << UNDERWAY_BITS; i++) {
		q = g->underway[i];
	}
	return q;
}

void underway_free(struct local *g)
{
	loop_untimer(g->service.loop, &g->wait_timer);
	queue_holds_close(g->holds);
}
