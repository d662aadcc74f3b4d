/*
 * notice - bounces, delay warnings, delivery reports, forwards with an owner
 *
 * The text is made by message/dsn.c; here is decided who gets one, and it is put
 * into the queue as a new message, which the commit that settles its cause makes
 * durable. Logged in the name of "bounce", as people's tools expect it.
 *
 * A notice that cannot be delivered is not answered with another one: with 2bounce
 * in notify_classes it goes to 2bounce_notice_recipient, from
 * double_bounce_sender; what fails from that sender is dropped, and each drop is logged.
 */
#include "applets/queue/qmgr/notice.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/date.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "address/rewrite.h"
#include "message/dsn.h"
#include "applets/queue/qmgr/qmgr.h"

struct source {
	struct queue *queue;
	queue_id id;
};

static int64_t read_original(void *arg, int64_t offset, void *data, size_t len)
{
	const struct source *s = arg;

	return queue_read(s->queue, s->id, offset, data, len);
}

static int put_notice(void *arg, const void *data, size_t len)
{
	return queue_write(arg, data, len);
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

bool notice_wants(const struct rcpt *r, unsigned what)
{
	/* RFC 3461 4.1: without NOTIFY failures are reported, and we warn of delays. */
	unsigned notify = r->notify != 0 ? r->notify : DSN_FAILURE | DSN_DELAY;

	return (notify & DSN_NEVER) == 0 && (notify & what) != 0;
}

/* collect - the recipients in a state (not recorded yet) whose sender wants to know (what 0: all);
 * *count_r of them */
static struct dsn_recipient *collect(
	const struct job *j, struct arena *a, enum rcpt_state state, unsigned what, size_t *count_r)
{
	struct dsn_recipient *list = arena_alloc(a, j->count * sizeof(*list));
	size_t count = 0;

	for (const struct rcpt *r = j->rcpts; r != NULL; r = r->next) {
		if (r->state != state || r->recorded || (what != 0 && !notice_wants(r, what))) {
			continue;
		}
		list[count++] = (struct dsn_recipient){ .address = r->address,
			.original = r->original,
			.orcpt = r->orcpt,
			.action = state != RCPT_DONE ? ""
				: r->relayed         ? "relayed"
						     : "delivered",
			.status = r->dsn != NULL ? r->dsn : "2.0.0",
			.text = r->text != NULL ? r->text : "",
			.remote_mta = "",
			.diagnostic = "" };
	}
	*count_r = count;
	return list;
}

/* last_try - until when it is tried: for delay notices */
static time_t last_try(const struct job *j)
{
	return (time_t)(j->arrival / 1000000 + param.maximal_queue_lifetime);
}

/*
 * put_received - the trace of a message that begins here; local delivery knows it by the id after a
 * crash. RFC 5321 4.4; 0 or -1
 */
static int put_received(struct queue_message *message)
{
	char date[DATE_SIZE], id[QUEUE_ID_TEXT];
	struct buf b = BUF_INIT;
	int rc;

	date_rfc5322(date, (time_t)(clock_wall_us() / 1000000), true);
	queue_id_text(queue_message_id(message), id);
	buf_addf(&b, "Received: by %s (%s)\n\tid %s; %s\n", param.myhostname, param.mail_name, id,
		date);
	rc = queue_write(message, b.data, b.len);
	buf_free(&b);
	return rc;
}

/* queue_notice - write it and end it; 0 or -1 */
static int queue_notice(struct qmgr *m, const struct job *j, enum dsn_kind kind, const char *from,
	const char *to, const struct dsn_recipient *list, size_t count, bool full,
	const char *log_text)
{
	struct queue_envelope env = { .sender = from,
		.envid = "",
		.full_name = "",
		.client_name = "",
		.client_addr = "",
		.helo = "",
		.proto = "",
		.sasl_user = "",
		.reason = "",
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
		.smtputf8 = (j->flags & QUEUE_F_SMTPUTF8) != 0,
		.full = full,
		.size = j->size,
		.recipients = list,
		.recipient_count = count,
		.read = read_original,
		.read_arg = &source };
	struct queue_message *notice = queue_begin(m->queue, &env);

	queue_id_text(j->id, id);
	queue_add_recipient(notice, &rcpt);
	if (put_received(notice) != 0 || dsn_write(&report, put_notice, notice) != 0) {
		queue_abort(notice);
		return -1;
	}
	log_as_bounce(j, log_text, queue_message_id(notice));
	queue_end(notice, NULL, NULL);
	return 0;
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
	return rewrite_address(a, param.double_bounce_sender, REWRITE_LOCAL);
}

/* bounce_bounce - the sender is null: postmaster hears of it, if he wants to */
static int bounce_bounce(struct qmgr *m, const struct job *j, struct arena *a)
{
	size_t count;
	struct dsn_recipient *list = collect(j, a, RCPT_BOUNCED, 0, &count);

	if (!list_has(param.notify_classes, "2bounce")) {
		log_as_bounce(j, "undeliverable message with null sender discarded", 0);
		return 0;
	}
	return queue_notice(m, j, DSN_KIND_FAILURE, double_bounce_address(a),
		postmaster_address(a, "2bounce_notice_recipient"), list, count, true,
		"postmaster non-delivery notification");
}

/* bounce_plain - to the sender, and to postmaster when he wants copies */
static int bounce_plain(struct qmgr *m, const struct job *j, struct arena *a)
{
	size_t count;
	struct dsn_recipient *list = collect(j, a, RCPT_BOUNCED, DSN_FAILURE, &count);
	/* RFC 3461 4.3: without RET it is ours to choose; the whole message, up to
	 * bounce_size_limit. */
	bool full = (j->flags & QUEUE_F_RET_HDRS) == 0;

	if (count == 0) {
		return 0;
	}
	if (queue_notice(m, j, DSN_KIND_FAILURE, "", j->sender, list, count, full,
		    "sender non-delivery notification") != 0) {
		return -1;
	}
	if (list_has(param.notify_classes, "bounce") &&
		queue_notice(m, j, DSN_KIND_FAILURE, double_bounce_address(a),
			postmaster_address(a, "bounce_notice_recipient"), list, count, false,
			"postmaster non-delivery notification") != 0) {
		return -1;
	}
	return 0;
}

int notice_failure(struct qmgr *m, struct job *j)
{
	struct arena a = ARENA_INIT;
	int rc;

	if (str_ieq(j->sender, double_bounce_address(&a))) {
		log_as_bounce(j, "undeliverable postmaster notification discarded", 0);
		rc = 0;
	} else {
		rc = *j->sender == '\0' ? bounce_bounce(m, j, &a) : bounce_plain(m, j, &a);
	}
	arena_free(&a);
	return rc;
}

int notice_delay(struct qmgr *m, struct job *j)
{
	struct arena a = ARENA_INIT;
	size_t count;
	struct dsn_recipient *list = collect(j, &a, RCPT_DEFERRED, DSN_DELAY, &count);
	int rc = 0;

	if (count > 0) {
		rc = queue_notice(m, j, DSN_KIND_DELAY, "", j->sender, list, count, false,
			"sender delay notification");
	}
	if (rc == 0 && count > 0 && list_has(param.notify_classes, "delay")) {
		rc = queue_notice(m, j, DSN_KIND_DELAY, double_bounce_address(&a),
			postmaster_address(&a, "delay_notice_recipient"), list, count, false,
			"postmaster delay notification");
	}
	arena_free(&a);
	return rc;
}

int notice_success(struct qmgr *m, struct job *j)
{
	struct arena a = ARENA_INIT;
	struct dsn_recipient *list;
	size_t count = 0;
	int rc = 0;

	if (*j->sender == '\0') {
		return 0;
	}
	/* Most mail has no NOTIFY: no memory is taken for it. */
	for (const struct rcpt *r = j->rcpts; r != NULL; r = r->next) {
		count += r->state == RCPT_DONE && !r->recorded && notice_wants(r, DSN_SUCCESS);
	}
	if (count == 0) {
		return 0;
	}
	list = collect(j, &a, RCPT_DONE, DSN_SUCCESS, &count);
	rc = queue_notice(m, j, DSN_KIND_SUCCESS, "", j->sender, list, count, false,
		"sender delivery status notification");
	/* In the queue or not: once is enough. */
	for (struct rcpt *r = j->rcpts; r != NULL; r = r->next) {
		if (r->state == RCPT_DONE) {
			r->notify = DSN_NEVER;
		}
	}
	arena_free(&a);
	return rc;
}

/* copy_content - all of the original into the copy; 0 or -1 */
static int copy_content(struct qmgr *m, const struct job *j, struct queue_message *copy)
{
	struct buf piece = BUF_INIT;
	int64_t at = 0, n;
	int rc = 0;

	while ((n = queue_read(
			m->queue, j->id, at, buf_reserve(&piece, QUEUE_CHUNK), QUEUE_CHUNK)) > 0 &&
		rc == 0) {
		rc = queue_write(copy, piece.data, (size_t)n);
		at += n;
	}
	buf_free(&piece);
	return n == 0 && at == j->size ? rc : -1;
}

int notice_forward(struct qmgr *m, struct job *j, const char *sender, const char **to, size_t count)
{
	struct arena a = ARENA_INIT;
	struct queue_envelope env;
	struct queue_message *copy;
	int rc = queue_get(m->queue, j->id, &a, &env) == 1 ? 0 : -1;

	if (rc == 0) {
		env.id = 0;
		env.sender = sender;
		env.envid = "";
		env.state = QUEUE_INCOMING;
		env.next_try = 0;
		env.attempts = 0;
		env.flags &= QUEUE_F_8BIT | QUEUE_F_SMTPUTF8;
		copy = queue_begin(m->queue, &env);
		for (size_t i = 0; i < count; i++) {
			struct queue_recipient r = { .address = to[i],
				.original = "",
				.orcpt = "",
				.dsn = "",
				.reason = "" };

			queue_add_recipient(copy, &r);
		}
		rc = put_received(copy);
		if (rc == 0) {
			rc = copy_content(m, j, copy);
		}
		if (rc == 0) {
			queue_end(copy, NULL, NULL);
		} else {
			queue_abort(copy);
		}
	}
	arena_free(&a);
	return rc;
}
