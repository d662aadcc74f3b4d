/*
 * test_enqueue - a local submission: order and form, limits, refusals, a full disk, a stage that
 * waits at every moment
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "queue/queue_read.h"
#include "route/resolve.h"
#include "message/enqueue.h"
#include "conf_util.h"
#include "stage_util.h"
#include "unit.h"

static struct {
	struct loop *loop;
	struct queue *queue;
	int resumed, committed;
	bool ok;
	char id[QUEUE_ID_TEXT];
} S;

static void begin(const char *lines)
{
	char *error = NULL;

	log_open("unit", LOG_TO_FILE);
	conf_util_load(lines);
	route_init();
	memset(&S, 0, sizeof(S));
	S.loop = loop_new();
	S.queue = queue_open(unit_tmpdir(), QUEUE_CREATE, &error);
	REQUIRE(S.queue != NULL);
}

static void finish(void)
{
	queue_close(S.queue);
	loop_free(S.loop);
}

static void on_resumed(void *arg)
{
	REQUIRE(arg == &S);
	S.resumed++;
}

static struct enqueue *fresh(void)
{
	return enqueue_new(S.queue, 1000, NULL, S.loop, on_resumed, &S);
}

/* settle - turns until it does not wait; false: it does */
static bool settle(const struct enqueue *e)
{
	for (int i = 0; i < 100 && enqueue_waits(e); i++) {
		loop_turn(S.loop, 10);
	}
	return !enqueue_waits(e);
}

static int take(struct enqueue *e, enum pickup_kind kind, const char *text)
{
	const struct pickup_message m = { .kind = kind,
		.sender = text,
		.full_name = "A. User",
		.envid = "",
		.address = text,
		.orcpt = "",
		.data = text,
		.len = strlen(text),
		.text = "" };
	int rc = enqueue_take(e, &m);

	CHECK(settle(e));
	return rc;
}

/* submit - a whole one, its content in pieces; what came of it */
static enum pickup_status submit(
	struct enqueue *e, const char *content, size_t piece, const char **text_r)
{
	CHECK_INT(take(e, PICKUP_BEGIN, "a@b.example"), 0);
	CHECK_INT(take(e, PICKUP_RECIPIENT, "u@c.example"), 0);
	for (size_t at = 0, len = strlen(content); at < len; at += piece) {
		char text[4096];

		snprintf(text, sizeof(text), "%.*s", (int)piece, content + at);
		CHECK_INT(take(e, PICKUP_DATA, text), 0);
	}
	CHECK_INT(take(e, PICKUP_END, ""), 0);
	return enqueue_result(e, text_r);
}

static void on_done(void *arg, bool ok, const char *id)
{
	REQUIRE(arg == &S);
	S.committed++;
	S.ok = ok;
	snprintf(S.id, sizeof(S.id), "%s", id);
}

/* stored - commit it, and read the only message: content behind its Received header */
static void stored(struct enqueue *e, char *text, size_t size)
{
	struct arena a = ARENA_INIT;
	struct queue_envelope env = { .id = 0 };
	int64_t n = 0;

	S.committed = 0;
	enqueue_commit(e, on_done, &S);
	CHECK_INT(queue_commit(S.queue), 0);
	CHECK_INT(S.committed, 1);
	CHECK(S.ok);
	for (queue_id id = 0; queue_next(S.queue, id, &a, &env) == 1; id = env.id) {
		n = queue_read(S.queue, env.id, 0, text, size - 1);
	}
	text[n > 0 ? n : 0] = '\0';
	CHECK_STR(env.sender, "a@b.example");
	CHECK_INT(env.flags & QUEUE_F_LOCAL, QUEUE_F_LOCAL);
	CHECK(strncmp(text, "Received: ", 10) == 0);
	arena_free(&a);
}

static const char letter[] = "From: a@b.example\nTo: u@c.example\nSubject: one\n two\nDate: x\n"
			     "Message-ID: <m@x>\n\n.body\n\nmore\n";

