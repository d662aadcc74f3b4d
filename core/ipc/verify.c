/*
 * verify - asking the queue manager whether an address takes mail
 *
 * All questions of a process share one connection. When it breaks (a reload of the queue manager)
 * they are asked again over a new one; one that breaks as soon as it is made is not tried again.
 */
#include "ipc/verify.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/stream.h"
#include "map/map_question.h"
#include "ipc/notify.h"

enum {
	ANSWER_MAX = 16384,
	GRACE_MS = 10000,    /* so much longer than a probe may take the answer is waited for */
	LOOK_MS = 1000,      /* from one look at who waits too long to the next */
	CLOSED_SOON_MS = 500 /* a connection that broke so soon */
};

struct verify_client {
	char *path;
	int64_t wait_ms, opened; /* clock_ms() */
	struct loop *loop;
	struct stream s;
	struct timer timer;
	struct map_question *first; /* those without an answer, by `behind' */
	uint64_t serial;            /* of the last one */
};

void verify_put_answer(struct buf *b, uint64_t serial, const struct verify_answer *r)
{
	size_t mark = wire_begin(b);

	wire_put_int(b, serial);
	wire_put_int(b, r->status);
	wire_put_str(b, r->dsn);
	wire_put_str(b, r->text);
	wire_end(b, mark);
}

/* unlink_question - it is answered, or nobody wants to know any more */
static void unlink_question(struct verify_client *c, const struct map_question *q)
{
	struct map_question **link = &c->first;

	while (*link != NULL && *link != q) {
		link = &(*link)->behind;
	}
	if (*link != NULL) {
		*link = q->behind;
	}
	if (c->first == NULL) {
		loop_untimer(c->loop, &c->timer);
	}
}

static void cancel(struct map_question *q)
{
	unlink_question(q->server, q);
}

/* fail - there is no answer for one that asks for as long as this, up to a serial; who waits may
 * ask anew meanwhile */
static void fail(struct verify_client *c, int64_t since, uint64_t up_to)
{
	struct map_question *q = c->first;

	while (q != NULL) {
		if (q->since > since || q->serial > up_to) {
			q = q->behind;
			continue;
		}
		unlink_question(c, q);
		map_question_end(q, MAP_FAILED);
		q = c->first; /* whatever has become of the others */
	}
}

static void put_question(struct verify_client *c, const struct map_question *q)
{
	size_t mark = wire_begin(&c->s.out);

	wire_put_int(&c->s.out, QMGR_VERIFY);
	wire_put_int(&c->s.out, q->serial);
	wire_put_int(&c->s.out, (uint64_t)c->wait_ms);
	wire_put_str(&c->s.out, buf_str(&q->request));
	wire_end(&c->s.out, mark);
}

static bool on_answer(struct stream *s, struct wire *w)
{
	struct verify_client *c = s->owner;
	struct map_question *q = c->first;
	uint64_t serial = wire_get_int(w), status = wire_get_int(w);
	const char *dsn = wire_get_str(w), *text = wire_get_str(w);

	if (!wire_ok(w) || status > VERIFY_PENDING) {
		return false;
	}
	while (q != NULL && q->serial != serial) {
		q = q->behind;
	}
	if (q != NULL) { /* else who asked has gone */
		unlink_question(c, q);
		buf_addf(&q->answer, "%c%s\n%s", (char)('0' + status), dsn, text);
		map_question_end(q, MAP_ANSWERED);
	}
	return true;
}

/* open_connection - with all questions that have no answer; false: nobody is there */
static bool open_connection(struct verify_client *c)
{
	c->opened = clock_ms();
	if (stream_connect(&c->s, c->path) != 0) {
		return false;
	}
	for (const struct map_question *q = c->first; q != NULL; q = q->behind) {
		put_question(c, q);
	}
	return stream_flush(&c->s) == 0;
}

static void on_closed(struct stream *s, enum stream_end why)
{
	struct verify_client *c = s->owner;

	(void)why;
	if (c->first != NULL && (clock_ms() - c->opened < CLOSED_SOON_MS || !open_connection(c))) {
		stream_close(&c->s);
		fail(c, INT64_MAX, c->serial);
	}
}

static const struct stream_class answers = {
	.frame = on_answer, .closed = on_closed, .read_size = 4096, .in_max = ANSWER_MAX
};

static void on_timer(struct timer *t)
{
	struct verify_client *c = t->owner;

	fail(c, clock_ms() - c->wait_ms - GRACE_MS, c->serial);
	if (c->first != NULL) {
		loop_timer(c->loop, &c->timer, LOOK_MS, on_timer, c);
	}
}

struct verify_client *verify_client_new(const char *dir, int64_t wait_ms)
{
	struct verify_client *c = mem_alloc(sizeof(*c));
	struct buf path = BUF_INIT;

	buf_addf(&path, "%s/public/qmgr", dir);
	c->path = buf_steal(&path);
	c->wait_ms = wait_ms;
	stream_init(&c->s, NULL, &answers, c);
	return c;
}

void verify_client_free(struct verify_client *c)
{
	if (c == NULL) {
		return;
	}
	if (c->loop != NULL) {
		loop_untimer(c->loop, &c->timer);
	}
	stream_close(&c->s);
	mem_free(c->path);
	mem_free(c);
}

/* begin - send it off; false: there is nobody to ask */
static bool begin(struct verify_client *c, struct map_question *q, const char *address)
{
	buf_adds(&q->request, address);
	q->server = c;
	q->serial = ++c->serial;
	q->since = clock_ms();
	q->behind = c->first;
	c->first = q;
	if (c->s.fd >= 0) {
		put_question(c, q);
		(void)stream_flush(&c->s); /* what fails comes back by on_closed() */
	} else if (!open_connection(c)) {
		stream_close(&c->s);
		unlink_question(c, q);
		map_question_settle(q, MAP_FAILED);
		return false;
	}
	q->state = MAP_ASKED;
	loop_timer(c->loop, &c->timer, LOOK_MS, on_timer, c);
	return true;
}

/* read_answer - as on_answer() has written it */
static int read_answer(struct arena *a, const struct map_question *q, struct verify_answer *r)
{
	const char *text = buf_str(&q->answer), *line = strchr(text, '\n');

	r->status = (enum verify_status)(text[0] - '0');
	r->dsn = arena_strndup(a, text + 1, (size_t)(line - text) - 1);
	r->text = arena_strdup(a, line + 1);
	return 1;
}

int verify_ask(
	struct verify_client *c, struct arena *a, const char *address, struct verify_answer *r)
{
	struct map_wait *w = map_wait_current();
	const char *key = arena_printf(a, "verify:%s", address);
	struct map_question *q;

	if (w == NULL) {
		return -1;
	}
	q = map_question_find(w, key);
	if (q != NULL && q->state != MAP_ASKED) {
		return q->state == MAP_ANSWERED ? read_answer(a, q, r) : -1;
	}
	if (q == NULL) {
		if (c->loop == NULL) {
			c->loop = w->loop;
			stream_init(&c->s, w->loop, &answers, c);
		}
		q = map_question_new(w, key, cancel);
		if (q != NULL && !begin(c, q, address)) {
			return -1;
		}
	}
	map_question_miss(w);
	return 0;
}
