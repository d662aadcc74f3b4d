/*
 * test_pipeline - content through stages, one of which waits: at every event, resumed by the loop
 * or given up; refusals; what a stage changes
 */
#include <string.h>

#include "base/loop.h"
#include "base/mem.h"
#include "conf/params.h"
#include "message/pipeline.h"
#include "conf_util.h"
#include "unit.h"

static const char content[] = "Subject: one\n two\nFrom: a@b.example\nX-Long: x\n\n.body\n\nmore\n";
static const char events[] = "begin|Subject: one\n two\n|From: a@b.example\n|X-Long: x\n|";

/* A stage that notes what it sees, and waits or refuses at one of its events. */
struct noter {
	struct pipeline_stage stage;
	struct loop *loop;
	struct timer timer;
	struct buf seen;
	int event, wait_at, refuse_at;
	bool is_header, is_body;
	char text[200]; /* what is to be passed on */
	size_t len;
};

static struct buf out;
static int resumed, freed;

static int put(void *arg, const void *data, size_t len)
{
	(void)arg;
	buf_add(&out, data, len);
	return 0;
}

/* pass - what was held */
static void pass(struct noter *n)
{
	if (n->is_header) {
		pipeline_pass_header(&n->stage, n->text, n->len);
	} else if (n->is_body) {
		pipeline_pass_body(&n->stage, n->text, n->len);
	}
}

static void on_timer(struct timer *t)
{
	struct noter *n = t->owner;

	pass(n);
	pipeline_resume(&n->stage, PIPELINE_OK);
}

static enum pipeline_status note(
	struct noter *n, const char *text, size_t len, bool is_header, bool is_body)
{
	buf_add(&n->seen, text, len);
	buf_addc(&n->seen, '|');
	REQUIRE(len < sizeof(n->text));
	memcpy(n->text, text, len);
	n->len = len;
	n->is_header = is_header;
	n->is_body = is_body;
	n->event++;
	if (n->event == n->refuse_at) {
		return pipeline_refuse(&n->stage, PIPELINE_REJECT, "5.7.1", "not this one");
	}
	if (n->event == n->wait_at) {
		loop_timer(n->loop, &n->timer, 0, on_timer, n);
		return PIPELINE_WAIT;
	}
	pass(n);
	return PIPELINE_OK;
}

static enum pipeline_status on_begin(struct pipeline_stage *s)
{
	return note((struct noter *)s, "begin", 5, false, false);
}

static enum pipeline_status on_header(struct pipeline_stage *s, const char *text, size_t len)
{
	return note((struct noter *)s, text, len, true, false);
}

static enum pipeline_status on_body(struct pipeline_stage *s, const char *data, size_t len)
{
	return note((struct noter *)s, data, len, false, true);
}

static enum pipeline_status on_end(struct pipeline_stage *s)
{
	return note((struct noter *)s, "end", 3, false, false);
}

static void on_free(struct pipeline_stage *s)
{
	struct noter *n = (struct noter *)s;

	loop_untimer(n->loop, &n->timer);
	buf_free(&n->seen);
	freed++;
}

static const struct pipeline_class noter_class = { on_begin, on_header, on_body, on_end, on_free };
static const struct pipeline_class plain_class = { NULL, NULL, NULL, NULL, NULL };

static void on_resumed(void *arg)
{
	(void)arg;
	resumed++;
}

static struct pipeline *start(struct noter *n, struct loop *loop)
{
	const struct cleanup_config config = {
		.flags = CLEANUP_RAW, .queue_id = "X", .sender = "", .full_name = "", .put = put
	};

	buf_reset(&out);
	resumed = freed = 0;
	n->loop = loop;
	return pipeline_new(&config, loop, on_resumed, NULL);
}

/* settle - turns until it does not wait any more; false: it still does */
static bool settle(struct pipeline *p, struct loop *loop)
{
	for (int i = 0; i < 20 && pipeline_status(p) == PIPELINE_WAIT; i++) {
		loop_turn(loop, 1);
	}
	return pipeline_status(p) != PIPELINE_WAIT;
}

/* run - all of content in pieces; how many events the stage in the middle had */
static int run(struct loop *loop, int wait_at, size_t piece, bool patient)
{
	struct noter n = { .wait_at = wait_at };
	struct pipeline_stage before, behind;
	struct pipeline *p = start(&n, loop);

	pipeline_add(p, &before, &plain_class);
	pipeline_add(p, &n.stage, &noter_class);
	pipeline_add(p, &behind, &plain_class);
	n.loop = loop;
	(void)pipeline_begin(p, NULL);
	CHECK(!patient || settle(p, loop));
	for (size_t at = 0; at < sizeof(content) - 1; at += piece) {
		size_t left = sizeof(content) - 1 - at;

		(void)pipeline_write(p, content + at, left < piece ? left : piece);
		CHECK(!patient || settle(p, loop));
	}
	(void)pipeline_end(p);
	CHECK(settle(p, loop));
	CHECK_INT(pipeline_status(p), PIPELINE_OK);
	CHECK_STR(buf_str(&out), content);
	CHECK(strncmp(buf_str(&n.seen), events, sizeof(events) - 1) == 0);
	CHECK_STR(buf_str(&n.seen) + n.seen.len - 5, "|end|");
	CHECK_INT(resumed, wait_at > 0 && wait_at <= n.event);
	wait_at = n.event;
	pipeline_free(p);
	CHECK_INT(freed, 1);
	return wait_at;
}

