/*
 * notice - bounces, delay warnings, delivery reports, forwards with an owner
 *
 * The text is made by message/dsn.c; here is decided who gets one, and it goes
 * into the queue as a new message (post.c), which the commit that settles its cause makes
 * durable. Logged in the name of "bounce", as people's tools expect it.
 *
 * A notice that cannot be delivered is not answered with another one: with 2bounce
 * in notify_classes it goes to 2bounce_notice_recipient, from
 * double_bounce_sender; what fails from that sender is dropped, and each drop is logged.
 */
#include "applets/queue/qmgr/notice.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "address/rewrite.h"
#include "message/dsn.h"
#include "message/verp.h"
#include "applets/queue/qmgr/post.h"
#include "applets/queue/qmgr/qmgr.h"
#include "applets/queue/qmgr/settle.h"

struct source {
	struct queue *queue;
	queue_id id;
};

static int64_t read_original(void *arg, int64_t offset, void *data, size_t len)
{
	const struct source *s = arg;

	return queue_read(s->queue, s->id, offset, data, len);
}

/* log_as_bounce - ID: sender non-delivery notification: NEWID */
static void log_as_bounce(const struct job *j, const char *what, queue_id notice)
{
	char tag[64], id[QUEUE_ID_TEXT], new_id[QUEUE_ID_TEXT];

	queue_id_text(j->id, id);
	queue_id_text(notice, new_id);
	snprintf(tag, sizeof(tag), "%.40s/bounce", param.syslog_name);
	log_set_tag(tag);
	if (notice != 0) {
		log_info("%s: %s: %s", id, what, new_id);
	} else {
		log_warn("%s: %s", id, what);
	}
	snprintf(tag, sizeof(tag), "%.40s/qmgr", param.syslog_name);
	log_set_tag(tag);
}

/* wants - of DSN_FAILURE ... */
static bool wants(const struct rcpt *r, unsigned what)
{
	/* RFC 3461 4.1: without NOTIFY failures are reported, and we warn of delays. */
	unsigned notify = r->notify != 0 ? r->notify : DSN_FAILURE | DSN_DELAY;

	return (notify & DSN_NEVER) == 0 && (notify & what) != 0;
}

bool notice_wants_success(const struct job *j, const struct rcpt *r)
{
	return !job_is_traced(j) &&
		(wants(r, DSN_SUCCESS) ||
			(param.confirm_delay_cleared && (j->flags & QUEUE_F_WARNED) != 0 &&
				wants(r, DSN_DELAY)));
}

/* is_told - does a notice about recipients in this state name it? */
static bool is_told(const struct job *j, const struct rcpt *r, unsigned what)
{
	return what == 0 || (what == DSN_SUCCESS ? notice_wants_success(j, r) : wants(r, what));
}

static const char *or_empty(const char *text)
{
	return text != NULL ? text : "";
}

static void fill(struct dsn_recipient *to, const struct rcpt *r)
{
	*to = (struct dsn_recipient){ .address = r->address,
		.original = r->original,
		.orcpt = r->orcpt,
		.action = or_empty(r->action),
		.status = r->dsn != NULL ? r->dsn : "2.0.0",
		.text = or_empty(r->text),
		.remote_mta = or_empty(r->mta),
		.diagnostic_type = or_empty(r->diagnostic_type),
		.diagnostic = or_empty(r->diagnostic) };
}

/* collect - the recipients in a state (not recorded yet) whose sender wants to know (what 0: all);
 * *count_r of them */
static struct dsn_recipient *collect(
	const struct job *j, struct arena *a, enum rcpt_state state, unsigned what, size_t *count_r)
{
	struct dsn_recipient *list = arena_alloc(a, j->count * sizeof(*list));
	size_t count = 0;

	for (const struct rcpt *r = j->rcpts; r != NULL; r = r->next) {
		if (r->state == state && !r->recorded && is_told(j, r, what)) {
			fill(&list[count], r);
			if (state != RCPT_DONE) {
				list[count].action = "";
			}
			count++;
		}
	}
	*count_r = count;
	return list;
}

/* last_try - until when it is tried: for delay notices */
static time_t last_try(const struct job *j)
{
	return (time_t)(j->arrival / 1000000 + param.maximal_queue_lifetime);
}

static void on_ready(struct post *p)
{
	settle_touch(p->m, p->job);
}

static enum post_kind post_kind(enum dsn_kind kind)
{
	return kind == DSN_KIND_FAILURE   ? POST_FAILURE
		: kind == DSN_KIND_DELAY  ? POST_DELAY
		: kind == DSN_KIND_VERIFY ? POST_TRACE
					  : POST_SUCCESS;
}

