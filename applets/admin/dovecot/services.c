/*
 * services - what dovecot.conf says is served, as specs for the supervisor
 *
 *	protocols = imap pop3		login parts with their listeners:
 *	service imap-login {
 *		inet_listener imap { port = 143 }
 *		inet_listener imaps { port = 993 ssl = yes }
 *	}
 *	service auth { unix_listener PATH { mode user group } }
 *	service lmtp { inet_listener lmtp { port } unix_listener PATH { } }
 *
 * port = 0 switches a listener off; without TLS those with ssl = yes are off. The auth
 * process always has base_dir/login, base_dir/auth-master and base_dir/auth-userdb,
 * and smtpd's socket when main.cf says smtpd_sasl_type = dovecot.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/dovecot/dovecot_conf.h"
#include "conf/master_cf.h"
#include "conf/params.h"
#include "applets/daemon/certificate.h"
#include "applets/admin/dovecot/dovecot.h"
#include "applets/admin/master/layout.h"
#include "applets/applets.h"

/* What is being made. */
struct making {
	struct sv_config *config;
	const char *file;
	int verbose;
	bool tls;
	char *trouble; /* the first error */
};

struct known_listener {
	const char *name;
	int port;
	bool ssl;
};

struct known_protocol {
	const char *name, *command;
	struct known_listener listeners[2];
};

static const struct known_protocol protocols[] = {
	{ "imap", "imapd", { { "imap", 143, false }, { "imaps", 993, true } } },
	{ "pop3", "pop3d", { { "pop3", 110, false }, { "pop3s", 995, true } } },
};

static void wrong(struct making *m, const struct conf_node *n, const char *what, const char *value)
{
	struct buf b = BUF_INIT;

	if (m->trouble == NULL) {
		buf_addf(&b, "%s:%d: %s: %s", n != NULL ? n->file : m->file,
			n != NULL ? n->line : 0, what, value);
		m->trouble = buf_steal(&b);
	}
}

static struct sv_spec *add_spec(struct making *m, const char *name, const char *command,
	const char *more, const char *more2)
{
	struct sv_spec *spec = sv_config_add(m->config);
	const char **argv = arena_alloc(&m->config->arena, 16 * sizeof(*argv));
	size_t n = 0;

	spec->name = arena_strdup(&m->config->arena, name);
	spec->command = command;
	argv[n++] = command;
	argv[n++] = "-n";
	argv[n++] = spec->name;
	argv[n++] = "-c";
	argv[n++] = more != NULL ? more : arena_strdup(&m->config->arena, m->file);
	if (more2 != NULL) {
		argv[n++] = "-t";
		argv[n++] = more2;
	}
	for (int i = 0; i < m->verbose && n < 15; i++) {
		argv[n++] = "-v";
	}
	argv[n] = NULL;
	spec->argv = argv;
	return spec;
}

/* ---- TCP listeners ---- */

static struct sv_endpoint *add_address(struct making *m, struct sv_spec *spec, const char *address,
	int port, bool v4, bool v6, const struct conf_node *n)
{
	struct sv_endpoint *ep = sv_spec_add(m->config, spec);

	ep->address = arena_strdup(&m->config->arena, address);
	ep->port = port;
	ep->v4 = v4;
	ep->v6 = v6;
	ep->optional = strchr(address, ':') != NULL || (v6 && !v4);
	ep->set_by = n != NULL
		? arena_printf(&m->config->arena, "%s, line %d", n->file, n->line)
		: arena_printf(&m->config->arena, "%s: listen = %s", m->file, setting.listen);
	return ep;
}