TEST(pipeline, a_stage_waits_at_every_event)
{
	struct loop *loop = loop_new();

	conf_util_load("");
	for (size_t piece = 1; piece < sizeof(content); piece++) {
		int count = run(loop, 0, piece, true);

		for (int at = 1; at <= count; at++) {
			(void)run(loop, at, piece, true);
			(void)run(loop, at, piece, false); /* who gives all the same is kept */
		}
	}
	buf_free(&out);
	loop_free(loop);
}

TEST(pipeline, given_up_while_it_waits)
{
	struct loop *loop = loop_new();

	conf_util_load("");
	for (int at = 1; at < 8; at++) {
		struct noter n = { .wait_at = at };
		struct pipeline *p = start(&n, loop);

		pipeline_add(p, &n.stage, &noter_class);
		n.loop = loop;
		(void)pipeline_begin(p, NULL);
		(void)pipeline_write(p, content, sizeof(content) - 1);
		(void)pipeline_end(p);
		pipeline_free(p);
		CHECK_INT(freed, 1);
		loop_turn(loop, 1);
		CHECK_INT(resumed, 0);
	}
	buf_free(&out);
	loop_free(loop);
}

TEST(pipeline, two_that_wait)
{
	struct loop *loop = loop_new();

	conf_util_load("");
	for (int first = 1; first < 8; first++) {
		for (int second = 1; second < 8; second++) {
			struct noter a = { .wait_at = first }, b = { .wait_at = second };
			struct pipeline *p = start(&a, loop);

			b.loop = loop;
			pipeline_add(p, &a.stage, &noter_class);
			pipeline_add(p, &b.stage, &noter_class);
			(void)pipeline_begin(p, "Received: x\n");
			(void)pipeline_write(p, content, sizeof(content) - 1);
			(void)pipeline_end(p);
			CHECK(settle(p, loop));
			CHECK(strncmp(buf_str(&out), "Received: x\n", 12) == 0);
			CHECK_STR(buf_str(&out) + 12, content);
			CHECK_STR(buf_str(&b.seen), buf_str(&a.seen));
			pipeline_free(p);
		}
	}
	buf_free(&out);
	loop_free(loop);
}

TEST(pipeline, refusals)
{
	struct loop *loop = loop_new();

	conf_util_load("");
	for (int at = 1; at < 8; at++) {
		struct noter n = { .refuse_at = at };
		struct pipeline *p = start(&n, loop);

		pipeline_add(p, &n.stage, &noter_class);
		n.loop = loop;
		(void)pipeline_begin(p, NULL);
		(void)pipeline_write(p, content, sizeof(content) - 1);
		CHECK_INT(pipeline_end(p), PIPELINE_REJECT);
		CHECK_STR(pipeline_dsn(p), "5.7.1");
		CHECK_STR(pipeline_text(p), "not this one");
		CHECK_INT(n.event, at); /* nothing comes behind it */
		pipeline_free(p);
	}
	buf_free(&out);
	loop_free(loop);
}

static int put_nothing(void *arg, const void *data, size_t len)
{
	(void)arg, (void)data, (void)len;
	return -1;
}

TEST(pipeline, what_cleanup_says)
{
	struct cleanup_config config = {
		.flags = 0, .queue_id = "X", .sender = "", .full_name = "", .put = put
	};
	struct pipeline *p;

	conf_util_load("");
	p = pipeline_new(&config, NULL, NULL, NULL);
	CHECK_INT(pipeline_begin(p, NULL), PIPELINE_OK);
	for (int i = 0; i < param.hopcount_limit; i++) {
		(void)pipeline_write(p, "Received: x\n", 12);
	}
	CHECK_INT(pipeline_end(p), PIPELINE_REJECT);
	CHECK_STR(pipeline_dsn(p), "5.4.0");
	CHECK_STR(pipeline_text(p), "too many hops");
	pipeline_free(p);
	config.put = put_nothing;
	p = pipeline_new(&config, NULL, NULL, NULL);
	(void)pipeline_begin(p, NULL);
	(void)pipeline_write(p, "A: b\n\nc\n", 8);
	CHECK_INT(pipeline_end(p), PIPELINE_TEMPFAIL);
	CHECK_STR(pipeline_text(p), "");
	pipeline_free(p);
	buf_free(&out);
}

/* A header with a line that is too long comes in pieces, and is whole again behind the stages. */
TEST(pipeline, long_headers)
{
	struct pipeline_stage plain;
	struct noter n = { 0 };
	struct loop *loop = loop_new();
	struct pipeline *p;
	size_t size;
	char *line;

	conf_util_load("");
	p = start(&n, loop);
	size = (size_t)param.header_size_limit * 3;
	line = mem_alloc(size + 1);
	memset(line, 'x', size);
	pipeline_add(p, &plain, &plain_class);
	(void)pipeline_begin(p, NULL);
	(void)pipeline_write(p, "A: ", 3);
	for (size_t at = 0; at < size; at += 1000) {
		(void)pipeline_write(p, line + at, size - at < 1000 ? size - at : 1000);
	}
	(void)pipeline_write(p, "\n y\nB: z\n\nbody\n", 15);
	CHECK_INT(pipeline_end(p), PIPELINE_OK);
	CHECK_INT((long long)out.len, (long long)size + 3 + 15);
	CHECK_STR(buf_str(&out) + out.len - 15, "\n y\nB: z\n\nbody\n");
	pipeline_free(p);
	mem_free(line);
	buf_free(&out);
	loop_free(loop);
}
