/*
 * dovecot - the supervisor of POP3 and IMAP
 *
 *	dovecot [-F] [-c FILE]		start (-F: stay in the foreground)
 *	dovecot stop | reload		of the one that runs with this configuration
 *	dovecot -n | -a			the settings (settings_list.c)
 *
 * Owns the listeners of dovecot.conf and starts login parts, auth and mail parts through the
 * engine of master (applets/daemon/supervise.h). master starts it
 * when main.cf has dovecot_config_file; it runs as well without any Postfix configuration.
 */
#include "applets/admin/dovecot/dovecot.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/unixsock.h"
#include "conf/dovecot/dovecot_conf.h"
#include "conf/params.h"
#include "ipc/control.h"
#include "applets/daemon/certificate.h"
#include "applets/daemon/daemon.h"
#include "applets/daemon/master_lock.h"
#include "applets/daemon/process.h"
#include "applets/daemon/service_contract.h"
#include "applets/admin/master/layout.h"
#include "applets/applets.h"

#define DEFAULT_FILE "/etc/dovecot/dovecot.conf"

enum { STOP_WAIT_MS = 13000, POLL_MS = 20, FATAL_STATUS = 89 };

static struct {
	const char *file;
	int verbose;
	bool foreground, main_cf, by_master, to_stderr, show;
	bool good_certificate; /* when it was last looked at */
	int lock, ready;
	struct watch control;
} G;

/* load_conf - false: dovecot.conf is broken (required: that is fatal) */
static bool load_conf(bool required)
{
	char *error = NULL;

	/* main.cf is welcome (log, mail_owner, smtpd's auth socket) and not needed. */
	G.main_cf = conf_load(conf_dir(NULL), false, &error) == 0;
	if (!G.main_cf) {
		mem_free(error);
		error = NULL;
		(void)conf_load(conf_dir(NULL), true, &error);
		mem_free(error);
	}
	if (G.file == NULL) {
		G.file = G.main_cf && param.dovecot_config_file[0] != '\0'
			? mem_strdup(param.dovecot_config_file)
			: DEFAULT_FILE;
	}
	if (dovecot_conf_load(G.file, false, &error) != 0) {
		if (required) {
			if (!G.show) {
				/* For who looks in the log, which is main.cf's so far. */
				log_error("%s", error);
				service_open_log("dovecot", 0, G.to_stderr);
				log_set_tag("dovecot");
			}
			log_fatal("%s", error);
		}
		log_error("%s: the configuration loaded before stays", error);
		mem_free(error);
		return false;
	}
	return true;
}

static void refuse_guard(void *arg, const struct conf_node *n, bool refused)
{
	bool *any = arg;

	if (refused) {
		log_error("%s:%d: %s protects, and this build does not act on it", n->file, n->line,
			n->key);
		*any = true;
	}
}

/* guarded - does dovecot.conf ask for a protection that is not there? Said, a line each */
static bool guarded(void)
{
	bool any = false;

	dovecot_unused(refuse_guard, &any);
	return any;
}

