/*
 * transport - requests to delivery agents
 *
 * One connection to private/NAME for each transport, made when there is work,
 * with many requests under way. Destinations take turns, so that much mail for one
 * does not keep the others waiting; within one, mail goes in the order it was
 * picked up (suspect recipients were picked up first).
 *
 * When a connection breaks, what was sent and has no answer goes back to the
 * front of its destination, marked as suspect. A recipient under which the
 * connection broke BREAKS_MAX times is deferred. After two breaks in a row requests go one by
 * one until there is an answer, so that only the one that breaks it pays. When nobody listens, all
 * of the transport's mail is deferred and the next attempt comes after transport_retry_time.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "route/resolve.h"
#include "applets/queue/qmgr/qmgr.h"

enum {
	WINDOW = 2000, /* requests under way on one connection */
	MAILBOX_WINDOW =
		500, /* of them for one mailbox: what local can put under one lock and fsync */
	OUT_HIGH = 256 * 1024,
	IN_ONCE = 65536,
	BREAKS_MAX = 3,
	RECONNECT_MS = 1000
};

static bool on_answer(struct stream *s, struct wire *w);
static void on_taken(struct stream *s);
static void on_closed(struct stream *s, enum stream_end why);

static const struct stream_class agent_class = { .frame = on_answer,
	.taken = on_taken,
	.closed = on_closed,
	.read_size = IN_ONCE,
	.in_max = WIRE_MAX,
	.out_keep = 4096 };

/* ---- Lists ---- */

static void list_append(struct request_list *l, struct request *r)
{
	r->next = NULL;
	r->prev = l->last;
	*(l->last != NULL ? &l->last->next : &l->first) = r;
	l->last = r;
	l->count++;
}

static void list_prepend(struct request_list *l, struct request *r)
{
	r->prev = NULL;
	r->next = l->first;
	*(l->first != NULL ? &l->first->prev : &l->last) = r;
	l->first = r;
	l->count++;
}

static void list_remove(struct request_list *l, struct request *r)
{
	*(r->prev != NULL ? &r->prev->next : &l->first) = r->next;
	*(r->next != NULL ? &r->next->prev : &l->last) = r->prev;
	l->count--;
}

/* ---- Slots: what a serial in an answer stands for ---- */

static void slot_take(struct transport *t, struct request *r)
{
	if (t->slot_free == 0) {
		uint32_t count = t->slot_count ? t->slot_count * 2 : 64;

		t->slots = mem_realloc(t->slots, count * sizeof(*t->slots));
		t->slot_next = mem_realloc(t->slot_next, count * sizeof(*t->slot_next));
		for (uint32_t i = t->slot_count; i < count; i++) {
			t->slots[i] = NULL;
			t->slot_next[i] = i + 1 < count ? i + 2 : 0;
		}
		t->slot_free = t->slot_count + 1;
		t->slot_count = count;
	}
	r->slot = t->slot_free - 1;
	r->turn = ++t->turn;
	t->slot_free = t->slot_next[r->slot];
	t->slots[r->slot] = r;
}

static void slot_give(struct transport *t, const struct request *r)
{
	t->slots[r->slot] = NULL;
	t->slot_next[r->slot] = t->slot_free;
	t->slot_free = r->slot + 1;
}

static struct request *slot_find(const struct transport *t, uint64_t serial)
{
	uint32_t slot = (uint32_t)serial, turn = (uint32_t)(serial >> 32);

	if (slot >= t->slot_count || t->slots[slot] == NULL || t->slots[slot]->turn != turn) {
		return NULL;
	}
	return t->slots[slot];
}

/* ---- Transports and destinations ---- */

/* service_limit - NAME_suffix of main.cf */
static int64_t service_limit(const char *name, const char *suffix, int64_t fallback)
{
	struct arena a = ARENA_INIT;
	const char *value = conf_value(&a, arena_printf(&a, "%s_%s", name, suffix));
	int64_t v;

	if (value == NULL || !str_to_int(value, 0, INT32_MAX, &v)) {
		v = fallback;
	}
	arena_free(&a);
	return v;
}

static struct transport *get_transport(struct qmgr *m, const char *name)
{
	struct transport *t = hash_get(&m->transports, name);

	if (t != NULL) {
		return t;
	}
	t = mem_alloc(sizeof(*t));
	t->m = m;
	t->name = mem_strdup(name);
	stream_init(&t->s, m->loop, &agent_class, t);
	t->ready_tail = &t->ready;
	t->recipient_limit = service_limit(
		name, "destination_recipient_limit", param.default_destination_recipient_limit);
	t->dest_limit = service_limit(
		name, "destination_concurrency_limit", param.default_destination_concurrency_limit);
	/* An agent that takes one recipient at a time batches what comes for the same one. */
	if (t->recipient_limit == 1 || t->dest_limit == 0) {
		t->dest_limit = MAILBOX_WINDOW;
	}
	if (t->recipient_limit == 0 || t->recipient_limit > 1000) {
		t->recipient_limit = 1000;
	}
	hash_set(&m->transports, name, t);
	return t;
}

