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
#include <string.h>

#include "base/log.h"
#include "conf/params.h"
#include "applets/deliver/local/local.h"

/* AGENT_MS: beyond it the other one is no predecessor that will say something, but one of ours with
 * the same name for good. */
enum { WAIT_MS = 50, AGENT_MS = 20000 };

static struct request **slot_of(queue_id id)
{
	return &G.underway[(id * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - UNDERWAY_BITS)];
}

/* agent_name - agents of another name have other mail */
static int64_t agent_name(void)
{
	uint32_t sum = 0;

	for (const char *p = G.service.name; *p != '\0'; p++) {
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
static bool is_here(const struct request *q)
{
	for (const struct request *o = *slot_of(q->r.id); o != NULL; o = o->underway_next) {
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
static bool is_elsewhere(const struct request *q)
{
	if (G.holds == NULL || !is_suspect(q)) {
		return false;
	}
	/* One that ends itself gets only what its own queue manager holds. */
	if (!G.draining && loop_now(G.service.loop) < G.agent_until &&
		queue_is_held(G.holds, QUEUE_HOLD_AGENT, 0, agent_name())) {
		return true;
	}
	for (size_t i = 0; i < q->r.recipient_count; i++) {
		if (queue_is_held(
			    G.holds, QUEUE_HOLD_DELIVERY, q->r.id, (int64_t)q->r.recipients[i].n)) {
			return true;
		}
	}
	return false;
}

/* say - to other processes that the request's recipients are under way, or no longer */
static void say(const struct request *q, bool on)
{
	for (size_t i = 0; G.holds != NULL && i < q->r.recipient_count; i++) {
		(on ? queue_hold : queue_unhold)(
			G.holds, QUEUE_HOLD_DELIVERY, q->r.id, (int64_t)q->r.recipients[i].n);
	}
}

static void enter(struct request *q)
{
	struct request **slot = slot_of(q->r.id);

	q->underway_next = *slot;
	*slot = q;
	q->underway = true;
	if (G.draining) {
		say(q, true);
	}
}

static void on_wait(struct timer *t);

/* look_soon - something that others may wait for has ended */
static void look_soon(int ms)
{
	loop_timer(G.service.loop, &G.wait_timer, ms, on_wait, NULL);
}

bool underway_enter(struct request *q)
{
	if (!is_here(q) && !is_elsewhere(q)) {
		enter(q);
		return true;
	}
	q->wait_next = NULL;
	*G.wait_tail = q;
	G.wait_tail = &q->wait_next;
	if (G.wait_timer.slot == 0) {
		look_soon(WAIT_MS);
	}
	return false;
}

void underway_leave(struct request *q)
{
	struct request **p = slot_of(q->r.id);

	if (!q->underway) {
		return;
	}
	while (*p != q) {
		p = &(*p)->underway_next;
	}
	*p = q->underway_next;
	q->underway = false;
	if (G.draining) {
		say(q, false);
	}
	if (G.wait_first != NULL) {
		look_soon(0);
	}
}

/* begin_late - its turn has come, or nobody wants it any more */
static void begin_late(struct request *q)
{
	if (q->client == NULL) {
		request_drop(q);
		return;
	}
	for (size_t i = 0; i < q->r.recipient_count; i++) {
		q->r.recipients[i].flags |= DELIVERY_SUSPECT;
	}
	enter(q);
	request_begin(q);
}

/* on_wait - which of those that wait may begin? In the order they came */
static void on_wait(struct timer *t)
{
	struct request *q = G.wait_first, *next;

	(void)t;
	G.wait_first = NULL;
	G.wait_tail = &G.wait_first;
	for (; q != NULL; q = next) {
		next = q->wait_next;
		if (q->client != NULL && (is_here(q) || is_elsewhere(q))) {
			*G.wait_tail = q;
			G.wait_tail = &q->wait_next;
			q->wait_next = NULL;
		} else {
			begin_late(q);
		}
	}
	if (G.wait_first != NULL && G.wait_timer.slot == 0) {
		look_soon(WAIT_MS);
	}
}

void underway_init(void)
{
	G.wait_tail = &G.wait_first;
	G.agent_until = loop_now(G.service.loop) + AGENT_MS;
	G.holds = queue_holds_open(param.queue_directory);
	if (G.holds != NULL) {
		queue_hold(G.holds, QUEUE_HOLD_AGENT, 0, agent_name());
	}
}

void underway_publish(void)
{
	if (G.draining) {
		return;
	}
	G.draining = true;
	for (size_t i = 0; i < 1 << UNDERWAY_BITS; i++) {
		for (struct request *q = G.underway[i]; q != NULL; q = q->underway_next) {
			say(q, true);
		}
	}
	if (G.holds != NULL) {
		queue_unhold(G.holds, QUEUE_HOLD_AGENT, 0, agent_name());
	}
}

void underway_free(void)
{
	loop_untimer(G.service.loop, &G.wait_timer);
	queue_holds_close(G.holds);
}