/* queue_notice - write it: posts_status() tells what comes of it */
static void queue_notice(struct qmgr *m, struct job *j, enum dsn_kind kind, const char *from,
	const char *to, const struct dsn_recipient *list, size_t count, bool full,
	const char *log_text)
{
	struct queue_envelope env = { .sender = from,
		QUEUE_ENVELOPE_NO_TEXTS,
		.flags = QUEUE_F_BOUNCE | (j->flags & (QUEUE_F_8BIT | QUEUE_F_SMTPUTF8)) };
	struct queue_recipient rcpt = {
		.address = to, .original = "", .orcpt = "", .dsn = "", .reason = ""
	};
	struct source source = { m->queue, j->id };
	char id[QUEUE_ID_TEXT];
	struct dsn_message report = { .kind = kind,
		.queue_id = id,
		.envid = j->envid,
		.sender = j->sender,
		.to = to,
		.arrival = (time_t)(j->arrival / 1000000),
		.last_try = kind == DSN_KIND_DELAY ? last_try(j) : 0,
		.postmaster = *from != '\0',
		.smtputf8 = (j->flags & QUEUE_F_SMTPUTF8) != 0,
		.full = full,
		.size = j->size,
		.recipients = list,
		.recipient_count = count,
		.read = read_original,
		.read_arg = &source };
	struct post *notice = post_new(m, j, post_kind(kind), &env, &rcpt, 1, on_ready);

	notice->log_text = log_text;
	queue_id_text(j->id, id);
	post_written(notice, dsn_write(&report, post_write, notice) == 0);
}

/* postmaster_address - value of the parameter, complete */
static const char *postmaster_address(struct arena *a, const char *parameter)
{
	const char *value = conf_value(a, parameter);

	return rewrite_address(
		a, value != NULL && *value != '\0' ? value : "postmaster", REWRITE_LOCAL);
}

static const char *double_bounce_address(struct arena *a)
{
	return arena_printf(a, "%s@%s", param.double_bounce_sender, param.myhostname);
}

/* bounce_bounce - the sender is null: postmaster hears of it, if he wants to */
static void bounce_bounce(struct qmgr *m, struct job *j, struct arena *a)
{
	size_t count;
	struct dsn_recipient *list = collect(j, a, RCPT_BOUNCED, 0, &count);

	if (!list_has(param.notify_classes, "2bounce")) {
		log_as_bounce(j, "undeliverable message with null sender discarded", 0);
		return;
	}
	queue_notice(m, j, DSN_KIND_FAILURE, double_bounce_address(a),
		postmaster_address(a, "2bounce_notice_recipient"), list, count, true,
		"postmaster non-delivery notification");
}

/* tell_sender - one notice; with VERP one for each, to the sender that it has had */
static void tell_sender(struct qmgr *m, struct job *j, struct arena *a,
	const struct dsn_recipient *list, size_t count, bool full)
{
	static const char text[] = "sender non-delivery notification";

	if (QUEUE_VERP_FIRST(j->flags) == '\0' || param.disable_verp_bounces) {
		queue_notice(m, j, DSN_KIND_FAILURE, "", j->sender, list, count, full, text);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		queue_notice(m, j, DSN_KIND_FAILURE, "",
			verp_sender(a, j->flags, j->sender, list[i].address, list[i].original),
			&list[i], 1, full, text);
	}
}

/* bounce_plain - to the sender, if it is told; and to postmaster when he wants copies, of all of
 * them */
static void bounce_plain(struct qmgr *m, struct job *j, struct arena *a)
{
	size_t count;
	struct dsn_recipient *list = collect(j, a, RCPT_BOUNCED, DSN_FAILURE, &count);
	/* RFC 3461 4.3: without RET it is ours to choose; the whole message, up to
	 * bounce_size_limit. */
	bool full = (j->flags & QUEUE_F_RET_HDRS) == 0;

	if (count > 0) {
		tell_sender(m, j, a, list, count, full);
	}
	if (list_has(param.notify_classes, "bounce")) {
		list = collect(j, a, RCPT_BOUNCED, 0, &count);
		queue_notice(m, j, DSN_KIND_FAILURE, double_bounce_address(a),
			postmaster_address(a, "bounce_notice_recipient"), list, count, false,
			"postmaster non-delivery notification");
	}
}

/* is_begun - notices of this kind are written already; from now on they are */
static bool is_begun(struct job *j, enum post_kind kind)
{
	bool begun = (j->noticed & kind) != 0;

	j->noticed |= kind;
	return begun;
}

int notice_failure(struct qmgr *m, struct job *j)
{
	struct arena a = ARENA_INIT;

	if (!is_begun(j, POST_FAILURE)) {
		if (str_ieq(j->sender, double_bounce_address(&a))) {
			log_as_bounce(j, "undeliverable postmaster notification discarded", 0);
		} else if (*j->sender == '\0') {
			bounce_bounce(m, j, &a);
		} else {
			bounce_plain(m, j, &a);
		}
		arena_free(&a);
	}
	return posts_status(j, POST_FAILURE);
}

/* warn - of a delay */
static void warn(struct qmgr *m, struct job *j, struct arena *a)
{
	size_t count;
	struct dsn_recipient *list = collect(j, a, RCPT_DEFERRED, DSN_DELAY, &count);

	if (count > 0) {
		queue_notice(m, j, DSN_KIND_DELAY, "", j->sender, list, count, false,
			"sender delay notification");
	}
	if (list_has(param.notify_classes, "delay")) {
		list = collect(j, a, RCPT_DEFERRED, 0, &count);
		queue_notice(m, j, DSN_KIND_DELAY, double_bounce_address(a),
			postmaster_address(a, "delay_notice_recipient"), list, count, false,
			"postmaster delay notification");
	}
}

