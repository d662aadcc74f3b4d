/*
 * smtpd - the SMTP and LMTP server
 *
 * One event loop, many sessions (applets/daemon/service.h); may be started once for each
 * processor. What all sessions share is opened here: the queue, the
 * restriction lists, the certificate, the connection to the auth process.
 *
 *	smtpd			by master, or by hand with -p PORT
 *	smtpd -l, lmtpd		LMTP: a reply for each recipient after the message
 *	smtpd -S		one session on stdin and stdout. On a socket (inetd) it is a
 *				session like any other; on pipes or a terminal it is the caller's
 *				own (sendmail -bs): trusted, and its mail is submitted as
 *				sendmail's is
 *
 * RFC 5321, RFC 2033. Settings: smtpd_* of main.cf.
 */
#include "applets/receive/smtpd/smtpd.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/conf_info.h"
#include "conf/params.h"
#include "net/serve.h"
#include "route/resolve.h"
#include "applets/daemon/certificate.h"
#include "applets/daemon/service.h"
#include "applets/applets.h"
#include "applets/receive/smtpd/transcript.h"

enum { IN_HIGH = 128 * 1024 };

static struct G {
	struct service service;
	struct smtpd smtpd;
	struct server *server;
	struct tls_context *tls;
	bool lmtp_option;
} G;

static bool option(struct service *s, int opt, const char *arg)
{
	(void)s, (void)arg;
	if (opt == 'l') {
		G.lmtp_option = true;
	}
	return opt == 'l';
}

/* on_socket - is stdin a connection, as inetd gives it? */
static bool on_socket(void)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);

	return getpeername(0, (struct sockaddr *)&addr, &len) == 0 && addr.ss_family != AF_UNIX;
}

/* ---- TLS ---- */

/* lowest_version - 10, 11, 12; what cannot be had is the newest that can */
static int lowest_version(const char *protocols)
{
	int min, max;

	if (!tls_versions(protocols, &min, &max)) {
		log_warn("invalid TLS protocol list \"%s\"", protocols);
		return 12;
	}
	return min <= max && min < 12 ? min : 12;
}

/* load_tls - while we still may read the key */
static void load_tls(struct service *s)
{
	const char *level = param.smtpd_tls_security_level;
	bool wrapper = param.smtpd_tls_wrappermode;
	struct tls_server_config config = { .server_order = true };
	char *error = NULL;

	if (s->stdio && !on_socket()) {
		return;
	}
	if (*level == '\0') {
		level = param.smtpd_enforce_tls ? "encrypt" : param.smtpd_use_tls ? "may" : "none";
	}
	if (strcmp(level, "none") != 0 && strcmp(level, "may") != 0 &&
		strcmp(level, "encrypt") != 0) {
		log_warn("smtpd_tls_security_level: unsupported level \"%s\", using \"encrypt\"",
			level);
		level = "encrypt";
	}
	G.smtpd.tls_required = strcmp(level, "encrypt") == 0;
	if (strcmp(level, "none") == 0 && !wrapper) {
		return;
	}
	config.min_version =
		lowest_version(G.smtpd.tls_required || wrapper ? param.smtpd_tls_mandatory_protocols
							       : param.smtpd_tls_protocols);
	if (!certificate_of_smtpd(&config)) {
		log_warn("No server certs available. TLS won't be enabled");
	} else {
		G.tls = tls_server_context(&config, &error);
		if (G.tls == NULL && s->successor) {
			log_fatal("%s", error);
		}
		if (G.tls == NULL) {
			log_warn("TLS won't be enabled: %s", error);
		}
		free(error);
	}
	if (G.tls == NULL && wrapper) {
		log_fatal("smtpd_tls_wrappermode needs a certificate (smtpd_tls_cert_file)");
	}
	G.smtpd.tls_offered = G.tls != NULL && !wrapper;
}

/* may_end - when idle: not while only this process has a good certificate */
static bool may_end(struct service *s)
{
	return certificate_may_end(s, G.tls);
}

/* ---- What sessions share ---- */

/* end_broken - queue.db cannot be used any more; the successor sets it aside */
static void end_broken(struct smtpd *d)
{
	(void)d;
	log_error("queue.db cannot be used any more: ending");
	(void)raise(SIGTERM);
}

static void open_queue(struct smtpd *d)
{
	char *error = NULL;

	d->queue = queue_open_below(param.queue_directory, QUEUE_CREATE, &error);
	if (d->queue == NULL) {
		service_no_queue(error);
	}
	d->notify = queue_notify_new(d->loop, param.queue_directory);
	d->on_broken = end_broken;
}

