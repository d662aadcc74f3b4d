/*
 * supervise - the life of a supervisor: start, reload, stop
 *
 * Stopping: SIGTERM to all, SIGKILL after STOP_SECONDS.
 */
#include <signal.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "applets/daemon/engine.h"

enum { STOP_SECONDS = 8 };

static void on_reload(int signo, void *owner)
{
	struct supervisor *sv = owner;
	struct sv_config config;
	char *error;

	(void)signo;
	if (sv->stopping) {
		return;
	}
	memset(&config, 0, sizeof(config));
	if (sv->hooks->reload(sv, &config)) {
		(void)sv_apply(sv, &config, false, &error);
	} else {
		arena_free(&config.arena);
	}
}

static void kill_rest(struct timer *t)
{
	struct supervisor *sv = t->owner;

	for (struct sv_child *c = sv->children; c != NULL; c = c->next) {
		log_warn("process %s pid %d does not end: killed", c->command, (int)c->pid);
		sv_signal(c, SIGKILL);
	}
	if (sv->child_count == 0 || ++sv->stop_rounds > 3) {
		loop_stop(sv->loop);
		return;
	}
	loop_timer(sv->loop, t, 1000, kill_rest, sv);
}

void sv_stop(struct supervisor *sv)
{
	if (sv->stopping) {
		return;
	}
	sv->stopping = true;
	for (struct sv_service *s = sv->services; s != NULL; s = s->next) {
		sv_watch_listeners(s, false);
		loop_untimer(sv->loop, &s->rest);
		loop_untimer(sv->loop, &s->wakeup_timer);
	}
	for (struct sv_child *c = sv->children; c != NULL; c = c->next) {
		c->leaving = true;
		sv_signal(c, SIGTERM);
	}
	if (sv->child_count == 0) {
		loop_stop(sv->loop);
	}
	loop_timer(sv->loop, &sv->stop_timer, STOP_SECONDS * 1000, kill_rest, sv);
}

static void on_stop(int signo, void *owner)
{
	(void)signo;
	sv_stop(owner);
}

struct supervisor *sv_new(struct loop *loop, const char *what, const struct supervisor_hooks *hooks)
{
	struct supervisor *sv = mem_alloc(sizeof(*sv));

	sv->loop = loop;
	sv->what = what;
	sv->hooks = hooks;
	sv->self_fd = spawn_self(what);
	if (sv->self_fd < 0) {
		log_fatal("cannot find our own executable: mount /proc, or start %s with its full "
			  "path",
			what);
	}
	loop_signal(loop, SIGHUP, on_reload, sv);
	loop_signal(loop, SIGTERM, on_stop, sv);
	loop_signal(loop, SIGINT, on_stop, sv);
	loop_signal(loop, SIGCHLD, sv_reap, sv);
	return sv;
}

void sv_run(struct supervisor *sv)
{
	log_set_buffered(1);
	sv_start_services(sv);
	loop_run(sv->loop);
	while (sv->services != NULL) {
		struct sv_service *s = sv->services;

		sv->services = s->next;
		sv_free_service(s, true);
	}
	log_flush();
}
