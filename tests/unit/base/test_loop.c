/*
 * test_loop - the event loop of core/base
 */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/loop.h"
#include "base/mem.h"
#include "unit.h"

enum { STORM_MAX = 5000 };

static struct {
	struct loop *loop;
	int signals;
	int at_timer; /* how many there had been when the timer fired, -1 it has not */
} G;

/* on_storm - as if somebody sent the next one while this one is looked at */
static void on_storm(int signo, void *owner)
{
	(void)owner;
	if (++G.signals < STORM_MAX) {
		raise(signo);
	} else {
		loop_stop(G.loop);
	}
}

static void on_timer(struct timer *t)
{
	(void)t;
	G.at_timer = G.signals;
	loop_stop(G.loop);
}

TEST(loop, signals_without_end)
{
	struct timer timer = { 0 };

	G.loop = loop_new();
	G.signals = 0;
	G.at_timer = -1;
	loop_signal(G.loop, SIGHUP, on_storm, NULL);
	loop_timer(G.loop, &timer, 1, on_timer, NULL);
	raise(SIGHUP);
	loop_run(G.loop);
	CHECK(G.at_timer >= 0 && G.at_timer < STORM_MAX);
	loop_free(G.loop);
}

/* ---- Order within a turn ---- */

static struct buf said;

static void say_timer(struct timer *t)
{
	buf_adds(&said, t->owner);
}

/* Timers come in the order of their time, however they were set, moved or taken back. */
TEST(loop, timers_in_order)
{
	struct loop *l = loop_new();
	struct timer t[8];
	static char names[8][2];

	memset(t, 0, sizeof(t));
	for (int i = 0; i < 8; i++) {
		names[i][0] = (char)('a' + i);
		loop_timer(l, &t[i], (i * 5) % 8, say_timer, names[i]);
	}
	loop_timer(l, &t[0], 20, say_timer, names[0]); /* moved behind */
	loop_untimer(l, &t[3]);
	loop_untimer(l, &t[3]);
	for (int i = 0; i < 1000 && said.len < 7; i++) {
		loop_turn(l, 5);
	}
	/* By (i * 5) % 8: f 1, c 2, h 3, e 4, b 5, g 6, (d 7), a 20. */
	CHECK_STR(buf_str(&said), "fchebga");
	loop_turn(l, 0);
	CHECK_INT(said.len, 7);
	loop_free(l);
}

static struct {
	struct loop *l;
	struct watch one, two;
	struct timer timer;
	struct loop_hook hook, again;
	int calls;
} T = { .one = WATCH_INIT, .two = WATCH_INIT };

static void say_hook(struct loop_hook *h)
{
	buf_adds(&said, h->owner);
	if (h == &T.hook) {
		/* Queued from a hook: still this turn's end, once. */
		loop_at_end(T.l, &T.again, say_hook, "H");
		loop_at_end(T.l, &T.again, say_hook, "H");
	}
}

static void say_watch(struct watch *w, unsigned events)
{
	char c;

	CHECK((events & LOOP_READ) != 0);
	CHECK(read(w->fd, &c, 1) == 1);
	buf_adds(&said, "w");
	loop_at_end(T.l, &T.hook, say_hook, "h");
	loop_at_end(T.l, &T.hook, say_hook, "h");
}

TEST(loop, a_turn)
{
	int ends[2];

	REQUIRE(pipe(ends) == 0 && write(ends[1], "x", 1) == 1);
	T.l = loop_new();
	loop_watch(T.l, &T.one, ends[0], LOOP_READ, say_watch, NULL);
	loop_timer(T.l, &T.timer, 0, say_timer, "t");
	loop_turn(T.l, 100);
	CHECK_STR(buf_str(&said), "wthH");
	/* Nothing is left of it. */
	loop_turn(T.l, 0);
	CHECK_INT(said.len, 4);
	/* A hook can be taken back, a descriptor asked for nothing. */
	loop_at_end(T.l, &T.again, say_hook, "H");
	loop_unhook(T.l, &T.again);
	loop_unhook(T.l, &T.again);
	REQUIRE(write(ends[1], "x", 1) == 1);
	loop_want(T.l, &T.one, 0);
	loop_turn(T.l, 0);
	CHECK_INT(said.len, 4);
	loop_want(T.l, &T.one, LOOP_READ);
	loop_turn(T.l, 0);
	CHECK_STR(buf_str(&said), "wthHwhH");
	loop_unwatch(T.l, &T.one);
	CHECK_INT(T.one.fd, -1);
	loop_unwatch(T.l, &T.one);
	loop_free(T.l);
}

/* drop_other - both are ready, and the first closes what the second watches */
static void drop_other(struct watch *w, unsigned events)
{
	struct watch *other = w == &T.one ? &T.two : &T.one;
	int fd = other->fd;

	(void)events;
	T.calls++;
	if (fd >= 0) {
		loop_unwatch(T.l, other);
		close(fd);
	}
	loop_unwatch(T.l, w);
}

