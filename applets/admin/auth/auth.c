/*
 * auth - the only process that reads password hashes
 *
 * One event loop behind three kinds of sockets, told apart by their label:
 *
 *	auth-master	programs of root: who logged in, and as which uid (master_side.c)
 *	auth-userdb	local programs: what is known about their own user (master_side.c)
 *	auth-lookup	the same socket with another mode than 0666: about any user
 *	anything else	smtpd and login processes: is the password right? (client_side.c)
 *
 * The supervisor asks over a connection of its own to each of its auth processes, which counts
 * for nobody's life (SERVICE_MSG_MASTER): on a reload the successor serves at once, and the old
 * process closes each connection on which nothing is open (clients come back, and find the
 * successor), stays until what it granted was asked for or a minute has passed, and ends. Clients
 * that keep their connection, or an exchange, keep nobody waiting.
 *
 * Started by the supervisor of dovecot.conf with the first connection; ends
 * when nobody is connected any more. Started as root it becomes default_internal_user (mail_owner
 * where there is no such account), and a child of its own reads /etc/shadow and passwd-files
 * (reader.c). It reads no mail and has no network.
 */
#include "applets/admin/auth/auth.h"

#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "conf/dovecot/dovecot_conf.h"
#include "ipc/auth_protocol.h"
#include "applets/daemon/service.h"
#include "applets/admin/auth/penalty.h"
#include "applets/applets.h"

enum { LINE_HIGH = AUTH_LINE_MAX + 1024, RETIRE_MS = 200 };

static struct {
	struct service service;
	struct server *clients, *masters, *userdb, *lookup;
	struct server *supervisor; /* not attached: it does not keep us */
	struct timer retire;
	struct auth_state state;
} G;

/* ---- Life ---- */

/* retire - connections end when they are idle; the process, when all is done that it granted */
static void retire(struct timer *t)
{
	server_each(G.clients, auth_client_retire, NULL);
	server_each(G.masters, auth_master_retire, NULL);
	server_each(G.userdb, auth_master_retire, NULL);
	server_each(G.lookup, auth_master_retire, NULL);
	auth_grant_expire(&G.state);
	if (G.state.grant_count == 0 && server_sessions(G.clients) == 0) {
		service_done(&G.service);
		return;
	}
	loop_timer(G.service.loop, t, RETIRE_MS, retire, NULL);
}

static void on_stop(struct service *s, bool soon)
{
	if (soon) {
		service_done(s);
		return;
	}
	G.state.retiring = true;
	/* Not at once: an answer may be on its way to the supervisor. */
	loop_timer(s->loop, &G.retire, RETIRE_MS, retire, NULL);
}

static bool may_end(struct service *s)
{
	(void)s;
	auth_grant_expire(&G.state);
	return G.state.grant_count == 0;
}

static void on_message(struct service *s, int kind, struct wire *w, int fd)
{
	(void)s;
	(void)w;
	if (fd >= 0 && kind == SERVICE_MSG_MASTER) {
		server_adopt(G.supervisor, fd, NULL, 0);
	} else if (fd >= 0 && kind == SERVICE_MSG_AUTH) {
		/* Also when we retire: it was given to us before we were told to. */
		server_adopt(G.clients, fd, NULL, 0);
	} else if (fd >= 0) {
		close(fd);
	}
}

static struct server *new_server(const struct session_class *class, bool attached)
{
	struct server_config config = { .class = class, .service = &G.state, .in_high = LINE_HIGH };
	struct server *s = server_new(G.service.loop, &config);

	if (attached) {
		service_attach(&G.service, s);
	}
	return s;
}

/* give_up_root - what only root may read is left to a child (reader.c) */
static void give_up_root(struct service *s)
{
	bool own = getpwnam(setting.default_internal_user) != NULL;

	(void)s;
	G.state.passdbs = db_load(false);
	G.state.userdbs = db_load(true);
	G.state.root = geteuid() == 0;
	if (G.state.root) {
		db_start_reader(G.state.passdbs, G.state.userdbs);
		service_drop_privileges(PROCESS_AUTH, own ? setting.default_internal_user : NULL);
	}
}

int auth_main(int argc, char **argv)
{
	static const struct service_info info = { .flags = SERVICE_ROOT | SERVICE_DOVECOT,
		.prepare = give_up_root };

	service_init(&G.service, &info, argc, argv);
	G.state.loop = G.service.loop;
	G.state.penalties = penalties_new();
	G.state.hasher = hasher_new(G.service.loop, (int)setting.auth_worker_max_count);
	G.clients = new_server(&auth_client_class, true);
	G.masters = new_server(&auth_master_class, true);
	G.userdb = new_server(&auth_userdb_class, true);
	G.lookup = new_server(&auth_lookup_class, true);
	G.supervisor = new_server(&auth_supervisor_class, false);
	G.service.on_stop = on_stop;
	G.service.on_idle = may_end;
	G.service.on_message = on_message;
	if (G.service.stdio) {
		server_stdio(G.clients, 0, 1);
	}
	for (size_t i = 0; i < G.service.listen_count; i++) {
		const char *label = G.service.listen[i].label;

		server_listen(strcmp(label, "auth-master") == 0     ? G.masters
				: strcmp(label, "auth-userdb") == 0 ? G.userdb
				: strcmp(label, "auth-lookup") == 0 ? G.lookup
								    : G.clients,
			G.service.listen[i].fd);
	}
	return service_run(&G.service);
}
