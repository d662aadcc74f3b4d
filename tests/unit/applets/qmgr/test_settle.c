/*
 * test_settle - what answers mean for the queue: notices and copies with a stage of the pipeline
 * that waits. What they are about stays in the queue until they are there, and goes in that commit
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "route/resolve.h"
#include "applets/queue/qmgr/dispatch.h"
#include "applets/queue/qmgr/job_answer.h"
#include "applets/queue/qmgr/qmgr.h"
#include "applets/queue/qmgr/settle.h"
#include "conf_util.h"
#include "stage_util.h"
#include "unit.h"

enum { LONG_MS = 60000, TURNS = 60 };

static struct qmgr *m;

static void begin(const char *lines)
{
	char *error = NULL;

	log_open("unit", LOG_TO_FILE);
	conf_util_load(lines);
	route_init();
	m = mem_alloc(sizeof(*m));
	m->loop = loop_new();
	m->queue = queue_open(unit_tmpdir(), QUEUE_CREATE, &error);
	REQUIRE(m->queue != NULL);
	queue_keep_failed(m->queue, true);
	settle_init(m);
	dispatch_init(m);
}

/* finish - as at the end of the process, and the queue is away */
static void finish(void)
{
	char path[4096];

	transports_free(&m->transports);
	jobs_free(m);
	load_free(m);
	queue_close(m->queue);
	loop_free(m->loop);
	mem_free(m);
	snprintf(path, sizeof(path), "%s/queue.db", unit_tmpdir());
	REQUIRE(remove(path) == 0);
}

/* add - a message to so many recipients, active, each in a request */
static struct job *add(const char *sender, size_t count, unsigned notify, int64_t age)
{
	struct queue_envelope env = { .sender = sender, .envid = "" };
	struct queue_message *q;
	struct arena a = ARENA_INIT;
	struct job *j;

	env.arrival = age > 0 ? clock_wall_us() - age * 1000000 : 0;
	q = queue_begin(m->queue, &env);
	for (size_t i = 0; i < count; i++) {
		char address[80];
		const struct queue_recipient r = { .address = address,
			.original = "",
			.orcpt = "",
			.dsn = "",
			.reason = "",
			.notify = notify };

		snprintf(address, sizeof(address), "u%zu@far.example", i);
		queue_add_recipient(q, &r);
	}
	env.id = queue_message_id(q);
	REQUIRE(queue_write(q, "Received: x\nSubject: y\n\nbody\n", 29) == 0);
	queue_end(q, NULL, NULL);
	REQUIRE(queue_commit(m->queue) == 0);
	REQUIRE(queue_get(m->queue, env.id, &a, &env) == 1);
	j = job_new(&env);
	CHECK_INT(job_load_rcpts(m, j, &a), (long long)count);
	job_enter(m, j);
	for (struct rcpt *r = j->rcpts; r != NULL; r = r->next) {
		r->state = RCPT_WAITING;
	}
	arena_free(&a);
	return j;
}

static void answer(struct job *j, size_t n, enum delivery_status status)
{
	const struct delivery_answer a = { .status = status,
		.dsn = status == DELIVERY_SENT ? "2.0.0" : "5.1.1",
		.text = "why",
		.owner = "" };
	struct rcpt *r = j->rcpts;

	while (n-- > 0) {
		r = r->next;
	}
	job_answer(m, j, r, &a);
}

/* What is in the queue: the original, with so many recipients left, and others to somebody. */
struct found {
	bool original;
	int left, attempts, others;
	char to[100], sender[100], text[4096]; /* of the last of the others */
	unsigned flags;
};

static struct found look(queue_id original)
{
	struct found f = { .left = -1 };
	struct arena a = ARENA_INIT;
	struct queue_envelope env;

	for (queue_id id = 0; queue_next(m->queue, id, &a, &env) == 1; id = env.id) {
		struct queue_recipient r[8];
		int count = queue_recipients(m->queue, env.id, 0, true, &a, r, 8);

		if (env.id == original) {
			f.original = true;
			f.left = count;
			f.attempts = env.attempts;
			f.flags = env.flags;
		} else {
			int64_t n = queue_read(m->queue, env.id, 0, f.text, sizeof(f.text) - 1);

			f.others++;
			snprintf(f.to, sizeof(f.to), "%s", r[0].address);
			snprintf(f.sender, sizeof(f.sender), "%s", env.sender);
			f.text[n > 0 ? n : 0] = '\0';
		}
	}
	arena_free(&a);
	return f;
}

static void turns(int count)
{
	while (count-- > 0) {
		loop_turn(m->loop, 2);
	}
}

/* until - turns until nothing waits in a stage, with a look at the queue before each */
static void until(queue_id original, int others_with_original)
{
	for (int i = 0; i < TURNS; i++) {
		struct found f = look(original);

		/* One commit: as long as it is there whole, nothing that is about it is. */
		CHECK_INT(f.others, f.original ? others_with_original : f.others);
		loop_turn(m->loop, 2);
	}
	CHECK_INT(stage_util_waiting(), 0);
}

