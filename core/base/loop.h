#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The event loop: epoll, timers, signals, and the end of a turn. A turn is:
 * wait, call what is ready, call timers that are due, run the turn-end hooks
 * (that is where group commit happens), write held log lines. Watches, timers
 * and hooks are embedded in their owner's struct and must be taken out
 * before it is freed; taking out one that is not in is fine.
 */
struct loop;
struct watch;
struct timer;

enum { LOOP_READ = 1, LOOP_WRITE = 2, LOOP_HANGUP = 4 /* only reported, never asked for */ };

typedef void watch_fn(struct watch *w, unsigned events);
typedef void timer_fn(struct timer *t);

struct watch {
	int fd; /* -1: not watched */
	unsigned events;
	watch_fn *fn;
	void *owner;
};

#define WATCH_INIT       \
	{                \
		.fd = -1 \
	}

struct timer {
	int64_t due; /* private: loop milliseconds */
	timer_fn *fn;
	void *owner;
	unsigned slot; /* private: place in the heap + 1, 0 when not set */
};

struct loop_hook {
	void (*fn)(struct loop_hook *h);
	void *owner;
	struct loop_hook *next; /* private */
	bool queued;            /* private */
};

struct loop *loop_new(void); /* exits the process when epoll cannot be had */
void loop_free(struct loop *l);
void loop_run(struct loop *l); /* until loop_stop() */
void loop_stop(struct loop *l);
/* One turn; waits at most ms milliseconds (-1: until something happens). */
void loop_turn(struct loop *l, int ms);

/* Milliseconds of the monotonic clock as of this turn; and of the real clock in seconds. */
int64_t loop_now(const struct loop *l);

void loop_watch(
	struct loop *l, struct watch *w, int fd, unsigned events, watch_fn *fn, void *owner);
void loop_want(struct loop *l, struct watch *w, unsigned events); /* change what is asked for */
void loop_unwatch(struct loop *l, struct watch *w);               /* does not close the fd */

void loop_timer(
	struct loop *l, struct timer *t, int64_t ms, timer_fn *fn, void *owner); /* set or move */
void loop_untimer(struct loop *l, struct timer *t);

/* fn runs once, at the end of this turn. Queueing a queued hook is nothing. */
void loop_at_end(struct loop *l, struct loop_hook *h, void (*fn)(struct loop_hook *), void *owner);
void loop_unhook(struct loop *l, struct loop_hook *h);

/* fn(signo, owner) runs inside a turn; one handler a signal. SIGPIPE is ignored by loop_new. */
void loop_signal(struct loop *l, int signo, void (*fn)(int signo, void *owner), void *owner);

#endif