/* add_addresses - "*" and "::" together are one socket for both families */
static void add_addresses(struct making *m, struct sv_spec *spec, const char *list, int port,
	const char *label, const struct conf_node *n)
{
	struct slice rest = slice_of(list), word;
	size_t first = spec->endpoint_count;
	bool all4 = false, all6 = false;
	char text[256];

	while ((word = slice_word(&rest, " ,\t")).ptr != NULL) {
		if (slice_eq(word, "*")) {
			all4 = true;
		} else if (slice_eq(word, "::") || slice_eq(word, "[::]")) {
			all6 = true;
		} else if (word.len < sizeof(text)) {
			bool bracket = word.len > 2 && word.ptr[0] == '[';

			memcpy(text, word.ptr + bracket, word.len - 2 * (size_t)bracket);
			text[word.len - 2 * (size_t)bracket] = '\0';
			add_address(m, spec, strcmp(text, "localhost") == 0 ? "127.0.0.1" : text,
				port, true, true, n);
		}
	}
	if (all4 || all6) {
		add_address(m, spec, "", port, all4, all6, n);
	}
	for (size_t i = first; i < spec->endpoint_count; i++) {
		spec->endpoints[i].label = label;
		/* Without IPv6 the others serve; where there are none it is an error. */
		spec->endpoints[i].optional =
			spec->endpoints[i].optional && spec->endpoint_count > first + 1;
	}
}

static bool is_yes(const char *text)
{
	return str_ieq(text, "yes") || str_ieq(text, "y") || str_ieq(text, "true") ||
		strcmp(text, "1") == 0;
}

/* add_listener - one inet_listener; node NULL: only what is known of it */
static void add_listener(struct making *m, struct sv_spec *spec, const char *name, int port,
	bool ssl, const struct conf_node *node)
{
	const char *text = node != NULL ? conf_setting(node, "port", NULL) : NULL;
	const char *address = node != NULL ? conf_setting(node, "address", NULL) : NULL;

	if (address == NULL && node != NULL) {
		address = conf_setting(node, "listen", NULL);
	}
	if (text != NULL) {
		port = strcmp(text, "0") == 0 ? 0 : service_port(text);
		if (port == 0 && strcmp(text, "0") != 0) {
			wrong(m, node, "no such port", text);
		}
	}
	if (node != NULL) {
		ssl = is_yes(conf_setting(node, "ssl", ssl ? "yes" : "no"));
	}
	(void)name;
	if (port != 0 && (!ssl || m->tls)) {
		add_addresses(m, spec, address != NULL ? address : setting.listen, port,
			ssl ? "ssl" : "", node);
	}
}

static void add_login(struct making *m, const struct known_protocol *p)
{
	const struct conf_node *service, *n = NULL;
	struct sv_spec *spec;
	char name[32];

	if (applet_find(p->command) == NULL) {
		log_warn("protocols: %s is not in this build", p->name);
		return;
	}
	(void)str_copy(name, sizeof(name), p->name);
	(void)str_copy(name + strlen(name), sizeof(name) - strlen(name), "-login");
	service = conf_section(dovecot_conf_root(), "service", name);
	spec = add_spec(m, name, p->command, NULL, NULL);
	spec->relayed = true;
	for (size_t i = 0; i < ARRAY_LEN(p->listeners); i++) {
		const struct known_listener *l = &p->listeners[i];

		add_listener(m, spec, l->name, l->port, l->ssl,
			service != NULL ? conf_section(service, "inet_listener", l->name) : NULL);
	}
	/* Listeners under other names. */
	while (service != NULL && (n = conf_next_section(service, "inet_listener", n)) != NULL) {
		if (n->name == NULL ||
			(strcmp(n->name, p->listeners[0].name) != 0 &&
				strcmp(n->name, p->listeners[1].name) != 0)) {
			add_listener(m, spec, n->name, 0, false, n);
		}
	}
	if (spec->endpoint_count == 0) {
		log_warn("protocols: %s: every listener is off", p->name);
	}
}

/* ---- Unix listeners ---- */

