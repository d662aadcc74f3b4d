/*
 * test_transport - whose turn it is, which recipients share a request, what breaks and what dies
 *
 * The agent is this test, behind a socket private/test in a directory of its own.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/unixsock.h"
#include "conf/params.h"
#include "applets/queue/qmgr/transport.h"
#include "qmgr_util.h"
#include "unit.h"

enum { DEAD_MS = 60 };

struct rig {
	struct loop *loop;
	struct transports set;
	struct transport *t;
	int listener, peer; /* -1: none */
	bool held;          /* nothing may be sent */
	struct buf in;
	struct buf failed; /* "u0@a.example 4.3.0 text;" */
	int answers;
};

/* What the agent was asked for. */
struct asked {
	uint64_t serial;
	char text[200]; /* "u0@a.example,u1@a.example" */
	bool suspect;
};

static void on_answer(void *owner, struct job *j, struct rcpt *r, const struct delivery_answer *a)
{
	struct rig *rig = owner;

	(void)j;
	r->state = a->status == DELIVERY_SENT ? RCPT_DONE : RCPT_DEFERRED;
	rig->answers++;
}

static void on_fail(void *owner, struct job *j, struct rcpt *r, const char *dsn, const char *text)
{
	struct rig *rig = owner;

	(void)j;
	r->state = RCPT_DEFERRED;
	buf_addf(&rig->failed, "%s %s %s;", r->address, dsn, text);
}

static bool may_send(void *owner)
{
	return !((struct rig *)owner)->held;
}

static const struct transport_events events = {
	.answer = on_answer, .fail = on_fail, .may_send = may_send
};

static const struct transport_settings plain = { .recipient_limit = 3,
	.dest = { .initial = 2,
		.most = 4,
		.up = { 1, FEEDBACK_CONSTANT },
		.down = { 1, FEEDBACK_CONSTANT },
		.failed_cohorts = 1,
		.dead_ms = DEAD_MS } };

static void rig_open(struct rig *rig, const struct transport_settings *s)
{
	*rig = (struct rig){ .peer = -1 };
	REQUIRE(chdir(unit_tmpdir()) == 0);
	REQUIRE(mkdir("private", 0700) == 0);
	rig->listener = unix_listen("private/test", 0600);
	REQUIRE(rig->listener >= 0);
	rig->loop = loop_new();
	transports_init(&rig->set, rig->loop, &events, rig);
	rig->t = transport_new(&rig->set, "test", s);
	CHECK(transport_get(&rig->set, "test") == rig->t);
	param.transport_retry_time = 60;
}

static void rig_close(struct rig *rig)
{
	transports_free(&rig->set);
	if (rig->peer >= 0) {
		close(rig->peer);
	}
	if (rig->listener >= 0) {
		close(rig->listener);
	}
	buf_free(&rig->in);
	buf_free(&rig->failed);
	loop_free(rig->loop);
}

static void turns(struct rig *rig, int ms)
{
	for (int64_t end = loop_now(rig->loop) + ms; loop_now(rig->loop) <= end;) {
		loop_turn(rig->loop, 2);
	}
}

/* add - all recipients of j, to nexthop */
static void add(struct rig *rig, struct job *j, const char *nexthop)
{
	struct request_open open = { .count = 0 };

	for (struct rcpt *r = j->rcpts; r != NULL; r = r->next) {
		transport_add(rig->t, nexthop, r->address, j, r, &open);
	}
}

