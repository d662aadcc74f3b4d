/*
 * job_answer - what an agent's answer, or ours, means for a recipient
 */
#include "applets/queue/qmgr/job_answer.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "ipc/delivery_log.h"
#include "applets/queue/qmgr/history.h"
#include "applets/queue/qmgr/notice.h"
#include "applets/queue/qmgr/post.h"
#include "applets/queue/qmgr/qmgr.h"
#include "applets/queue/qmgr/settle.h"

/*
 * know_recipients - the addresses the message has, done or not; 0 or -1. Read once: each of 50,000
 * recipients may be an alias
 */
static int know_recipients(struct qmgr *m, struct job *j)
{
	struct arena a = ARENA_INIT;
	struct queue_recipient r[64];
	int64_t from = 0;
	int count;

	if (j->known != NULL) {
		return 0;
	}
	j->known = mem_alloc(sizeof(*j->known));
	do {
		count = queue_recipients(m->queue, j->id, from, false, &a, r, 64);
		for (int i = 0; i < count; i++) {
			hash_set(j->known, r[i].address, j);
			from = r[i].n + 1;
		}
		arena_reset(&a);
	} while (count == 64);
	arena_free(&a);
	if (count < 0) {
		job_forget_known(j);
	}
	return count < 0 ? -1 : 0;
}

/* add_address - a recipient that takes r's place, from the next commit on */
static void add_address(struct qmgr *m, struct job *j, const struct rcpt *r, const char *address)
{
	unsigned notify = r->notify & ~(unsigned)DSN_SUCCESS;
	struct queue_recipient add = { .n = ++j->last_n,
		.address = address,
		.orcpt = r->orcpt,
		.dsn = "",
		.reason = "",
		.original = *r->original != '\0' ? r->original : r->address,
		.notify = notify != 0 || r->notify == 0 ? notify : (unsigned)DSN_NEVER };
	struct rcpt *own = rcpt_new(&add);

	queue_recipient_append(m->queue, j->id, &add);
	*j->added_tail = own;
	j->added_tail = &own->next;
}

/*
 * expand - the addresses of an answer become recipients. Those that the message has already are
 * left out, which also ends every circle of aliases; 0 or -1
 */
static int expand(
	struct qmgr *m, struct job *j, const struct rcpt *r, const struct delivery_answer *a)
{
	int rc;

	rc = know_recipients(m, j);
	if (rc == 0 && j->last_n < 0 && queue_count_recipients(m->queue, j->id, &j->last_n) < 0) {
		rc = -1;
	}
	for (size_t i = 0; i < a->added_count && rc == 0; i++) {
		if (*a->added[i] != '\0' && hash_set(j->known, a->added[i], j) == NULL) {
			add_address(m, j, r, a->added[i]);
		}
	}
	return rc;
}

/* set_text - text may be what *to has; empty: NULL says the same */
static void set_text(char **to, const char *text)
{
	char *copy = text != NULL && *text != '\0' ? mem_strdup(text) : NULL;

	mem_free(*to);
	*to = copy;
}

static void set_result(struct rcpt *r, enum rcpt_state state, const struct delivery_answer *a)
{
	r->state = state;
	set_text(&r->dsn, a->dsn);
	set_text(&r->text, a->text);
	set_text(&r->mta, a->mta);
	set_text(&r->diagnostic_type, a->diagnostic_type);
	set_text(&r->diagnostic, a->diagnostic);
}

/* take_sent - how far has it come, and who is to hear of it? */
static void take_sent(struct job *j, struct rcpt *r, const struct delivery_answer *a)
{
	r->state = RCPT_DONE;
	/* The next host has taken over what its sender wants to be told of success. */
	if (a->reach == DELIVERY_PASSED_ON && (r->notify & DSN_SUCCESS) != 0) {
		r->notify &= ~(unsigned)DSN_SUCCESS;
		r->notify = r->notify != 0 ? r->notify : DSN_NEVER;
	}
	r->action = a->added_count > 0 ? "expanded" : a->reach == DELIVERY_FINAL ? NULL : "relayed";
	if (notice_wants_success(j, r) || job_is_traced(j)) {
		set_result(r, RCPT_DONE, a);
	}
}

