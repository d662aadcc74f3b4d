#ifndef APPLETS_QMGR_DEST_H
#define APPLETS_QMGR_DEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "applets/queue/qmgr/request.h"

/*
 * A destination: transport and next hop (and recipient, where the agent takes one recipient at a
 * time). It has a queue of requests, and a window: how many of them may be under way. The window
 * follows what comes back, as Postfix's SCHEDULER_README describes it; a destination that failed
 * too often is dead for a while, and is remembered until then though nothing waits for it.
 */
enum feedback_by { FEEDBACK_CONSTANT, FEEDBACK_BY_WINDOW, FEEDBACK_BY_ROOT };

/* One request's share of the step by one: "0.5", "1/8", "1/concurrency", "1/sqrt_concurrency". */
struct feedback {
	double share;
	enum feedback_by by;
};

/* What the destinations of a transport have in common. */
struct dest_limits {
	int64_t initial, most; /* window; most 0: no bound */
	struct feedback up, down;
	int64_t failed_cohorts; /* so many windows of failures and it is dead; 0: never */
	int64_t dead_ms;
	bool fixed;       /* the window is most, whatever comes back */
	int64_t pause_ms; /* between two requests, which go one by one then; 0: none */
};

struct dest {
	struct dest *next;      /* in the transport's ring of those that may send */
	struct dest *dead_next; /* ... and among its dead */
	bool ready;             /* it is in the ring */
	size_t sent;
	int64_t window;
	double up, down, cohorts; /* shares since the last step; failures since the last success */
	int64_t dead_until;       /* loop milliseconds; 0: alive */
	bool pausing;             /* until the timer runs, which is whoever's that set it */
	struct timer pause;
	void *owner;
	char *dsn, *text; /* why it is dead */
	struct request_list waiting;
	char *nexthop;
	char key[];
};

/* As postconf(5) has it; false: it is none, or not from 0 to 1. */
bool feedback_parse(struct feedback *f, const char *text);

struct dest *dest_new(const char *key, const char *nexthop, const struct dest_limits *l);
void dest_free(struct dest *d);
void dest_queue(struct dest *d, struct request *r, bool front);
bool dest_may_send(const struct dest *d);
/* The next one, which is under way from now on; NULL: none waits. */
struct request *dest_take(struct dest *d);
/* One that was under way is back. */
void dest_back(struct dest *d);
bool dest_is_unused(const struct dest *d); /* nothing waits, nothing is under way, it lives */

/* A request came back, and the destination is well. */
void dest_good(struct dest *d, const struct dest_limits *l);
/*
 * It came back because the destination as a whole cannot be had, for this reason. True: it is dead
 * from now on.
 */
bool dest_bad(struct dest *d, const struct dest_limits *l, int64_t now, const char *dsn,
	const char *text);
void dest_revive(struct dest *d, const struct dest_limits *l);

#endif
