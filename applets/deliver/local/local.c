/*
 * local - the agent that delivers to users of this host
 *
 *	qmgr --> request --> alias_maps, .forward --> jobs --> mailbox batch | command | answer
 *
 * Jobs that arrive in one turn of the loop and go to the same mailbox are delivered as one batch:
 * one lock, one fsync. Started as root it never writes to a mailbox itself: children that
 * have become the user do, and live on for a few seconds; they get the content
 * from us, because they may not read the queue. Started as anybody else
 * it does everything itself, as that user.
 *
 * The answer to qmgr comes after the fsync. When we die before it qmgr asks again and
 * says so; then the mailbox is searched first (deliver/deliver.h).
 *
 * Manual: Postfix's local(8), aliases(5).
 */
#include "applets/deliver/local/local.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "net/serve.h"
#include "route/resolve.h"
#include "applets/applets.h"
#include "applets/deliver/local/box.h"
#include "applets/deliver/local/client.h"
#include "applets/deliver/local/command_run.h"
#include "applets/deliver/local/jobs.h"
#include "applets/deliver/local/underway.h"
#include "applets/deliver/local/worker.h"

static void on_child(int signo, void *owner)
{
	struct local *g = owner;
	pid_t pid;
	int status;

	(void)signo;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (!worker_ended(g, pid, status)) {
			(void)command_ended(g, pid, status);
		}
	}
}

static void on_stop(struct service *s, bool soon)
{
	struct local *g = s->owner;

	if (soon) {
		clients_drain(g);
	} else {
		/* What has come is done; a client that has nothing here is let go. */
		underway_publish(g);
		clients_wake(g);
	}
	service_done(s);
}

/* warn_unused - parameters whose neglect would surprise */
static void warn_unused(void)
{
	const struct {
		const char *name, *value;
	} rows[] = {
		{ "mailbox_transport", param.mailbox_transport },
		{ "mailbox_transport_maps", param.mailbox_transport_maps },
		{ "fallback_transport", param.fallback_transport },
		{ "fallback_transport_maps", param.fallback_transport_maps },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].value[0] != '\0') {
			log_warn("parameter %s is not acted on: see transport_maps", rows[i].name);
		}
	}
	if (param.mailbox_size_limit > 0 && param.message_size_limit > 0 &&
		param.mailbox_size_limit < param.message_size_limit) {
		log_fatal("configuration error: mailbox_size_limit is smaller than "
			  "message_size_limit");
	}
}

int local_main(int argc, char **argv)
{
	static const struct service_info info = { .flags = SERVICE_ROOT };
	struct local *g = mem_alloc(sizeof(*g));
	const struct server_config config = {
		.class = &local_session, .service = g, .in_high = 1 << 20
	};
	int status;

	service_init(&g->service, &info, argc, argv);
	g->root = geteuid() == 0;
	warn_unused();
	route_init();
	expand_init();
	g->scratch = mem_alloc(CONTENT_KEEP);
	g->service.owner = g;
	g->service.on_stop = on_stop;
	loop_signal(g->service.loop, SIGCHLD, on_child, g);
	underway_init(g, request_begin);
	boxes_init(g);
	notes_clean_later(g);
	g->server = server_new(g->service.loop, &config);
	service_listen(&g->service, g->server);
	status = service_run(&g->service);
	server_free(g->server);
	commands_free(g);
	workers_free(g);
	boxes_free(g);
	requests_free(g);
	underway_free(g);
	queue_close(g->queue);
	mem_free(g->scratch);
	expand_free();
	route_free();
	service_free(&g->service);
	mem_free(g);
	return status;
}