/* take - the answer counts; rc -1: what it had to add could not be added */
static void take(
	struct qmgr *m, struct job *j, struct rcpt *r, int rc, const struct delivery_answer *a)
{
	j->waiting--;
	settle_touch(m, j);
	if (rc != 0) {
		const struct delivery_answer failed = { .dsn = "4.3.0",
			.text = "mail queue file error while forwarding" };

		set_result(r, RCPT_DEFERRED, &failed);
		return;
	}
	switch (a->status) {
	case DELIVERY_SENT:
		take_sent(j, r, a);
		break;
	case DELIVERY_DEFERRED:
		set_result(r, RCPT_DEFERRED, a);
		break;
	case DELIVERY_BOUNCED:
		set_result(r, param.soft_bounce ? RCPT_DEFERRED : RCPT_BOUNCED, a);
		break;
	}
	history_note(m, j, r, a);
}

/* on_copied - the copy is whole, or failed */
static void on_copied(struct post *p)
{
	const struct delivery_answer a = {
		.status = p->status, .dsn = p->dsn, .text = p->text, .added_count = 1
	};
	int rc = post_status(p);

	take(p->m, p->job, p->rcpt, rc, &a);
	if (rc != 0) {
		post_drop(p);
	}
}

/* forward - with an owner the addresses get a message of their own */
static void forward(struct qmgr *m, struct job *j, struct rcpt *r, const struct delivery_answer *a)
{
	struct post *p = notice_forward(m, j, a->owner, a->added, a->added_count, on_copied);

	if (p == NULL) {
		take(m, j, r, -1, a);
		return;
	}
	p->rcpt = r;
	p->status = a->status;
	p->dsn = mem_strdup(a->dsn);
	p->text = mem_strdup(a->text);
	r->state = RCPT_COPYING;
	if (post_status(p) != 1) {
		on_copied(p);
	}
}

void job_answer(struct qmgr *m, struct job *j, struct rcpt *r, const struct delivery_answer *a)
{
	if (r->state != RCPT_NEW && r->state != RCPT_WAITING) {
		return;
	}
	/* That an address is an alias is all that a probe is to find out. */
	if (j->deleted || (j->flags & QUEUE_F_PROBE) != 0) {
		take(m, j, r, 0, a);
		return;
	}
	/* Also beside a member that failed: the others must not wait for it. */
	if (a->added_count > 0 && *a->owner != '\0') {
		forward(m, j, r, a);
	} else {
		take(m, j, r, a->added_count > 0 ? expand(m, j, r, a) : 0, a);
	}
}

void job_fail(struct qmgr *m, struct job *j, struct rcpt *r, enum delivery_status status,
	const char *dsn, const char *text)
{
	struct delivery_answer a = { .status = status, .dsn = dsn, .text = text, .owner = "" };
	char id[QUEUE_ID_TEXT], tag[64];
	int64_t now = clock_wall_us();
	struct delivery_log line = { .queue_id = id,
		.to = r->address,
		.orig_to = r->original,
		.relay = "none",
		.arrival = j->arrival,
		.active_since = j->active_since,
		.begun = now,
		.ended = now,
		.dsn = dsn,
		.status = (j->flags & QUEUE_F_VERIFY) == 0 ? delivery_status_name(status)
							   : "undeliverable",
		.text = text };

	/* What no agent could be asked for is logged by "error", as everywhere. */
	queue_id_text(j->id, id);
	snprintf(tag, sizeof(tag), "%.40s/error", param.syslog_name);
	log_set_tag(tag);
	delivery_log_line(&line);
	snprintf(tag, sizeof(tag), "%.40s/qmgr", param.syslog_name);
	log_set_tag(tag);
	job_answer(m, j, r, &a);
}
