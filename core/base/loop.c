/*
 * loop - the event loop: epoll, timers, signals and the end of a turn
 *
 * One turn: wait, ready descriptors, due timers, turn-end hooks, held log
 * lines. Hooks run after everything else of the turn, so whatever ended in this
 * turn can be committed together (group commit, DESIGN section 3 rule 2).
 *
 * A handler may unwatch (and free) another watch whose event waits in the same
 * batch: unwatching removes it from the batch as well.
 *
 * Timers are a binary heap of pointers; timer.slot is the place + 1, so moving
 * and removing cost O(log n) without a search.
 */
#include "base/loop.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum {
	EVENTS_PER_TURN = 128,
	SIGNAL_MAX = 32,
	HOOK_ROUNDS = 1000,
	IDLE_MS = 500,
	STUCK_LOG_MS = 1000
};

struct signal_handler {
	void (*fn)(int signo, void *owner);
	void *owner;
};

struct loop {
	int epoll;
	bool stopped;
	int64_t now;
	struct epoll_event ready[EVENTS_PER_TURN];
	int ready_count, ready_at;
	struct timer **heap;
	unsigned timer_count, timer_cap;
	struct loop_hook *hooks, **hooks_tail;
	struct watch signal_watch;
	sigset_t signals;
	struct signal_handler handlers[SIGNAL_MAX];
};

struct loop *loop_new(void)
{
	struct loop *l = mem_alloc(sizeof(*l));

	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0) {
		log_fatal("epoll_create1: %m");
	}
	l->hooks_tail = &l->hooks;
	l->signal_watch.fd = -1;
	sigemptyset(&l->signals);
	l->now = clock_ms();
	signal(SIGPIPE, SIG_IGN);
	return l;
}

void loop_free(struct loop *l)
{
	if (l == NULL) {
		return;
	}
	if (l->signal_watch.fd >= 0) {
		close(l->signal_watch.fd);
	}
	close(l->epoll);
	mem_free(l->heap);
	mem_free(l);
}

void loop_stop(struct loop *l)
{
	l->stopped = true;
}

int64_t loop_now(const struct loop *l)
{
	return l->now;
}

/* ---- Descriptors ---- */

static uint32_t epoll_bits(unsigned events)
{
	return (events & LOOP_READ ? EPOLLIN | EPOLLRDHUP : 0u) |
		(events & LOOP_WRITE ? EPOLLOUT : 0u);
}

void loop_watch(struct loop *l, struct watch *w, int fd, unsigned events, watch_fn *fn, void *owner)
{
	struct epoll_event ev = { .events = epoll_bits(events), .data.ptr = w };

	w->fd = fd;
	w->events = events;
	w->fn = fn;
	w->owner = owner;
	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) != 0) {
		/* A regular file as stdin (-S < file) is always ready and epoll refuses it. */
		log_panic("epoll_ctl add fd %d: %m", fd);
	}
}

void loop_want(struct loop *l, struct watch *w, unsigned events)
{
	struct epoll_event ev = { .events = epoll_bits(events), .data.ptr = w };

	if (w->fd >= 0 && w->events != events) {
		w->events = events;
		if (epoll_ctl(l->epoll, EPOLL_CTL_MOD, w->fd, &ev) != 0) {
			log_panic("epoll_ctl mod fd %d: %m", w->fd);
		}
	}
}

void loop_unwatch(struct loop *l, struct watch *w)
{
	if (w->fd < 0 || w->fn == NULL) {
		w->fd = -1;
		return;
	}
	(void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, w->fd, NULL);
	w->fd = -1;
	for (int i = l->ready_at; i < l->ready_count; i++) {
		if (l->ready[i].data.ptr == w) {
			l->ready[i].data.ptr = NULL;
		}
	}
}

static void call_ready(struct loop *l)
{
	for (l->ready_at = 0; l->ready_at < l->ready_count;) {
		struct epoll_event *ev = &l->ready[l->ready_at++];
		struct watch *w = ev->data.ptr;
		unsigned events = 0;

		if (w == NULL || w->fd < 0) {
			continue;
		}
		events |=
			ev->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR) ? LOOP_READ : 0u;
		events |= ev->events & (EPOLLOUT | EPOLLHUP | EPOLLERR) ? LOOP_WRITE : 0u;
		events &= w->events;
		events |= ev->events & (EPOLLHUP | EPOLLERR) ? LOOP_HANGUP : 0u;
		if (events != 0) {
			w->fn(w, events);
		}
	}
	l->ready_count = 0;
}

/* ---- Timers ---- */

static void heap_put(struct loop *l, unsigned at, struct timer *t)
{
	l->heap[at] = t;
	t->slot = at + 1;
}

