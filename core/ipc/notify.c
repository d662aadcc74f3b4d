/*
 * notify - words to qmgr
 *
 * A writer that found the socket full keeps up to 64 KB back; beyond that it
 * forgets the ids and says QMGR_SCAN once there is room again. A connection
 * that broke (qmgr was restarted) is made anew once for each notice; when
 * that fails nobody is there, and the one who comes looks for himself.
 */
#include "ipc/notify.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stream.h"
#include "queue/queue_write.h"

enum {
	CHANGED_SECONDS = 30,
	HELD_MAX = 65536,
	IDS_PER_MESSAGE = 4096,
	PATH_SIZE = 4096,
	ANSWER_MAX = 4096
};

struct queue_notify {
	char *path;
	struct stream s;
	bool lost; /* ids were forgotten: QMGR_SCAN is due */
};

static void on_drained(struct stream *s);

/* qmgr has nothing to say to a writer: what can be read is that it went away. */
static const struct stream_class notify_class = {
	.drained = on_drained, .read_size = 64, .out_keep = 4096
};

static char *make_path(const char *dir)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "%s/public/qmgr", dir);
	return mem_strdup(path);
}

struct queue_notify *queue_notify_new(struct loop *loop, const char *dir)
{
	struct queue_notify *n = mem_alloc(sizeof(*n));

	n->path = make_path(dir);
	stream_init(&n->s, loop, &notify_class, n);
	return n;
}

static void put_message(struct buf *b, enum qmgr_message kind, const queue_id *ids, size_t count)
{
	size_t mark = wire_begin(b);

	wire_put_int(b, kind);
	if (kind == QMGR_NEW || kind == QMGR_CHANGED) {
		wire_put_int(b, count);
		for (size_t i = 0; i < count; i++) {
			wire_put_int(b, ids[i]);
		}
	}
	wire_end(b, mark);
}

static void on_drained(struct stream *s)
{
	struct queue_notify *n = s->owner;

	if (n->lost) {
		n->lost = false;
		put_message(&s->out, QMGR_SCAN, NULL, 0);
	}
}

/* send_ids - over the connection there is; false: it is gone */
static bool send_ids(struct queue_notify *n, const queue_id *ids, size_t count)
{
	if (n->s.fd < 0) {
		return false;
	}
	if (buf_unread(&n->s.out) > HELD_MAX) {
		n->lost = true;
	} else {
		put_message(&n->s.out, QMGR_NEW, ids, count);
	}
	if (stream_flush(&n->s) != 0) {
		return false;
	}
	if (n->lost) {
		stream_more(&n->s);
	}
	return true;
}

void queue_notify_committed(struct queue_notify *n, const struct queue *q)
{
	size_t count;
	const queue_id *ids = queue_committed(q, &count);

	/* The log of how they came goes before what the queue manager says of them. */
	log_flush();
	for (size_t at = 0; at < count; at += IDS_PER_MESSAGE) {
		size_t some = count - at < IDS_PER_MESSAGE ? count - at : IDS_PER_MESSAGE;

		if (!send_ids(n, ids + at, some) &&
			(stream_connect(&n->s, n->path) != 0 || !send_ids(n, ids + at, some))) {
			stream_close(&n->s);
			return;
		}
	}
}

/* ---- One question ---- */

struct question {
	bool answered;
	int answer; /* or -1, with error */
	int error;
};

static bool on_answer(struct stream *s, struct wire *w)
{
	struct question *q = s->owner;

	q->answered = true;
	q->answer = (int)wire_get_int(w);
	return true;
}

static void on_end(struct stream *s, enum stream_end why)
{
	struct question *q = s->owner;

	q->error = why == STREAM_EOF                        ? ECONNRESET
		: why == STREAM_LOST || why == STREAM_ERROR ? s->error
							    : EPROTO;
}

static const struct stream_class question_class = {
	.frame = on_answer, .closed = on_end, .read_size = 256, .in_max = ANSWER_MAX
};

/* ask - the message in out, and its answer; or -1 with errno */
static int ask(const char *dir, const struct buf *out, int seconds)
{
	struct question q = { .answer = -1 };
	char *path = make_path(dir);
	struct stream s;
	int rc = 1;

	stream_init(&s, NULL, &question_class, &q);
	if (stream_connect(&s, path) != 0) {
		q.error = errno;
		rc = -1;
	}
	mem_free(path);
	buf_add(&s.out, out->data, out->len);
	while (rc > 0 && !q.answered) {
		rc = stream_wait(&s, clock_ms() + seconds * 1000);
	}
	stream_close(&s);
	errno = rc == 0 ? ETIMEDOUT : q.error;
	return q.answer;
}

int queue_ask_qmgr(const char *dir, enum qmgr_message kind, const char *text, int seconds)
{
	struct buf out = BUF_INIT;
	size_t mark = wire_begin(&out);
	int answer;

	wire_put_int(&out, kind);
	if (text != NULL) {
		wire_put_str(&out, text);
	}
	wire_end(&out, mark);
	answer = ask(dir, &out, seconds);
	buf_free(&out);
	return answer;
}

int queue_tell_changed(const char *dir, const queue_id *ids, size_t count)
{
	struct buf out = BUF_INIT;
	int answer;

	put_message(&out, QMGR_CHANGED, ids, count);
	answer = ask(dir, &out, CHANGED_SECONDS);
	buf_free(&out);
	return answer;
}