TEST(settle, a_bounce_waits)
{
	for (enum stage_moment at = STAGE_NEVER; at < STAGE_MOMENTS; at++) {
		struct found f;
		queue_id id;
		struct job *j;

		begin("");
		stage_util_wait(at, 20, PIPELINE_OK);
		j = add("s@here.example", 2, 0, 0);
		id = j->id;
		answer(j, 0, DELIVERY_BOUNCED);
		answer(j, 1, DELIVERY_SENT);
		until(id, 0);
		CHECK_INT(stage_util_waited(), at != STAGE_NEVER);
		f = look(id);
		CHECK(!f.original);
		CHECK_INT(f.others, 1);
		CHECK_STR(f.to, "s@here.example");
		CHECK_STR(f.sender, "");
		CHECK(strncmp(f.text, "Received: by mx.example (", 25) == 0);
		CHECK(strstr(f.text, "<u0@far.example>: why") != NULL);
		CHECK(strstr(f.text, "u1@far.example") == NULL);
		CHECK_INT((long long)m->job_count, 0);
		CHECK_INT((long long)m->post_count, 0);
		finish();
	}
}

/* A notice that a stage refuses gives nothing up, also what had expired. */
TEST(settle, a_bounce_is_refused)
{
	static const struct {
		const char *what, *lines;
		enum delivery_status status;
	} rows[] = {
		{ "bounced", "", DELIVERY_BOUNCED },
		{ "expired", "maximal_queue_lifetime = 1d\n", DELIVERY_DEFERRED },
		{ "expired and warned of", "maximal_queue_lifetime = 1d\ndelay_warning_time = 1h\n",
			DELIVERY_DEFERRED },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (int ms = 0; ms < 20; ms += 15) {
			struct found f;
			queue_id id;
			struct job *j;

			CHECK_ROW(rows[i].what);
			begin(rows[i].lines);
			stage_util_wait(STAGE_BODY, ms, PIPELINE_REJECT);
			j = add("s@here.example", 1, 0, 3 * 86400);
			id = j->id;
			answer(j, 0, rows[i].status);
			turns(TURNS);
			f = look(id);
			CHECK(f.original);
			CHECK_INT(f.left, 1);
			CHECK_INT(f.attempts, 1);
			CHECK_INT(f.others, 0);
			CHECK_INT(f.flags & QUEUE_F_WARNED, 0);
			CHECK_INT((long long)m->job_count, 0);
			finish();
		}
	}
	CHECK_ROW(NULL);
}

/* Postmaster's copy and the warning of the same pass, each with its wait. */
TEST(settle, several_notices)
{
	struct found f;
	queue_id id;
	struct job *j;

	begin("notify_classes = bounce, delay\ndelay_warning_time = 1h\n");
	stage_util_wait(STAGE_END, 20, PIPELINE_OK);
	j = add("s@here.example", 2, 0, 2 * 3600);
	id = j->id;
	answer(j, 0, DELIVERY_BOUNCED);
	answer(j, 1, DELIVERY_DEFERRED);
	for (int i = 0; i < TURNS; i++) {
		f = look(id);
		CHECK(f.original);
		CHECK(f.others == 0 || f.others == 4);
		CHECK_INT(f.left, f.others == 0 ? 2 : 1);
		turns(1);
	}
	CHECK_INT(stage_util_waited(), 4);
	CHECK_INT(f.others, 4);
	CHECK_INT(f.flags & QUEUE_F_WARNED, QUEUE_F_WARNED);
	finish();
}

/* One that was delivered while the report about another waits gets its own. */
TEST(settle, reports_of_success)
{
	struct found f;
	queue_id id;
	struct job *j;

	begin("");
	stage_util_wait(STAGE_BODY, 30, PIPELINE_OK);
	j = add("s@here.example", 3, DSN_SUCCESS, 0);
	id = j->id;
	answer(j, 0, DELIVERY_SENT);
	turns(4);
	CHECK_INT(stage_util_waiting(), 1);
	answer(j, 1, DELIVERY_SENT);
	turns(2);
	CHECK_INT(look(id).left, 3);
	for (int i = 0; i < TURNS; i++) {
		f = look(id);
		CHECK_INT(f.left, 3 - f.others);
		turns(1);
	}
	CHECK_INT(f.others, 2);
	answer(j, 2, DELIVERY_SENT);
	turns(TURNS);
	f = look(id);
	CHECK(!f.original);
	CHECK_INT(f.others, 3);
	CHECK_INT(stage_util_waited(), 3);
	CHECK(strstr(f.text, "u2@far.example") != NULL && strstr(f.text, "u0@") == NULL);
	finish();
}

