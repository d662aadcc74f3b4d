/*
 * enqueue - a local submission into queue.db
 *
 *	BEGIN -> RECIPIENT... -> DATA... -> END -> enqueue_commit -> [queue_commit] -> done
 *
 * The submitter chooses sender and recipients freely (as with Postfix's
 * sendmail); who it was stands in the Received header and in the log.
 */
#include "message/enqueue.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "map/map_wait.h"
#include "queue/queue_write.h"
#include "message/canonical_stage.h"
#include "message/cleanup.h"
#include "message/pipeline.h"

enum { ENQUEUE_RECIPIENTS_MAX = 1000000 };

enum step { STEP_BEGIN, STEP_RECIPIENTS, STEP_DATA, STEP_END };

struct enqueue {
	struct queue *q;
	struct queue_message *message;
	struct pipeline *pipeline; /* from the first byte of content on */
	struct loop *loop;
	void (*resumed)(void *arg);
	void *resumed_arg;
	struct arena arena;
	struct hash seen; /* recipients, to drop doubles */
	struct queue_envelope env;
	const char *sender; /* as given, for the log */
	uid_t uid;
	enum step step;
	uint64_t size;
	enum pickup_status status;
	const char *text; /* why not */
	time_t arrival;
	char id[QUEUE_ID_TEXT];
	void (*done)(void *arg, bool ok, const char *id);
	void *arg;
};

static int put_queue(void *arg, const void *data, size_t len)
{
	struct enqueue *e = arg;

	return queue_write(e->message, data, len);
}

struct enqueue *enqueue_new(struct queue *q, uid_t uid, const char *source, struct loop *loop,
	void (*resumed)(void *arg), void *arg)
{
	const struct queue_envelope empty = { .sender = "" };
	struct enqueue *e = mem_alloc(sizeof(*e));

	e->q = q;
	e->uid = uid;
	e->loop = loop;
	e->resumed = resumed;
	e->resumed_arg = arg;
	e->arrival = time(NULL);
	e->message = queue_begin(q, &empty);
	if (source != NULL) {
		queue_set_source(e->message, source);
	}
	queue_id_text(queue_message_id(e->message), e->id);
	return e;
}

/* fail - the first reason stays; the rest of the submission is read and dropped */
static void fail(struct enqueue *e, enum pickup_status status, const char *text)
{
	if (e->status == PICKUP_OK) {
		e->status = status;
		e->text = text;
	}
}

static void take_begin(struct enqueue *e, const struct pickup_message *m)
{
	const unsigned allowed = QUEUE_F_8BIT | QUEUE_F_SMTPUTF8 | QUEUE_F_RET_FULL |
		QUEUE_F_RET_HDRS | QUEUE_F_VERIFY | QUEUE_F_RECORD | QUEUE_VERP(127, 127);

	e->sender = arena_strdup(&e->arena, m->sender);
	e->env.sender = cleanup_address(&e->arena, m->sender);
	e->env.full_name = arena_strdup(&e->arena, m->full_name);
	e->env.envid = arena_strdup(&e->arena, m->envid);
	e->env.flags = (m->flags & allowed) | QUEUE_F_LOCAL;
	e->step = STEP_RECIPIENTS;
}

/* add_failed - 1: a table has yet to answer; 0: it does not answer, the message fails */
static int add_failed(struct enqueue *e)
{
	if (map_is_waiting()) {
		return 1;
	}
	fail(e, PICKUP_RETRY, "virtual alias table look-up failed");
	return 0;
}

/* take_recipient - 0, or 1: once more */
static int take_recipient(struct enqueue *e, const struct pickup_message *m)
{
	struct queue_recipient r = { .notify = m->notify, .orcpt = m->orcpt };

	if (queue_recipient_count(e->message) >= ENQUEUE_RECIPIENTS_MAX) {
		fail(e, PICKUP_REFUSED, "too many recipients");
		return 0;
	}
	r.address = cleanup_address(&e->arena, m->address);
	r.original = strcmp(r.address, m->address) == 0 ? "" : m->address;
	if (*r.address != '\0' && !cleanup_add_recipient(e->message, &e->seen, &r)) {
		return add_failed(e);
	}
	return 0;
}

/* begin_content - the Received header and what else comes before the content */
static void begin_content(struct enqueue *e)
{
	const struct cleanup_config config = {
		.flags = CLEANUP_LOCAL | CLEANUP_SUBMIT,
		.queue_id = e->id,
		.sender = e->env.sender,
		.full_name = e->env.full_name,
		.arrival = e->arrival,
		.put = put_queue,
		.arg = e,
	};
	const struct cleanup_trace trace = {
		.helo = "",
		.client_name = "",
		.client_addr = "",
		.uid = e->uid,
		.queue_id = e->id,
		.when = e->arrival,
	};
	struct buf received = BUF_INIT;

	cleanup_received(&received, &trace);
	e->pipeline = pipeline_new(&config, e->loop, e->resumed, e->resumed_arg);
	canonical_stage_add(e->pipeline, config.flags);
	(void)pipeline_begin(e->pipeline, buf_str(&received));
	buf_free(&received);
	e->step = STEP_DATA;
}