/* open_base - base_dir, where master.pid is; a descriptor, or -1 */
static int open_base(void)
{
	return open(setting.base_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* move_lock - to base_dir as it is now: there the next `dovecot reload` or `stop` looks for it */
static bool move_lock(void)
{
	int dir = open_base();
	pid_t owner = 0;
	bool moved = dir >= 0 && lock_move(dir, &G.lock, &owner) == 0;

	if (!moved && owner != 0) {
		log_error("base_dir = %s: Dovecot runs there with PID %d: the services stay as "
			  "they are",
			setting.base_dir, (int)owner);
	} else if (!moved) {
		log_error("base_dir = %s: %m: the services stay as they are", setting.base_dir);
	}
	if (dir >= 0) {
		close(dir);
	}
	return moved;
}

static bool reload(struct supervisor *sv, struct sv_config *out)
{
	struct tls_server_config files = { 0 };
	char *error = NULL;

	(void)sv;
	log_info("master: Warning: SIGHUP received - reloading configuration");
	if (!load_conf(false) || guarded() ||
		(certificate_of_dovecot(&files) &&
			!certificate_may_reload(
				&files, "ssl_cert, ssl_key", &G.good_certificate))) {
		return false;
	}
	service_open_log("dovecot", SERVICE_DOVECOT, G.to_stderr);
	if (dovecot_services(out, G.file, G.main_cf, G.verbose, &error) != 0) {
		log_error("%s: the services stay as they are", error);
		mem_free(error);
		return false;
	}
	if (!move_lock()) {
		return false;
	}
	handoff_renew();
	return true;
}

static const struct supervisor_hooks hooks = {
	.reload = reload, .message = handoff_message, .ended = handoff_ended
};

/* ---- Start ---- */

static _Noreturn void die(const char *text)
{
	if (!G.to_stderr) {
		dprintf(2, "Fatal: %s\n", text);
	}
	log_fatal("%s", text);
}

static void take_lock(void)
{
	struct buf b = BUF_INIT;
	pid_t owner = 0;
	int dir;

	if (layout_make_dir(setting.base_dir, 0755, (uid_t)-1, (gid_t)-1) != 0 ||
		(dir = open_base()) < 0) {
		buf_addf(&b, "base_dir = %s: %s", setting.base_dir, strerror(errno));
		die(buf_str(&b));
	}
	G.lock = lock_take(dir, &owner);
	if (G.lock < 0 && owner != 0 && G.by_master) {
		/* It was started before Postfix was: it serves what we would. */
		log_info("master: Info: Dovecot is already running with PID %d (%s): it serves "
			 "POP3 and IMAP, and is not stopped with Postfix",
			(int)owner, setting.base_dir);
		log_flush();
		exit(0);
	}
	if (G.lock < 0 && owner != 0) {
		buf_addf(&b, "Dovecot is already running with PID %d (read from %s/master.pid)",
			(int)owner, setting.base_dir);
		die(buf_str(&b));
	}
	if (G.lock < 0) {
		buf_addf(&b, "%s/master.pid: %s", setting.base_dir, strerror(errno));
		die(buf_str(&b));
	}
	close(dir);
}

/* say_ready - to whoever started us */
static void say_ready(void)
{
	daemon_ready(&G.ready, G.foreground);
	if (G.by_master) {
		struct buf b = BUF_INIT;
		size_t mark = wire_begin(&b);

		wire_put_int(&b, SERVICE_MSG_READY);
		wire_end(&b, mark);
		(void)unix_send_fds(SERVICE_FD_CONTROL, b.data, b.len, NULL, 0);
		buf_free(&b);
	}
}

/* on_master - our master is gone (or speaks, which it does not): without it we end as well */
static void on_master(struct watch *w, unsigned events)
{
	char byte[64];
	ssize_t n = read(w->fd, byte, sizeof(byte));

	(void)events;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		struct supervisor *sv = w->owner;

		loop_unwatch(sv->loop, w);
		sv_stop(sv);
	}
}

/* inherited - started by master: its control socket and its log */
static void take_inherited(void)
{
	const char *env = getenv(SERVICE_ENV);

	if (env != NULL) {
		G.by_master = fcntl(SERVICE_FD_CONTROL, F_SETFD, FD_CLOEXEC) == 0;
		if (G.by_master) {
			(void)fd_set_nonblock(SERVICE_FD_CONTROL, true);
		}
		if (str_starts(env, "0,1,") && fcntl(SERVICE_FD_LOG, F_SETFD, FD_CLOEXEC) == 0) {
			log_set_fd(SERVICE_FD_LOG);
			log_set_tag("dovecot");
		}
		(void)unsetenv(SERVICE_ENV);
	}
}

/* say_missing_accounts - what runs as somebody else for lack of an account of its own */
static void say_missing_accounts(void)
{
	if (geteuid() == 0 && getpwnam(setting.default_login_user) == NULL) {
		log_warn("default_login_user: there is no user %s: login processes run as %s, as "
			 "the queue does (useradd --system --no-create-home %s)",
			setting.default_login_user, param.mail_owner, setting.default_login_user);
	}
}

static int serve(void)
{
	struct tls_server_config files = { 0 };
	struct sv_config config;
	struct supervisor *sv;
	struct loop *loop;
	char *error = NULL;

	umask(022);
	service_hold_hangup();
	service_open_log("dovecot", SERVICE_DOVECOT, G.to_stderr);
	if (guarded()) {
		die("dovecot.conf has settings that are not acted on: not serving without them");
	}
	G.ready = G.foreground ? -1 : daemon_background(FATAL_STATUS);
	take_lock();
	daemon_raise_limits();
	loop = loop_new();
	memset(&config, 0, sizeof(config));
	if (dovecot_services(&config, G.file, G.main_cf, G.verbose, &error) != 0) {
		die(error);
	}
	sv = sv_new(loop, "dovecot", &hooks);
	sv->silent = !G.foreground;
	G.good_certificate =
		certificate_of_dovecot(&files) && certificate_check(&files, &error) == 0;
	mem_free(error);
	handoff_start(sv, G.file, G.verbose);
	if (sv_apply(sv, &config, true, &error) != 0) {
		die(error);
	}
	umask(077);
	if (G.by_master) {
		loop_watch(loop, &G.control, SERVICE_FD_CONTROL, LOOP_READ, on_master, sv);
	}
	log_info("master: Info: Dovecot starting up for %s", setting.protocols);
	say_missing_accounts();
	log_flush();
	say_ready();
	sv_run(sv);
	log_info("master: Warning: Killed with signal 15");
	log_flush();
	close(G.lock);
	return 0;
}

/* ---- stop, reload ---- */

static pid_t running(void)
{
	int dir = open_base();
	pid_t pid = dir >= 0 ? lock_owner(dir) : 0;
	struct buf elsewhere = BUF_INIT;

	if (dir >= 0) {
		close(dir);
	}
	/* base_dir may have been another one when it started. */
	if (pid == 0) {
		pid = lock_find("dovecot", G.file, strcmp(G.file, DEFAULT_FILE) == 0, &elsewhere);
	}
	buf_free(&elsewhere);
	return pid;
}

static int send_signal(int signo)
{
	pid_t pid = running();

	if (pid == 0) {
		dprintf(2, "Fatal: Dovecot is not running\n");
		return 1;
	}
	if (kill(pid, signo) != 0) {
		dprintf(2, "Fatal: cannot signal process %d: %s\n", (int)pid, strerror(errno));
		return 1;
	}
	return 0;
}

static int stop(void)
{
	struct timespec ts = { 0, POLL_MS * 1000000L };
	pid_t pid = running();
	int waited = 0;

	if (send_signal(SIGTERM) != 0) {
		return 1;
	}
	for (; running() == pid && waited < STOP_WAIT_MS; waited += POLL_MS) {
		(void)nanosleep(&ts, NULL);
	}
	if (running() == pid) {
		(void)kill(pid, SIGKILL);
	}
	return 0;
}

int dovecot_main(int argc, char **argv)
{
	const char *how = NULL;
	int opt;

	(void)prctl(PR_SET_NAME, "dovecot", 0, 0, 0);
	log_open("dovecot", LOG_TO_STDERR);
	while ((opt = getopt(argc, argv, "ac:dFno:pv")) != -1) {
		switch (opt) {
		case 'a':
		case 'n':
			how = opt == 'a' ? "-a" : "-n";
			G.show = true;
			break;
		case 'c':
			G.file = optarg;
			break;
		case 'd':
			G.to_stderr = G.foreground = true;
			break;
		case 'F':
			G.foreground = true;
			break;
		case 'o':
			if (!dovecot_conf_override(optarg)) {
				log_fatal("-o %s: name=value is wanted", optarg);
			}
			break;
		case 'p':
			break; /* asking for a key's password: keys have none here */
		case 'v':
			log_set_verbose(++G.verbose);
			break;
		default:
			return applet_usage("dovecot");
		}
	}
	take_inherited();
	if (!G.by_master) {
		daemon_clean_descriptors();
	}
	G.foreground = G.foreground || getpid() == 1;
	(void)load_conf(true);
	if (how != NULL) {
		dovecot_show(G.file, how[1] == 'a');
		return 0;
	}
	if (optind == argc) {
		return serve();
	}
	if (strcmp(argv[optind], "stop") == 0) {
		return stop();
	}
	return strcmp(argv[optind], "reload") == 0 ? send_signal(SIGHUP) : applet_usage("dovecot");
}