static const char *behind(const char *text)
{
	const char *at = strstr(text, "From: a@b");

	return at != NULL ? at : text;
}

TEST(enqueue, a_stage_waits_at_every_moment)
{
	char text[4096];
	const char *why;

	begin("");
	for (enum stage_moment at = STAGE_NEVER; at < STAGE_MOMENTS; at++) {
		for (size_t piece = 1; piece < sizeof(letter); piece += 9) {
			struct enqueue *e = fresh();

			stage_util_wait(at, 0, PIPELINE_OK);
			S.resumed = 0;
			CHECK_INT(submit(e, letter, piece, &why), PICKUP_OK);
			CHECK_INT(stage_util_waited(), at != STAGE_NEVER);
			CHECK_INT(S.resumed, at != STAGE_NEVER);
			stored(e, text, sizeof(text));
			CHECK_STR(behind(text), letter);
		}
	}
	finish();
}

TEST(enqueue, a_stage_refuses)
{
	const char *why;

	begin("");
	for (enum stage_moment at = STAGE_BEGIN; at < STAGE_MOMENTS; at++) {
		struct enqueue *e = fresh();

		stage_util_wait(at, 0, PIPELINE_REJECT);
		CHECK_INT(submit(e, letter, 20, &why), PICKUP_REFUSED);
		CHECK_STR(why, "not this one");
		enqueue_free(e);
		e = fresh();
		stage_util_wait(at, 0, PIPELINE_TEMPFAIL);
		CHECK_INT(submit(e, letter, 20, &why), PICKUP_RETRY);
		CHECK_STR(why, "not this one");
		enqueue_free(e);
	}
	CHECK(!queue_pending(S.queue));
	finish();
}

TEST(enqueue, given_up_while_it_waits)
{
	const struct pickup_message data = { .kind = PICKUP_DATA, .data = "A: b\n\nc", .len = 7 };
	const struct pickup_message end = { .kind = PICKUP_END };

	begin("");
	for (enum stage_moment at = STAGE_BEGIN; at < STAGE_MOMENTS; at++) {
		struct enqueue *e = fresh();

		stage_util_wait(at, 0, PIPELINE_OK);
		CHECK_INT(take(e, PICKUP_BEGIN, "a@b.example"), 0);
		CHECK_INT(take(e, PICKUP_RECIPIENT, "u@c.example"), 0);
		CHECK_INT(enqueue_take(e, &data), 0);
		CHECK_INT(enqueue_take(e, &end), 0);
		CHECK(enqueue_waits(e));
		enqueue_free(e);
		CHECK_INT(stage_util_waiting(), 0);
		loop_turn(S.loop, 1);
		CHECK_INT(S.resumed, 0);
	}
	finish();
}

TEST(enqueue, order)
{
	static const struct {
		const char *what;
		enum pickup_kind kinds[4];
		int last; /* what the last one is answered */
	} rows[] = {
		{ "no begin", { PICKUP_RECIPIENT }, -1 },
		{ "data first", { PICKUP_DATA }, -1 },
		{ "end first", { PICKUP_END }, -1 },
		{ "twice", { PICKUP_BEGIN, PICKUP_BEGIN }, -1 },
		{ "recipient late", { PICKUP_BEGIN, PICKUP_DATA, PICKUP_RECIPIENT }, -1 },
		{ "begin late", { PICKUP_BEGIN, PICKUP_RECIPIENT, PICKUP_DATA, PICKUP_BEGIN }, -1 },
		{ "behind the end", { PICKUP_BEGIN, PICKUP_END, PICKUP_DATA }, -1 },
		{ "two ends", { PICKUP_BEGIN, PICKUP_END, PICKUP_END }, -1 },
		{ "an answer", { PICKUP_BEGIN, PICKUP_ANSWER }, -1 },
		{ "empty", { PICKUP_BEGIN, PICKUP_RECIPIENT, PICKUP_END }, 0 },
	};

	begin("");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct enqueue *e = fresh();
		int rc = 0;

		CHECK_ROW(rows[i].what);
		for (size_t n = 0; n < 4 && rows[i].kinds[n] != 0; n++) {
			CHECK_INT(rc, 0);
			rc = take(e, rows[i].kinds[n], "x@y.example");
		}
		CHECK_INT(rc, rows[i].last);
		enqueue_free(e);
	}
	CHECK_ROW(NULL);
	finish();
}

