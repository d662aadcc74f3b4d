/*
 * transport - which request goes to the agent next
 *
 * One connection to private/NAME for each transport, made when there is work,
 * with many requests under way. Destinations take turns, so that much mail for one
 * does not keep the others waiting; within one, mail goes in the order it was
 * picked up (suspect recipients were picked up first).
 *
 * When a connection breaks, what was sent and has no answer goes back to the
 * front of its destination, marked as suspect. A recipient under which the
 * connection broke BREAKS_MAX times is deferred. When nobody listens, all
 * of the transport's mail is deferred and the next attempt comes after transport_retry_time.
 * When a destination dies (dest.c), what waits for it is deferred, and so is what comes for it
 * until its time is over.
 */
#include "applets/queue/qmgr/transport.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"

enum { BREAKS_MAX = 3, RECONNECT_MS = 1000 };

static const char unavailable[] = "mail transport unavailable";

/* ---- Destinations ---- */

/* find_dest - as postconf(5) has it, with a recipient limit of 1 each recipient is a destination */
static struct dest *find_dest(struct transport *t, const char *nexthop, const char *recipient)
{
	struct buf key = BUF_INIT;
	struct dest *d;

	buf_addf(&key, "%s\n%s", nexthop, t->settings.recipient_limit == 1 ? recipient : "");
	str_lower(key.data);
	d = hash_get(&t->dests, buf_str(&key));
	if (d == NULL) {
		d = dest_new(buf_str(&key), nexthop, &t->settings.dest);
		d->owner = t;
		hash_set(&t->dests, d->key, d);
	}
	buf_free(&key);
	return d;
}

/* dest_check - put it into the ring when it may send; drop it when nothing is left of it */
static void dest_check(struct transport *t, struct dest *d)
{
	if (d->ready) {
		return;
	}
	if (dest_may_send(d)) {
		d->ready = true;
		d->next = NULL;
		*t->ready_tail = d;
		t->ready_tail = &d->next;
	} else if (dest_is_unused(d)) {
		hash_del(&t->dests, d->key);
		dest_free(d);
	}
}

/* ring_take - whose turn it is; NULL: nobody's */
static struct dest *ring_take(struct transport *t)
{
	struct dest *d = t->ready;

	if (d != NULL) {
		t->ready = d->next;
		if (t->ready == NULL) {
			t->ready_tail = &t->ready;
		}
		d->ready = false;
	}
	return d;
}

/* ring_check - those without mail leave it */
static void ring_check(struct transport *t)
{
	struct dest *d = t->ready, *next;

	t->ready = NULL;
	t->ready_tail = &t->ready;
	for (; d != NULL; d = next) {
		next = d->next;
		d->ready = false;
		dest_check(t, d);
	}
}

/* ---- The dead ---- */

/* bury_last - it has just died: the last of them, for all are dead equally long */
static void bury_last(struct transport *t, struct dest *d)
{
	d->dead_next = NULL;
	*t->dead_tail = d;
	t->dead_tail = &d->dead_next;
	t->dead_count++;
}

/* revive - it may be tried again; unused ones are forgotten */
static void revive(struct transport *t, struct dest *d)
{
	struct dest **p = &t->dead_first;

	while (*p != d) {
		p = &(*p)->dead_next;
	}
	*p = d->dead_next;
	if (*p == NULL) {
		t->dead_tail = p;
	}
	t->dead_count--;
	dest_revive(d, &t->settings.dest);
	dest_check(t, d);
}

/* revive_due - those whose time is over; and the eldest when there are too many */
static void revive_due(struct transport *t)
{
	while (t->dead_first != NULL &&
		(t->dead_first->dead_until <= loop_now(t->set->loop) ||
			t->dead_count > DESTS_DEAD_MAX)) {
		revive(t, t->dead_first);
	}
}

static void revive_all(struct transport *t)
{
	while (t->dead_first != NULL) {
		revive(t, t->dead_first);
	}
}

/* ---- Requests ---- */

static void fail(
	struct transport *t, struct job *j, struct rcpt *r, const char *dsn, const char *text)
{
	t->set->on->fail(t->set->owner, j, r, dsn, text);
}

static void queue_request(struct transport *t, struct request *r, bool front)
{
	dest_queue(r->dest, r, front);
	t->waiting++;
	dest_check(t, r->dest);
}

