/*
 * verify - address probes: who asks, what is known, what comes back
 *
 *	question -> cache: known, not too old	 -> answer; too old to be sure: a probe as well
 *		 -> else: a probe, unless one is on its way; who asks waits
 *	probe	 -> (message with QUEUE_F_PROBE) -> dispatch ... settle -> verify_result
 *		 -> cache -> whoever waits
 *
 * A probe goes through the queue like mail: a queue manager that is killed finds it there. What
 * replaces what is as in verify(8): an address that took mail is believed until
 * address_verify_positive_expire_time, whatever later probes meet.
 */
#include "applets/queue/qmgr/verify/verify.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "queue/queue_write.h"
#include "address/verify_sender.h"
#include "ipc/verify.h"
#include "message/cleanup.h"
#include "applets/queue/qmgr/qmgr.h"
#include "applets/queue/qmgr/settle.h"
#include "applets/queue/qmgr/verify/verify_cache.h"

enum {
	PROBE_TTL = 1000,   /* seconds: a probe without a result is begun anew after it */
	WAITERS_MAX = 5000, /* above it who asks is told at once that it is not known yet */
	WAIT_MAX_MS = 3600 * 1000,
	CLEAN_FIRST_MS = 60000, /* after the first question */
	LOOK_MS = 500           /* from one look at who has waited long enough to the next */
};

/* Who asks for an address of which nothing is known yet. */
struct waiter {
	struct waiter *next;
	struct peer *peer;
	uint64_t serial;
	int64_t due; /* loop milliseconds */
	char address[];
};

/* A probe whose recipient is looked up in tables that have yet to answer. */
struct probe {
	struct probe *next;
	struct verify *v;
	struct map_wait wait;
	char address[];
};

struct verify {
	struct qmgr *m;
	struct verify_cache *cache;
	struct waiter *waiters;
	size_t waiter_count;
	struct probe *probes;
	struct timer timer, clean;
};

/* ---- Beginning and end ---- */

static void on_clean(struct timer *t)
{
	struct verify *v = t->owner;

	verify_cache_clean(v->cache, qmgr_now());
	if (param.address_verify_cache_cleanup_interval > 0) {
		loop_timer(v->m->loop, &v->clean,
			param.address_verify_cache_cleanup_interval * 1000, on_clean, v);
	}
}

/* verify_get - what nobody has asked for so far takes no memory */
static struct verify *verify_get(struct qmgr *m)
{
	struct verify *v = m->verify;

	if (v == NULL) {
		v = m->verify = mem_alloc(sizeof(*v));
		v->m = m;
		v->cache = verify_cache_open();
		loop_timer(m->loop, &v->clean, CLEAN_FIRST_MS, on_clean, v);
	}
	return v;
}

static const struct verify_answer not_known = {
	.status = VERIFY_PENDING, .dsn = "", .text = "Address verification in progress"
};

static void say(struct peer *p, uint64_t serial, const struct verify_answer *r)
{
	verify_put_answer(&p->s.out, serial, r);
	(void)stream_flush(&p->s); /* what fails comes back by its end */
}

/* ---- Who waits ---- */

static bool is_waited_for(const struct verify *v, const char *address)
{
	for (const struct waiter *w = v->waiters; w != NULL; w = w->next) {
		if (strcmp(w->address, address) == 0) {
			return true;
		}
	}
	return false;
}

/*
 * drop_waiters - those of a peer, for an address, or (NULL) who has waited till now; told r, unless
 * that is NULL
 */
static void drop_waiters(struct verify *v, const struct peer *p, const char *address, int64_t now,
	const struct verify_answer *r)
{
	struct waiter **link = &v->waiters, *w;

	while ((w = *link) != NULL) {
		if (p != NULL                     ? w->peer != p
				: address != NULL ? strcmp(w->address, address) != 0
						  : w->due > now) {
			link = &w->next;
			continue;
		}
		*link = w->next;
		v->waiter_count--;
		if (r != NULL) {
			say(w->peer, w->serial, r);
		}
		mem_free(w);
	}
}