/* limits - what main.cf and a content come to */
static enum pickup_status limits(const char *content, const char **why)
{
	static char kept[200];
	struct enqueue *e = fresh();
	enum pickup_status status = submit(e, content, 7, why);

	snprintf(kept, sizeof(kept), "%s", *why);
	*why = kept;
	enqueue_free(e);
	return status;
}

TEST(enqueue, limits_and_refusals)
{
	const char *why;
	struct enqueue *e;

	begin("message_size_limit = 40\nhopcount_limit = 3\n");
	CHECK_INT(limits("A: b\n\n34567890123456789012345678901234567\n", &why), PICKUP_REFUSED);
	CHECK_STR(why, "message file too big");
	CHECK_INT(limits("A: b\n\n3456789012345678901234567890123\n", &why), PICKUP_OK);
	/* Our own counts as well. */
	CHECK_INT(limits("Received: x\n\nbody\n", &why), PICKUP_OK);
	CHECK_INT(limits("Received: x\nReceived: y\n\nbody\n", &why), PICKUP_REFUSED);
	CHECK_STR(why, "too many hops");
	/* The first reason stays. */
	CHECK_INT(limits("Received: x\nReceived: y\n\n5678901234567890123456789\n", &why),
		PICKUP_REFUSED);
	CHECK_STR(why, "too many hops");
	e = fresh();
	CHECK_INT(take(e, PICKUP_BEGIN, ""), 0);
	CHECK_INT(take(e, PICKUP_RECIPIENT, ""), 0);
	CHECK_INT(take(e, PICKUP_RECIPIENT, "<>"), 0);
	CHECK_INT(take(e, PICKUP_END, ""), 0);
	CHECK_INT(enqueue_result(e, &why), PICKUP_REFUSED);
	CHECK_STR(why, "no recipients specified");
	enqueue_free(e);
	finish();
}

TEST(enqueue, a_table_that_does_not_answer)
{
	const char *why;
	struct enqueue *e;

	begin("virtual_alias_maps = fail:now\n");
	e = fresh();
	CHECK_INT(submit(e, "A: b\n\nc\n", 100, &why), PICKUP_RETRY);
	CHECK_STR(why, "virtual alias table look-up failed");
	enqueue_free(e);
	finish();
}

/* Each recipient once, whatever it was written like; each is completed. */
TEST(enqueue, recipients)
{
	static const char *const given[] = { "u@c.example", "<u@c.example>", "u@C.example", "v",
		"v", "\"u\"@c.example" };
	struct queue_recipient found[8];
	struct arena a = ARENA_INIT;
	struct queue_envelope env = { .id = 0 };
	struct enqueue *e;
	const char *why;

	begin("myorigin = origin.example\n");
	e = fresh();
	CHECK_INT(take(e, PICKUP_BEGIN, "a"), 0);
	for (size_t i = 0; i < ARRAY_LEN(given); i++) {
		CHECK_INT(take(e, PICKUP_RECIPIENT, given[i]), 0);
	}
	CHECK_INT(take(e, PICKUP_END, ""), 0);
	CHECK_INT(enqueue_result(e, &why), PICKUP_OK);
	enqueue_commit(e, on_done, &S);
	CHECK_INT(queue_commit(S.queue), 0);
	CHECK_INT(queue_next(S.queue, 0, &a, &env), 1);
	CHECK_STR(env.sender, "a@origin.example");
	CHECK_STR(env.full_name, "A. User");
	CHECK_INT(queue_recipients(S.queue, env.id, 0, true, &a, found, 8), 2);
	CHECK_STR(found[0].address, "u@c.example");
	CHECK_STR(found[1].address, "v@origin.example");
	CHECK_STR(found[1].original, "v");
	arena_free(&a);
	finish();
}