/* unqueue - the first one that waits; NULL: none */
static struct request *unqueue(struct transport *t, struct dest *d)
{
	struct request *r = d->waiting.first;

	if (r != NULL) {
		request_remove(&d->waiting, r);
		t->waiting--;
	}
	return r;
}

/* fail_waiting - all that waits for this destination gets this result from us */
static void fail_waiting(struct transport *t, struct dest *d, const char *dsn, const char *text)
{
	struct request *r;

	while ((r = unqueue(t, d)) != NULL) {
		for (size_t i = 0; i < r->count; i++) {
			fail(t, r->job, r->rcpts[i], dsn, text);
		}
		mem_free(r);
	}
}

/* fail_all - nobody takes this transport's mail */
static void fail_all(struct transport *t)
{
	for (struct hash_entry *e = hash_next(&t->dests, NULL); e != NULL;
		e = hash_next(&t->dests, e)) {
		fail_waiting(t, e->value, "4.3.0", unavailable);
	}
	ring_check(t);
}

static void put_why(struct buf *b, const struct dest *d)
{
	buf_addf(b, "delivery temporarily suspended: %s", d->text);
}

/* fail_dead - the reason is that of the one that it died of */
static void fail_dead(struct transport *t, struct job *j, struct rcpt *r, const struct dest *d)
{
	struct buf text = BUF_INIT;

	put_why(&text, d);
	fail(t, j, r, d->dsn, buf_str(&text));
	buf_free(&text);
}

/* bury - it has died: its mail waits in the queue, not here */
static void bury(struct transport *t, struct dest *d)
{
	struct buf text = BUF_INIT;

	bury_last(t, d);
	put_why(&text, d);
	fail_waiting(t, d, d->dsn, buf_str(&text));
	buf_free(&text);
	revive_due(t);
}

/* join - a request that takes more for this destination; NULL: there is none */
static struct request *join(
	const struct transport *t, const struct dest *d, const struct request_open *open)
{
	for (size_t i = 0; i < open->count && t->settings.recipient_limit > 1; i++) {
		struct request *q = open->at[i];

		if (q->dest == d && (int64_t)q->count < t->settings.recipient_limit) {
			return q;
		}
	}
	return NULL;
}

void transport_add(struct transport *t, const char *nexthop, const char *recipient, struct job *j,
	struct rcpt *r, struct request_open *open)
{
	int64_t most = t->settings.recipient_limit;
	struct request *q;
	struct dest *d;

	if (t->unavailable) {
		fail(t, j, r, "4.3.0", unavailable);
		return;
	}
	revive_due(t);
	d = find_dest(t, nexthop, recipient);
	if (d->dead_until != 0 && j->flushed) {
		revive(t, d);
		d = find_dest(t, nexthop, recipient);
	}
	if (d->dead_until != 0) {
		fail_dead(t, j, r, d);
		return;
	}
	if (strcmp(recipient, r->address) != 0) {
		r->as = mem_strdup(recipient);
	}
	r->state = RCPT_WAITING;
	/* With VERP each has a sender of its own, and what is forwarded has another one. */
	q = QUEUE_VERP_FIRST(j->flags) != '\0' ? NULL : join(t, d, open);
	if (q != NULL && q->rcpts[0]->forwarded == r->forwarded) {
		q->rcpts[q->count++] = r;
		return;
	}
	q = request_make(j, d, (size_t)(most < (int64_t)j->count ? most : (int64_t)j->count));
	q->rcpts[q->count++] = r;
	queue_request(t, q, false);
	/* Among many destinations the eldest request is left as it is. */
	if (open->count == ARRAY_LEN(open->at)) {
		memmove(open->at, open->at + 1, --open->count * sizeof(open->at[0]));
	}
	open->at[open->count++] = q;
}

/* ---- The agent ---- */

static void transport_send(struct transport *t);

static void on_retry(struct timer *timer)
{
	struct transport *t = timer->owner;

	t->resting = false;
	t->unavailable = false;
	transport_send(t);
}

/* rest - nothing is sent for so long */
static void rest(struct transport *t, int64_t ms)
{
	t->resting = true;
	loop_timer(t->set->loop, &t->retry, ms, on_retry, t);
}

