/*
 * test_agent - requests and answers over a socket pair: order, nonsense, an agent that goes away
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "applets/queue/qmgr/agent.h"
#include "qmgr_util.h"
#include "unit.h"

/* An agent, its other end, and what was heard: "a1.0 e1 t ": answer of job 1's recipient 0 ... */
struct rig {
	struct loop *loop;
	struct agent a;
	int peer;
	struct buf in, heard;
};

static void on_answer(
	struct agent *a, struct request *r, struct rcpt *to, const struct delivery_answer *what)
{
	struct rig *rig = a->owner;

	to->state = what->status == DELIVERY_SENT ? RCPT_DONE : RCPT_DEFERRED;
	buf_addf(&rig->heard, "a%d.%d ", (int)r->job->id, (int)to->n);
}

static void note(struct agent *a, const char *what, const struct request *r)
{
	struct rig *rig = a->owner;

	buf_addf(&rig->heard, "%s%d ", what, r != NULL ? (int)r->job->id : 0);
}

static void on_ended(struct agent *a, struct request *r)
{
	note(a, "e", r);
	mem_free(r);
}

static void on_lost(struct agent *a, struct request *r)
{
	note(a, "l", r);
	mem_free(r);
}

static void on_taken(struct agent *a)
{
	(void)a;
}

static void on_broken(struct agent *a)
{
	note(a, "b", NULL);
}

static const struct agent_events events = { .answer = on_answer,
	.ended = on_ended,
	.taken = on_taken,
	.lost = on_lost,
	.broken = on_broken };

static void rig_connect(struct rig *rig)
{
	int ends[2];

	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
	rig->peer = ends[1];
	stream_open(&rig->a.s, ends[0]);
}

static void rig_open(struct rig *rig)
{
	memset(rig, 0, sizeof(*rig));
	rig->loop = loop_new();
	agent_init(&rig->a, rig->loop, &events, rig, "test");
	rig_connect(rig);
}

static void rig_close(struct rig *rig)
{
	agent_free(&rig->a);
	close(rig->peer);
	buf_free(&rig->in);
	buf_free(&rig->heard);
	loop_free(rig->loop);
}

static void turns(struct rig *rig)
{
	for (int i = 0; i < 5; i++) {
		loop_turn(rig->loop, 1);
	}
}

/* heard - since the last call */
static const char *heard(struct rig *rig, char out[256])
{
	snprintf(out, 256, "%s", buf_str(&rig->heard));
	buf_reset(&rig->heard);
	return out;
}

/* get - the next request as the agent reads it; its serial and first address */
static uint64_t get(struct rig *rig, char address[80])
{
	struct arena a = ARENA_INIT;
	struct delivery_request q;
	uint64_t serial;
	struct wire w;
	size_t size;
	ssize_t n;

	while ((n = read(rig->peer, buf_reserve(&rig->in, 4096), 4096)) > 0) {
		buf_added(&rig->in, (size_t)n);
	}
	REQUIRE(wire_next(&rig->in, &w, &size) == 1);
	REQUIRE(delivery_get_request(&w, &a, &q));
	REQUIRE(q.recipient_count > 0);
	snprintf(address, 80, "%s %s%s", q.recipients[0].address, q.nexthop,
		q.recipients[0].flags & DELIVERY_SUSPECT ? " suspect" : "");
	serial = q.serial;
	buf_consume(&rig->in, size);
	arena_free(&a);
	return serial;
}

static void say(struct rig *rig, uint64_t serial, uint64_t n)
{
	const struct delivery_answer answer = {
		.serial = serial, .n = n, .dsn = "2.0.0", .text = "", .owner = ""
	};
	struct buf b = BUF_INIT;

	delivery_put_answer(&b, &answer);
	REQUIRE(write(rig->peer, b.data, b.len) == (ssize_t)b.len);
	buf_free(&b);
}

TEST(agent, answers_in_any_order)
{
	struct job *one = qmgr_job(1, "a", 2), *two = qmgr_job(2, "b", 1);
	char text[256], address[80];
	uint64_t first, second;
	struct rig rig;

	rig_open(&rig);
	one->rcpts->suspect = true;
	agent_put(&rig.a, qmgr_request(one, NULL), "hop");
	agent_put(&rig.a, qmgr_request(two, NULL), "[other]:25");
	agent_flush(&rig.a);
	first = get(&rig, address);
	CHECK_STR(address, "u0@a.example hop suspect");
	second = get(&rig, address);
	CHECK_STR(address, "u0@b.example [other]:25");
	CHECK_INT(rig.a.sent.count, 2);
	say(&rig, first, 1);
	say(&rig, second, 0);
	turns(&rig);
	CHECK_STR(heard(&rig, text), "a1.1 a2.0 e2 ");
	/* Said twice, or about somebody else: nothing. */
	say(&rig, first, 1);
	say(&rig, first, 7);
	turns(&rig);
	CHECK_STR(heard(&rig, text), "");
	say(&rig, first, 0);
	turns(&rig);
	CHECK_STR(heard(&rig, text), "a1.0 e1 ");
	CHECK_INT(rig.a.sent.count, 0);
	rig_close(&rig);
	qmgr_job_free(one);
	qmgr_job_free(two);
}