/* get_dest - as postconf(5) has it, with a recipient limit of 1 each recipient is a destination */
static struct dest *get_dest(struct transport *t, const char *nexthop, const char *recipient)
{
	struct buf key = BUF_INIT;
	struct dest *d;

	buf_addf(&key, "%s\n%s", nexthop, t->recipient_limit == 1 ? recipient : "");
	str_lower(key.data);
	d = hash_get(&t->dests, buf_str(&key));
	if (d == NULL) {
		d = mem_alloc(sizeof(*d) + key.len + 1);
		memcpy(d->key, key.data, key.len + 1);
		d->transport = t;
		d->nexthop = mem_strdup(nexthop);
		hash_set(&t->dests, d->key, d);
	}
	buf_free(&key);
	return d;
}

/* dest_check - put it into the ring when it may send; drop it when nothing is left of it */
static void dest_check(struct dest *d)
{
	struct transport *t = d->transport;

	if (d->ready) {
		return;
	}
	if (d->waiting.count > 0 && (int64_t)d->sent < t->dest_limit) {
		d->ready = true;
		d->next = NULL;
		*t->ready_tail = d;
		t->ready_tail = &d->next;
	} else if (d->waiting.count == 0 && d->sent == 0) {
		hash_del(&t->dests, d->key);
		mem_free(d->nexthop);
		mem_free(d);
	}
}

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

/* ---- Requests ---- */

static struct request *new_request(struct job *j, struct dest *d, size_t room)
{
	struct request *r = mem_alloc(sizeof(*r) + room * sizeof(r->rcpts[0]));

	r->job = j;
	r->dest = d;
	return r;
}

static void queue_request(struct request *r, bool front)
{
	if (front) {
		list_prepend(&r->dest->waiting, r);
	} else {
		list_append(&r->dest->waiting, r);
	}
	r->dest->transport->waiting++;
	dest_check(r->dest);
}

/* fail_request - all of its recipients get this result from us */
static void fail_request(struct qmgr *m, struct request *r, const char *dsn, const char *text)
{
	for (size_t i = 0; i < r->count; i++) {
		job_fail(m, r->job, r->rcpts[i], DELIVERY_DEFERRED, dsn, text);
	}
	mem_free(r);
}

/* fail_waiting - nobody takes this transport's mail */
static void fail_waiting(struct qmgr *m, struct transport *t)
{
	struct hash_entry *e, *next;

	for (e = hash_next(&t->dests, NULL); e != NULL; e = next) {
		struct dest *d = e->value;

		next = hash_next(&t->dests, e);
		while (d->waiting.first != NULL) {
			struct request *r = d->waiting.first;

			list_remove(&d->waiting, r);
			t->waiting--;
			fail_request(m, r, "4.3.0", "mail transport unavailable");
		}
	}
	/* The ring holds destinations without mail now: they leave it. */
	while (t->ready != NULL) {
		dest_check(ring_take(t));
	}
}

/*
 * place - r joins the request that is being filled for its destination, or a new one
 */
static void place(struct qmgr *m, struct job *j, struct rcpt *r, const struct route *route,
	struct request **open, size_t *open_count, size_t open_max)
{
	struct transport *t = get_transport(m, route->transport);
	struct request *q;
	struct dest *d;

	if (t->unavailable) {
		job_fail(m, j, r, DELIVERY_DEFERRED, "4.3.0", "mail transport unavailable");
		return;
	}
	d = get_dest(t, route->nexthop, route->recipient);
	if (strcmp(route->recipient, r->address) != 0) {
		r->as = mem_strdup(route->recipient);
	}
	r->state = RCPT_WAITING;
	r->relayed = route->class != ROUTE_LOCAL && route->class != ROUTE_VIRTUAL;
	for (size_t i = 0; i < *open_count && t->recipient_limit > 1; i++) {
		if (open[i]->dest == d && (int64_t)open[i]->count < t->recipient_limit) {
			open[i]->rcpts[open[i]->count++] = r;
			return;
		}
	}
	q = new_request(j, d,
		(size_t)(t->recipient_limit < (int64_t)j->count ? t->recipient_limit
								: (int64_t)j->count));
	q->rcpts[q->count++] = r;
	queue_request(q, false);
	/* Among many destinations the eldest request is left as it is. */
	if (*open_count == open_max) {
		memmove(open, open + 1, --*open_count * sizeof(*open));
	}
	open[(*open_count)++] = q;
}

