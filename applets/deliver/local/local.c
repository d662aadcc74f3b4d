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
#include "route/resolve.h"
#include "applets/applets.h"
#include "applets/deliver/local/command_jobs.h"
#include "applets/deliver/local/jobs.h"
#include "applets/deliver/local/pass.h"

static void on_child(int signo, void *owner)
{
	struct local *g = owner;
	pid_t pid;
	int status;

	(void)signo;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (!boxes_child_ended(&g->boxes, pid)) {
			(void)command_ended(&g->commands, pid, status);
		}
	}
}

/* check_limits - a message that is taken must fit */
static void check_limits(void)
{
	if (param.mailbox_size_limit > 0 && param.message_size_limit > 0 &&
		param.mailbox_size_limit < param.message_size_limit) {
		log_fatal("configuration error: mailbox_size_limit is smaller than "
			  "message_size_limit");
	}
}

/* request_end - its tables are waited for no longer */
static void request_end(struct agent_request *aq)
{
	struct request *q = (struct request *)aq;

	map_wait_end(&q->wait);
}

int local_main(int argc, char **argv)
{
	static const struct service_info info = { .flags = SERVICE_ROOT };
	static const struct agent_class class = {
		.size = sizeof(struct request), .begin = request_begin, .end = request_end
	};
	struct local *g = mem_alloc(sizeof(*g));
	int status;

	service_init(&g->host.service, &info, argc, argv);
	check_limits();
	route_init();
	expand_init();
	agent_host_init(&g->host, &class, g, param.local_delivery_status_filter);
	loop_signal(g->host.service.loop, SIGCHLD, on_child, g);
	boxes_init(&g->boxes, &g->host, param.mailbox_size_limit);
	commands_init(&g->commands, &g->host);
	status = agent_host_run(&g->host);
	passes_free(g);
	commands_free(&g->commands);
	boxes_free(&g->boxes);
	agent_host_free(&g->host);
	expand_free();
	route_free();
	service_free(&g->host.service);
	mem_free(g);
	return status;
}
