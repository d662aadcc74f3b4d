/*
 * post - a message of the queue manager's own on its way into the queue
 */
#include "applets/queue/qmgr/post.h"

#include "base/clock.h"
#include "base/date.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "message/pipeline.h"
#include "applets/queue/qmgr/qmgr.h"

static int put(void *arg, const void *data, size_t len)
{
	const struct post *p = arg;

	return queue_write(p->message, data, len);
}

/* go_on - content is copied as long as nothing waits */
static void go_on(struct post *p)
{
	struct buf piece = BUF_INIT;

	while (!p->whole && pipeline_status(p->pipeline) == PIPELINE_OK) {
		int64_t n = queue_read(p->m->queue, p->job->id, p->at,
			buf_reserve(&piece, QUEUE_CHUNK), QUEUE_CHUNK);

		if (n > 0) {
			(void)pipeline_write(p->pipeline, piece.data, (size_t)n);
			p->at += n;
		} else {
			post_written(p, n == 0 && p->at == p->job->size);
		}
	}
	buf_free(&piece);
}

/* on_resumed - the stages go on */
static void on_resumed(void *arg)
{
	struct post *p = arg;

	go_on(p);
	if (post_status(p) != 1) {
		p->ready(p);
	}
}

/*
 * begin_content - the trace of a message that begins here; local delivery knows it by the id after
 * a crash. RFC 5321 4.4
 */
static void begin_content(struct post *p)
{
	const struct cleanup_config config = {
		.flags = CLEANUP_RAW,
		.queue_id = p->id,
		.sender = "",
		.full_name = "",
		.arrival = (time_t)(clock_wall_us() / 1000000),
		.put = put,
		.arg = p,
	};
	struct buf received = BUF_INIT;
	char date[DATE_SIZE];

	date_rfc5322(date, config.arrival, true);
	buf_addf(&received, "Received: by %s (%s)\n\tid %s; %s\n", param.myhostname,
		param.mail_name, p->id, date);
	p->pipeline = pipeline_new(&config, p->m->loop, on_resumed, p);
	(void)pipeline_begin(p->pipeline, buf_str(&received));
	buf_free(&received);
}

struct post *post_new(struct qmgr *m, struct job *j, enum post_kind kind,
	const struct queue_envelope *env, const struct queue_recipient *to, size_t count,
	void (*ready)(struct post *p))
{
	struct post *p = mem_alloc(sizeof(*p)), **link = &j->posts;

	p->m = m;
	p->job = j;
	p->kind = kind;
	p->ready = ready;
	p->message = queue_begin_beside(m->queue, env, j->id);
	queue_id_text(queue_message_id(p->message), p->id);
	for (size_t i = 0; i < count; i++) {
		queue_add_recipient(p->message, &to[i]);
	}
	while (*link != NULL) {
		link = &(*link)->next;
	}
	*link = p;
	m->post_count++;
	begin_content(p);
	return p;
}

int post_write(void *post, const void *data, size_t len)
{
	struct post *p = post;
	enum pipeline_status status = pipeline_write(p->pipeline, data, len);

	return status == PIPELINE_OK || status == PIPELINE_WAIT ? 0 : -1;
}

void post_written(struct post *p, bool ok)
{
	p->whole = true;
	p->failed = !ok;
	if (ok) {
		(void)pipeline_end(p->pipeline);
	}
}

void post_copy(struct post *p)
{
	go_on(p);
}

int post_status(const struct post *p)
{
	if (p->failed) {
		return -1;
	}
	switch (pipeline_status(p->pipeline)) {
	case PIPELINE_OK:
		return p->whole ? 0 : 1;
	case PIPELINE_WAIT:
		return 1;
	case PIPELINE_REJECT:
	case PIPELINE_TEMPFAIL:
		break;
	}
	return -1;
}

/* drop_kinds - all of them */
static void drop_kinds(struct job *j, unsigned kinds)
{
	struct post *next;

	for (struct post *p = j->posts; p != NULL; p = next) {
		next = p->next;
		if ((p->kind & kinds) != 0) {
			post_drop(p);
		}
	}
}

int posts_status(struct job *j, unsigned kinds)
{
	int rc = 0;

	for (const struct post *p = j->posts; p != NULL; p = p->next) {
		if ((p->kind & kinds) != 0 && rc == 0) {
			rc = post_status(p);
		}
	}
	if (rc < 0) {
		drop_kinds(j, kinds);
	}
	return rc;
}

/* release - all but the message */
static void release(struct post *p)
{
	struct post **link = &p->job->posts;

	while (*link != p) {
		link = &(*link)->next;
	}
	*link = p->next;
	p->m->post_count--;
	pipeline_free(p->pipeline);
	mem_free(p->dsn);
	mem_free(p->text);
	mem_free(p);
}

void post_end(struct post *p)
{
	queue_end(p->message, NULL, NULL);
	release(p);
}

void post_drop(struct post *p)
{
	char id[QUEUE_ID_TEXT];

	if (p == NULL) {
		return;
	}
	if (*pipeline_text(p->pipeline) != '\0') {
		queue_id_text(p->job->id, id);
		log_warn("%s: its notice or copy %s is refused: %s %s", id, p->id,
			pipeline_dsn(p->pipeline), pipeline_text(p->pipeline));
	}
	queue_abort(p->message);
	release(p);
}