void transport_submit(struct qmgr *m, struct job *j)
{
	struct arena *a = &m->routing;
	struct request *open[16];
	size_t open_count = 0;

	for (struct rcpt *r = j->rcpts; r != NULL; r = r->next) {
		struct route route;
		int rc;

		if (r->state != RCPT_NEW) {
			continue;
		}
		rc = route_resolve(a, j->sender, r->address, &route);
		if (rc > 0) {
			place(m, j, r, &route, open, &open_count, ARRAY_LEN(open));
		} else {
			job_fail(m, j, r, rc == 0 ? DELIVERY_BOUNCED : DELIVERY_DEFERRED, route.dsn,
				route.text);
		}
		arena_reset(a);
	}
}

/* ---- The connection ---- */

static void on_retry(struct timer *timer)
{
	struct transport *t = timer->owner;
	struct qmgr *m = t->m;

	t->dead = false;
	t->unavailable = false;
	transport_send_all(m);
}

/* die - nothing is sent for so long */
static void die(struct qmgr *m, struct transport *t, int64_t ms)
{
	t->dead = true;
	loop_timer(m->loop, &t->retry, ms, on_retry, t);
}

/* connect_agent - true when there is a connection */
static bool connect_agent(struct qmgr *m, struct transport *t)
{
	char path[512];

	if (t->s.fd >= 0) {
		return true;
	}
	snprintf(path, sizeof(path), "private/%s", t->name);
	if (strchr(t->name, '/') == NULL && stream_connect(&t->s, path) == 0) {
		return true;
	}
	if (errno == EAGAIN) { /* its backlog is full: it is there */
		die(m, t, RECONNECT_MS);
		return false;
	}
	log_warn("connect to transport private/%s: %m", t->name);
	die(m, t, param.transport_retry_time * 1000);
	t->unavailable = true;
	fail_waiting(m, t);
	return false;
}

/* redo - unanswered recipients of a request whose connection broke wait again, suspect */
static void redo(struct qmgr *m, struct request *r)
{
	struct request *again = new_request(r->job, r->dest, r->count);

	for (size_t i = 0; i < r->count; i++) {
		struct rcpt *rcpt = r->rcpts[i];

		if (rcpt->state != RCPT_WAITING) {
			continue;
		}
		rcpt->suspect = true;
		if (++rcpt->breaks >= BREAKS_MAX) {
			job_fail(m, r->job, rcpt, DELIVERY_DEFERRED, "4.3.0",
				"unknown mail transport error");
		} else {
			again->rcpts[again->count++] = rcpt;
		}
	}
	if (again->count > 0) {
		queue_request(again, true);
	} else {
		mem_free(again);
	}
}

/* broken - the agent went away, or talks nonsense */
static void broken(struct qmgr *m, struct transport *t)
{
	stream_close(&t->s);
	t->breaks++;
	while (t->sent.last != NULL) {
		struct request *r =
			t->sent.last; /* backwards, each to the front: the order stays */
		struct dest *d = r->dest;

		list_remove(&t->sent, r);
		slot_give(t, r);
		d->sent--;
		redo(m, r);
		mem_free(r);
		dest_check(d);
	}
	if (t->breaks > 1) {
		die(m, t, RECONNECT_MS);
	}
}

/* send_request - encode it for the agent */
static void send_request(struct transport *t, struct request *r)
{
	struct job *j = r->job;
	struct delivery_recipient *rcpts = mem_calloc(r->count, sizeof(*rcpts));
	struct delivery_request q = { .id = j->id,
		.sender = j->sender,
		.envid = j->envid,
		.nexthop = r->dest->nexthop,
		.size = j->size,
		.arrival = j->arrival,
		.active_since = j->active_since,
		.env_flags = j->flags,
		.recipient_count = r->count,
		.recipients = rcpts };

	slot_take(t, r);
	q.serial = (uint64_t)r->turn << 32 | r->slot;
	for (size_t i = 0; i < r->count; i++) {
		const struct rcpt *from = r->rcpts[i];

		rcpts[i].n = (uint64_t)from->n;
		rcpts[i].address = from->as != NULL ? from->as : from->address;
		rcpts[i].original = from->as != NULL && *from->original == '\0' ? from->address
										: from->original;
		rcpts[i].orcpt = from->orcpt;
		rcpts[i].notify = from->notify;
		rcpts[i].flags = from->suspect ? DELIVERY_SUSPECT : 0;
	}
	delivery_put_request(&t->s.out, &q);
	mem_free(rcpts);
	list_append(&t->sent, r);
	r->dest->sent++;
}

static void send_some(struct qmgr *m, struct transport *t)
{
	struct dest *d;

	if (t->waiting == 0 || t->dead || !connect_agent(m, t) || t->s.lost != STREAM_OPEN) {
		return;
	}
	while (t->sent.count < (t->breaks > 1 ? 1 : WINDOW) && buf_unread(&t->s.out) < OUT_HIGH &&
		(d = ring_take(t)) != NULL) {
		struct request *r = d->waiting.first;

		if (r != NULL) {
			list_remove(&d->waiting, r);
			t->waiting--;
			send_request(t, r);
		}
		dest_check(d);
	}
	/* An agent that takes no more may have delivered: on_closed() comes after its answers. */
	(void)stream_flush(&t->s);
}

