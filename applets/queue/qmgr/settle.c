/*
 * settle - what the answers of a turn mean for the queue, and the commit
 *
 * Answers are collected while the turn lasts, and under load a little longer:
 * the first commit after a quiet time is made at once, the next ones COMMIT_GAP_MS
 * apart, so that one fsync serves many mails. Nobody waits for it: the agent's
 * window is free again when its answer is read.
 *
 * A message whose recipients are all done is only removed; "done" is written
 * one by one only where others of the same message are still under way. Notices are
 * queued by the commit that settles what they report; when one waits in a stage of its pipeline,
 * what it reports waits with it.
 *
 * When a commit fails (disk full), everything stays collected, nothing new is begun, and
 * it is tried again every second.
 */
#include "applets/queue/qmgr/settle.h"

#include "base/clock.h"
#include "base/log.h"
#include "conf/params.h"
#include "applets/queue/qmgr/dispatch.h"
#include "applets/queue/qmgr/load.h"
#include "applets/queue/qmgr/notice.h"
#include "applets/queue/qmgr/post.h"
#include "applets/queue/qmgr/qmgr.h"
#include "applets/queue/qmgr/verify/verify.h"

enum { COMMIT_GAP_MS = 5, RETRY_MS = 1000, ATTEMPTS_MAX = 100000 };

/* Earlier times (2024-01-01) come from a clock that nobody has set. */
#define CLOCK_SET INT64_C(1704067200)

/* ---- One message ---- */

/*
 * record - write down what came of the recipients; those that are done leave, the others get their
 * reason. Whose success is yet to be reported is not done
 */
static void record(struct qmgr *m, struct job *j, bool deferred_too)
{
	for (struct rcpt *r = j->rcpts; r != NULL; r = r->next) {
		bool done = r->state == RCPT_DONE && !notice_wants_success(j, r);

		if ((done || (r->state == RCPT_BOUNCED && deferred_too)) && !r->recorded) {
			queue_recipient_done(m->queue, j->id, r->n);
			r->recorded = true;
		} else if (r->state == RCPT_DEFERRED && deferred_too) {
			queue_recipient_deferred(m->queue, j->id, r->n, r->dsn, r->text);
		}
	}
}

static size_t count_state(const struct job *j, enum rcpt_state state)
{
	size_t count = 0;

	for (const struct rcpt *r = j->rcpts; r != NULL; r = r->next) {
		count += r->state == state;
	}
	return count;
}

static void change_state(struct job *j, enum rcpt_state from, enum rcpt_state to)
{
	for (struct rcpt *r = j->rcpts; r != NULL; r = r->next) {
		if (r->state == from) {
			r->state = to;
		}
	}
}

/* backoff - about what the wait was after so many attempts: each time twice as long */
static int64_t backoff(int attempts)
{
	int64_t wait = param.minimal_backoff_time;

	for (int i = 0; i < attempts && wait < param.maximal_backoff_time; i++) {
		wait *= 2;
	}
	return wait < param.maximal_backoff_time ? wait : param.maximal_backoff_time;
}

/*
 * waited - seconds it has been in the queue, however the clock was set meanwhile. Mail that came
 * before it was set at all (a router before NTP) would be decades old then: it has waited between
 * its attempts, as far as is known
 */
static int64_t waited(struct qmgr *m, const struct job *j)
{
	int64_t arrival = j->arrival / 1000000, sum = 0;

	if (arrival >= CLOCK_SET || qmgr_now() < CLOCK_SET) {
		clock_steps_look(&m->clock, qmgr_now(), clock_steady());
		return qmgr_now() - arrival - clock_steps_since(&m->clock, arrival);
	}
	for (int i = 0; i < j->attempts && i < ATTEMPTS_MAX; i++) {
		sum += backoff(i);
	}
	return sum;
}

/* is_expired - is it time to give up? Says so in the log */
static bool is_expired(struct qmgr *m, struct job *j)
{
	int64_t lifetime =
		*j->sender == '\0' ? param.bounce_queue_lifetime : param.maximal_queue_lifetime;
	bool forced = (j->flags & QUEUE_F_EXPIRE) != 0;
	char id[QUEUE_ID_TEXT];

	/* Of its other recipients it was said already. */
	if (j->expired || (!forced && waited(m, j) < lifetime)) {
		return j->expired;
	}
	j->expired = true;
	queue_id_text(j->id, id);
	log_info("%s: from=<%s>, status=%s, returned to sender", id, j->sender,
		forced ? "force-expired" : "expired");
	return true;
}

/*
 * retry_time - when it is tried again: after as long as it has waited already, within
 * minimal_backoff_time and maximal_backoff_time, as Postfix has it. So mail that was held or
 * flushed is not asked for more often than what was not
 */
