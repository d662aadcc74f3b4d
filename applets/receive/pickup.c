/*
 * pickup - mail from this host's own programs into the queue
 *
 *	sendmail --socket public/pickup--> session --\
 *						      +--> queue.db (group commit) --> qmgr is told
 *	sendmail --file--> maildrop/ --scan----------/		|
 *				^----- removed after the commit-+
 *
 * The socket answers after the commit. Who submits is what the kernel says: the
 * peer's credentials, or the owner of the file.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/unixsock.h"
#include "conf/params.h"
#include "net/serve.h"
#include "queue/queue.h"
#include "queue/queue_write.h"
#include "address/match.h"
#include "ipc/notify.h"
#include "route/resolve.h"
#include "applets/daemon/service.h"
#include "applets/receive/maildrop.h"
#include "applets/receive/pickup_session.h"
#include "applets/applets.h"

enum { ACCEPT_BATCH = 64, IN_HIGH = 256 * 1024 };

static struct G {
	struct service service;
	struct server *server;
	struct pickup pickup;
	struct queue_notify *notify;
	struct loop_hook commit_hook;
	struct maildrop *drop; /* NULL: it cannot be read */
	struct watch accept[SERVICE_LISTEN_MAX];
} G;

/* ---- The commit ---- */

static void commit(void)
{
	if (!queue_pending(G.pickup.queue)) {
		return;
	}
	if (queue_commit(G.pickup.queue) != 0) {
		log_error("queue: %s", queue_error(G.pickup.queue));
		if (queue_is_broken(G.pickup.queue)) {
			log_fatal("queue.db cannot be used any more");
		}
		return;
	}
	queue_notify_committed(G.notify, G.pickup.queue);
}

static void run_commit(struct loop_hook *h)
{
	(void)h;
	commit();
}

/* ---- The socket ---- */

/* commit_soon - with whatever else ends in this turn */
static void commit_soon(void)
{
	loop_at_end(G.service.loop, &G.commit_hook, run_commit, NULL);
}

static void on_accept(struct watch *w, unsigned events)
{
	(void)events;
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct pickup_client *client;
		gid_t gid;
		pid_t pid;

		if (fd < 0) {
			return;
		}
		client = mem_alloc(sizeof(*client));
		client->pickup = &G.pickup;
		if (unix_peer(fd, &client->uid, &gid, &pid) != 0) {
			log_warn("submission without credentials: %m");
			close(fd);
			mem_free(client);
			continue;
		}
		server_adopt_with(G.server, fd, NULL, 0, client);
	}
}

/* ---- The process ---- */

/* is_authorized - may the owner of a file? */
static bool is_authorized(uid_t uid)
{
	return pickup_is_authorized(&G.pickup, uid);
}

static void on_wakeup(struct service *s)
{
	(void)s;
	maildrop_scan(G.drop);
}

static void on_stop(struct service *s, bool soon)
{
	(void)soon;
	for (size_t i = 0; i < s->listen_count; i++) {
		if (G.accept[i].fd >= 0) {
			int fd = G.accept[i].fd;

			/* Who waits there is ours still, if nobody follows us. */
			on_accept(&G.accept[i], LOOP_READ);
			loop_unwatch(s->loop, &G.accept[i]);
			close(fd);
		}
	}
	maildrop_close(G.drop);
	G.drop = NULL;
	service_done(s);
}

static void set_up(void)
{
	struct maildrop_config drop = {
		.loop = G.service.loop, .commit = commit, .is_authorized = is_authorized
	};
	char *error = NULL;

	route_init();
	G.pickup.loop = G.service.loop;
	G.pickup.commit_soon = commit_soon;
	G.pickup.queue = queue_open_below(param.queue_directory, QUEUE_CREATE, &error);
	if (G.pickup.queue == NULL) {
		service_no_queue(error);
	}
	drop.queue = G.pickup.queue;
	G.notify = queue_notify_new(G.service.loop, param.queue_directory);
	G.pickup.authorized =
		match_list_new("authorized_submit_users", param.authorized_submit_users, 0);
	G.drop = maildrop_new(&drop);
	if (G.drop == NULL) {
		log_warn("%s/maildrop: %m: mail handed in while the server is down cannot be taken",
			param.queue_directory);
	}
}

int pickup_main(int argc, char **argv)
{
	static const struct service_info info = { .options = NULL };
	const struct server_config config = {
		.class = &pickup_class,
		.max_sessions = (int)param.client_session_limit,
		.in_high = IN_HIGH,
	};

	service_init(&G.service, &info, argc, argv);
	set_up();
	G.service.on_wakeup = on_wakeup;
	G.service.on_stop = on_stop;
	G.server = server_new(G.service.loop, &config);
	service_attach(&G.service, G.server);
	for (size_t i = 0; i < G.service.listen_count; i++) {
		loop_watch(G.service.loop, &G.accept[i], G.service.listen[i].fd, LOOP_READ,
			on_accept, NULL);
	}
	return service_run(&G.service);
}