void transport_send_all(struct qmgr *m)
{
	if (m->stopping || m->commit_failed) {
		return;
	}
	for (struct hash_entry *e = hash_next(&m->transports, NULL); e != NULL;
		e = hash_next(&m->transports, e)) {
		send_some(m, e->value);
	}
}

/* on_answer - one message of the agent; false: nonsense */
static bool on_answer(struct stream *s, struct wire *w)
{
	struct transport *t = s->owner;
	struct qmgr *m = t->m;
	struct delivery_answer a;
	struct request *r;
	struct dest *d;

	arena_reset(&t->answers);
	if (!delivery_get_answer(w, &t->answers, &a)) {
		return false;
	}
	r = slot_find(t, a.serial);
	if (r == NULL) {
		return false;
	}
	t->breaks = 0;
	for (size_t i = 0; i < r->count; i++) {
		if ((uint64_t)r->rcpts[i]->n == a.n && r->rcpts[i]->state == RCPT_WAITING) {
			job_answer(m, r->job, r->rcpts[i], &a);
			r->answered++;
			break;
		}
	}
	if (r->answered == r->count) {
		d = r->dest;
		list_remove(&t->sent, r);
		slot_give(t, r);
		mem_free(r);
		d->sent--;
		dest_check(d);
	}
	return true;
}

static void on_taken(struct stream *s)
{
	struct transport *t = s->owner;
	struct qmgr *m = t->m;

	arena_free(&t->answers);
	transport_send_all(m);
}

static void on_closed(struct stream *s, enum stream_end why)
{
	struct transport *t = s->owner;
	struct qmgr *m = t->m;

	arena_free(&t->answers);
	if (why == STREAM_MALFORMED || why == STREAM_TOO_LONG) {
		log_warn("private/%s socket: malformed response", t->name);
	}
	/* An idle agent may end when it likes, also while we write to it. */
	if (t->sent.count > 0 && s->lost == STREAM_OPEN) {
		log_warn("private/%s socket: premature disconnect with %zu deliveries under way",
			t->name, t->sent.count);
	}
	broken(m, t);
	transport_send_all(m);
}

size_t transport_sent_count(struct qmgr *m)
{
	size_t count = 0;

	for (struct hash_entry *e = hash_next(&m->transports, NULL); e != NULL;
		e = hash_next(&m->transports, e)) {
		count += ((struct transport *)e->value)->sent.count;
	}
	return count;
}

/* drop_waiting - of one transport */
static void drop_waiting(struct transport *t)
{
	for (struct hash_entry *e = hash_next(&t->dests, NULL); e != NULL;
		e = hash_next(&t->dests, e)) {
		struct request_list *waiting = &((struct dest *)e->value)->waiting;
		struct request *r;

		while ((r = waiting->first) != NULL) {
			list_remove(waiting, r);
			t->waiting--;
			for (size_t i = 0; i < r->count; i++) {
				r->rcpts[i]->state = RCPT_NEW;
			}
			mem_free(r);
		}
	}
	while (t->ready != NULL) {
		dest_check(ring_take(t));
	}
	if (t->sent.count == 0) {
		stream_close(&t->s);
	}
}

void transport_drop_waiting(struct qmgr *m)
{
	for (struct hash_entry *e = hash_next(&m->transports, NULL); e != NULL;
		e = hash_next(&m->transports, e)) {
		drop_waiting(e->value);
	}
}

void transport_revive(struct qmgr *m)
{
	for (struct hash_entry *e = hash_next(&m->transports, NULL); e != NULL;
		e = hash_next(&m->transports, e)) {
		struct transport *t = e->value;

		loop_untimer(m->loop, &t->retry);
		t->dead = false;
		t->unavailable = false;
	}
}

static void free_list(struct request_list *l)
{
	while (l->first != NULL) {
		struct request *r = l->first;

		list_remove(l, r);
		mem_free(r);
	}
}

static void free_dest(void *p)
{
	struct dest *d = p;

	free_list(&d->waiting);
	mem_free(d->nexthop);
	mem_free(d);
}

static void free_transport(void *p)
{
	struct transport *t = p;

	stream_close(&t->s);
	free_list(&t->sent);
	hash_free(&t->dests, free_dest);
	arena_free(&t->answers);
	mem_free(t->slots);
	mem_free(t->slot_next);
	mem_free((char *)t->name);
	mem_free(t);
}

void transport_free_all(struct qmgr *m)
{
	hash_free(&m->transports, free_transport);
}