/* forbidden_tables - the type:table words of smtpd_forbidden_commands, or NULL */
static struct maps *forbidden_tables(void)
{
	const char *colon = strchr(param.smtpd_forbidden_commands, ':'), *start = colon;

	/* Tables stand last; their text may hold blanks, so it is not taken apart here. */
	while (start != NULL && start > param.smtpd_forbidden_commands && start[-1] != ' ' &&
		start[-1] != ',') {
		start--;
	}
	return start != NULL ? maps_open(start, 0) : NULL;
}

static void open_auth(struct smtpd *d)
{
	const char *path = param.smtpd_sasl_path;

	if (!param.smtpd_sasl_auth_enable) {
		return;
	}
	/*
	 * Other types have their own meaning of the path: our auth process stands behind
	 * them all.
	 */
	if (strcmp(param.smtpd_sasl_type, "dovecot") != 0 || strchr(path, '/') == NULL) {
		path = "private/auth";
	}
	d->auth = auth_client_new(d->loop, path);
}

/* refuse_guards - what protects and is not acted on ends the service, with a line each */
static void refuse_guards(void)
{
	const char *name, *last = NULL;
	size_t at = 0;

	while ((name = conf_guard_set(&at)) != NULL) {
		log_error("%s = %s protects, and this build does not act on it", name,
			conf_set_value(name));
		last = name;
	}
	if (last != NULL) {
		log_fatal("%s and the like are not acted on: not serving without them", last);
	}
}

static void set_up(struct smtpd *d)
{
	char *error = NULL;

	d->loop = G.service.loop;
	d->service_name = G.service.name;
	d->lmtp = G.lmtp_option || strcmp(G.service.command, "lmtpd") == 0;
	d->stand_alone = G.service.stdio && !on_socket();
	refuse_guards();
	map_wait_at_most(MAP_LOOP_WAIT_MS);
	route_init();
	d->restrictions = restrict_set_new(&error);
	if (d->restrictions == NULL) {
		log_fatal("%s", error);
	}
	d->bare_lf_ok = match_list_new("smtpd_forbid_bare_newline_exclusions",
		param.smtpd_forbid_bare_newline_exclusions, match_parent_flag("mynetworks"));
	d->sasl_exceptions = match_list_new(
		"smtpd_sasl_exceptions_networks", param.smtpd_sasl_exceptions_networks, 0);
	d->mechanisms =
		match_list_new("smtpd_sasl_mechanism_filter", param.smtpd_sasl_mechanism_filter, 0);
	d->flush_domains = match_list_new("fast_flush_domains", param.fast_flush_domains,
		match_parent_flag("fast_flush_domains"));
	d->verp_clients = match_list_new("smtpd_authorized_verp_clients",
		*param.smtpd_authorized_verp_clients != '\0' ? param.smtpd_authorized_verp_clients
							     : param.authorized_verp_clients,
		0);
	d->unlimited = match_list_new("smtpd_client_event_limit_exceptions",
		param.smtpd_client_event_limit_exceptions,
		match_parent_flag("smtpd_client_event_limit_exceptions"));
	if (*param.smtpd_discard_ehlo_keyword_address_maps != '\0') {
		d->hidden_words = maps_open(param.smtpd_discard_ehlo_keyword_address_maps, 0);
	}
	d->forbidden = forbidden_tables();
	if (!d->stand_alone) {
		d->told = transcript_classes();
		open_queue(d);
		open_auth(d);
	}
}

int smtpd_main(int argc, char **argv)
{
	static const struct service_info info = {
		.options = "l",
		.option = option,
		.prepare = load_tls,
	};
	struct server_config config = {
		.class = &smtpd_class,
		.service = &G.smtpd,
		.in_high = IN_HIGH,
		.tls_denied = service_replace,
		.tls_denied_arg = &G.service,
	};

	service_init(&G.service, &info, argc, argv);
	set_up(&G.smtpd);
	config.tls = G.tls;
	config.tls_first = param.smtpd_tls_wrappermode && !G.service.stdio;
	config.max_sessions = (int)param.client_session_limit;
	config.lookup_names = param.smtpd_peername_lookup;
	G.server = server_new(G.service.loop, &config);
	service_listen(&G.service, G.server);
	G.service.on_idle = may_end;
	return service_run(&G.service);
}
