/*
 * children - services on demand: listeners, children, crashes
 *
 * A service is one of
 *	idle	its listeners are watched; a connection starts a child
 *	up	the child has the listeners, we do not look at them
 *	resting	its child crashed; after a pause (0.1, 1, 2, 4 ... 60 s) it is idle again
 * A child told to leave (reload), or that leaves by itself, is forgotten by its service and
 * finishes alone, so that open sessions live on beside the new child, which serves meanwhile;
 * only "single" services wait for it to end. What the old child granted is asked of the old child
 * (applets/admin/dovecot/login_handoff.c). A child that is just starting has SIGHUP blocked until
 * its loop can take it: to be told to leave never kills it.
 *
 * A start has succeeded when the services that run at once have said that they serve; one that
 * failed twice is told to hooks->started().
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/unixsock.h"
#include "ipc/control.h"
#include "applets/daemon/engine.h"
#include "applets/daemon/service_contract.h"

enum {
	QUICK_DEATH_MS = 10000, /* a child that fails within this time makes the pause longer */
	FIRST_REST_MS = 100,
	REST_MAX_MS = 60000,
	START_FAILURES = 2 /* so many, and a service counts as failed at the start */
};

static void start_child(struct sv_service *s);
static void make_ready(struct sv_service *s);
static void tell_started(struct supervisor *sv);
static struct sv_child *spawn_for(struct sv_service *s, bool successor);

/* ---- Children ---- */

bool sv_tell(struct sv_child *child, const struct buf *msg, int fd)
{
	return child->control.fd >= 0 &&
		unix_send_fds(child->control.fd, msg->data, msg->len, &fd, fd >= 0 ? 1 : 0) ==
		(ssize_t)msg->len;
}

void sv_signal(struct sv_child *child, int signo)
{
	(void)kill(child->pid, signo);
}

void sv_detach(struct sv_child *c)
{
	if (!c->owns_command) {
		c->command = mem_strdup(c->command);
		c->owns_command = true;
	}
	c->service = NULL;
}

/* send_off - the child takes nothing new and finishes alone */
static void send_off(struct sv_child *c)
{
	c->leaving = true;
	sv_signal(c, SIGHUP);
	sv_detach(c);
}

/* replace_child - a child asks for a successor; it goes when that is ready */
static void replace_child(struct sv_child *c)
{
	struct sv_service *s = c->service;

	if (s == NULL || s->child != c || s->candidate != NULL || s->single || s->sv->stopping) {
		return;
	}
	log_info("%s: starting a successor of process %d", c->command, (int)c->pid);
	s->candidate = spawn_for(s, true);
	if (s->candidate != NULL) {
		s->candidate->service = s;
	}
}

void sv_replace(struct sv_child *c)
{
	replace_child(c);
}

struct sv_child *sv_running(struct supervisor *sv, const char *command)
{
	struct sv_service *s = sv->services;

	while (s != NULL && strcmp(s->command, command) != 0) {
		s = s->next;
	}
	if (s == NULL || sv->stopping) {
		return NULL;
	}
	if (s->child == NULL && s->old == NULL && !s->resting && !s->ended) {
		s->used = true;
		start_child(s);
	}
	return s->child;
}

/* child_leaves - it goes by itself (idle, or sent SIGHUP by a stranger): another one may come */
static void child_leaves(struct sv_child *c)
{
	struct sv_service *s = c->service;

	if (s == NULL || s->child != c) {
		return;
	}
	c->leaving = true;
	s->child = NULL;
	if (s->single) {
		s->old = c;
	} else {
		sv_detach(c);
	}
	make_ready(s);
}

static void candidate_ready(struct sv_child *c)
{
	struct sv_service *s = c->service;

	if (s->child != NULL) {
		send_off(s->child);
	}
	sv_watch_listeners(s, false);
	s->child = c;
	s->candidate = NULL;
}

/* child_ready - it serves */
static void child_ready(struct sv_child *c)
{
	struct sv_service *s = c->service;

	if (s == NULL) {
		return;
	}
	s->up = true;
	s->later = false;
	if (s->candidate == c) {
		candidate_ready(c);
	}
	tell_started(s->sv);
}

