/*
 * master - the Postfix side's supervisor
 *
 *	master [-c DIR] [-o name=value] [-v] [-d] [-i] [-s] [-w] [-t]
 *		-s	stay in the foreground
 *		-i	as process 1: the same, and reap orphans
 *		-w	return when the services are there, go on in the background (default)
 *		-t	exit status 0: no master runs here
 *		-d	foreground, log to stderr
 *
 * Reads main.cf and master.cf, opens the sockets, starts services (applets/daemon/supervise.c).
 * With dovecot_config_file set it also keeps `dovecot` running, which does the same for
 * dovecot.conf.
 *
 * Commands of master.cf that other processes of ours do the work of (cleanup,
 * bounce, tlsmgr ...) are passed over in silence, unknown ones with a warning.
 *
 * SIGHUP: read everything again. SIGTERM: stop.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/master_cf.h"
#include "conf/params.h"
#include "queue/queue.h"
#include "applets/daemon/certificate.h"
#include "applets/daemon/daemon.h"
#include "applets/daemon/master_lock.h"
#include "applets/daemon/process.h"
#include "applets/daemon/supervise.h"
#include "applets/admin/master/layout.h"
#include "applets/admin/master/master.h"
#include "applets/applets.h"

enum { ADDRESSES_MAX = 32, READY_WAIT_MS = 5000 };

static struct {
	struct supervisor *sv;
	const char *dir;           /* of main.cf */
	const char *overrides[32]; /* -o, passed on */
	size_t override_count;
	int verbose;
	bool foreground, to_stderr, test;
	bool failed;           /* nothing could be started */
	bool good_certificate; /* smtpd's, when it was last looked at */
	struct timer ready_timer;
	int lock, ready;          /* ready: the pipe of the process that waits for us, or -1 */
	char *volatile_directory; /* the one begun with */
	struct buf trouble; /* what is wrong with the configuration being read: the first thing */
	uid_t owner_uid;
	gid_t owner_gid;
} G;

/* wrong - the configuration cannot be used; a reload must survive that */
static void wrong(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void wrong(const char *fmt, ...)
{
	va_list ap;

	if (G.trouble.len == 0) {
		va_start(ap, fmt);
		buf_addvf(&G.trouble, fmt, ap);
		va_end(ap);
	}
}

/* ---- Where services listen ---- */

static const char folded[][16] = { "anvil", "bounce", "cleanup", "dnsblog", "error", "flush",
	"lmtp", "postlogd", "proxymap", "qmqpd", "retry", "scache", "showq", "smtp", "tlsmgr",
	"tlsproxy", "trivial-rewrite", "verify" };

static bool is_folded(const char *command)
{
	for (size_t i = 0; i < ARRAY_LEN(folded); i++) {
		if (strcmp(folded[i], command) == 0) {
			return true;
		}
	}
	return false;
}

static void families(bool *v4, bool *v6)
{
	const bool all = list_has(param.inet_protocols, "all");

	*v4 = all || list_has(param.inet_protocols, "ipv4");
	*v6 = all || list_has(param.inet_protocols, "ipv6");
	if (!*v4 && !*v6) {
		wrong("inet_protocols = %s: all, ipv4 or ipv6 is wanted", param.inet_protocols);
	}
}

static void add_address(struct sv_config *c, struct sv_spec *spec, const char *address, int port,
	bool optional, const char *set_by)
{
	struct sv_endpoint *ep;
	bool v4, v6;

	families(&v4, &v6);
	if (address[0] != '\0' && !(strchr(address, ':') != NULL ? v6 : v4)) {
		return;
	}
	for (size_t i = 0; i < spec->endpoint_count; i++) {
		if (spec->endpoints[i].port == port &&
			strcmp(spec->endpoints[i].address, address) == 0) {
			return;
		}
	}
	ep = sv_spec_add(c, spec);
	ep->address = arena_strdup(&c->arena, address);
	ep->port = port;
	ep->v4 = v4;
	ep->v6 = v6;
	ep->optional = optional;
	ep->set_by = set_by;
}

/* add_host - a name or an address; a name gives all its addresses */
static void add_host(
	struct sv_config *c, struct sv_spec *spec, const char *host, int port, const char *set_by)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
	char text[64];
	int count = 0;
	struct in6_addr raw;

	if (inet_pton(AF_INET, host, &raw) == 1 || inet_pton(AF_INET6, host, &raw) == 1) {
		add_address(c, spec, host, port, false, set_by);
		return;
	}
	if (getaddrinfo(host, NULL, &hints, &list) != 0) {
		wrong("%s: host %s has no address", set_by, host);
		return;
	}
	for (struct addrinfo *a = list; a != NULL && count < ADDRESSES_MAX;
		a = a->ai_next, count++) {
		const void *addr = a->ai_family == AF_INET6
			? (const void *)&((struct sockaddr_in6 *)(void *)a->ai_addr)->sin6_addr
			: (const void *)&((struct sockaddr_in *)(void *)a->ai_addr)->sin_addr;

		if (inet_ntop(a->ai_family, addr, text, sizeof(text)) != NULL) {
			add_address(c, spec, text, port, a->ai_family == AF_INET6, set_by);
		}
	}
	freeaddrinfo(list);
}