/* note_stages - what the pipeline has come to */
static void note_stages(struct enqueue *e)
{
	const char *text = e->pipeline != NULL ? pipeline_text(e->pipeline) : "";

	switch (e->pipeline != NULL ? pipeline_status(e->pipeline) : PIPELINE_OK) {
	case PIPELINE_OK:
	case PIPELINE_WAIT:
		break;
	case PIPELINE_REJECT:
		fail(e, PICKUP_REFUSED, text);
		break;
	case PIPELINE_TEMPFAIL:
		fail(e, PICKUP_RETRY,
			*text != '\0'                 ? text
				: queue_is_full(e->q) ? "insufficient system storage"
						      : "queue file write error");
		break;
	}
}

static void take_data(struct enqueue *e, const struct pickup_message *m)
{
	if (e->step == STEP_RECIPIENTS) {
		begin_content(e);
	}
	e->size += m->len;
	if (param.message_size_limit > 0 && e->size > (uint64_t)param.message_size_limit) {
		fail(e, PICKUP_REFUSED, "message file too big");
	}
	if (e->status == PICKUP_OK) {
		(void)pipeline_write(e->pipeline, m->data, m->len);
		note_stages(e);
	}
}

/* take_end - 0, or 1: once more */
static int take_end(struct enqueue *e)
{
	if (e->step == STEP_RECIPIENTS) {
		begin_content(e);
	}
	if (queue_recipient_count(e->message) == 0) {
		fail(e, PICKUP_REFUSED, "no recipients specified");
	}
	if (e->status == PICKUP_OK && cleanup_sender(&e->arena, &e->env.sender) <= 0 &&
		add_failed(e) != 0) {
		return 1;
	}
	if (e->status == PICKUP_OK && !cleanup_add_bcc(e->message, &e->seen) &&
		add_failed(e) != 0) {
		return 1;
	}
	if (e->status == PICKUP_OK) {
		(void)pipeline_end(e->pipeline);
		note_stages(e);
	}
	e->step = STEP_END;
	return 0;
}

int enqueue_take(struct enqueue *e, const struct pickup_message *m)
{
	switch (m->kind) {
	case PICKUP_BEGIN:
		if (e->step != STEP_BEGIN) {
			return -1;
		}
		take_begin(e, m);
		return 0;
	case PICKUP_RECIPIENT:
		if (e->step != STEP_RECIPIENTS) {
			return -1;
		}
		return take_recipient(e, m);
	case PICKUP_DATA:
		if (e->step != STEP_RECIPIENTS && e->step != STEP_DATA) {
			return -1;
		}
		take_data(e, m);
		return 0;
	case PICKUP_END:
		if (e->step != STEP_RECIPIENTS && e->step != STEP_DATA) {
			return -1;
		}
		return take_end(e);
	case PICKUP_ANSWER:
		break;
	}
	return -1;
}

bool enqueue_waits(const struct enqueue *e)
{
	return e->status == PICKUP_OK && e->pipeline != NULL &&
		pipeline_status(e->pipeline) == PIPELINE_WAIT;
}

enum pickup_status enqueue_result(struct enqueue *e, const char **text_r)
{
	note_stages(e);
	*text_r = e->status == PICKUP_OK ? e->id : e->text;
	return e->status;
}

const char *enqueue_id(const struct enqueue *e)
{
	return e->id;
}

/* release - everything but the message */
static void release(struct enqueue *e)
{
	pipeline_free(e->pipeline);
	hash_free(&e->seen, NULL);
	arena_free(&e->arena);
	mem_free(e);
}

static void committed(void *arg, bool ok)
{
	struct enqueue *e = arg;

	e->done(e->arg, ok, e->id);
	release(e);
}

void enqueue_commit(struct enqueue *e, void (*done)(void *arg, bool ok, const char *id), void *arg)
{
	log_info("%s: uid=%ld from=<%s>", e->id, (long)e->uid, e->sender);
	cleanup_log_message_id(pipeline_cleanup(e->pipeline), e->id);
	e->done = done;
	e->arg = arg;
	queue_set_envelope(e->message, &e->env);
	queue_end(e->message, committed, e);
}

void enqueue_free(struct enqueue *e)
{
	if (e != NULL) {
		queue_abort(e->message);
		release(e);
	}
}
