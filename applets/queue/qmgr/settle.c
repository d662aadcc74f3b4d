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
 * queued by the commit that settles what they report.
 *
 * When a commit fails (disk full), everything stays collected, nothing new is begun, and
 * it is tried again every second.
 */
#include "base/log.h"
#include "conf/params.h"
#include "applets/queue/qmgr/qmgr.h"

enum { COMMIT_GAP_MS = 5, RETRY_MS = 1000, ATTEMPTS_MAX = 100000 };

/* Earlier times (2024-01-01) come from a clock that nobody has set. */
#define CLOCK_SET INT64_C(1704067200)

static void on_turn_end(struct loop_hook *h);

void settle_soon(void)
{
	loop_at_end(qmgr->loop, &qmgr->turn_end, on_turn_end, NULL);
}

void settle_touch(struct job *j)
{
	if (j->touched) {
		return;
	}
	j->touched = true;
	j->touched_next = NULL;
	*qmgr->touched_tail = j;
	qmgr->touched_tail = &j->touched_next;
	settle_soon();
}

void settle_with_copy(struct job *j)
{
	settle_touch(j);
	qmgr->forwards += !j->forwarded;
	j->forwarded = true;
}

bool settle_idle(void)
{
	return qmgr->touched == NULL && qmgr->unsettled == NULL && !queue_pending(qmgr->queue);
}

/* ---- One message ---- */

/* record - write down what came of the recipients; those that are done leave, the others get their
 * reason */
