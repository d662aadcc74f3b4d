/*
 * load - which message is picked up next
 *
 *	notices		ids that writers have just committed
 *	sweep		the whole queue in id order: at the start, on flush, and every
 *			queue_run_delay in case a notice was lost
 *	due		deferred mail whose next_try has come, eldest first
 *
 * All three in small steps, one a turn, and only while there is room
 * (qmgr_message_active_limit, of which a fifth is kept for new mail); what finds
 * none is left in the queue and met again later.
 *
 * At the start a sweep and the mail that is due come first, and notices wait:
 * mail that may have been under way before must go ahead of newer mail for the same
 * mailbox. When it was the whole server that started, and not only this process (reload, crash),
 * all other deferred mail is tried once after that, as on a flush.
 */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "applets/queue/qmgr/qmgr.h"

enum {
	RING_SIZE = 16384, /* notices kept; beyond, a sweep finds the rest */
	NEW_A_STEP = 200,
	DUE_A_STEP = 50,
	SWEEP_A_STEP = 200,
	CLEAN_SECONDS = 86400, /* unfinished messages of crashed writers go after a day */
	TIMER_MAX = 3600,
	START_SECONDS = 30 /* so long notices wait at most at the start */
};

static void on_step(struct loop_hook *h);

/* is_full - no room for another message */
static bool is_full(void)
{
	return (int64_t)qmgr->job_count >= param.qmgr_message_active_limit ||
		(int64_t)qmgr->rcpt_count >= param.qmgr_message_recipient_limit;
}

/* is_full_for_old - a fifth of the room is for mail that was never tried */
static bool is_full_for_old(void)
{
	return (int64_t)qmgr->job_count >= (param.qmgr_message_active_limit + 1) * 4 / 5 ||
		(int64_t)qmgr->rcpt_count >= (param.qmgr_message_recipient_limit + 1) * 4 / 5;
}

static bool may_load(void)
{
	return qmgr->running && !qmgr->stopping && !qmgr->commit_failed;
}

void load_wake(void)
{
	if (may_load()) {
		loop_at_end(qmgr->loop, &qmgr->load.step, on_step, NULL);
	}
}

/* ---- Notices ---- */

void load_new(const queue_id *ids, size_t count)
{
	struct load *l = &qmgr->load;

	if (l->ring == NULL) {
		l->ring = mem_realloc(NULL, RING_SIZE * sizeof(*l->ring));
	}
	/* From the start again, so that a small ring stays in a page or two of its memory. */
	if (l->ring_count == 0) {
		l->ring_at = 0;
	}
	for (size_t i = 0; i < count; i++) {
		if (l->ring_count == RING_SIZE) {
			load_scan();
			break;
		}
		l->ring[(l->ring_at + l->ring_count++) % RING_SIZE] = ids[i];
	}
	if (count > 0) {
		load_wake();
	}
}

static void step_new(void)
{
	struct load *l = &qmgr->load;

	for (int i = 0; i < NEW_A_STEP && l->ring_count > 0 && !is_full(); i++) {
		queue_id id = l->ring[l->ring_at];

		l->ring_at = (l->ring_at + 1) % RING_SIZE;
		l->ring_count--;
		if (job_load(id) < 0) {
			load_scan();
			return;
		}
	}
}

/* ---- Sweeps ---- */

static void sweep(bool flush, const char *site)
{
	struct load *l = &qmgr->load;

	if (l->sweeping) {
		l->sweep_again = true;
		l->flush_again = l->flush_again || flush;
		return;
	}
	l->sweeping = true;
	l->flush = flush;
	l->sweep_at = 0;
	mem_free(l->site);
	l->site = mem_strdup(site);
	load_wake();
}

void load_scan(void)
{
	sweep(false, NULL);
}

void load_flush_all(void)
{
	transport_revive();
	sweep(true, NULL);
}

void load_flush_site(const char *site)
{
	transport_revive();
	/* One sweep at a time: while another one runs, everything is flushed after it. */
	sweep(true, site);
}

bool load_flush_id(queue_id id)
{
	struct arena a = ARENA_INIT;
	struct queue_envelope env;
	int found = queue_get(qmgr->queue, id, &a, &env);

	arena_free(&a);
	if (found <= 0) {
		return false;
	}
	transport_revive();
	load_new(&id, 1);
	return true;
}

/* goes_to_site - has the message a recipient that is not done in the domain? */
static bool goes_to_site(queue_id id, const char *site)
{
	struct arena a = ARENA_INIT;
	struct queue_recipient r[64];
	int64_t from = 0;
	bool found = false;
	int count;

	do {
		count = queue_recipients(qmgr->queue, id, from, true, &a, r, 64);
		for (int i = 0; i < count && !found; i++) {
			const char *at = strrchr(r[i].address, '@');

			found = at != NULL && str_ieq(at + 1, site);
		}
		from = count > 0 ? r[count - 1].n + 1 : from;
		arena_reset(&a);
	} while (count == 64 && !found);
	arena_free(&a);
	return found;
}

/* is_wanted - does the sweep pick up this message? */
static bool is_wanted(const struct queue_entry *e)
{
	const struct load *l = &qmgr->load;

	switch (e->state) {
	case QUEUE_INCOMING:
		return true;
	case QUEUE_DEFERRED:
		return l->flush && (l->site == NULL || goes_to_site(e->id, l->site));
	case QUEUE_HOLD:
	case QUEUE_CORRUPT:
		break;
	}
	return false;
}