TEST(loop, no_events_of_what_is_gone)
{
	int first[2], second[2];

	REQUIRE(pipe(first) == 0 && pipe(second) == 0);
	REQUIRE(write(first[1], "x", 1) == 1 && write(second[1], "x", 1) == 1);
	T.l = loop_new();
	loop_watch(T.l, &T.one, first[0], LOOP_READ, drop_other, NULL);
	loop_watch(T.l, &T.two, second[0], LOOP_READ, drop_other, NULL);
	loop_turn(T.l, 100);
	loop_turn(T.l, 0);
	CHECK_INT(T.calls, 1);
	loop_free(T.l);
}

static void say_hangup(struct watch *w, unsigned events)
{
	if (events & LOOP_HANGUP) {
		buf_adds(&said, "h");
	}
	loop_unwatch(T.l, w);
}

TEST(loop, a_peer_that_is_gone_is_told_unasked)
{
	int ends[2];

	REQUIRE(pipe(ends) == 0);
	T.l = loop_new();
	loop_watch(T.l, &T.one, ends[1], 0, say_hangup, NULL);
	loop_turn(T.l, 0);
	CHECK_INT(said.len, 0);
	close(ends[0]);
	loop_turn(T.l, 100);
	CHECK_STR(buf_str(&said), "h");
	loop_free(T.l);
}

/* watch_another - as above, but the other watches again at once: what waited was not for this */
static void watch_another(struct watch *w, unsigned events)
{
	struct watch *other = w == &T.one ? &T.two : &T.one;
	int ends[2];

	(void)events;
	T.calls++;
	REQUIRE(pipe(ends) == 0);
	loop_unwatch(T.l, other);
	loop_watch(T.l, other, ends[0], LOOP_READ, watch_another, NULL);
	loop_unwatch(T.l, w);
}

TEST(loop, events_stay_with_their_descriptor)
{
	int first[2], second[2];

	REQUIRE(pipe(first) == 0 && pipe(second) == 0);
	REQUIRE(write(first[1], "x", 1) == 1 && write(second[1], "x", 1) == 1);
	T.l = loop_new();
	loop_watch(T.l, &T.one, first[0], LOOP_READ, watch_another, NULL);
	loop_watch(T.l, &T.two, second[0], LOOP_READ, watch_another, NULL);
	loop_turn(T.l, 100);
	loop_turn(T.l, 0);
	CHECK_INT(T.calls, 1);
	loop_free(T.l);
}

/* ---- Many timers ---- */

enum { TIMERS = 200 };

static struct {
	int64_t last;
	int calls, early;
} order;

static void in_order(struct timer *t)
{
	order.calls++;
	order.early += t->due < order.last;
	order.last = t->due;
}

/* Whichever of them are taken back or moved, the others come by their time. */
TEST(loop, many_timers_in_order)
{
	struct timer *t = mem_calloc(TIMERS, sizeof(*t));
	struct loop *l = loop_new();
	unsigned seed = 1;

	for (int round = 0; round < 50; round++) {
		int gone = 0;

		for (int i = 0; i < TIMERS; i++) {
			seed = seed * 1103515245 + 12345;
			loop_timer(l, &t[i], -(int64_t)((seed >> 16) % 1000), in_order, NULL);
		}
		for (int i = 0; i < TIMERS; i += 3, gone++) {
			loop_untimer(l, &t[(i * 7 + round) % TIMERS]);
		}
		memset(&order, 0, sizeof(order));
		loop_turn(l, 0);
		CHECK_INT(order.calls, TIMERS - gone);
		CHECK_INT(order.early, 0);
	}
	loop_free(l);
	mem_free(t);
}

/* ---- How long it waits ---- */

static void count_signal(int signo, void *owner)
{
	(void)owner;
	G.signals += signo == SIGUSR1 ? 1 : 100;
}

TEST(loop, every_signal_is_heard)
{
	struct loop *l = loop_new();

	G.signals = 0;
	loop_signal(l, SIGUSR1, count_signal, NULL);
	loop_turn(l, 0);
	loop_signal(l, SIGUSR2, count_signal, NULL);
	raise(SIGUSR2);
	raise(SIGUSR1);
	loop_turn(l, 100);
	loop_turn(l, 0);
	CHECK_INT(G.signals, 101);
	loop_free(l);
}

/* A hook that was queued outside of a turn waits for nothing. */
TEST(loop, a_hook_is_not_kept_waiting)
{
	T.l = loop_new();
	alarm(5);
	loop_at_end(T.l, &T.again, say_hook, "H");
	loop_turn(T.l, -1);
	CHECK_STR(buf_str(&said), "H");
	alarm(0);
	loop_free(T.l);
}

/* One wait is two where the first is a pause that gives memory back: together they are one. */
TEST(loop, waits_no_longer_than_it_is_told)
{
	struct loop *l = loop_new();
	int64_t start = clock_ms();

	loop_turn(l, 700);
	CHECK(clock_ms() - start >= 699);
	CHECK(clock_ms() - start < 1100);
	loop_free(l);
}