static void record(struct job *j, bool deferred_too)
{
	for (struct rcpt *r = j->rcpts; r != NULL; r = r->next) {
		if ((r->state == RCPT_DONE || (r->state == RCPT_BOUNCED && deferred_too)) &&
			!r->recorded) {
			queue_recipient_done(qmgr->queue, j->id, r->n);
			r->recorded = true;
		} else if (r->state == RCPT_DEFERRED && deferred_too) {
			queue_recipient_deferred(qmgr->queue, j->id, r->n, r->dsn, r->text);
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

/* backoff - the wait after so many attempts: minimal_backoff_time, doubled up to the maximal one */
static int64_t backoff(int attempts)
{
	int64_t wait = param.minimal_backoff_time;

	for (int i = 0; i < attempts && wait < param.maximal_backoff_time; i++) {
		wait *= 2;
	}
	return wait < param.maximal_backoff_time ? wait : param.maximal_backoff_time;
}

/*
 * waited - seconds it has been in the queue. Mail that came before the clock was set (a router
 * before NTP) would be decades old then: it has waited between its attempts, as far as is known
 */
static int64_t waited(const struct job *j)
{
	int64_t arrival = j->arrival / 1000000, sum = 0;

	if (arrival >= CLOCK_SET || qmgr_now() < CLOCK_SET) {
		return qmgr_now() - arrival;
	}
	for (int i = 0; i < j->attempts && i < ATTEMPTS_MAX; i++) {
		sum += backoff(i);
	}
	return sum;
}

/* is_expired - is it time to give up? Says so in the log */
static bool is_expired(const struct job *j)
{
	int64_t lifetime =
		*j->sender == '\0' ? param.bounce_queue_lifetime : param.maximal_queue_lifetime;
	bool forced = (j->flags & QUEUE_F_EXPIRE) != 0;
	char id[QUEUE_ID_TEXT];

	if (!forced && waited(j) < lifetime) {
		return false;
	}
	queue_id_text(j->id, id);
	log_info("%s: from=<%s>, status=%s, returned to sender", id, j->sender,
		forced ? "force-expired" : "expired");
	return true;
}

/* retry_time - when it is tried again */
static int64_t retry_time(const struct job *j)
{
	return qmgr_now() + backoff(j->attempts);
}

static void defer(struct job *j)
{
	bool warn = param.delay_warning_time > 0 && !(j->flags & QUEUE_F_WARNED) &&
		*j->sender != '\0' && waited(j) >= param.delay_warning_time;

	if (warn && notice_delay(j) == 0) {
		queue_set_flags(qmgr->queue, j->id, QUEUE_F_WARNED);
	}
	j->retry_at = retry_time(j);
	queue_defer(qmgr->queue, j->id, j->retry_at, "");
	j->kept = true;
}

/* finish_part - all recipients in memory have their answer */
static void finish_part(struct job *j)
{
	bool expired = !j->more && count_state(j, RCPT_DEFERRED) > 0 && is_expired(j);
	bool deferred;

	if (expired) {
		change_state(j, RCPT_DEFERRED, RCPT_BOUNCED);
	}
	/* What cannot be reported cannot be given up: it is tried again. */
	if (count_state(j, RCPT_BOUNCED) > 0 && notice_failure(j) != 0) {
		change_state(j, RCPT_BOUNCED, RCPT_DEFERRED);
	}
	deferred = count_state(j, RCPT_DEFERRED) > 0;
	if (!j->more && !deferred && !j->deferred) {
		queue_remove(qmgr->queue, j->id);
		j->gone = true;
		return;
	}
	record(j, true);
	if (j->more) {
		j->deferred = j->deferred || deferred;
	} else {
		defer(j);
	}
}

/* settle_job - its changes join the next commit */
static void settle_job(struct job *j)
{
	j->touched = false;
	qmgr->forwards -= j->forwarded;
	j->forwarded = false;
	if (notice_success(j) != 0) {
		qmgr_queue_trouble("cannot queue a delivery report");
	}
	if (j->waiting > 0 || j->added != NULL) {
		record(j, false);
	} else {
		finish_part(j);
	}
	if (!j->unsettled) {
		j->unsettled = true;
		j->unsettled_next = NULL;
		*qmgr->unsettled_tail = j;
		qmgr->unsettled_tail = &j->unsettled_next;
	}
}

/* go_on - the commit has succeeded: what is next for this message? */
static void go_on(struct job *j)
{
	char id[QUEUE_ID_TEXT];

	j->unsettled = false;
	if (j->gone) {
		queue_id_text(j->id, id);
		log_info("%s: removed", id);
	}
	if (j->kept) {
		load_due_at(j->retry_at);
	}
	if (j->gone || j->kept) {
		job_free(j);
		return;
	}
	if (j->added != NULL && qmgr->stopping) {
		job_leave_added(j);
		settle_touch(j);
	} else if (j->added != NULL) {
		job_take_added(j);
		transport_submit(j);
	}
	/* An answer that came while the commit failed is not written down yet. */
	if (j->waiting > 0 || j->touched) {
		return;
	}
	if (!j->more) {
		settle_touch(j);
	} else if (qmgr->stopping || job_load_more(j) != 0) {
		job_free(j); /* still in the queue: the next look through it finds it */
	}
}

/* ---- All of them ---- */

static void on_commit_timer(struct timer *t)
{
	(void)t;
	settle_now();
}

static void commit_later(int64_t ms)
{
	if (qmgr->commit_timer.slot == 0) {
		loop_timer(qmgr->loop, &qmgr->commit_timer, ms, on_commit_timer, NULL);
	}
}

/*
 * settle_touched - messages that had an answer: as many as one commit takes, then the next. One
 * that was forwarded is in this commit, as its copy is: in a later one a crash in between would
 * forward it twice.
 */
static void settle_touched(int batch)
{
	for (int i = 0; (i < batch || qmgr->forwards > 0) && qmgr->touched != NULL; i++) {
		struct job *j = qmgr->touched;

		qmgr->touched = j->touched_next;
		if (qmgr->touched == NULL) {
			qmgr->touched_tail = &qmgr->touched;
		}
		settle_job(j);
	}
	if (qmgr->touched != NULL) {
		settle_soon();
	}
}

/* after_commit - messages go on or go; new ones of ours are picked up */
static void after_commit(void)
{
	struct job *j = qmgr->unsettled, *next;
	size_t count;
	const queue_id *ids = queue_committed(qmgr->queue, &count);

	load_new(ids, count);
	qmgr->unsettled = NULL;
	qmgr->unsettled_tail = &qmgr->unsettled;
	for (; j != NULL; j = next) {
		next = j->unsettled_next;
		go_on(j);
	}
	load_wake();
	transport_send_all();
}

void settle_now(void)
{
	loop_untimer(qmgr->loop, &qmgr->commit_timer);
	/* While nothing can be written the changes of other messages wait in memory. */
	settle_touched(qmgr->commit_failed ? 0 : qmgr->batch);
	qmgr->last_commit = loop_now(qmgr->loop);
	if (queue_commit(qmgr->queue) != 0) {
		qmgr->commit_failed = true;
		qmgr_queue_trouble("the queue cannot be written, deliveries wait");
		if (queue_is_full(qmgr->queue) && queue_use_reserve(qmgr->queue)) {
			commit_later(1);
		} else {
			commit_later(RETRY_MS);
		}
		return;
	}
	qmgr->commit_failed = false;
	after_commit();
}

static void on_turn_end(struct loop_hook *h)
{
	int64_t since = loop_now(qmgr->loop) - qmgr->last_commit;

	(void)h;
	if (qmgr->commit_failed || (since < COMMIT_GAP_MS && !qmgr->stopping)) {
		commit_later(COMMIT_GAP_MS - since > 0 ? COMMIT_GAP_MS - since : 1);
	} else {
		settle_now();
	}
}