/* connect_agent - true when there is a connection */
static bool connect_agent(struct transport *t)
{
	char path[512];

	if (agent_is_open(&t->agent)) {
		return true;
	}
	snprintf(path, sizeof(path), "private/%s", t->name);
	if (strchr(t->name, '/') == NULL && agent_connect(&t->agent, path) == 0) {
		return true;
	}
	if (errno == EAGAIN) { /* its backlog is full: it is there */
		rest(t, RECONNECT_MS);
		return false;
	}
	log_warn("connect to transport private/%s: %m", t->name);
	rest(t, param.transport_retry_time * 1000);
	t->unavailable = true;
	fail_all(t);
	return false;
}

/*
 * within_share - a destination has at most a quarter of what is left of the agent's window: some
 * that are slow (a mailbox on a disk that hangs, a command that sleeps) leave room for all others,
 * however much waits for them. One that has nothing under way may always send; one that has is
 * looked at again with its next answer.
 */
static bool within_share(const struct transport *t, const struct dest *d)
{
	return d->sent == 0 || d->sent < agent_room(&t->agent) / 4;
}

/* ---- Pauses ---- */

static void on_dest_pause(struct timer *timer)
{
	struct dest *d = timer->owner;
	struct transport *t = d->owner;

	d->pausing = false;
	dest_check(t, d);
	transport_send(t);
}

/* pause_dest - *_destination_rate_delay: one request has ended, the next one comes later */
static void pause_dest(struct transport *t, struct dest *d)
{
	if (t->settings.dest.pause_ms > 0 && !d->pausing) {
		d->pausing = true;
		loop_timer(t->set->loop, &d->pause, t->settings.dest.pause_ms, on_dest_pause, d);
	}
}

static void on_transport_pause(struct timer *timer)
{
	struct transport *t = timer->owner;

	t->pausing = false;
	transport_send(t);
}

/* pause_transport - *_transport_rate_delay: one has been sent */
static void pause_transport(struct transport *t)
{
	if (t->settings.pause_ms > 0) {
		t->pausing = true;
		loop_timer(t->set->loop, &t->pause, t->settings.pause_ms, on_transport_pause, t);
	}
}

/* transport_send - as much as agent and windows allow */
static void transport_send(struct transport *t)
{
	struct dest *d;

	if (t->waiting == 0 || t->resting || !t->set->on->may_send(t->set->owner) ||
		!connect_agent(t)) {
		return;
	}
	while (!t->pausing && agent_has_room(&t->agent) && (d = ring_take(t)) != NULL) {
		struct request *r;

		if (!within_share(t, d)) {
			continue;
		}
		r = dest_take(d);
		if (r != NULL) {
			t->waiting--;
			agent_put(&t->agent, r, d->nexthop);
			pause_transport(t);
		}
		dest_check(t, d);
	}
	agent_flush(&t->agent);
}

/* on_answer - for the recipient's job; and the destination may be to blame, once a request */
static void on_answer(
	struct agent *a, struct request *r, struct rcpt *to, const struct delivery_answer *what)
{
	struct transport *t = a->owner;

	t->set->on->answer(t->set->owner, r->job, to, what);
	if (!what->unreachable || r->unreachable) {
		return;
	}
	r->unreachable = true;
	if (dest_bad(r->dest, &t->settings.dest, loop_now(t->set->loop), what->dsn, what->text)) {
		bury(t, r->dest);
	}
}

/* on_ended - all of it is answered: the destination is well, or an answer has said otherwise */
static void on_ended(struct agent *a, struct request *r)
{
	struct transport *t = a->owner;
	struct dest *d = r->dest;

	if (!r->unreachable && d->dead_until != 0) {
		revive(t, d);
	} else if (!r->unreachable) {
		dest_good(d, &t->settings.dest);
	}
	mem_free(r);
	dest_back(d);
	pause_dest(t, d);
	dest_check(t, d);
}

static void on_taken(struct agent *a)
{
	transport_send(a->owner);
}

/* redo - unanswered recipients of a request whose connection broke wait again, suspect */
static void redo(struct transport *t, struct request *r)
{
	struct request *again = request_make(r->job, r->dest, r->count);

	for (size_t i = 0; i < r->count; i++) {
		struct rcpt *rcpt = r->rcpts[i];

		if (rcpt->state != RCPT_WAITING) {
			continue;
		}
		rcpt->suspect = rcpt->unanswered = true;
		if (++rcpt->breaks >= BREAKS_MAX) {
			fail(t, r->job, rcpt, "4.3.0", "unknown mail transport error");
		} else {
			again->rcpts[again->count++] = rcpt;
		}
	}
	if (again->count > 0) {
		queue_request(t, again, true);
	} else {
		mem_free(again);
	}
}