/* look - what came; false: there is nothing */
static bool look(struct rig *rig, struct asked *q)
{
	struct arena a = ARENA_INIT;
	struct delivery_request r;
	struct buf text = BUF_INIT;
	struct wire w;
	size_t size;
	ssize_t n;

	if (rig->peer < 0) {
		rig->peer = accept4(rig->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	}
	while ((n = read(rig->peer, buf_reserve(&rig->in, 4096), 4096)) > 0) {
		buf_added(&rig->in, (size_t)n);
	}
	if (wire_next(&rig->in, &w, &size) != 1) {
		return false;
	}
	REQUIRE(delivery_get_request(&w, &a, &r));
	q->serial = r.serial;
	q->suspect = false;
	for (size_t i = 0; i < r.recipient_count; i++) {
		buf_addf(&text, "%s%s", i > 0 ? "," : "", r.recipients[i].address);
		q->suspect = q->suspect || (r.recipients[i].flags & DELIVERY_SUSPECT) != 0;
	}
	snprintf(q->text, sizeof(q->text), "%s", buf_str(&text));
	buf_consume(&rig->in, size);
	buf_free(&text);
	arena_free(&a);
	return true;
}

/* asks - the next request has these recipients; it */
static struct asked asks(struct rig *rig, const char *want)
{
	struct asked q = { .text = "(nothing)" };

	(void)look(rig, &q);
	CHECK_STR(q.text, want);
	return q;
}

static void asks_no_more(struct rig *rig)
{
	(void)asks(rig, "(nothing)");
}

/* say - all recipients 0 ... count - 1 of that request */
static void say(struct rig *rig, const struct asked *q, size_t count, bool unreachable)
{
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < count; i++) {
		const struct delivery_answer a = { .serial = q->serial,
			.n = i,
			.status = unreachable ? DELIVERY_DEFERRED : DELIVERY_SENT,
			.unreachable = unreachable,
			.dsn = unreachable ? "4.4.1" : "2.0.0",
			.text = unreachable ? "connection refused" : "",
			.owner = "" };

		delivery_put_answer(&b, &a);
	}
	REQUIRE(write(rig->peer, b.data, b.len) == (ssize_t)b.len);
	buf_free(&b);
	loop_turn(rig->loop, 0);
}

/* hang_up - the agent dies */
static void hang_up(struct rig *rig)
{
	close(rig->peer);
	rig->peer = -1;
	buf_reset(&rig->in);
	turns(rig, 5);
}

TEST(transport, recipients_share_requests)
{
	struct job *a = qmgr_job(1, "a", 5), *b = qmgr_job(2, "b", 1);
	struct rig rig;

	rig_open(&rig, &plain);
	add(&rig, a, "hop");
	add(&rig, b, "hop"); /* another message: a request of its own */
	transports_send(&rig.set);
	(void)asks(&rig, "u0@a.example,u1@a.example,u2@a.example");
	(void)asks(&rig, "u3@a.example,u4@a.example");
	asks_no_more(&rig); /* the window is two */
	CHECK_INT(transports_sent(&rig.set), 2);
	rig_close(&rig);
	qmgr_job_free(a);
	qmgr_job_free(b);
}

TEST(transport, destinations_take_turns)
{
	static const char *const names[] = { "big", "big", "big", "small", "other" };
	struct job *jobs[ARRAY_LEN(names)];
	struct asked q;
	struct rig rig;

	rig_open(&rig, &plain);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		jobs[i] = qmgr_job(i + 1, names[i], 1);
		add(&rig, jobs[i], names[i]);
	}
	transports_send(&rig.set);
	q = asks(&rig, "u0@big.example");
	(void)asks(&rig, "u0@small.example");
	(void)asks(&rig, "u0@other.example");
	(void)asks(&rig, "u0@big.example");
	asks_no_more(&rig);
	say(&rig, &q, 1, false);
	(void)asks(&rig, "u0@big.example");
	CHECK_INT(jobs[0]->rcpts->state, RCPT_DONE);
	rig_close(&rig);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		qmgr_job_free(jobs[i]);
	}
}

TEST(transport, one_recipient_at_a_time_is_a_destination)
{
	struct transport_settings s = plain;
	struct job *a = qmgr_job(1, "a", 2), *b = qmgr_job(2, "a", 2);
	struct rig rig;

	s.recipient_limit = 1;
	s.dest.initial = 1;
	rig_open(&rig, &s);
	add(&rig, a, "hop");
	add(&rig, b, "HOP"); /* letters alone make no other destination */
	transports_send(&rig.set);
	(void)asks(&rig, "u0@a.example");
	(void)asks(&rig, "u1@a.example");
	asks_no_more(&rig);
	CHECK_INT(rig.t->dests.count, 2);
	rig_close(&rig);
	qmgr_job_free(a);
	qmgr_job_free(b);
}