/* read_control - one message of the child; false: there is none, or none will come */
static bool read_control(struct sv_child *c)
{
	struct supervisor *sv = c->sv;
	struct buf b = BUF_INIT;
	struct wire msg;
	size_t count = 0, size;
	int kind, fd = -1;
	ssize_t n;

	n = unix_recv_fds(
		c->control.fd, buf_reserve(&b, SERVICE_MSG_MAX), SERVICE_MSG_MAX, &fd, 1, &count);
	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
			int control = c->control.fd;

			loop_unwatch(sv->loop, &c->control);
			close(control);
		}
		buf_free(&b);
		return false;
	}
	buf_added(&b, (size_t)n);
	if (wire_next(&b, &msg, &size) == 1) {
		kind = (int)wire_get_int(&msg);
		if (kind == SERVICE_MSG_REPLACE) {
			replace_child(c);
		} else if (kind == SERVICE_MSG_LEAVING) {
			child_leaves(c);
		} else if (kind == SERVICE_MSG_READY) {
			child_ready(c);
		} else if (sv->hooks->message != NULL) {
			sv->hooks->message(sv, c, kind, &msg, fd);
			fd = -1;
		}
	}
	if (fd >= 0) {
		close(fd);
	}
	buf_free(&b);
	return true;
}

static void on_control(struct watch *w, unsigned events)
{
	(void)events;
	(void)read_control(w->owner);
}

struct sv_child *sv_spawn(struct supervisor *sv, const char *command, const struct sv_start *start)
{
	struct sv_child *c;
	int control;
	pid_t pid = spawn_child(sv->self_fd, start, &control);

	if (pid < 0) {
		log_error("cannot start %s: %m", command);
		return NULL;
	}
	c = mem_alloc(sizeof(*c));
	c->sv = sv;
	c->command = command;
	c->pid = pid;
	c->relayed = start->relayed;
	c->started = loop_now(sv->loop);
	loop_watch(sv->loop, &c->control, control, LOOP_READ, on_control, c);
	c->next = sv->children;
	sv->children = c;
	sv->child_count++;
	log_debug(1, "started %s, process %d", command, (int)pid);
	return c;
}

static void forget_child(struct sv_child *c)
{
	struct supervisor *sv = c->sv;
	struct sv_child **link = &sv->children;
	int control = c->control.fd;

	while (*link != c) {
		link = &(*link)->next;
	}
	*link = c->next;
	sv->child_count--;
	loop_unwatch(sv->loop, &c->control);
	if (control >= 0) {
		close(control);
	}
	if (c->owns_command) {
		mem_free((void *)(uintptr_t)c->command);
	}
	mem_free(c);
}

/* ---- Services ---- */

static void on_connection(struct watch *w, unsigned events)
{
	struct sv_service *s = w->owner;

	(void)events;
	s->used = true;
	start_child(s);
}

void sv_watch_listeners(struct sv_service *s, bool on)
{
	for (size_t i = 0; i < s->listener_count; i++) {
		struct sv_listener *l = &s->listeners[i];

		if (on && l->watch.fd < 0) {
			loop_watch(s->sv->loop, &l->watch, l->fd, LOOP_READ, on_connection, s);
		} else if (!on) {
			loop_unwatch(s->sv->loop, &l->watch);
		}
	}
}

static void on_rested(struct timer *t)
{
	struct sv_service *s = t->owner;

	s->resting = false;
	make_ready(s);
}

static void rest(struct sv_service *s)
{
	int ms = s->failures == 0 ? FIRST_REST_MS
		: s->failures < 7 ? 500 << s->failures
				  : REST_MAX_MS;

	s->failures++;
	s->resting = true;
	sv_watch_listeners(s, false);
	if (ms > 1000) {
		log_warn("%s: bad command startup -- throttling for %d seconds", s->command,
			ms / 1000);
	}
	loop_timer(s->sv->loop, &s->rest, ms, on_rested, s);
	tell_started(s->sv);
}

/* make_ready - idle, or up when it is to run at once */
static void make_ready(struct sv_service *s)
{
	if (s->child != NULL || s->old != NULL || s->resting || s->ended || s->sv->stopping) {
		return;
	}
	if (s->at_once) {
		start_child(s);
	} else {
		sv_watch_listeners(s, true);
	}
}

/* spawn_for - a child with all the listeners */
static struct sv_child *spawn_for(struct sv_service *s, bool successor)
{
	const char **labels = mem_calloc(s->listener_count + 1, sizeof(*labels));
	int *fds = mem_calloc(s->listener_count + 1, sizeof(*fds));
	struct sv_start start = { .argv = s->argv,
		.fds = fds,
		.labels = labels,
		.fd_count = s->listener_count,
		.successor = successor,
		.again = s->started || s->sv->reloaded,
		.silent = s->sv->silent,
		.relayed = s->relayed };
	struct sv_child *c;