static void on_timer(struct timer *t)
{
	struct verify *v = t->owner;

	drop_waiters(v, NULL, NULL, loop_now(v->m->loop), &not_known);
	if (v->waiters != NULL) {
		loop_timer(v->m->loop, &v->timer, LOOK_MS, on_timer, v);
	}
}

static void add_waiter(
	struct verify *v, struct peer *p, uint64_t serial, const char *address, int64_t ms)
{
	struct waiter *w = mem_alloc(sizeof(*w) + strlen(address) + 1);

	memcpy(w->address, address, strlen(address) + 1);
	w->peer = p;
	w->serial = serial;
	w->due = loop_now(v->m->loop) + ms;
	w->next = v->waiters;
	v->waiters = w;
	v->waiter_count++;
	if (v->timer.slot == 0) {
		loop_timer(v->m->loop, &v->timer, LOOK_MS, on_timer, v);
	}
}

void verify_forget(struct peer *p)
{
	struct qmgr *m = p->peers->owner;

	if (m->verify != NULL) {
		drop_waiters(m->verify, p, NULL, 0, NULL);
	}
}

/* ---- What is found out ---- */

/* learn - an address takes mail, or not: into the cache, and to whoever waits */
static void learn(struct verify *v, const char *address, const struct verify_answer *r)
{
	struct arena a = ARENA_INIT;
	struct verify_entry e, old;
	int64_t now = qmgr_now();
	bool keep = verify_cache_get(v->cache, &a, address, now, &old) && old.status == VERIFY_OK &&
		r->status != VERIFY_OK;

	if (!keep && (r->status == VERIFY_OK || param.address_verify_negative_cache)) {
		e = (struct verify_entry){
			.status = r->status, .updated = now, .dsn = r->dsn, .text = r->text
		};
		verify_cache_put(v->cache, address, &e);
	}
	drop_waiters(v, NULL, address, 0, r);
	arena_free(&a);
}

static const char *or_empty(const char *text)
{
	return text != NULL ? text : "";
}

/* ---- Probes ---- */

/* message_to - the probe itself: nothing but its envelope counts; or NULL */
static struct queue_message *message_to(struct verify *v, struct arena *a, const char *address)
{
	const struct queue_envelope env = { .sender = verify_sender(a),
		QUEUE_ENVELOPE_NO_TEXTS,
		.flags = QUEUE_F_VERIFY | QUEUE_F_PROBE };
	const struct queue_recipient to = { .address = address,
		.original = address,
		.orcpt = "",
		.notify = DSN_NEVER,
		.dsn = "",
		.reason = "" };
	struct queue_message *q = queue_begin(v->m->queue, &env);
	static const char subject[] = "Subject: address verification\n\n";

	if (!cleanup_add_recipient(q, NULL, &to) ||
		queue_write(q, subject, sizeof(subject) - 1) != 0) {
		queue_abort(q);
		return NULL;
	}
	return q;
}

/* send - the probe joins the next commit; what is an alias for several needs none */
static void send(struct verify *v, struct queue_message *q, const char *address)
{
	static const struct verify_answer several = {
		.status = VERIFY_OK, .dsn = "2.0.0", .text = "aliased to multiple recipients"
	};

	if (queue_recipient_count(q) == 1) {
		queue_end(q, NULL, NULL);
		settle_soon(v->m);
		return;
	}
	queue_abort(q);
	learn(v, address, &several);
}

static void free_probe(struct probe *b)
{
	struct probe **link = &b->v->probes;

	while (*link != b) {
		link = &(*link)->next;
	}
	*link = b->next;
	map_wait_end(&b->wait);
	mem_free(b);
}

/* try_probe - make the message, or wait for the tables; it is sent, or cannot be: free it */
static void try_probe(struct probe *b)
{
	struct arena a = ARENA_INIT;
	struct queue_message *q;

	map_wait_enter(&b->wait);
	q = message_to(b->v, &a, b->address);
	if (map_wait_leave(&b->wait)) {
		if (q != NULL) {
			queue_abort(q);
		}
	} else {
		if (q != NULL) {
			send(b->v, q, b->address);
		} else {
			log_warn("no probe for %s: a table does not answer, or the queue",
				b->address);
		}
		free_probe(b);
	}
	arena_free(&a);
}