static int64_t retry_time(struct qmgr *m, const struct job *j)
{
	int64_t wait = waited(m, j);

	/* Put in anew it has waited since, whenever it came. */
	if ((j->flags & QUEUE_F_REQUEUED) != 0 && qmgr_now() - queue_id_time(j->id) < wait) {
		wait = qmgr_now() - queue_id_time(j->id);
	}
	if (wait < param.minimal_backoff_time) {
		wait = param.minimal_backoff_time;
	}
	return qmgr_now() + (wait < param.maximal_backoff_time ? wait : param.maximal_backoff_time);
}

/* must_warn - has it waited for so long that its sender is to know? */
static bool must_warn(struct qmgr *m, const struct job *j)
{
	return param.delay_warning_time > 0 && !(j->flags & QUEUE_F_WARNED) && *j->sender != '\0' &&
		waited(m, j) >= param.delay_warning_time;
}

static void defer(struct qmgr *m, struct job *j, bool warned)
{
	if (warned) {
		queue_set_flags(m->queue, j->id, QUEUE_F_WARNED);
	}
	j->retry_at = retry_time(m, j);
	queue_defer(m->queue, j->id, j->retry_at, "");
	j->kept = true;
}

/*
 * trace_part - what has become of it is reported, whatever that is; sendmail -bv wants no more than
 * that, and a probe that the one who asked knows. 0; 1 the report waits
 */
static int trace_part(struct qmgr *m, struct job *j)
{
	bool verify = (j->flags & QUEUE_F_VERIFY) != 0;
	int rc;

	if (!job_is_traced(j)) {
		return 0;
	}
	if ((j->flags & QUEUE_F_PROBE) != 0) {
		verify_result(m, j);
		change_state(j, RCPT_DEFERRED, RCPT_DONE);
		change_state(j, RCPT_BOUNCED, RCPT_DONE);
		return 0;
	}
	rc = notice_trace(m, j);
	if (rc < 0) {
		qmgr_queue_trouble(m, "cannot queue a delivery report");
	}
	if (verify && rc < 0) {
		change_state(j, RCPT_DONE, RCPT_DEFERRED);
		change_state(j, RCPT_BOUNCED, RCPT_DEFERRED);
	} else if (verify && rc == 0) {
		change_state(j, RCPT_DEFERRED, RCPT_DONE);
		change_state(j, RCPT_BOUNCED, RCPT_DONE);
	}
	return rc == 1;
}

/*
 * report_part - what has to be said of recipients that all have their answer: 0; 1 a notice waits.
 * *warned_r: of the delay
 */
static int report_part(struct qmgr *m, struct job *j, bool *warned_r)
{
	int rc = 0;

	/* Once: what is deferred because it could not be reported is not given up now. */
	if ((j->noticed & POST_FAILURE) == 0 && count_state(j, RCPT_DEFERRED) > 0 &&
		is_expired(m, j)) {
		change_state(j, RCPT_DEFERRED, RCPT_BOUNCED);
	}
	if (count_state(j, RCPT_BOUNCED) > 0) {
		rc = notice_failure(m, j);
	}
	/* What cannot be reported cannot be given up: it is tried again. */
	if (rc < 0) {
		change_state(j, RCPT_BOUNCED, RCPT_DEFERRED);
	}
	if (rc != 1 && !j->more && (count_state(j, RCPT_DEFERRED) > 0 || j->deferred) &&
		((j->noticed & POST_DELAY) != 0 || must_warn(m, j))) {
		rc = notice_delay(m, j);
		*warned_r = rc == 0;
	}
	return rc == 1;
}

/* finish_part - all recipients in memory have their answer; false: a notice waits */
static bool finish_part(struct qmgr *m, struct job *j)
{
	bool warned = false, deferred;

	if (trace_part(m, j) != 0 || report_part(m, j, &warned) != 0) {
		return false;
	}
	deferred = count_state(j, RCPT_DEFERRED) > 0;
	if (!j->more && !deferred && !j->deferred) {
		queue_remove(m->queue, j->id);
		j->gone = true;
		return true;
	}
	record(m, j, true);
	if (j->more) {
		j->deferred = j->deferred || deferred;
	} else {
		defer(m, j, warned);
	}
	return true;
}

static void await_commit(struct qmgr *m, struct job *j)
{
	if (!j->unsettled) {
		j->unsettled = true;
		j->unsettled_next = NULL;
		*m->unsettled_tail = j;
		m->unsettled_tail = &j->unsettled_next;
	}
}

/* forget - it was deleted from the queue while agents had some of it */
static void forget(struct qmgr *m, struct job *j)
{
	while (j->posts != NULL) {
		post_drop(j->posts);
	}
	job_leave_added(j);
	j->gone = j->waiting == 0;
	await_commit(m, j);
}