/* count_asked - read all that came; how many requests */
static size_t count_asked(struct rig *rig, struct asked *last)
{
	size_t count = 0;

	while (look(rig, last)) {
		count++;
		loop_turn(rig->loop, 0);
	}
	return count;
}

TEST(transport, slow_destinations_leave_room_for_others)
{
	enum { SLOW = 6, EACH = 600 };
	struct transport_settings s = plain;
	struct job *j = qmgr_job(1, "slow", 1), *well = qmgr_job(2, "well", 1);
	struct asked q, last;
	struct rig rig;
	size_t count;

	s.dest.most = 500;
	s.dest.fixed = true;
	rig_open(&rig, &s);
	for (int i = 0; i < SLOW * EACH; i++) {
		char name[20];

		snprintf(name, sizeof(name), "slow%d", i % SLOW);
		j->rcpts->state = RCPT_NEW;
		add(&rig, j, name);
	}
	transports_send(&rig.set);
	count = count_asked(&rig, &q);
	/* n each, n = (2000 - 6 n) / 4 */
	CHECK_INT(count, SLOW * 200);
	add(&rig, well, "well");
	transports_send(&rig.set);
	(void)asks(&rig, "u0@well.example");
	/* An answer makes room for the one that it is of. */
	say(&rig, &q, 1, false);
	CHECK_INT(count_asked(&rig, &last), 1);
	CHECK_STR(last.text, "u0@slow.example");
	rig_close(&rig);
	qmgr_job_free(j);
	qmgr_job_free(well);
}

TEST(transport, nothing_is_sent_while_it_may_not)
{
	struct job *a = qmgr_job(1, "a", 1);
	struct rig rig;

	rig_open(&rig, &plain);
	rig.held = true;
	add(&rig, a, "hop");
	transports_send(&rig.set);
	turns(&rig, 5);
	asks_no_more(&rig);
	/* For a successor: they are as new as before. */
	transports_drop_waiting(&rig.set, true);
	CHECK_INT(a->rcpts->state, RCPT_NEW);
	CHECK_INT(rig.t->dests.count, 0);
	rig_close(&rig);
	qmgr_job_free(a);
}

TEST(transport, an_agent_that_breaks_costs_only_what_breaks_it)
{
	struct job *a = qmgr_job(1, "a", 2), *b = qmgr_job(2, "b", 1);
	struct asked q;
	struct rig rig;

	rig_open(&rig, &plain);
	add(&rig, a, "a");
	add(&rig, b, "b");
	transports_send(&rig.set);
	q = asks(&rig, "u0@a.example,u1@a.example");
	CHECK(!q.suspect);
	(void)asks(&rig, "u0@b.example");
	say(&rig, &q, 1, false); /* u0 is done, u1 is open */
	hang_up(&rig);
	/* A new connection, in the order it was; what was there may have been delivered. */
	q = asks(&rig, "u0@b.example");
	CHECK(q.suspect);
	q = asks(&rig, "u1@a.example");
	CHECK(q.suspect);
	CHECK_INT(rig.answers, 1);
	hang_up(&rig);
	asks_no_more(&rig); /* later, one by one */
	CHECK_INT(b->rcpts->breaks, 2);
	transports_revive(&rig.set, true); /* a flush waits for nothing: the timer is gone, too */
	(void)asks(&rig, "u1@a.example");
	asks_no_more(&rig);
	hang_up(&rig);
	CHECK_STR(buf_str(&rig.failed), "u1@a.example 4.3.0 unknown mail transport error;");
	rig_close(&rig);
	qmgr_job_free(a);
	qmgr_job_free(b);
}

/* What broke goes first: it was here before what waits for its turn. */
TEST(transport, what_broke_goes_before_what_waits)
{
	struct job *a = qmgr_job(1, "a", 1), *b = qmgr_job(2, "b", 1), *c = qmgr_job(3, "c", 1);
	struct asked q;
	struct rig rig;

	rig_open(&rig, &plain);
	add(&rig, a, "x");
	add(&rig, b, "x");
	add(&rig, c, "x");
	transports_send(&rig.set);
	(void)asks(&rig, "u0@a.example");
	(void)asks(&rig, "u0@b.example");
	asks_no_more(&rig); /* two at a time */
	hang_up(&rig);
	q = asks(&rig, "u0@a.example");
	CHECK(q.suspect);
	q = asks(&rig, "u0@b.example");
	CHECK(q.suspect);
	rig_close(&rig);
	qmgr_job_free(a);
	qmgr_job_free(b);
	qmgr_job_free(c);
}