static void on_tables(void *arg)
{
	try_probe(arg);
}

/* begin_probe - one is to be on its way; e is what is known of the address until then */
static void begin_probe(struct verify *v, const char *address, struct verify_entry *e)
{
	struct probe *b;

	if ((int64_t)v->m->probe_count >= param.address_verify_pending_request_limit ||
		v->m->commit_failed) {
		return;
	}
	e->probed = qmgr_now();
	if (e->updated != 0 || param.address_verify_negative_cache) {
		verify_cache_put(v->cache, address, e);
	}
	b = mem_alloc(sizeof(*b) + strlen(address) + 1);
	memcpy(b->address, address, strlen(address) + 1);
	b->v = v;
	b->next = v->probes;
	v->probes = b;
	map_wait_init(&b->wait, v->m->loop, on_tables, b);
	try_probe(b);
}

void verify_result(struct qmgr *m, const struct job *j)
{
	struct verify *v = verify_get(m);

	for (const struct rcpt *r = j->rcpts; r != NULL; r = r->next) {
		const struct verify_answer a = { .status = r->state == RCPT_DONE ? VERIFY_OK
				: r->state == RCPT_BOUNCED                       ? VERIFY_BOUNCE
										 : VERIFY_DEFER,
			.dsn = or_empty(r->dsn),
			.text = or_empty(r->text) };

		learn(v, *r->original != '\0' ? r->original : r->address, &a);
	}
}

/* ---- Questions ---- */

/* is_stale - is it so long ago that it is to be found out anew? */
static bool is_stale(const struct verify_entry *e, int64_t now)
{
	int64_t fresh = e->status == VERIFY_OK ? param.address_verify_positive_refresh_time
					       : param.address_verify_negative_refresh_time;

	return e->status == VERIFY_PENDING || e->updated + fresh < now;
}

/* ask - of a complete address */
static void ask(struct verify *v, struct peer *p, uint64_t serial, const char *address, int64_t ms)
{
	struct arena a = ARENA_INIT;
	struct verify_entry e;
	int64_t now = qmgr_now();

	if (!verify_cache_get(v->cache, &a, address, now, &e)) {
		e = (struct verify_entry){
			.status = VERIFY_PENDING, .dsn = "", .text = not_known.text
		};
	}
	if (e.status != VERIFY_PENDING) {
		const struct verify_answer r = { e.status, e.dsn, e.text };

		say(p, serial, &r);
	} else if (ms > 0 && v->waiter_count < WAITERS_MAX) {
		bool asked = is_waited_for(v, address);

		add_waiter(v, p, serial, address, ms);
		if (asked) {
			arena_free(&a);
			return; /* the same probe answers both */
		}
	} else {
		say(p, serial, &not_known);
	}
	/* A clock that was ahead once does not keep it from being asked for. */
	if (is_stale(&e, now) && (now - e.probed > PROBE_TTL || e.probed > now)) {
		begin_probe(v, address, &e);
	}
	arena_free(&a);
}

bool verify_take(struct qmgr *m, struct peer *p, struct wire *w)
{
	uint64_t serial = wire_get_int(w), ms = wire_get_int(w);
	const char *address = wire_get_str(w);
	struct arena a = ARENA_INIT;
	char *key, *at;

	if (!wire_ok(w) || *address == '\0' || ms > WAIT_MAX_MS) {
		return false;
	}
	/* In the domain there is no case (RFC 5321 2.4). */
	key = arena_strdup(&a, address);
	at = strrchr(key, '@');
	str_lower(at != NULL ? at : key + strlen(key));
	ask(verify_get(m), p, serial, key, (int64_t)ms);
	arena_free(&a);
	return true;
}

void verify_free(struct qmgr *m)
{
	struct verify *v = m->verify;

	if (v == NULL) {
		return;
	}
	while (v->probes != NULL) {
		free_probe(v->probes);
	}
	loop_untimer(m->loop, &v->timer);
	loop_untimer(m->loop, &v->clean);
	drop_waiters(v, NULL, NULL, INT64_MAX, NULL);
	verify_cache_close(v->cache);
	mem_free(v);
	m->verify = NULL;
}
