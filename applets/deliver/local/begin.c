/*
 * begin - a request's recipients are followed to their targets, and those begun
 *
 *	request (message) 1-n recipient 1-n job (target of its expansion)
 */
#include <stddef.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "conf/params.h"
#include "queue/queue_message.h"
#include "queue/queue_read.h"
#include "route/expand.h"
#include "applets/deliver/agent/delivered_to.h"
#include "applets/deliver/agent/result.h"
#include "applets/deliver/local/command_jobs.h"
#include "applets/deliver/local/jobs.h"
#include "applets/deliver/local/local.h"
#include "applets/deliver/local/pass.h"
#include "applets/deliver/mailbox/box.h"

static bool was_delivered(void *arg, const char *address)
{
	const struct request *q = arg;

	return delivered_to_has(&q->delivered_to, address);
}

/* was_deferred - has an earlier try of this recipient ended with "later"? */
static bool was_deferred(struct local *g, struct recipient *rc)
{
	struct queue *queue = agent_queue(&g->host);
	struct queue_recipient r;

	return queue != NULL &&
		queue_recipients(queue, rc->request->q.r.id, (int64_t)rc->r->n, true,
			&rc->request->q.arena, &r, 1) == 1 &&
		(uint64_t)r.n == rc->r->n && r.dsn[0] != '\0';
}

static void on_box_done(
	struct box_job *b, enum delivery_status status, const char *dsn, const char *text)
{
	/* A struct job has it inside. */
	job_done((struct job *)((char *)b - offsetof(struct job, box)), status, dsn, text);
}

/* begin_box - on its way to a mailbox or file */
static void begin_box(struct local *g, struct job *j)
{
	const struct recipient *rc = j->recipient;
	const struct target *t = j->target;
	const struct box_place place = { .path = t->value,
		.user = t->user,
		.file = t->kind == TARGET_FILE,
		.any_owner = t->kind == TARGET_FILE || !param.strict_mailbox_ownership,
		.spool = t->spool };

	j->box.request = &rc->request->q;
	j->box.sender = rc->sender;
	j->box.recipient = rc->r->address;
	j->box.original = rc->original;
	j->box.done = on_box_done;
	box_add(&g->boxes, &j->box, &place);
}

/* verify_target - what would be delivered is only said; false: it is for others to say */
static bool verify_target(struct recipient *rc, const struct target *t)
{
	struct arena *a = &rc->request->q.arena;
	size_t len = strlen(t->value);
	const char *text;

	switch (t->kind) {
	case TARGET_MAILBOX:
		text = len > 0 && t->value[len - 1] == '/' ? "delivers to maildir"
							   : "delivers to mailbox";
		break;
	case TARGET_FILE:
		text = arena_printf(a, "delivers to file: %s", t->value);
		break;
	case TARGET_COMMAND:
		text = arena_printf(a, "delivers to command: %s", t->value);
		break;
	default:
		return false;
	}
	target_ended(rc, t, DELIVERY_SENT, "2.0.0", text, false);
	return true;
}

/* begin_target - a job, or the end of it at once */
static void begin_target(
	struct local *g, struct recipient *rc, const struct target *t, bool suspect)
{
	struct job *j = arena_alloc(&rc->request->q.arena, sizeof(*j));

	j->recipient = rc;
	j->target = t;
	j->box.suspect = suspect;
	if ((rc->request->q.r.env_flags & QUEUE_F_VERIFY) != 0 && verify_target(rc, t)) {
		return;
	}
	switch (t->kind) {
	case TARGET_MAILBOX:
	case TARGET_FILE:
		begin_box(g, j);
		break;
	case TARGET_COMMAND:
		command_add(g, j);
		break;
	case TARGET_PASS:
		pass_add(g, j);
		break;
	case TARGET_REMOTE:
		recipient_add(rc, t->value);
		target_ended(rc, t, DELIVERY_SENT, "2.0.0", "", false);
		break;
	case TARGET_DISCARD:
		target_ended(rc, t, DELIVERY_SENT, "2.0.0", t->value, false);
		break;
	case TARGET_FAIL:
		target_ended(rc, t, DELIVERY_BOUNCED, t->dsn, t->value, false);
		break;
	case TARGET_DEFER:
		target_ended(rc, t, DELIVERY_DEFERRED, t->dsn, t->value, false);
		break;
	}
}

/* begin_recipient - follow its aliases, begin the deliveries; the targets are in a */
static void begin_recipient(struct local *g, struct recipient *rc, struct arena *a)
{
	struct request *q = rc->request;
	const struct expand_env env = { was_delivered, q };
	bool suspect = (rc->r->flags & DELIVERY_SUSPECT) != 0;
	struct expansion e;
	struct target *next;

	map_wait_enter(&q->wait);
	expand_recipient(a, &env, rc->r->address, &e);
	if (map_wait_leave(&q->wait)) {
		return; /* on_answers() begins it anew */
	}
	rc->begun = true;
	rc->targets = rc->pending = e.count;
	rc->added = arena_alloc(&q->q.arena, (e.count + 1) * sizeof(*rc->added));
	/* A bounce stays one: the owner must not get bounces of bounces. */
	rc->owner = q->q.r.sender[0] != '\0' ? e.owner : NULL;
	rc->sender = rc->owner != NULL ? rc->owner : q->q.r.sender;
	if (!suspect && (e.count > 1 || e.first->kind == TARGET_PASS)) {
		suspect = was_deferred(g, rc);
	}
	/* The request may end with its last target. */
	for (struct target *t = e.first; t != NULL; t = next) {
		next = t->next;
		begin_target(g, rc, t, suspect);
	}
}

/* on_answers - tables have answered what recipients wait for */
static void on_answers(void *arg)
{
	struct request *q = arg;

	agent_keep(&q->q);
	for (size_t i = 0; i < q->q.r.recipient_count; i++) {
		struct recipient *rc = &q->recipients[i];
		struct arena own = ARENA_INIT;

		if (rc->begun) {
			continue;
		}
		/* A long list is computed many times: only what comes of the last is kept. */
		begin_recipient(q->q.host->owner, rc, &own);
		if (rc->begun) {
			arena_join(&q->q.arena, &own);
		}
		arena_free(&own);
	}
	agent_release(&q->q);
}

void request_begin(struct agent_request *aq)
{
	struct request *q = (struct request *)aq;
	struct local *g = aq->host->owner;
	size_t count = aq->r.recipient_count;
	int64_t len = agent_read_first(&q->q);

	if (len >= 0) {
		delivered_to_find(&q->delivered_to, &aq->arena, g->host.scratch, (size_t)len);
	}
	q->recipients = arena_alloc(&q->q.arena, (count + 1) * sizeof(*q->recipients));
	map_wait_init(&q->wait, g->host.service.loop, on_answers, q);
	for (size_t i = 0; i < count; i++) {
		struct recipient *rc = &q->recipients[i];

		rc->request = q;
		rc->r = &q->q.r.recipients[i];
		rc->original = rc->r->original[0] != '\0' ? rc->r->original : rc->r->address;
		rc->sender = q->q.r.sender;
		if (len >= 0) {
			begin_recipient(g, rc, &q->q.arena);
		} else {
			const struct target t = { .kind = TARGET_DEFER, .address = rc->r->address };

			rc->begun = true;
			rc->pending = rc->targets = 1;
			target_ended(rc, &t, DELIVERY_DEFERRED, "4.3.0",
				"cannot read the message from the queue", false);
		}
	}
}
