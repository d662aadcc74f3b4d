/*
 * load - which message is picked up next
 *
 *	notices		ids that writers have just committed
 *	sweep		the whole queue in id order: at the start, on flush, and every
 *			queue_run_delay in case a notice was lost
 *	sites		what waits for a domain that is to be flushed (an index of the queue)
 *	due		deferred mail whose next_try has come, eldest first
 *
 * All in small steps, one a turn, and only while there is room
 * (qmgr_message_active_limit, of which a fifth is kept for new mail); what finds
 * none is left in the queue and met again later.
 *
 * At the start a sweep and the mail that is due come first, and notices wait:
 * mail that may have been under way before must go ahead of newer mail for the same
 * mailbox. When it was the whole server that started, and not only this process (reload, crash),
 * all other deferred mail is tried once after that, as on a flush.
 */
#include "applets/queue/qmgr/load.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "queue/queue_change.h"
#include "queue/queue_hold.h"
#include "queue/queue_parts.h"
#include "applets/queue/qmgr/job.h"
#include "applets/queue/qmgr/qmgr.h"
#include "applets/queue/qmgr/settle.h"

enum {
	RING_SIZE = 16384, /* notices kept; beyond, a sweep finds the rest */
	NEW_A_STEP = 200,
	DUE_A_STEP = 50,
	SWEEP_A_STEP = 200,
	CLEAN_SECONDS = 86400, /* unfinished messages of crashed writers go after a day */
	TIMER_MAX = 3600,
	FAILED_MS = 1000,
	START_SECONDS = 30 /* so long notices wait at most at the start */
};

/* Beside an id in the ring: it is tried though its time has not come. Ids have 50 bits. */
#define ASKED_FOR (UINT64_C(1) << 63)

static void on_step(struct loop_hook *h);

/* is_full - no room for another message */
static bool is_full(struct qmgr *m)
{
	return (int64_t)m->job_count >= param.qmgr_message_active_limit ||
		(int64_t)m->rcpt_count >= param.qmgr_message_recipient_limit;
}

/* is_full_for_old - a fifth of the room is for mail that was never tried */
static bool is_full_for_old(struct qmgr *m)
{
	return (int64_t)m->job_count >= (param.qmgr_message_active_limit + 1) * 4 / 5 ||
		(int64_t)m->rcpt_count >= (param.qmgr_message_recipient_limit + 1) * 4 / 5;
}

static bool may_load(struct qmgr *m)
{
	return m->running && !m->stopping && !m->commit_failed;
}

void load_wake(struct qmgr *m)
{
	if (may_load(m)) {
		loop_at_end(m->loop, &m->load.step, on_step, m);
	}
}

/* ---- Notices ---- */

void load_new(struct qmgr *m, const queue_id *ids, size_t count)
{
	struct load *l = &m->load;

	if (l->ring == NULL) {
		l->ring = mem_realloc(NULL, RING_SIZE * sizeof(*l->ring));
	}
	/* From the start again, so that a small ring stays in a page or two of its memory. */
	if (l->ring_count == 0) {
		l->ring_at = 0;
	}
	for (size_t i = 0; i < count; i++) {
		if (l->ring_count == RING_SIZE) {
			load_scan(m);
			break;
		}
		l->ring[(l->ring_at + l->ring_count++) % RING_SIZE] = ids[i];
	}
	if (count > 0) {
		load_wake(m);
	}
}

/*
 * take - make it active, if it is to be; false: it cannot be read now. It is passed over until the
 * next look through the queue, or a page of the disk that is gone would keep all mail behind it
 * waiting; and the next step comes a little later, for it may be all of them.
 */
static bool take(struct qmgr *m, queue_id id, bool flush)
{
	bool good;

	m->load.flushing = flush;
	good = job_load(m, id) >= 0;
	m->load.flushing = false;

	m->load.failed = m->load.failed || !good;
	return good;
}

static void step_new(struct qmgr *m)
{
	struct load *l = &m->load;

	for (int i = 0; i < NEW_A_STEP && l->ring_count > 0 && !is_full(m); i++) {
		queue_id id = l->ring[l->ring_at];

		l->ring_at = (l->ring_at + 1) % RING_SIZE;
		l->ring_count--;
		if (!take(m, id & ~ASKED_FOR, (id & ASKED_FOR) != 0)) {
			load_scan(m);
			return;
		}
	}
}

/* ---- Sweeps ---- */

static void sweep(struct qmgr *m, bool flush)
{
	struct load *l = &m->load;

	if (l->sweeping) {
		l->sweep_again = true;
		l->flush_again = l->flush_again || flush;
		return;
	}
	l->sweeping = true;
	l->flush = flush;
	l->sweep_at = 0;
	load_wake(m);
}

void load_scan(struct qmgr *m)
{
	sweep(m, false);
}

void load_flush_all(struct qmgr *m)
{
	transports_revive(&m->transports, true);
	m->load.asked = true;
	sweep(m, true);
}