TEST(transport, nobody_listens)
{
	struct job *a = qmgr_job(1, "a", 1), *b = qmgr_job(2, "b", 1);
	struct rig rig;

	rig_open(&rig, &plain);
	close(rig.listener);
	rig.listener = -1;
	add(&rig, a, "a");
	transports_send(&rig.set);
	CHECK_STR(buf_str(&rig.failed), "u0@a.example 4.3.0 mail transport unavailable;");
	add(&rig, b, "b"); /* at once, without a look */
	CHECK_STR(buf_str(&rig.failed),
		"u0@a.example 4.3.0 mail transport unavailable;"
		"u0@b.example 4.3.0 mail transport unavailable;");
	CHECK_INT(rig.t->dests.count, 0);
	rig_close(&rig);
	qmgr_job_free(a);
	qmgr_job_free(b);
}

/* kill_dest - two requests for it fail, the third waits and is put off with them */
static void kill_dest(struct rig *rig, struct job *const jobs[3], const char *name)
{
	char address[80], want[300];
	struct asked q[2];

	snprintf(address, sizeof(address), "u0@%s.example", name);
	for (size_t i = 0; i < 3; i++) {
		add(rig, jobs[i], name);
	}
	transports_send(&rig->set);
	for (size_t i = 0; i < 2; i++) {
		q[i] = asks(rig, address);
	}
	for (size_t i = 0; i < 2; i++) {
		say(rig, &q[i], 1, true);
	}
	snprintf(want, sizeof(want), "%s 4.4.1 delivery temporarily suspended: connection refused;",
		address);
	CHECK_STR(buf_str(&rig->failed), want);
	buf_reset(&rig->failed);
}

TEST(transport, a_dead_destination_is_remembered_for_a_while)
{
	struct job *jobs[3], *well = qmgr_job(9, "well", 1), *late = qmgr_job(10, "dead", 1);
	struct rig rig;

	rig_open(&rig, &plain);
	for (size_t i = 0; i < 3; i++) {
		jobs[i] = qmgr_job(i + 1, "dead", 1);
	}
	kill_dest(&rig, jobs, "dead");
	/* Its mail is put off at once, others' goes on. */
	add(&rig, late, "dead");
	CHECK_STR(buf_str(&rig.failed),
		"u0@dead.example 4.4.1 delivery temporarily suspended: connection refused;");
	add(&rig, well, "well");
	transports_send(&rig.set);
	(void)asks(&rig, "u0@well.example");
	asks_no_more(&rig);
	turns(&rig, DEAD_MS + 20);
	late->rcpts->state = RCPT_NEW;
	add(&rig, late, "dead");
	transports_send(&rig.set);
	(void)asks(&rig, "u0@dead.example");
	CHECK_INT(rig.t->dead_count, 0);
	rig_close(&rig);
	for (size_t i = 0; i < 3; i++) {
		qmgr_job_free(jobs[i]);
	}
	qmgr_job_free(well);
	qmgr_job_free(late);
}

TEST(transport, a_flush_ends_death)
{
	struct transport_settings s = plain;
	struct job *jobs[3];
	struct rig rig;

	s.dest.dead_ms = 3600 * 1000;
	rig_open(&rig, &s);
	for (size_t i = 0; i < 3; i++) {
		jobs[i] = qmgr_job(i + 1, "d", 1);
	}
	kill_dest(&rig, jobs, "d");
	CHECK_INT(rig.t->dead_count, 1);
	transports_revive(&rig.set, true);
	CHECK_INT(rig.t->dead_count, 0);
	CHECK_INT(rig.t->dests.count, 0); /* nothing waits for it */
	rig_close(&rig);
	for (size_t i = 0; i < 3; i++) {
		qmgr_job_free(jobs[i]);
	}
}