static void end_sweep(void)
{
	struct load *l = &qmgr->load;
	bool flush = l->flush_again;

	l->sweeping = false;
	l->swept = true;
	if (l->sweep_again) {
		l->sweep_again = false;
		l->flush_again = false;
		sweep(flush, NULL);
	}
}

static void step_sweep(void)
{
	struct queue_entry found[SWEEP_A_STEP];
	struct load *l = &qmgr->load;
	int count = queue_scan(qmgr->queue, l->sweep_at, found, SWEEP_A_STEP);

	if (count < 0) {
		qmgr_queue_trouble("cannot look through the queue");
		l->sweeping = false;
		return;
	}
	for (int i = 0; i < count; i++) {
		if (found[i].state == QUEUE_INCOMING ? is_full() : l->flush && is_full_for_old()) {
			return;
		}
		if (is_wanted(&found[i]) && job_load(found[i].id) < 0) {
			return;
		}
		l->sweep_at = found[i].id;
	}
	if (count < SWEEP_A_STEP) {
		end_sweep();
	}
}

/* ---- Due mail ---- */

static void on_due(struct timer *t)
{
	(void)t;
	qmgr->load.due_timer_at = 0;
	load_wake();
}

void load_due_at(int64_t when)
{
	struct load *l = &qmgr->load;
	int64_t wait = when - qmgr_now();

	if (l->due_timer_at != 0 && l->due_timer_at <= when) {
		return;
	}
	l->due_timer_at = when;
	loop_timer(qmgr->loop, &l->due_timer,
		wait < 0                   ? 0
			: wait > TIMER_MAX ? TIMER_MAX * 1000
					   : wait * 1000,
		on_due, NULL);
}

/* step_due - some that are due; false: there are no more for now */
static bool step_due(void)
{
	struct queue_entry found[DUE_A_STEP];
	struct load *l = &qmgr->load;
	int count = queue_due(qmgr->queue, qmgr_now(), &l->due_at, found, DUE_A_STEP);
	int64_t next;

	if (count < 0) {
		qmgr_queue_trouble("cannot look for due mail");
	}
	for (int i = 0; i < count; i++) {
		if (is_full_for_old() || job_load(found[i].id) < 0) {
			return false;
		}
		l->due_at = found[i];
	}
	if (count == DUE_A_STEP) {
		return true;
	}
	next = queue_next_due(qmgr->queue, &l->due_at);
	if (next > 0) {
		load_due_at(next);
	}
	return false;
}

/* ---- Steps ---- */

static void on_step_timer(struct timer *t)
{
	(void)t;
	load_wake();
}

/* end_start - what may have been under way is picked up: now the rest */
static void end_start(void)
{
	qmgr->load.starting = false;
	sweep(!qmgr->service.again, NULL);
}

static void on_step(struct loop_hook *h)
{
	struct load *l = &qmgr->load;
	bool more_due = false;

	(void)h;
	if (!may_load() || is_full()) {
		return;
	}
	if (queue_read_begin(qmgr->queue) != 0) {
		qmgr_queue_trouble("cannot read the queue");
		return;
	}
	if (l->sweeping) {
		step_sweep();
	}
	if (l->due_timer_at == 0) {
		more_due = step_due();
	}
	if (l->starting &&
		(qmgr_now() > qmgr->started + START_SECONDS ||
			(l->swept && !more_due && !is_full_for_old()))) {
		end_start();
	}
	if (!l->starting) {
		step_new();
	}
	queue_read_end(qmgr->queue);
	transport_send_all();
	/* The rest in the next turn, after what the agents have to say. */
	if (is_full()) {
		return;
	}
	if (l->ring_count > 0 || ((l->sweeping || more_due || l->starting) && !is_full_for_old())) {
		loop_timer(qmgr->loop, &l->step_timer, 0, on_step_timer, NULL);
	}
}

static void clean(void)
{
	int count;

	if (qmgr_now() - qmgr->load.cleaned < CLEAN_SECONDS && qmgr->load.cleaned != 0) {
		return;
	}
	qmgr->load.cleaned = qmgr_now();
	count = queue_clean(qmgr->queue, CLEAN_SECONDS);
	if (count > 0) {
		log_info("removed %d unfinished message%s of writers that crashed", count,
			count == 1 ? "" : "s");
	} else if (count < 0) {
		qmgr_queue_trouble("cannot clean the queue");
	}
}

static void on_scan(struct timer *t)
{
	struct load *l = &qmgr->load;

	if (queue_is_marked(qmgr->queue)) {
		log_fatal("another process found the queue damaged: starting anew to look at it");
	}
	queue_rescue(qmgr->queue); /* what a full disk left of it at the start */
	/* From the first again: the clock may have been set back. */
	memset(&l->due_at, 0, sizeof(l->due_at));
	l->due_timer_at = 0;
	load_scan();
	load_wake();
	clean();
	queue_keep_reserve(qmgr->queue);
	loop_timer(qmgr->loop, t, param.queue_run_delay * 1000, on_scan, NULL);
}

void load_start(void)
{
	clean();
	queue_keep_reserve(qmgr->queue);
	qmgr->load.starting = true;
	sweep(false, NULL);
	loop_timer(qmgr->loop, &qmgr->load.scan_timer, param.queue_run_delay * 1000, on_scan, NULL);
}