	for (size_t i = 0; i < s->listener_count; i++) {
		fds[i] = s->listeners[i].fd;
		labels[i] = s->listeners[i].label;
	}
	c = sv_spawn(s->sv, s->command, &start);
	s->started = s->started || c != NULL;
	mem_free(labels);
	mem_free(fds);
	return c;
}

static void start_child(struct sv_service *s)
{
	sv_watch_listeners(s, false);
	s->child = spawn_for(s, false);
	if (s->child != NULL) {
		s->child->service = s;
	} else {
		rest(s);
	}
}

/* ordinary_end - log an end that is not an ordinary one; true: it was ordinary */
static bool ordinary_end(const struct sv_child *c, int status)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		return true;
	}
	if (WIFSIGNALED(status)) {
		if (c->leaving && (WTERMSIG(status) == SIGTERM || WTERMSIG(status) == SIGKILL)) {
			return true;
		}
		log_warn("process %s pid %d killed by signal %d", c->command, (int)c->pid,
			WTERMSIG(status));
	} else {
		log_warn("process %s pid %d exit status %d", c->command, (int)c->pid,
			WEXITSTATUS(status));
	}
	return false;
}

static void child_ended(struct sv_child *c, int status)
{
	struct supervisor *sv = c->sv;
	struct sv_service *s;
	bool good = ordinary_end(c, status);

	/* Its last words: a login that it handed over, or that it was ready. */
	while (c->control.fd >= 0 && read_control(c)) {
	}
	s = c->service;
	if (sv->hooks->ended != NULL) {
		sv->hooks->ended(sv, c);
	}
	if (s != NULL) {
		bool current = s->child == c;
		bool quick = loop_now(sv->loop) - c->started < QUICK_DEATH_MS;

		s->later = WIFEXITED(status) && WEXITSTATUS(status) == SERVICE_EXIT_LATER;

		if (s->candidate == c) {
			s->candidate = NULL;
			if (s->child != NULL) {
				log_warn("%s: the successor failed: process %d stays", s->command,
					(int)s->child->pid);
			}
		}
		s->child = current ? NULL : s->child;
		s->old = s->old == c ? NULL : s->old;
		if (good && current && s->may_end) {
			s->ended = true;
			tell_started(sv);
		} else if (!good && current && quick && !sv->stopping) {
			rest(s);
		} else {
			s->failures = 0;
			make_ready(s);
		}
	}
	forget_child(c);
}

void sv_reap(int signo, void *owner)
{
	struct supervisor *sv = owner;
	int status;
	pid_t pid;

	(void)signo;
	/* As process 1 we also get orphans that nobody else waits for. */
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (struct sv_child *c = sv->children; c != NULL; c = c->next) {
			if (c->pid == pid) {
				child_ended(c, status);
				break;
			}
		}
	}
	if (sv->stopping && sv->child_count == 0) {
		loop_stop(sv->loop);
	}
}

/* ---- Wake-up timers ---- */

static void on_wakeup(struct timer *t)
{
	struct sv_service *s = t->owner;
	struct buf b = BUF_INIT;
	size_t mark;

	loop_timer(s->sv->loop, t, (int64_t)s->wakeup * 1000, on_wakeup, s);
	if (s->child == NULL) {
		if ((!s->wakeup_if_used || s->used) && !s->resting && s->old == NULL && !s->ended) {
			start_child(s);
		}
		return;
	}
	mark = wire_begin(&b);
	wire_put_int(&b, SERVICE_MSG_WAKEUP);
	wire_end(&b, mark);
	(void)sv_tell(s->child, &b, -1);
	buf_free(&b);
}

void sv_start_services(struct supervisor *sv)
{
	for (struct sv_service *s = sv->services; s != NULL; s = s->next) {
		make_ready(s);
		if (s->wakeup > 0) {
			loop_timer(sv->loop, &s->wakeup_timer, (int64_t)s->wakeup * 1000, on_wakeup,
				s);
		}
	}
	tell_started(sv);
}

/* tell_started - once: each service that is to run at once serves, or has failed twice */
static void tell_started(struct supervisor *sv)
{
	struct sv_started out = { 0 };

	if (sv->started || sv->stopping || sv->hooks->started == NULL) {
		return;
	}
	for (const struct sv_service *s = sv->services; s != NULL; s = s->next) {
		if (!s->at_once || s->ended) {
			continue;
		}
		if (!s->up && s->failures < START_FAILURES) {
			return;
		}
		if (!s->may_end && !s->later) {
			out.wanted++;
			out.up += s->up;
		}
		if (!s->up && out.failed == NULL) {
			out.failed = s->command;
		}
	}
	sv->started = true;
	sv->hooks->started(sv, &out);
}