static void set_owner(struct making *m, struct sv_endpoint *ep, const struct conf_node *n)
{
	const char *mode = conf_setting(n, "mode", "0600");
	const char *user = conf_setting(n, "user", ""), *group = conf_setting(n, "group", "");
	char *end;

	ep->mode = (mode_t)strtoul(mode, &end, 8);
	if (*end != '\0' || mode[0] == '\0') {
		wrong(m, n, "mode is not octal", mode);
	}
	if (geteuid() != 0) {
		return;
	}
	ep->uid = 0;
	ep->gid = 0;
	if (user[0] != '\0') {
		const struct passwd *pw = getpwnam(user);

		if (pw == NULL) {
			wrong(m, n, "there is no such user", user);
			return;
		}
		ep->uid = pw->pw_uid;
	}
	if (group[0] != '\0') {
		const struct group *gr = getgrnam(group);

		if (gr == NULL) {
			wrong(m, n, "there is no such group", group);
			return;
		}
		ep->gid = gr->gr_gid;
	}
}

static const char *below_base(struct making *m, const char *path)
{
	return path[0] == '/' ? arena_strdup(&m->config->arena, path)
			      : arena_printf(&m->config->arena, "%s/%s", setting.base_dir, path);
}

static struct sv_endpoint *add_unix(struct making *m, struct sv_spec *spec, const char *path,
	const char *label, const char *set_by)
{
	struct sv_endpoint *ep;

	path = below_base(m, path);
	for (size_t i = 0; i < spec->endpoint_count; i++) {
		if (spec->endpoints[i].path != NULL && strcmp(spec->endpoints[i].path, path) == 0) {
			return &spec->endpoints[i];
		}
	}
	ep = sv_spec_add(m->config, spec);
	ep->path = path;
	ep->label = label;
	ep->set_by = set_by;
	ep->mode = 0600;
	return ep;
}

/* auth_label - which protocol is spoken there, by the name as in Dovecot */
static const char *auth_label(const char *path)
{
	const char *base = strrchr(path, '/');

	base = base != NULL ? base + 1 : path;
	if (str_ends(base, "auth-master")) {
		return "auth-master";
	}
	return str_ends(base, "auth-userdb") ? "auth-userdb" : "auth-client";
}

static uid_t login_uid(gid_t *gid_r)
{
	const struct passwd *pw = getpwnam(setting.default_login_user);

	if (pw == NULL) {
		pw = getpwnam(param.mail_owner);
	}
	*gid_r = pw != NULL ? pw->pw_gid : (gid_t)-1;
	return pw != NULL && geteuid() == 0 ? pw->pw_uid : (uid_t)-1;
}

static void add_smtpd_auth(struct making *m, struct sv_spec *spec)
{
	const struct passwd *pw = getpwnam(param.mail_owner);
	struct sv_endpoint *ep;
	size_t before = spec->endpoint_count;

	if (!str_ieq(param.smtpd_sasl_type, "dovecot") ||
		strchr(param.smtpd_sasl_path, ':') != NULL) {
		return;
	}
	ep = add_unix(m, spec,
		param.smtpd_sasl_path[0] == '/'
			? param.smtpd_sasl_path
			: arena_printf(&m->config->arena, "%s/%s", param.queue_directory,
				  param.smtpd_sasl_path),
		"auth-client", "main.cf: smtpd_sasl_path");
	if (spec->endpoint_count > before) {
		ep->mode = 0660;
		ep->uid = pw != NULL ? pw->pw_uid : (uid_t)-1;
		ep->gid = pw != NULL ? pw->pw_gid : (gid_t)-1;
	}
}

