/*
 * auth - the only process that reads password hashes
 *
 * One event loop behind three kinds of sockets, told apart by their label:
 *
 *	auth-master	the supervisor: who logged in, and as which uid (master.c)
 *	auth-userdb	local programs: what is known about a user (master.c)
 *	anything else	smtpd and login processes: is the password right? (client.c)
 *
 * Started by the supervisor of dovecot.conf with the first connection; ends
 * when nobody is connected any more. Runs as root where there is root, for
 * /etc/shadow; it reads no mail and has no network.
 */
#include "applets/admin/auth/auth.h"

#include <string.h>

#include "applets/applets.h"
#include "applets/service.h"
#include "base/mem.h"
#include "base/str.h"

enum { LINE_HIGH = AUTH_LINE_MAX + 1024 };

static struct {
	struct service service;
	struct auth_state state;
} G;

const char *auth_normalise(struct arena *a, const char *user, const char **why_r)
{
	const char *format = setting.auth_username_format;
	char *text;

	if (user[0] == '\0') {
		*why_r = "empty user name";
		return NULL;
	}
	if (strchr(user, '@') == NULL && setting.auth_default_realm[0] != '\0') {
		user = arena_printf(a, "%s@%s", user, setting.auth_default_realm);
	}
	if (setting.auth_username_chars[0] != '\0' &&
	    user[strspn(user, setting.auth_username_chars)] != '\0') {
		*why_r = "the user name has a character that auth_username_chars does not allow";
		return NULL;
	}
	if (format[0] == '\0') {
		return arena_strdup(a, user);
	}
	text = dovecot_expand(format, user, "", "");
	user = arena_strdup(a, text);
	mem_free(text);
	if (user[0] == '\0') {
		*why_r = "empty user name";
		return NULL;
	}
	return user;
}

static struct server *new_server(const struct session_class *class)
{
	struct server_config config = { .class = class, .service = &G.state, .in_high = LINE_HIGH };
	struct server *s = server_new(G.service.loop, &config);

	service_attach(&G.service, s);
	return s;
}

int auth_main(int argc, char **argv)
{
	static const struct service_info info = { .flags = SERVICE_ROOT | SERVICE_DOVECOT };
	struct server *clients, *masters, *userdb;

	service_init(&G.service, &info, argc, argv);
	G.state.loop = G.service.loop;
	G.state.passdbs = db_load(false);
	G.state.userdbs = db_load(true);
	G.state.hasher = hasher_new(G.service.loop, (int)setting.auth_worker_max_count);
	clients = new_server(&auth_client_class);
	masters = new_server(&auth_master_class);
	userdb = new_server(&auth_userdb_class);
	if (G.service.stdio) {
		server_stdio(clients, 0, 1);
	}
	for (size_t i = 0; i < G.service.listen_count; i++) {
		const char *label = G.service.listen[i].label;

		server_listen(strcmp(label, "auth-master") == 0	  ? masters
			      : strcmp(label, "auth-userdb") == 0 ? userdb
								  : clients,
			G.service.listen[i].fd);
	}
	return service_run(&G.service);
}