int notice_delay(struct qmgr *m, struct job *j)
{
	struct arena a = ARENA_INIT;

	if (!is_begun(j, POST_DELAY)) {
		warn(m, j, &a);
		arena_free(&a);
	}
	return posts_status(j, POST_DELAY);
}

/* count_reports - who is to be reported as delivered; mark: they are on their way now */
static size_t count_reports(struct job *j, bool mark)
{
	size_t count = 0;

	for (struct rcpt *r = j->rcpts; r != NULL; r = r->next) {
		bool wanted = r->state == RCPT_DONE && !r->recorded && notice_wants_success(j, r);

		r->reporting = r->reporting || (mark && wanted);
		count += wanted;
	}
	return count;
}

/* end_reports - in the queue or not: once is enough */
static void end_reports(struct job *j)
{
	for (struct rcpt *r = j->rcpts; r != NULL; r = r->next) {
		if (r->reporting) {
			r->reporting = false;
			r->notify = DSN_NEVER;
		}
	}
}

int notice_success(struct qmgr *m, struct job *j)
{
	int rc;

	/* Most mail has no NOTIFY: no memory is taken for it. */
	if ((j->noticed & POST_SUCCESS) == 0 && count_reports(j, true) > 0) {
		struct arena a = ARENA_INIT;
		struct dsn_recipient *list;
		size_t count;

		j->noticed |= POST_SUCCESS;
		list = collect(j, &a, RCPT_DONE, DSN_SUCCESS, &count);
		if (*j->sender != '\0') {
			queue_notice(m, j, DSN_KIND_SUCCESS, "", j->sender, list, count, false,
				"sender delivery status notification");
		}
		arena_free(&a);
	}
	rc = posts_status(j, POST_SUCCESS);
	if (rc != 1 && (j->noticed & POST_SUCCESS) != 0) {
		end_reports(j);
		if (count_reports(j, false) > 0) { /* delivered while that waited */
			settle_touch(m, j);
			return 1;
		}
	}
	return rc;
}

/* trace_action - what the report says of a recipient */
static const char *trace_action(const struct job *j, const struct rcpt *r)
{
	if ((j->flags & QUEUE_F_VERIFY) != 0) {
		return r->state == RCPT_DONE ? "deliverable" : "undeliverable";
	}
	if (r->state == RCPT_DONE) {
		return r->action != NULL ? r->action : "delivered";
	}
	return r->state == RCPT_DEFERRED ? "delayed" : "failed";
}

int notice_trace(struct qmgr *m, struct job *j)
{
	struct arena a = ARENA_INIT;

	if (!is_begun(j, POST_TRACE) && *j->sender != '\0') {
		struct dsn_recipient *list = arena_alloc(&a, (j->count + 1) * sizeof(*list));
		size_t count = 0;

		for (const struct rcpt *r = j->rcpts; r != NULL; r = r->next) {
			fill(&list[count], r);
			list[count++].action = trace_action(j, r);
		}
		queue_notice(m, j, DSN_KIND_VERIFY, "", j->sender, list, count, false,
			"sender delivery status notification");
		arena_free(&a);
	}
	return posts_status(j, POST_TRACE);
}

/* is_due - it is whole, and so is what it is about */
static bool is_due(const struct job *j, const struct post *p)
{
	return post_status(p) == 0 &&
		(p->kind != POST_COPY || p->rcpt->state != RCPT_DONE || p->rcpt->recorded ||
			j->gone);
}

void notice_end(struct job *j)
{
	struct post *p, *next;

	j->noticed = 0;
	for (p = j->posts; p != NULL; p = next) {
		next = p->next;
		if (!is_due(j, p)) {
			j->noticed |= p->kind;
			continue;
		}
		if (p->log_text != NULL) {
			log_as_bounce(j, p->log_text, queue_message_id(p->message));
		}
		post_end(p);
	}
}

struct post *notice_forward(struct qmgr *m, struct job *j, const char *sender, const char **to,
	size_t count, void (*ready)(struct post *p))
{
	struct arena a = ARENA_INIT;
	struct queue_envelope env;
	struct queue_recipient *list = arena_alloc(&a, count * sizeof(*list));
	struct post *p = NULL;

	if (queue_get(m->queue, j->id, &a, &env) == 1) {
		env.id = 0;
		env.sender = sender;
		env.envid = "";
		env.state = QUEUE_INCOMING;
		env.next_try = 0;
		env.attempts = 0;
		env.flags &= QUEUE_F_8BIT | QUEUE_F_SMTPUTF8;
		for (size_t i = 0; i < count; i++) {
			list[i] = (struct queue_recipient){ .address = to[i],
				.original = "",
				.orcpt = "",
				.dsn = "",
				.reason = "" };
		}
		p = post_new(m, j, POST_COPY, &env, list, count, ready);
		post_copy(p);
	}
	arena_free(&a);
	return p;
}