void load_flush_site(struct qmgr *m, const char *site)
{
	struct load *l = &m->load;

	transports_revive(&m->transports, false);
	for (size_t i = 1; i < l->site_count; i++) {
		if (str_ieq(l->sites[i], site)) {
			return;
		}
	}
	if (l->site_count == ARRAY_LEN(l->sites)) {
		sweep(m, true); /* so many at a time: everything */
		return;
	}
	l->sites[l->site_count++] = mem_strdup(site);
	load_wake(m);
}

bool load_flush_id(struct qmgr *m, queue_id id)
{
	struct arena a = ARENA_INIT;
	struct queue_envelope env;
	int found = queue_get(m->queue, id, &a, &env);

	arena_free(&a);
	if (found <= 0) {
		return false;
	}
	transports_revive(&m->transports, false);
	id |= ASKED_FOR;
	load_new(m, &id, 1);
	return true;
}

/* is_too_late - is it due later than anything can be? Then the clock was set back meanwhile */
static bool is_too_late(const struct queue_entry *e)
{
	int64_t most = param.maximal_backoff_time > param.minimal_backoff_time
		? param.maximal_backoff_time
		: param.minimal_backoff_time;

	return e->next_try > qmgr_now() + most + CLOCK_STEP_SECONDS;
}

/* let_go - postsuper -r had it on hold for a moment, and was killed */
static void let_go(struct qmgr *m, const struct queue_entry *e)
{
	if (e->next_try == QUEUE_REQUEUE_HOLD && !queue_requeue_under_way(m->queue)) {
		queue_set_state(m->queue, e->id, QUEUE_INCOMING, 0);
		m->load.sweep_again = true; /* which finds it, when that is committed */
		settle_soon(m);
	}
}

/* is_tried - does the sweep ask for this message, which waits? */
static bool is_tried(const struct load *l, const struct queue_entry *e)
{
	/* Who puts mail in anew and reloads means it to go by the new settings. */
	return l->flush || (l->again && (e->flags & QUEUE_F_REQUEUED) != 0);
}

/* is_wanted - does the sweep pick up this message? */
static bool is_wanted(struct qmgr *m, const struct queue_entry *e)
{
	const struct load *l = &m->load;

	switch (e->state) {
	case QUEUE_INCOMING:
		return true;
	case QUEUE_DEFERRED:
		return is_tried(l, e) || is_too_late(e);
	case QUEUE_HOLD:
		let_go(m, e);
		break;
	case QUEUE_CORRUPT:
		break;
	}
	return false;
}

static void end_sweep(struct qmgr *m)
{
	struct load *l = &m->load;
	bool flush = l->flush_again;

	l->sweeping = false;
	l->swept = true;
	l->again = false;
	if (l->sweep_again) {
		l->sweep_again = false;
		l->flush_again = false;
		sweep(m, flush);
	} else {
		l->asked = false;
	}
}

static void step_sweep(struct qmgr *m)
{
	struct queue_entry found[SWEEP_A_STEP];
	struct load *l = &m->load;
	int count = queue_scan(m->queue, l->sweep_at, found, SWEEP_A_STEP);

	if (count < 0) {
		qmgr_queue_trouble(m, "cannot look through the queue");
		l->sweeping = false;
		return;
	}
	for (int i = 0; i < count; i++) {
		bool wanted = is_wanted(m, &found[i]);

		if (wanted &&
			(found[i].state == QUEUE_INCOMING ? is_full(m) : is_full_for_old(m))) {
			return;
		}
		l->sweep_at = found[i].id;
		if (wanted && !take(m, found[i].id, l->flush && l->asked)) {
			return;
		}
	}
	if (count < SWEEP_A_STEP) {
		end_sweep(m);
	}
}

/* end_site - the first of them is done */
static void end_site(struct load *l)
{
	mem_free(l->sites[0]);
	memmove(l->sites, l->sites + 1, --l->site_count * sizeof(l->sites[0]));
	l->site_at = 0;
}

/* step_site - some of the mail for the first site that is to be flushed */
static void step_site(struct qmgr *m)
{
	struct queue_entry found[SWEEP_A_STEP];
	struct load *l = &m->load;
	int count = queue_site(m->queue, l->sites[0], l->site_at, found, SWEEP_A_STEP);

	if (count < 0) {
		qmgr_queue_trouble(m, "cannot look for the mail of a site");
		end_site(l);
		return;
	}
	for (int i = 0; i < count; i++) {
		if (is_full_for_old(m)) {
			return;
		}
		l->site_at = found[i].id;
		if (!take(m, found[i].id, true)) {
			return;
		}
	}
	if (count < SWEEP_A_STEP) {
		end_site(l);
	}
}

/* ---- Due mail ---- */

static void on_due(struct timer *t)
{
	struct qmgr *m = t->owner;

	m->load.due_timer_at = 0;
	load_wake(m);
}

void load_due_at(struct qmgr *m, int64_t when)
{
	struct load *l = &m->load;
	int64_t wait = when - qmgr_now();

	if (l->due_timer_at != 0 && l->due_timer_at <= when) {
		return;
	}
	l->due_timer_at = when;
	loop_timer(m->loop, &l->due_timer,
		wait < 0                   ? 0
			: wait > TIMER_MAX ? TIMER_MAX * 1000
					   : wait * 1000,
		on_due, m);
}