/* settle_job - its changes join the next commit, unless a notice waits: then it is touched again */
static void settle_job(struct qmgr *m, struct job *j)
{
	int reports;

	j->touched = false;
	if (j->deleted) {
		forget(m, j);
		return;
	}
	reports = notice_success(m, j);
	if (reports < 0) {
		qmgr_queue_trouble(m, "cannot queue a delivery report");
	}
	if (reports == 1 || j->waiting > 0 || j->added != NULL) {
		record(m, j, false);
	} else if (!finish_part(m, j)) {
		return;
	}
	notice_end(j);
	await_commit(m, j);
}

/* leave - it goes from memory; one that a command has changed is looked at in the queue again */
static void leave(struct qmgr *m, struct job *j)
{
	queue_id id = j->id;
	bool again = j->let_go && !j->gone && !m->stopping;

	job_free(m, j);
	if (again) {
		load_released(m, id);
	}
}

/* go_on - the commit has succeeded: what is next for this message? */
static void go_on(struct qmgr *m, struct job *j)
{
	char id[QUEUE_ID_TEXT];

	j->unsettled = false;
	if (j->gone && !j->deleted) {
		queue_id_text(j->id, id);
		log_info("%s: removed", id);
	}
	if (j->kept) {
		load_due_at(m, j->retry_at);
	}
	if (j->gone || j->kept) {
		mirror_put(m, j->id, j->kept);
		leave(m, j);
		return;
	}
	if (j->added != NULL && (m->stopping || j->let_go)) {
		job_leave_added(j);
		settle_touch(m, j);
	} else if (j->added != NULL) {
		job_take_added(m, j);
		dispatch_submit(m, j);
	}
	/* An answer that came while the commit failed is not written down yet. */
	if (j->waiting > 0 || j->touched || j->posts != NULL) {
		return;
	}
	if (j->let_go) {
		leave(m, j);
	} else if (!j->more) {
		settle_touch(m, j);
	} else if (m->stopping || job_load_more(m, j) != 0) {
		job_free(m, j); /* still in the queue: the next look through it finds it */
	}
}

/* ---- All of them ---- */

static void on_commit_timer(struct timer *t)
{
	struct qmgr *m = t->owner;

	settle_now(m);
}

static void commit_later(struct qmgr *m, int64_t ms)
{
	if (m->commit_timer.slot == 0) {
		loop_timer(m->loop, &m->commit_timer, ms, on_commit_timer, m);
	}
}

/* settle_touched - messages that had an answer: as many as one commit takes, then the next */
static void settle_touched(struct qmgr *m, int batch)
{
	for (int i = 0; i < batch && m->touched != NULL; i++) {
		struct job *j = m->touched;

		m->touched = j->touched_next;
		if (m->touched == NULL) {
			m->touched_tail = &m->touched;
		}
		settle_job(m, j);
	}
	if (m->touched != NULL) {
		settle_soon(m);
	}
}

/* after_commit - messages go on or go; new ones of ours are picked up */
static void after_commit(struct qmgr *m)
{
	struct job *j = m->unsettled, *next;
	size_t count;
	const queue_id *ids = queue_committed(m->queue, &count);

	load_new(m, ids, count);
	m->unsettled = NULL;
	m->unsettled_tail = &m->unsettled;
	for (; j != NULL; j = next) {
		next = j->unsettled_next;
		go_on(m, j);
	}
	load_wake(m);
	transports_send(&m->transports);
}

void settle_now(struct qmgr *m)
{
	loop_untimer(m->loop, &m->commit_timer);
	/* While nothing can be written the changes of other messages wait in memory. */
	settle_touched(m, m->commit_failed ? 0 : m->batch);
	m->last_commit = loop_now(m->loop);
	if (queue_commit(m->queue) != 0) {
		m->commit_failed = true;
		qmgr_queue_trouble(m, "the queue cannot be written, deliveries wait");
		if (queue_is_full(m->queue) && queue_use_reserve(m->queue)) {
			commit_later(m, 1);
		} else {
			commit_later(m, RETRY_MS);
		}
		return;
	}
	m->commit_failed = false;
	after_commit(m);
}

static void on_turn_end(struct loop_hook *h)
{
	struct qmgr *m = h->owner;
	int64_t since = loop_now(m->loop) - m->last_commit;

	if (m->commit_failed || (since < COMMIT_GAP_MS && !m->stopping)) {
		commit_later(m, COMMIT_GAP_MS - since > 0 ? COMMIT_GAP_MS - since : 1);
	} else {
		settle_now(m);
	}
}

void settle_init(struct qmgr *m)
{
	m->touched_tail = &m->touched;
	m->unsettled_tail = &m->unsettled;
	m->at_turn_end = on_turn_end;
	m->batch = queue_batch(m->queue);
}