static void add_interfaces(struct sv_config *c, struct sv_spec *spec, int port)
{
	struct slice rest = slice_of(param.inet_interfaces), word;
	char host[256];

	while ((word = slice_word(&rest, " ,\t\r\n")).ptr != NULL) {
		if (slice_ieq(word, "all")) {
			add_address(c, spec, "", port, false, "inet_interfaces = all");
		} else if (slice_ieq(word, "loopback-only")) {
			add_address(c, spec, "127.0.0.1", port, false,
				"inet_interfaces = loopback-only");
			add_address(c, spec, "::1", port, true, "inet_interfaces = loopback-only");
		} else if (word.len < sizeof(host)) {
			bool bracket =
				word.len > 2 && word.ptr[0] == '[' && word.ptr[word.len - 1] == ']';

			snprintf(host, sizeof(host), "%.*s", (int)word.len - (bracket ? 2 : 0),
				word.ptr + (bracket ? 1 : 0));
			add_host(c, spec, host, port,
				arena_printf(
					&c->arena, "inet_interfaces = %s", param.inet_interfaces));
		}
	}
	if (spec->endpoint_count == 0) {
		wrong("inet_interfaces = %s: no address of inet_protocols = %s is among them",
			param.inet_interfaces, param.inet_protocols);
	}
}

/* add_inet - "smtp", "10025", "127.0.0.1:smtp", "[::1]:25" */
static void add_inet(struct sv_config *c, struct sv_spec *spec, const struct master_service *row,
	const char *set_by)
{
	const char *colon = strrchr(row->name, ':');
	int port = service_port(colon != NULL ? colon + 1 : row->name);
	char host[256];
	size_t len;

	if (port == 0) {
		wrong("%s: there is no port of the name %s", set_by, row->name);
		return;
	}
	if (colon == NULL) {
		add_interfaces(c, spec, port);
		return;
	}
	len = (size_t)(colon - row->name);
	if (len > 1 && row->name[0] == '[' && colon[-1] == ']') {
		snprintf(host, sizeof(host), "%.*s", (int)len - 2, row->name + 1);
	} else {
		snprintf(host, sizeof(host), "%.*s", (int)len, row->name);
	}
	add_host(c, spec, host, port, set_by);
}

static void add_unix(struct sv_config *c, struct sv_spec *spec, const struct master_service *row,
	const char *set_by)
{
	struct sv_endpoint *ep = sv_spec_add(c, spec);

	ep->path = arena_printf(&c->arena, "%s/%s/%s", param.queue_directory,
		row->private_ ? "private" : "public", row->name);
	ep->mode = 0666;
	ep->uid = G.owner_uid;
	ep->gid = (gid_t)-1;
	ep->set_by = set_by;
}

/* ---- master.cf to specs ---- */

static void set_argv(struct sv_config *c, struct sv_spec *spec, const struct master_service *row)
{
	size_t args = 0, n = 0;
	const char **argv;

	while (row->argv != NULL && row->argv[args] != NULL) {
		args++;
	}
	argv = arena_alloc(
		&c->arena, (args + 2 * G.override_count + (size_t)G.verbose + 11) * sizeof(*argv));
	argv[n++] = spec->command;
	argv[n++] = "-n";
	argv[n++] = spec->name;
	argv[n++] = "-t";
	argv[n++] = row->type == SERVICE_INET ? "inet" : "unix";
	argv[n++] = "-c";
	argv[n++] = arena_strdup(&c->arena, G.dir);
	for (int i = 0; i < G.verbose; i++) {
		argv[n++] = "-v";
	}
	for (size_t i = 0; i < G.override_count; i++) {
		argv[n++] = "-o";
		argv[n++] = G.overrides[i];
	}
	if (strcmp(spec->command, "pipe") == 0) {
		/* One process runs as many commands as there may be processes. */
		argv[n++] = "-m";
		argv[n++] = arena_printf(&c->arena, "%lld",
			row->max_procs_default ? (long long)param.default_process_limit
					       : (long long)row->max_procs);
	}
	for (size_t i = 0; i < args; i++) {
		argv[n++] = arena_strdup(&c->arena, row->argv[i]);
	}
	argv[n] = NULL;
	spec->argv = argv;
}