static void add_auth(struct making *m, bool main_cf)
{
	struct sv_spec *spec = add_spec(m, "auth", "auth", NULL, NULL);
	const struct conf_node *service = conf_section(dovecot_conf_root(), "service", "auth"),
			       *n = NULL;
	struct sv_endpoint *ep;

	ep = add_unix(m, spec, "login", "auth-client", "base_dir");
	ep->uid = login_uid(&ep->gid);
	(void)add_unix(m, spec, "auth-master", "auth-master", "base_dir");
	ep = add_unix(m, spec, "auth-userdb", "auth-userdb", "base_dir");
	ep->mode = 0666;
	while (service != NULL && (n = conf_next_section(service, "unix_listener", n)) != NULL) {
		if (n->name == NULL || n->name[0] == '\0') {
			continue;
		}
		ep = add_unix(m, spec, n->name, auth_label(n->name),
			arena_printf(&m->config->arena, "%s, line %d", n->file, n->line));
		set_owner(m, ep, n);
	}
	n = NULL;
	while (service != NULL && (n = conf_next_section(service, "inet_listener", n)) != NULL) {
		size_t first = spec->endpoint_count;

		add_listener(m, spec, n->name, 0, false, n);
		for (size_t i = first; i < spec->endpoint_count; i++) {
			spec->endpoints[i].label = "auth-client";
		}
	}
	/* What only some may open is for look-ups of others, as a delivery agent makes them. */
	for (size_t i = 0; i < spec->endpoint_count; i++) {
		ep = &spec->endpoints[i];
		if (strcmp(ep->label, "auth-userdb") == 0 && ep->mode != 0666) {
			ep->label = "auth-lookup";
		}
	}
	if (main_cf) {
		add_smtpd_auth(m, spec);
	}
}

/* ---- LMTP ---- */

static void add_lmtp(struct making *m, bool main_cf)
{
	const struct conf_node *service = conf_section(dovecot_conf_root(), "service", "lmtp"),
			       *n = NULL;
	struct sv_spec *spec;

	/* The LMTP server is smtpd's, and lives by main.cf. */
	if (service == NULL || !main_cf || applet_find("lmtpd") == NULL) {
		return;
	}
	spec = add_spec(
		m, "lmtp", "lmtpd", arena_strdup(&m->config->arena, conf_dir(NULL)), "unix");
	while ((n = conf_next_section(service, "inet_listener", n)) != NULL) {
		add_listener(m, spec, n->name, 0, false, n);
	}
	n = NULL;
	while ((n = conf_next_section(service, "unix_listener", n)) != NULL) {
		if (n->name != NULL) {
			set_owner(m,
				add_unix(m, spec, n->name, "",
					arena_printf(&m->config->arena, "%s, line %d", n->file,
						n->line)),
				n);
		}
	}
}

/* ---- All ---- */

/* tls_is_there - ssl wants it and the certificate is a good one */
static bool tls_is_there(void)
{
	struct tls_server_config files = { 0 };
	char *error = NULL;

	if (!certificate_of_dovecot(&files)) {
		return false;
	}
	if (certificate_check(&files, &error) != 0) {
		log_error("ssl = %s, but no TLS: ssl_cert, ssl_key: %s", setting.ssl, error);
		mem_free(error);
		return false;
	}
	return true;
}

static const struct known_protocol *find_protocol(struct slice word)
{
	for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
		if (slice_ieq(word, protocols[i].name)) {
			return &protocols[i];
		}
	}
	return NULL;
}

/* make_empty - the directory that is all that login parts see */
static void make_empty(struct making *m)
{
	const char *path = below_base(m, "empty");

	if (layout_make_dir(path, 0755, (uid_t)-1, (gid_t)-1) != 0) {
		wrong(m, NULL, strerror(errno), path);
	}
}

int dovecot_services(
	struct sv_config *out, const char *file, bool main_cf, int verbose, char **error_r)
{
	struct making m = {
		.config = out, .file = file, .verbose = verbose, .tls = tls_is_there()
	};
	struct slice rest = slice_of(setting.protocols), word;

	if (layout_make_dir(setting.base_dir, 0755, (uid_t)-1, (gid_t)-1) != 0) {
		wrong(&m, NULL, strerror(errno), setting.base_dir);
	}
	make_empty(&m);
	add_auth(&m, main_cf);
	while ((word = slice_word(&rest, " ,\t")).ptr != NULL) {
		const struct known_protocol *p = find_protocol(word);

		if (p != NULL) {
			add_login(&m, p);
		} else if (slice_ieq(word, "lmtp")) {
			add_lmtp(&m, main_cf);
		} else if (!slice_ieq(word, "none")) {
			log_warn("protocols: %.*s is not in this build: left out", (int)word.len,
				word.ptr);
		}
	}
	*error_r = m.trouble;
	return m.trouble != NULL ? -1 : 0;
}