/* What begins with no header, and what is none. */
TEST(enqueue, odd_beginnings)
{
	static const struct {
		const char *in, *end; /* of what is stored */
	} rows[] = {
		{ "", ">\n" },
		{ "\nbody\n", "\n\nbody\n" },
		{ "body only\n", "\n\nbody only\n" },
		{ "From a@b Mon Jan  1\nSubject: x\n\ny\n", "\n\ny\n" },
		{ ">From a@b Mon Jan  1\nSubject: x\n\ny\n", "\n\ny\n" },
		{ "Subject: x\nno header\n\ny\n", "\n\nno header\n\ny\n" },
		{ "Subject : x\n\ny", "\n\ny" },
		{ "Subject: x", ">\n" },
		{ " folded first\n\ny\n", "\n\n folded first\n\ny\n" },
	};
	char text[4096];
	const char *why;

	begin("");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t piece = 1; piece < 30; piece += 28) {
			struct enqueue *e = fresh();

			CHECK_ROW(rows[i].in);
			CHECK_INT(submit(e, rows[i].in, piece, &why), PICKUP_OK);
			stored(e, text, sizeof(text));
			CHECK(strstr(text, "\nMessage-Id: <") != NULL);
			CHECK(strstr(text, "\nFrom: \"A. User\" <a@b.example>\n") != NULL ||
				strstr(text, "\nFrom: A. User <a@b.example>\n") != NULL);
			CHECK(strstr(text, "From a@b") == NULL);
			CHECK(strstr(text, "Subject :") == NULL);
			REQUIRE(strlen(text) >= strlen(rows[i].end));
			CHECK_STR(text + strlen(text) - strlen(rows[i].end), rows[i].end);
		}
	}
	CHECK_ROW(NULL);
	finish();
}

/* No file may grow any more: nothing is half in the queue, and it takes mail again afterwards. */
TEST(enqueue, a_full_disk)
{
	struct rlimit room;
	char text[4096];
	char block[4000];
	const char *why;
	struct enqueue *e;

	begin("message_size_limit = 0\n");
	memset(block, 'x', sizeof(block) - 1);
	block[sizeof(block) - 1] = '\0';
	signal(SIGXFSZ, SIG_IGN);
	REQUIRE(getrlimit(RLIMIT_FSIZE, &room) == 0);
	room.rlim_cur = 200 * 1024;
	REQUIRE(setrlimit(RLIMIT_FSIZE, &room) == 0);
	e = fresh();
	CHECK_INT(take(e, PICKUP_BEGIN, "a@b.example"), 0);
	CHECK_INT(take(e, PICKUP_RECIPIENT, "u@c.example"), 0);
	for (int i = 0; i < 600; i++) { /* above what is held in memory */
		CHECK_INT(take(e, PICKUP_DATA, block), 0);
	}
	CHECK_INT(take(e, PICKUP_END, ""), 0);
	CHECK_INT(enqueue_result(e, &why), PICKUP_RETRY);
	CHECK_STR(why,
		queue_is_full(S.queue) ? "insufficient system storage" : "queue file write error");
	enqueue_free(e);
	room.rlim_cur = room.rlim_max;
	REQUIRE(setrlimit(RLIMIT_FSIZE, &room) == 0);
	e = fresh();
	CHECK_INT(submit(e, letter, 10, &why), PICKUP_OK);
	stored(e, text, sizeof(text));
	CHECK_STR(behind(text), letter);
	finish();
}