static bool is_one_of(const char *name, const char *a, const char *b)
{
	return strcmp(name, a) == 0 || strcmp(name, b) == 0;
}

/*
 * command_of - the applet's name; a postscreen that tests nothing is the smtpd behind it, which
 * has the port then (`postfix check' refuses the tests that we do not do)
 */
static const char *command_of(const struct master_service *row)
{
	const char *slash = strrchr(row->command, '/');
	const char *command = slash != NULL ? slash + 1 : row->command;

	return strcmp(command, "postscreen") == 0 && row->type == SERVICE_INET ? "smtpd" : command;
}

/* leave_out - a service of a command that is not there; never a port, which would be closed */
static void leave_out(const struct master_service *row, const char *command, const char *set_by)
{
	if (row->type == SERVICE_INET) {
		wrong("%s: service %s: there is no command %s here: its port would be closed",
			set_by, row->name, command);
	} else if (!is_folded(command)) {
		log_warn(
			"%s: service %s: no command %s here: left out", set_by, row->name, command);
	}
}

static void add_row(struct sv_config *c, const struct master_service *row, const char *path)
{
	const char *set_by = arena_printf(&c->arena, "%s, line %d", path, row->line);
	const char *command = command_of(row);
	const struct applet *applet = applet_find(command);
	struct sv_spec *spec;

	if (row->type == SERVICE_PASS) {
		return; /* what postscreen hands on */
	}
	if (applet != NULL && applet->of != NULL) {
		applet = applet_find(applet->of); /* lmtpd is smtpd under another name */
	}
	if (applet == NULL || applet->run == APPLET_CALLER) {
		leave_out(row, command, set_by);
		return;
	}
	spec = sv_config_add(c);
	spec->name = arena_strdup(&c->arena, row->name);
	spec->command = arena_strdup(&c->arena, command);
	spec->wakeup = row->wakeup;
	spec->wakeup_if_used = row->wakeup_if_used;
	/*
	 * None is "single". Two queue managers, or two pickups, see to it themselves that no work
	 * is done twice: the next one serves while the one before finishes.
	 */
	spec->at_once = is_one_of(command, "qmgr", "pickup");
	set_argv(c, spec, row);
	if (row->type == SERVICE_INET) {
		add_inet(c, spec, row, set_by);
	} else {
		add_unix(c, spec, row, set_by);
	}
}

static void add_dovecot(struct sv_config *c)
{
	const char *path = param.dovecot_config_file;
	struct sv_spec *spec;
	const char **argv;

	if (path[0] == '\0' || applet_find("dovecot") == NULL) {
		return;
	}
	if (access(path, F_OK) != 0) {
		log_warn("dovecot_config_file = %s: %m: no POP3 and IMAP", path);
		return;
	}
	spec = sv_config_add(c);
	spec->name = spec->command = "dovecot";
	spec->single = spec->reloads = spec->at_once = spec->may_end = true;
	argv = arena_alloc(&c->arena, 8 * sizeof(*argv));
	argv[0] = "dovecot";
	argv[1] = "-F";
	argv[2] = "-c";
	argv[3] = arena_strdup(&c->arena, path);
	if (G.verbose > 0) {
		argv[4] = "-v";
	}
	spec->argv = argv;
}

/* read_config - main.cf is loaded; master.cf and dovecot become specs. 0; -1 with a text */
static int read_config(struct sv_config *out, char **error_r)
{
	struct buf path = BUF_INIT;
	struct master_cf cf;

	buf_addf(&path, "%s/master.cf", G.dir);
	memset(&cf, 0, sizeof(cf));
	if (master_cf_read(buf_str(&path), &cf, error_r) != 0) {
		buf_free(&path);
		return -1;
	}
	for (size_t i = 0; i < cf.count; i++) {
		add_row(out, &cf.services[i], buf_str(&path));
	}
	/* Half a file, or none: rather an error than a server that answers nowhere. */
	if (cf.count == 0) {
		wrong("%s: there is no service in it", buf_str(&path));
	}
	master_cf_free(&cf);
	buf_free(&path);
	add_dovecot(out);
	if (G.trouble.len > 0) {
		*error_r = buf_steal(&G.trouble);
		return -1;
	}
	return 0;
}