static void on_lost(struct agent *a, struct request *r)
{
	struct transport *t = a->owner;
	struct dest *d = r->dest;

	dest_back(d);
	pause_dest(t, d);
	redo(t, r);
	mem_free(r);
	dest_check(t, d);
}

/* on_broken - a new connection in the next turn; when they break one after the other, later */
static void on_broken(struct agent *a)
{
	rest(a->owner, a->breaks > 1 ? RECONNECT_MS : 0);
}

static const struct agent_events agent_events = { .answer = on_answer,
	.ended = on_ended,
	.taken = on_taken,
	.lost = on_lost,
	.broken = on_broken };

/* ---- The set ---- */

struct transport *transport_new(
	struct transports *ts, const char *name, const struct transport_settings *s)
{
	struct transport *t = mem_alloc(sizeof(*t));

	t->set = ts;
	t->name = mem_strdup(name);
	t->settings = *s;
	t->ready_tail = &t->ready;
	t->dead_tail = &t->dead_first;
	agent_init(&t->agent, ts->loop, &agent_events, t, t->name);
	hash_set(&ts->names, name, t);
	return t;
}

struct transport *transport_get(struct transports *ts, const char *name)
{
	struct transport *t = hash_get(&ts->names, name);
	struct transport_settings s;

	if (t != NULL) {
		return t;
	}
	transport_settings(&s, name);
	return transport_new(ts, name, &s);
}

void transports_init(
	struct transports *ts, struct loop *loop, const struct transport_events *on, void *owner)
{
	*ts = (struct transports){ .loop = loop, .on = on, .owner = owner };
}

void transports_send(struct transports *ts)
{
	for (struct hash_entry *e = hash_next(&ts->names, NULL); e != NULL;
		e = hash_next(&ts->names, e)) {
		transport_send(e->value);
	}
}

size_t transports_sent(const struct transports *ts)
{
	size_t count = 0;

	for (struct hash_entry *e = hash_next(&ts->names, NULL); e != NULL;
		e = hash_next(&ts->names, e)) {
		count += ((struct transport *)e->value)->agent.sent.count;
	}
	return count;
}

/* drop - one that waits */
static void drop(struct transport *t, struct dest *d, struct request *r)
{
	for (size_t i = 0; i < r->count; i++) {
		r->rcpts[i]->state = RCPT_NEW;
	}
	request_remove(&d->waiting, r);
	t->waiting--;
	mem_free(r);
}

/* drop_waiting - of one transport */
static void drop_waiting(struct transport *t, bool all)
{
	for (struct hash_entry *e = hash_next(&t->dests, NULL); e != NULL;
		e = hash_next(&t->dests, e)) {
		struct dest *d = e->value;
		struct request *next;

		for (struct request *r = d->waiting.first; r != NULL; r = next) {
			next = r->next;
			if (all || r->job->let_go) {
				drop(t, d, r);
			}
		}
	}
	ring_check(t);
	if (all && t->agent.sent.count == 0) {
		agent_close(&t->agent);
	}
}

void transports_drop_waiting(struct transports *ts, bool all)
{
	for (struct hash_entry *e = hash_next(&ts->names, NULL); e != NULL;
		e = hash_next(&ts->names, e)) {
		drop_waiting(e->value, all);
	}
}

void transports_revive(struct transports *ts, bool dests)
{
	for (struct hash_entry *e = hash_next(&ts->names, NULL); e != NULL;
		e = hash_next(&ts->names, e)) {
		struct transport *t = e->value;

		loop_untimer(ts->loop, &t->retry);
		t->resting = false;
		t->unavailable = false;
		if (dests) {
			revive_all(t);
		}
		transport_send(t);
	}
}

static void free_dest(void *p)
{
	struct dest *d = p;
	struct transport *t = d->owner;

	loop_untimer(t->set->loop, &d->pause);
	dest_free(d);
}

static void free_transport(void *p)
{
	struct transport *t = p;

	loop_untimer(t->set->loop, &t->retry);
	loop_untimer(t->set->loop, &t->pause);
	agent_free(&t->agent);
	hash_free(&t->dests, free_dest);
	mem_free(t->name);
	mem_free(t);
}

void transports_free(struct transports *ts)
{
	hash_free(&ts->names, free_transport);
}