TEST(transport, a_success_ends_death)
{
	struct transport_settings s = plain;
	struct job *jobs[4];
	struct asked q[4];
	struct rig rig;

	s.dest.dead_ms = 3600 * 1000;
	s.dest.initial = 4;
	rig_open(&rig, &s);
	for (size_t i = 0; i < 4; i++) {
		jobs[i] = qmgr_job(i + 1, "d", 1);
		add(&rig, jobs[i], "d");
	}
	transports_send(&rig.set);
	for (size_t i = 0; i < 4; i++) {
		q[i] = asks(&rig, "u0@d.example");
	}
	/* 1/4 + 1/3 + 1/2: the fourth is still under way when it dies. */
	for (size_t i = 0; i < 3; i++) {
		say(&rig, &q[i], 1, true);
	}
	CHECK_INT(rig.t->dead_count, 1);
	say(&rig, &q[3], 1, false);
	CHECK_INT(rig.t->dead_count, 0);
	CHECK_INT(rig.t->dests.count, 0);
	rig_close(&rig);
	for (size_t i = 0; i < 4; i++) {
		qmgr_job_free(jobs[i]);
	}
}

TEST(transport, the_dead_are_bounded)
{
	struct transport_settings s = plain;
	struct job *j = qmgr_job(1, "d", 1);
	struct rig rig;

	s.dest.dead_ms = 3600 * 1000;
	s.dest.initial = 1;
	rig_open(&rig, &s);
	for (int i = 0; i < DESTS_DEAD_MAX + 50; i++) {
		char name[20];
		struct asked q;

		snprintf(name, sizeof(name), "d%d", i);
		j->rcpts->state = RCPT_NEW;
		add(&rig, j, name);
		transports_send(&rig.set);
		q = asks(&rig, "u0@d.example");
		say(&rig, &q, 1, true);
	}
	CHECK_INT(rig.t->dead_count, DESTS_DEAD_MAX);
	CHECK_INT(rig.t->dests.count, DESTS_DEAD_MAX);
	rig_close(&rig);
	qmgr_job_free(j);
}

/* load - a main.cf of these lines */
static void load(const char *lines)
{
	char *error = NULL;

	(void)unit_file("main.cf", lines);
	REQUIRE(conf_load(unit_tmpdir(), false, &error) == 0);
}

TEST(transport, settings_by_name)
{
	struct transport_settings s;

	load("default_destination_recipient_limit = 40\n"
	     "default_destination_concurrency_positive_feedback = 1/concurrency\n"
	     "slow_destination_concurrency_limit = 3\n"
	     "slow_initial_destination_concurrency = 1\n"
	     "slow_destination_concurrency_negative_feedback = nonsense\n"
	     "slow_destination_concurrency_failed_cohort_limit = 9\n"
	     "minimal_backoff_time = 5m\n");
	transport_settings(&s, "other");
	CHECK_INT(s.recipient_limit, 40);
	CHECK_INT(s.dest.initial, 5);
	CHECK_INT(s.dest.most, 20);
	CHECK_INT(s.dest.failed_cohorts, 1);
	CHECK_INT(s.dest.dead_ms, 300000);
	CHECK_INT(s.dest.up.by, FEEDBACK_BY_WINDOW);
	CHECK(!s.dest.fixed);
	transport_settings(&s, "slow");
	CHECK_INT(s.dest.initial, 1);
	CHECK_INT(s.dest.most, 3);
	CHECK_INT(s.dest.failed_cohorts, 9);
	CHECK(s.dest.down.share == 1); /* what cannot be read is as if it were not there */
	/* Nonsense is as if it were not there; none at a time would be none ever. */
	load("odd_initial_destination_concurrency = 0\n"
	     "odd_destination_concurrency_limit = -3\n"
	     "odd_destination_recipient_limit = many\n"
	     "default_destination_recipient_limit = 0\n");
	transport_settings(&s, "odd");
	CHECK_INT(s.dest.initial, 5);
	CHECK_INT(s.dest.most, 20);
	CHECK_INT(s.recipient_limit, 1000); /* 0: as many as go */
	/* One recipient at a time: what is for one mailbox goes to the agent together. */
	transport_settings(&s, "local");
	CHECK_INT(s.recipient_limit, 1);
	CHECK(s.dest.fixed);
}