static void heap_up(struct loop *l, unsigned at)
{
	struct timer *t = l->heap[at];

	while (at > 0 && l->heap[(at - 1) / 2]->due > t->due) {
		heap_put(l, at, l->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	heap_put(l, at, t);
}

static void heap_down(struct loop *l, unsigned at)
{
	struct timer *t = l->heap[at];

	for (;;) {
		unsigned child = at * 2 + 1;

		if (child + 1 < l->timer_count && l->heap[child + 1]->due < l->heap[child]->due) {
			child++;
		}
		if (child >= l->timer_count || l->heap[child]->due >= t->due) {
			break;
		}
		heap_put(l, at, l->heap[child]);
		at = child;
	}
	heap_put(l, at, t);
}

void loop_timer(struct loop *l, struct timer *t, int64_t ms, timer_fn *fn, void *owner)
{
	t->fn = fn;
	t->owner = owner;
	t->due = clock_ms() + ms;
	if (t->slot == 0) {
		if (l->timer_count == l->timer_cap) {
			unsigned cap = l->timer_cap ? l->timer_cap * 2 : 16;

			l->heap = mem_realloc(l->heap, cap * sizeof(struct timer *));
			l->timer_cap = cap;
		}
		heap_put(l, l->timer_count++, t);
	}
	heap_up(l, t->slot - 1);
	heap_down(l, t->slot - 1);
}

void loop_untimer(struct loop *l, struct timer *t)
{
	unsigned at = t->slot - 1;
	struct timer *last;

	if (t->slot == 0) {
		return;
	}
	last = l->heap[--l->timer_count];
	t->slot = 0;
	if (last != t) {
		heap_put(l, at, last);
		heap_up(l, at);
		heap_down(l, last->slot - 1);
	}
}

/* call_timers - every timer due when the turn began; one set to 0 ms by a handler waits until the
 * clock has moved: a turn or a millisecond */
static void call_timers(struct loop *l)
{
	int64_t now = l->now;

	while (l->timer_count > 0 && l->heap[0]->due <= now) {
		struct timer *t = l->heap[0];

		loop_untimer(l, t);
		t->fn(t);
	}
}

/* ---- Hooks ---- */

void loop_at_end(struct loop *l, struct loop_hook *h, void (*fn)(struct loop_hook *), void *owner)
{
	h->fn = fn;
	h->owner = owner;
	if (!h->queued) {
		h->queued = true;
		h->next = NULL;
		*l->hooks_tail = h;
		l->hooks_tail = &h->next;
	}
}

void loop_unhook(struct loop *l, struct loop_hook *h)
{
	struct loop_hook **link = &l->hooks;

	if (!h->queued) {
		return;
	}
	while (*link != NULL && *link != h) {
		link = &(*link)->next;
	}
	if (*link == h) {
		*link = h->next;
		if (h->next == NULL) {
			l->hooks_tail = link;
		}
	}
	h->queued = false;
}

/* call_hooks - until none is left; a hook may queue others (a commit resumes sessions that end
 * more) */
static void call_hooks(struct loop *l)
{
	for (int round = 0; l->hooks != NULL && round < HOOK_ROUNDS; round++) {
		struct loop_hook *h = l->hooks;

		loop_unhook(l, h);
		h->fn(h);
	}
}

/* ---- Signals ---- */

/* read_signals - each once: what comes meanwhile has its turn after everything else has had one */
static void read_signals(struct watch *w, unsigned events)
{
	struct loop *l = w->owner;
	struct signalfd_siginfo info[8];
	ssize_t n = read(w->fd, info, sizeof(info));

	(void)events;
	for (size_t i = 0; n > 0 && i < (size_t)n / sizeof(info[0]); i++) {
		struct signal_handler *h;

		if (info[i].ssi_signo >= SIGNAL_MAX) {
			continue;
		}
		h = &l->handlers[info[i].ssi_signo];
		if (h->fn != NULL) {
			h->fn((int)info[i].ssi_signo, h->owner);
		}
	}
}

void loop_signal(struct loop *l, int signo, void (*fn)(int signo, void *owner), void *owner)
{
	int fd;

	if (signo <= 0 || signo >= SIGNAL_MAX) {
		log_panic("loop_signal: signal %d", signo);
	}
	l->handlers[signo].fn = fn;
	l->handlers[signo].owner = owner;
	sigaddset(&l->signals, signo);
	sigprocmask(SIG_BLOCK, &l->signals, NULL);
	fd = signalfd(l->signal_watch.fd, &l->signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0) {
		log_fatal("signalfd: %m");
	}
	if (l->signal_watch.fd < 0) {
		loop_watch(l, &l->signal_watch, fd, LOOP_READ, read_signals, l);
	}
}

/* ---- Turns ---- */

static int wait_ms(const struct loop *l, int ms)
{
	if (l->hooks != NULL) {
		return 0;
	}
	if (log_is_stuck() && (ms < 0 || ms > STUCK_LOG_MS)) {
		ms = STUCK_LOG_MS;
	}
	if (l->timer_count > 0) {
		int64_t left = l->heap[0]->due - clock_ms();

		left = left < 0 ? 0 : left > 3600000 ? 3600000 : left;
		if (ms < 0 || left < ms) {
			return (int)left;
		}
	}
	return ms;
}

void loop_turn(struct loop *l, int ms)
{
	int wait = wait_ms(l, ms);
	int n = epoll_wait(
		l->epoll, l->ready, EVENTS_PER_TURN, wait < 0 || wait > IDLE_MS ? IDLE_MS : wait);

	if (n == 0 && (wait < 0 || wait > IDLE_MS)) {
		/* A pause: memory kept for the next mail goes back before a longer one. */
		mem_trim();
		wait = wait_ms(l, ms < 0 ? -1 : ms - IDLE_MS);
		n = epoll_wait(l->epoll, l->ready, EVENTS_PER_TURN, wait);
	}
	if (n < 0 && errno != EINTR) {
		log_panic("epoll_wait: %m");
	}
	l->now = clock_ms();
	l->ready_count = n > 0 ? n : 0;
	call_ready(l);
	call_timers(l);
	call_hooks(l);
	log_flush();
}

void loop_run(struct loop *l)
{
	l->stopped = false;
	while (!l->stopped) {
		loop_turn(l, -1);
	}
}