int master_services(const char *dir, struct sv_config *out, char **error_r)
{
	G.dir = dir;
	G.owner_uid = (uid_t)-1;
	return read_config(out, error_r);
}

/* ---- Directories and owner ---- */

static void find_owner(void)
{
	const struct passwd *pw;

	G.owner_uid = geteuid();
	G.owner_gid = getegid();
	if (geteuid() != 0) {
		return;
	}
	pw = getpwnam(param.mail_owner);
	if (pw == NULL) {
		log_fatal("mail_owner = %s: there is no such user: make it (useradd -r %s), or set "
			  "mail_owner",
			param.mail_owner, param.mail_owner);
	}
	G.owner_uid = pw->pw_uid;
	G.owner_gid = pw->pw_gid;
}

/* make_directories - those that are missing; what is there may be a running server's */
static void make_directories(void)
{
	for (size_t i = 0; i < layout_dir_count; i++) {
		int fd = layout_open(&layout_dirs[i], G.owner_uid, G.owner_gid);

		if (fd < 0) {
			log_fatal("%s/%s: %m", param.queue_directory, layout_dirs[i].name);
		}
		close(fd);
	}
	if (layout_make_dir(param.data_directory, 0700, G.owner_uid, G.owner_gid) != 0) {
		log_warn("data_directory = %s: %m", param.data_directory);
	}
	if (chdir(param.queue_directory) != 0) {
		log_fatal("queue_directory: chdir %s: %m", param.queue_directory);
	}
}

/* ---- Life ---- */

/* keep_queue - is our directory still main.cf's? Mail and lock do not move by themselves */
static int keep_queue(char **error_r)
{
	struct buf text = BUF_INIT;
	struct stat ours, theirs;
	char *cwd;

	if (stat(".", &ours) != 0 ||
		(stat(param.queue_directory, &theirs) == 0 && ours.st_dev == theirs.st_dev &&
			ours.st_ino == theirs.st_ino)) {
		return 0;
	}
	cwd = getcwd(NULL, 0);
	buf_addf(&text,
		"queue_directory = %s: mail does not move by itself out of %s: postfix "
		"stop, move the directory, postfix start",
		param.queue_directory, cwd != NULL ? cwd : "the old one");
	free(cwd);
	*error_r = buf_steal(&text);
	return -1;
}

/* keep_memory - the place for mail in memory, made where it is wanted; it does not move either */
static int keep_memory(char **error_r)
{
	struct buf text = BUF_INIT;

	if (G.volatile_directory == NULL) {
		G.volatile_directory = mem_strdup(param.queue_volatile_directory);
	}
	if (strcmp(G.volatile_directory, param.queue_volatile_directory) == 0) {
		return layout_make_memory(G.owner_uid, G.owner_gid, error_r);
	}
	buf_addf(&text,
		"queue_volatile_directory = %s: mail does not move by itself out of %s: "
		"postfix stop, postfix start",
		param.queue_volatile_directory, G.volatile_directory);
	*error_r = buf_steal(&text);
	return -1;
}

static bool reload(struct supervisor *sv, struct sv_config *out)
{
	struct tls_server_config files = { 0 };
	char *error = NULL;

	(void)sv;
	log_info("reload -- version %s, configuration %s", param.mail_version, G.dir);
	if (conf_load(G.dir, false, &error) != 0 || keep_queue(&error) != 0 ||
		keep_memory(&error) != 0 || read_config(out, &error) != 0) {
		log_error("%s: the configuration loaded before stays", error);
		mem_free(error);
		return false;
	}
	if (certificate_of_smtpd(&files) &&
		!certificate_may_reload(&files, "smtpd_tls_cert_file", &G.good_certificate)) {
		return false;
	}
	service_open_log("master", 0, G.to_stderr);
	return true;
}

static void say_ready(void);

/* on_started - all that runs at once serves, or could not be started */
static void on_started(struct supervisor *sv, const struct sv_started *how)
{
	const char *none = how->wanted > 0 && how->up == 0 ? "no service could be started" : NULL;

	if (none != NULL) {
		log_error("fatal: %s: %s and the others failed", none, how->failed);
		if (G.ready >= 0) {
			dprintf(2, "postfix/master: fatal: %s; the log says why\n", none);
		}
		G.failed = true;
		sv_stop(sv);
		return;
	}
	if (how->failed != NULL) {
		log_warn("%s did not start; it is tried again", how->failed);
		if (G.ready >= 0) {
			dprintf(2,
				"postfix/master: warning: %s did not start%s; the log says "
				"why\n",
				how->failed,
				strcmp(how->failed, "dovecot") == 0 ? ": no POP3 and IMAP" : "");
		}
	}
	say_ready();
}