TEST(agent, an_answer_to_what_is_not_under_way_ends_it)
{
	struct job *j = qmgr_job(1, "a", 1);
	char text[256], address[80];
	uint64_t serial;
	struct rig rig;

	rig_open(&rig);
	agent_put(&rig.a, qmgr_request(j, NULL), "");
	agent_flush(&rig.a);
	serial = get(&rig, address);
	say(&rig, serial, 0);
	turns(&rig);
	CHECK_STR(heard(&rig, text), "a1.0 e1 ");
	/* The same slot has another turn now. */
	agent_put(&rig.a, qmgr_request(j, NULL), "");
	agent_flush(&rig.a);
	CHECK(get(&rig, address) != serial);
	say(&rig, serial, 0);
	turns(&rig);
	CHECK_STR(heard(&rig, text), "l1 b0 ");
	CHECK(!agent_is_open(&rig.a));
	rig_close(&rig);
	qmgr_job_free(j);
}

TEST(agent, what_was_under_way_comes_back_latest_first)
{
	struct job *jobs[3];
	char text[256];
	struct rig rig;

	rig_open(&rig);
	for (size_t i = 0; i < 3; i++) {
		jobs[i] = qmgr_job(i + 1, "a", 1);
		agent_put(&rig.a, qmgr_request(jobs[i], NULL), "");
	}
	agent_flush(&rig.a);
	close(rig.peer);
	turns(&rig);
	CHECK_STR(heard(&rig, text), "l3 l2 l1 b0 ");
	CHECK_INT(rig.a.sent.count, 0);
	rig.peer = -1;
	rig_close(&rig);
	for (size_t i = 0; i < 3; i++) {
		qmgr_job_free(jobs[i]);
	}
}

TEST(agent, answers_are_heard_though_it_takes_no_more)
{
	struct job *one = qmgr_job(1, "a", 1), *two = qmgr_job(2, "b", 1);
	char text[256], address[80];
	struct rig rig;

	rig_open(&rig);
	agent_put(&rig.a, qmgr_request(one, NULL), "");
	agent_flush(&rig.a);
	/* It delivers, says so, and is gone before its answer is read. */
	say(&rig, get(&rig, address), 0);
	close(rig.peer);
	agent_put(&rig.a, qmgr_request(two, NULL), "");
	agent_flush(&rig.a);
	CHECK_STR(heard(&rig, text), "");
	CHECK(!agent_has_room(&rig.a));
	turns(&rig);
	CHECK_STR(heard(&rig, text), "a1.0 e1 l2 b0 ");
	CHECK_INT(one->rcpts->state, RCPT_DONE);
	rig.peer = -1;
	rig_close(&rig);
	qmgr_job_free(one);
	qmgr_job_free(two);
}

TEST(agent, one_by_one_after_two_breaks)
{
	struct job *j = qmgr_job(1, "a", 1);
	char address[80];
	struct rig rig;

	rig_open(&rig);
	for (int i = 0; i < 2; i++) {
		agent_put(&rig.a, qmgr_request(j, NULL), "");
		CHECK(agent_has_room(&rig.a));
		agent_flush(&rig.a);
		close(rig.peer);
		turns(&rig);
		rig_connect(&rig);
	}
	CHECK(agent_has_room(&rig.a));
	agent_put(&rig.a, qmgr_request(j, NULL), "");
	CHECK(!agent_has_room(&rig.a));
	agent_flush(&rig.a);
	say(&rig, get(&rig, address), 0);
	turns(&rig);
	/* It answers: all is well. */
	agent_put(&rig.a, qmgr_request(j, NULL), "");
	CHECK(agent_has_room(&rig.a));
	rig_close(&rig);
	qmgr_job_free(j);
}

TEST(agent, many_under_way)
{
	enum { MANY = 2000 };
	struct job *j = qmgr_job(1, "a", 1);
	uint64_t *serials = mem_calloc(MANY, sizeof(*serials));
	char address[80];
	struct rig rig;

	rig_open(&rig);
	for (int i = 0; i < MANY; i++) {
		CHECK(agent_has_room(&rig.a));
		agent_put(&rig.a, qmgr_request(j, NULL), "");
		agent_flush(&rig.a);
		serials[i] = get(&rig, address);
	}
	CHECK(!agent_has_room(&rig.a));
	for (int i = MANY - 1; i >= 0; i--) {
		j->rcpts->state = RCPT_WAITING;
		say(&rig, serials[i], 0);
		loop_turn(rig.loop, 0);
		CHECK_INT(rig.a.sent.count, i);
	}
	rig_close(&rig);
	mem_free(serials);
	qmgr_job_free(j);
}
