/*
 * test_loop - the event loop of core/base
 */
#include <signal.h>

#include "base/loop.h"
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
