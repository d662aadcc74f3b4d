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
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "net/serve.h"
#include "route/resolve.h"
#include "applets/applets.h"

struct local_state local_G;

int64_t local_now(void)
{
	struct timeval tv;

	gettimeofday(&tv, NULL);
	return (int64_t)tv.tv_sec * 1000000 + tv.tv_usec;
}

struct queue *local_queue(void)
{
	char *error = NULL;

	if (G.queue == NULL) {
		G.queue = queue_open_below(param.queue_directory, QUEUE_READ, &error);
		if (G.queue == NULL) {
			log_warn("%s", error);
			mem_free(error);
		}
	}
	return G.queue;
}

static void on_child(int signo, void *owner)
{
	pid_t pid;
	int status;

	(void)signo;
	(void)owner;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (!worker_ended(pid, status)) {
			(void)command_ended(pid, status);
		}
	}
}

static void on_stop(struct service *s, bool soon)
{
	if (soon) {
		clients_drain();
	} else {
		/* What has come is done; a client that has nothing here is let go. */
		underway_publish();
		clients_wake();
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
	const struct server_config config = { .class = &local_session, .in_high = 1 << 20 };
	int status;

	service_init(&G.service, &info, argc, argv);
	G.root = geteuid() == 0;
	warn_unused();
	route_init();
	expand_init();
	G.scratch = mem_alloc(CONTENT_KEEP);
	G.service.on_stop = on_stop;
	loop_signal(G.service.loop, SIGCHLD, on_child, NULL);
	underway_init();
	notes_clean_later();
	G.server = server_new(G.service.loop, &config);
	service_listen(&G.service, G.server);
	status = service_run(&G.service);
	commands_free();
	workers_free();
	boxes_free();
	spares_free();
	underway_free();
	queue_close(G.queue);
	mem_free(G.scratch);
	expand_free();
	route_free();
	return status;
}