/* step_due - some that are due; false: there are no more for now */
static bool step_due(struct qmgr *m)
{
	struct queue_entry found[DUE_A_STEP];
	struct load *l = &m->load;
	int count = queue_due(m->queue, qmgr_now(), &l->due_at, found, DUE_A_STEP);
	int64_t next;

	if (count < 0) {
		qmgr_queue_trouble(m, "cannot look for due mail");
	}
	for (int i = 0; i < count; i++) {
		if (is_full_for_old(m)) {
			return false;
		}
		l->due_at = found[i];
		if (!take(m, found[i].id, false)) {
			return true;
		}
	}
	if (count == DUE_A_STEP) {
		return true;
	}
	next = queue_next_due(m->queue, &l->due_at);
	if (next > 0) {
		load_due_at(m, next);
	}
	return false;
}

/* ---- Steps ---- */

static void on_step_timer(struct timer *t)
{
	struct qmgr *m = t->owner;

	load_wake(m);
}

/* end_start - what may have been under way is picked up: now the rest */
static void end_start(struct qmgr *m)
{
	m->load.starting = false;
	sweep(m, !m->service.again);
}

static void on_step(struct loop_hook *h)
{
	struct qmgr *m = h->owner;
	struct load *l = &m->load;
	bool more_due = false;

	if (!may_load(m) || is_full(m)) {
		return;
	}
	if (queue_read_begin(m->queue) != 0) {
		qmgr_queue_trouble(m, "cannot read the queue");
		return;
	}
	l->failed = false;
	if (l->sweeping) {
		step_sweep(m);
	}
	if (l->site_count > 0) {
		step_site(m);
	}
	if (l->due_timer_at == 0) {
		more_due = step_due(m);
	}
	if (l->starting &&
		(qmgr_now() > m->started + START_SECONDS ||
			(l->swept && !more_due && !is_full_for_old(m)))) {
		end_start(m);
	}
	if (!l->starting) {
		step_new(m);
	}
	queue_read_end(m->queue);
	transports_send(&m->transports);
	/* The rest in the next turn, after what the agents have to say. */
	if (is_full(m)) {
		return;
	}
	if (l->ring_count > 0 ||
		((l->sweeping || l->site_count > 0 || more_due || l->starting) &&
			!is_full_for_old(m))) {
		loop_timer(m->loop, &l->step_timer, l->failed ? FAILED_MS : 0, on_step_timer, m);
	}
}

static void clean(struct qmgr *m)
{
	int count;

	if (qmgr_now() - m->load.cleaned < CLEAN_SECONDS && m->load.cleaned != 0) {
		return;
	}
	m->load.cleaned = qmgr_now();
	count = queue_clean(m->queue, CLEAN_SECONDS);
	if (count > 0) {
		log_info("removed %d unfinished message%s of writers that crashed", count,
			count == 1 ? "" : "s");
	} else if (count < 0) {
		qmgr_queue_trouble(m, "cannot clean the queue");
	}
}

void load_spill(struct qmgr *m)
{
	/* All: writers that a reload has not reached yet still put mail into memory. */
	(void)queue_spill(m->queue, strcmp(param.queue_durability, "strict") == 0);
}

static void on_scan(struct timer *t)
{
	struct qmgr *m = t->owner;
	struct load *l = &m->load;

	if (queue_is_marked(m->queue)) {
		log_fatal("another process found the queue damaged: starting anew to look at it");
	}
	queue_rescue(m->queue); /* what a full disk left of it at the start */
	load_spill(m);
	/* From the first again: the clock may have been set back. */
	memset(&l->due_at, 0, sizeof(l->due_at));
	l->due_timer_at = 0;
	load_scan(m);
	load_wake(m);
	clean(m);
	queue_keep_reserve(m->queue);
	loop_timer(m->loop, t, param.queue_run_delay * 1000, on_scan, m);
}

void load_start(struct qmgr *m)
{
	clean(m);
	queue_keep_reserve(m->queue);
	m->load.starting = true;
	m->load.again = m->service.again;
	sweep(m, false);
	loop_timer(m->loop, &m->load.scan_timer, param.queue_run_delay * 1000, on_scan, m);
}

/* load_released - an elder let go of this message: it is gone, due later, or ours to try */
void load_released(struct qmgr *m, queue_id id)
{
	struct arena a = ARENA_INIT;
	struct queue_envelope env;
	int found = queue_get(m->queue, id, &a, &env);

	if (found > 0 && env.state == QUEUE_DEFERRED && env.next_try > qmgr_now()) {
		load_due_at(m, env.next_try);
	} else if (found != 0) {
		load_new(m, &id, 1);
	}
	arena_free(&a);
}

void load_free(struct qmgr *m)
{
	mem_free(m->load.ring);
	while (m->load.site_count > 0) {
		end_site(&m->load);
	}
}
