/*
 * history - the deliveries of the last day, a second's rows at a time (queue/queue_history.h)
 */
#include "applets/queue/qmgr/history.h"

#include "config/features.h"
#include "conf/params.h"
#include "queue/queue_history.h"
#include "applets/queue/qmgr/qmgr.h"

enum { STORE_MS = 1000 };

static void on_store(struct timer *t)
{
	struct qmgr *m = t->owner;

	queue_history_store(m->history);
}

void history_note(
	struct qmgr *m, const struct job *j, const struct rcpt *r, const struct delivery_answer *a)
{
	struct queue_delivery d = { .id = j->id,
		.when = qmgr_now(),
		.sender = j->sender,
		.recipient = r->address,
		.dsn = a->dsn,
		.reason = a->text };

	/* Nobody could ask for them without views; to verify an address delivers nothing. */
	if (!FEATURE_SQL || param.delivery_history_limit == 0 || (j->flags & QUEUE_F_VERIFY) != 0) {
		return;
	}
	if (r->state == RCPT_BOUNCED) {
		d.status = "bounced";
	} else if (r->state == RCPT_DONE && a->added_count == 0) {
		d.status = a->reach == DELIVERY_FINAL ? "delivered" : "relayed";
	} else {
		return;
	}
	if (m->history == NULL) {
		m->history = queue_history_new(param.queue_directory, param.delivery_history_limit);
	}
	queue_history_add(m->history, &d);
	if (m->history_timer.slot == 0) {
		loop_timer(m->loop, &m->history_timer, STORE_MS, on_store, m);
	}
}

void history_free(struct qmgr *m)
{
	queue_history_free(m->history);
}