/* The others are all delivered meanwhile, and one of them is not: nobody is forgotten. */
TEST(settle, reports_and_the_last_answers)
{
	struct found f;
	queue_id id;
	struct job *j;

	begin("");
	stage_util_wait(STAGE_END, 20, PIPELINE_OK);
	j = add("s@here.example", 3, DSN_SUCCESS | DSN_FAILURE, 0);
	id = j->id;
	answer(j, 0, DELIVERY_SENT);
	turns(3);
	answer(j, 1, DELIVERY_SENT);
	answer(j, 2, DELIVERY_BOUNCED);
	turns(3 * TURNS);
	f = look(id);
	CHECK(!f.original);
	CHECK_INT(f.others, 3);
	CHECK_INT(stage_util_waited(), 3);
	CHECK_INT((long long)m->job_count, 0);
	finish();
}

/* forward - recipient 0's answer names an owner */
static void forward(struct job *j, enum delivery_status status)
{
	const char *to[] = { "x@there.example", "y@there.example" };
	const struct delivery_answer a = { .status = status,
		.dsn = "2.0.0",
		.text = "",
		.owner = "owner-list@here.example",
		.added = to,
		.added_count = 2 };

	job_answer(m, j, j->rcpts, &a);
}

TEST(settle, a_copy_waits)
{
	for (enum stage_moment at = STAGE_NEVER; at < STAGE_MOMENTS; at++) {
		struct found f;
		queue_id id;
		struct job *j;
		const char *behind;

		begin("");
		stage_util_wait(at, 20, PIPELINE_OK);
		j = add("s@here.example", 1, at == STAGE_END ? DSN_SUCCESS : 0, 0);
		id = j->id;
		forward(j, DELIVERY_SENT);
		forward(j, DELIVERY_SENT); /* once is enough */
		until(id, 0);
		f = look(id);
		CHECK(!f.original);
		CHECK_INT(f.others, at == STAGE_END ? 2 : 1); /* and its report */
		if (at != STAGE_END) {
			CHECK_STR(f.to, "x@there.example");
			CHECK_STR(f.sender, "owner-list@here.example");
			behind = strstr(f.text, "\nReceived: x\n");
			CHECK_STR(behind, "\nReceived: x\nSubject: y\n\nbody\n");
		}
		finish();
	}
}

TEST(settle, a_copy_is_refused)
{
	struct found f;
	queue_id id;
	struct job *j;

	begin("");
	stage_util_wait(STAGE_HEADER, 5, PIPELINE_TEMPFAIL);
	j = add("s@here.example", 1, 0, 0);
	id = j->id;
	forward(j, DELIVERY_SENT);
	turns(TURNS);
	f = look(id);
	CHECK_INT(f.left, 1);
	CHECK_INT(f.attempts, 1);
	CHECK_INT(f.others, 0);
	finish();
}

/* While one waits for long the others are settled; at the end it is in the queue as it was. */
TEST(settle, others_go_on)
{
	struct found f;
	queue_id slow, id;
	struct job *j, *copied;

	begin("");
	stage_util_wait(STAGE_BODY, LONG_MS, PIPELINE_OK);
	j = add("s@here.example", 1, 0, 0);
	copied = add("s@here.example", 1, 0, 0);
	slow = j->id;
	answer(j, 0, DELIVERY_BOUNCED);
	forward(copied, DELIVERY_SENT);
	turns(3);
	CHECK_INT(stage_util_waiting(), 2);
	CHECK(!job_leave_unsent(m, j)); /* a successor has to wait for it */
	stage_util_wait(STAGE_NEVER, 0, PIPELINE_OK);
	j = add("t@here.example", 1, 0, 0);
	id = j->id;
	answer(j, 0, DELIVERY_BOUNCED);
	turns(10);
	f = look(slow);
	CHECK_INT(f.left, 1);
	CHECK_INT(f.others, 2); /* the notice, and what is to be copied */
	CHECK_STR(f.to, "t@here.example");
	CHECK(!look(id).original);
	jobs_free(m);
	m->found = NULL;
	m->spare = NULL;
	CHECK_INT((long long)m->post_count, 0);
	CHECK_INT(queue_commit(m->queue), 0);
	CHECK_INT(look(slow).others, 2);
	finish();
}

/* A day in the queue, and "eleven days old", because the clock was ten days behind. */
TEST(settle, the_clock_was_set)
{
	enum { DAY = 86400 };
	struct found f;
	struct job *j;
	queue_id id;

	for (int jumped = 0; jumped < 2; jumped++) {
		begin("maximal_queue_lifetime = 5d\ndelay_warning_time = 2d\n");
		clock_steps_look(&m->clock, qmgr_now() - (jumped ? 10 * DAY : 0), clock_steady());
		j = add("a@test.example", 1, 0, 11 * DAY);
		id = j->id;
		answer(j, 0, DELIVERY_DEFERRED);
		until(id, 0);
		f = look(id);
		CHECK_INT(f.original, jumped);
		CHECK_INT(f.others, !jumped);
		finish();
	}
}