static const struct supervisor_hooks hooks = { .reload = reload, .started = on_started };

/* die - an error of the start: in the log, and for whoever called us */
static _Noreturn void die(const char *text)
{
	if (!G.to_stderr) {
		dprintf(2, "postfix/master: fatal: %s\n", text);
	}
	log_fatal("%s", text);
}

static void take_lock(void)
{
	int dir = layout_open_pid(), saved;
	struct buf text = BUF_INIT;
	pid_t owner = 0;

	G.lock = dir >= 0 ? lock_take(dir, &owner) : -1;
	saved = errno;
	if (dir >= 0) {
		close(dir);
	}
	if (G.lock < 0 && owner != 0) {
		buf_addf(&text, "the Postfix mail system is already running: process %d",
			(int)owner);
		die(buf_str(&text));
	}
	if (G.lock < 0) {
		buf_addf(&text, "%s/%s/master.pid: %s", param.queue_directory,
			param.process_id_directory, strerror(saved));
		die(buf_str(&text));
	}
}

/* say_ready - the start has succeeded; from here on nobody reads our stderr */
static void say_ready(void)
{
	loop_untimer(G.sv->loop, &G.ready_timer);
	if (G.ready >= 0) {
		daemon_ready(&G.ready, false);
	}
}

static void ready_late(struct timer *t)
{
	(void)t;
	say_ready();
}

static int test_lock(void)
{
	int dir = layout_open_pid();
	pid_t owner = dir >= 0 ? lock_owner(dir) : 0;

	if (dir >= 0) {
		close(dir);
	}
	return owner != 0 ? 1 : 0;
}

static const char *parse(int argc, char **argv)
{
	const char *dir = NULL;
	int opt;

	while ((opt = getopt(argc, argv, "c:dio:stvw")) != -1) {
		switch (opt) {
		case 'c':
			dir = optarg;
			break;
		case 'd':
			G.to_stderr = G.foreground = true;
			break;
		case 'i':
		case 's':
			G.foreground = true;
			break;
		case 'o':
			if (!conf_override(optarg) || G.override_count == ARRAY_LEN(G.overrides)) {
				log_fatal("-o %s: name=value is wanted", optarg);
			}
			G.overrides[G.override_count++] = optarg;
			break;
		case 't':
			G.test = true;
			break;
		case 'v':
			log_set_verbose(++G.verbose);
			break;
		case 'w':
			break;
		default:
			exit(applet_usage("master"));
		}
	}
	return dir;
}

int master_main(int argc, char **argv)
{
	struct tls_server_config files = { 0 };
	struct sv_config config;
	struct loop *loop;
	char *error = NULL;

	(void)prctl(PR_SET_NAME, "master", 0, 0, 0);
	log_open("postfix/master", LOG_TO_STDERR);
	daemon_clean_descriptors();
	G.dir = conf_dir(parse(argc, argv));
	G.foreground = G.foreground || getpid() == 1;
	if (conf_load(G.dir, false, &error) != 0) {
		log_fatal("%s", error);
	}
	if (G.test) {
		return test_lock();
	}
	umask(022);
	service_hold_hangup();
	find_owner();
	make_directories();
	service_open_log("master", 0, G.to_stderr);
	G.ready = G.foreground ? -1 : daemon_background(1);
	take_lock();
	if (!layout_settle(G.owner_uid, G.owner_gid)) {
		die("queue_directory cannot be used: the log says why");
	}
	daemon_raise_limits();
	loop = loop_new();
	memset(&config, 0, sizeof(config));
	if (keep_memory(&error) != 0 || read_config(&config, &error) != 0) {
		die(error);
	}
	G.good_certificate = certificate_of_smtpd(&files) && certificate_check(&files, &error) == 0;
	mem_free(error);
	(void)setenv("MAIL_CONFIG", G.dir, 1);
	G.sv = sv_new(loop, "master", &hooks);
	if (sv_apply(G.sv, &config, true, &error) != 0) {
		die(error);
	}
	umask(077);
	log_info("daemon started -- version %s, configuration %s", param.mail_version, G.dir);
	log_flush();
	G.sv->silent = !G.foreground;
	loop_timer(loop, &G.ready_timer, READY_WAIT_MS, ready_late, NULL);
	sv_run(G.sv);
	log_info(G.failed ? "terminating: nothing could be started" : "terminating on signal 15");
	log_flush();
	close(G.lock);
	return G.failed ? 1 : 0;
}
