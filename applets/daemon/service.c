/*
 * service - what every daemon's main() has in common
 *
 * applets/daemon/service.h has the contract. The order in service_init() matters:
 * options, configuration (with -o before it), log, then what only root can open, then the
 * other user, and only then the event loop.
 *
 * Lives: a daemon ends when its servers and its own work have ended. Started by master it also ends
 * when it was idle for a while; master then watches the listening sockets again, so nothing is
 * lost. When master is gone (end of file on the control socket) it finishes its sessions and ends.
 */
#include "applets/daemon/service.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/unixsock.h"
#include "base/wire.h"
#include "conf/dovecot/dovecot_conf.h"
#include "conf/master_cf.h"
#include "conf/params.h"
#include "net/listen.h"
#include "queue/queue.h"
#include "applets/applets.h"

enum {
	STOP_SECONDS = 5,
	SERVERS_MAX = 16,
	HAND_BACKLOG = 100,
	GROUPS_MAX = 256,
	RELAY_WAIT_MS = 500
};

struct service_private {
	const struct service_info *info;
	struct server *servers[SERVERS_MAX];
	size_t server_count;
	bool server_ended; /* one of them, while stopping */
	struct watch control;
	struct timer idle_timer, stop_timer;
	bool was_idle; /* at the last look */
	bool debug, stopping, own_work, own_done;
	int log_fd;              /* inherited, -1 none */
	char *fds_text;          /* SERVICE_ENV as it was; the labels point into it */
	const char *hand_listen; /* -p */
	int status;
};

/* Log lines that master did not take, as part of the log's own state. */
static struct {
	unsigned long lost;
} G;

static void start_stop(struct service *s, bool soon);

/* ---- Options ---- */

static _Noreturn void usage(const struct service *s)
{
	exit(applet_usage(s->command));
}

/* override - -o name=value */
static void override(struct service *s, const char *assignment)
{
	bool good = s->private_->info->flags & SERVICE_DOVECOT ? dovecot_conf_override(assignment)
							       : conf_override(assignment);

	if (!good) {
		fprintf(stderr, "%s: -o %s: name=value is wanted\n", s->command, assignment);
		exit(1);
	}
}

static void parse_options(struct service *s, const struct service_info *info, int argc, char **argv)
{
	char letters[64];
	int opt, verbose = 0;

	snprintf(letters, sizeof(letters), "+c:dn:o:p:St:v%s",
		info->options != NULL ? info->options : "");
	while ((opt = getopt(argc, argv, letters)) != -1) {
		switch (opt) {
		case 'c':
			s->conf_path = optarg;
			break;
		case 'd':
			s->private_->debug = true;
			break;
		case 'n':
			s->name = optarg;
			break;
		case 'o':
			override(s, optarg);
			break;
		case 'p':
			s->private_->hand_listen = optarg;
			break;
		case 'S':
			s->stdio = true;
			break;
		case 't':
			s->type = optarg;
			break;
		case 'v':
			log_set_verbose(++verbose);
			break;
		default:
			if (opt == '?' || info->option == NULL || !info->option(s, opt, optarg)) {
				usage(s);
			}
		}
	}
	if (optind < argc && (info->flags & SERVICE_WORDS) == 0) {
		usage(s);
	}
	s->words = argv + optind;
}

/* take_inherited - what SERVICE_ENV says about descriptors */
static void take_inherited(struct service *s)
{
	char *part = getenv(SERVICE_ENV), *save, *env;
	int64_t count = 0, log = 0, how = 0;

	s->private_->log_fd = -1;
	if (part == NULL) {
		return;
	}
	env = mem_strdup(part);
	s->private_->fds_text = env;
	unsetenv(SERVICE_ENV);
	part = strtok_r(env, ",", &save);
	if (part == NULL || !str_to_int(part, 0, SERVICE_LISTEN_MAX, &count)) {
		return;
	}
	part = strtok_r(NULL, ",", &save);
	if (part == NULL || !str_to_int(part, 0, 1, &log)) {
		return;
	}
	part = strtok_r(NULL, ",", &save);
	if (part == NULL || !str_to_int(part, 0, SERVICE_SUCCESSOR | SERVICE_AGAIN, &how)) {
		return;
	}
	s->successor = (how & SERVICE_SUCCESSOR) != 0;
	s->again = (how & SERVICE_AGAIN) != 0;
	s->by_master = fcntl(SERVICE_FD_CONTROL, F_SETFD, FD_CLOEXEC) == 0;
	if (log != 0 && fcntl(SERVICE_FD_LOG, F_SETFD, FD_CLOEXEC) == 0) {
		s->private_->log_fd = SERVICE_FD_LOG;
	}
	for (int64_t i = 0; i < count; i++) {
		struct service_listener *l = &s->listen[s->listen_count];

		l->fd = SERVICE_FD_LISTEN + (int)i;
		part = part != NULL ? strtok_r(NULL, ",", &save) : NULL;
		l->label = part != NULL && strcmp(part, "-") != 0 ? part : "";
		if (fcntl(l->fd, F_SETFD, FD_CLOEXEC) == 0) {
			(void)fd_set_nonblock(l->fd, true);
			s->listen_count++;
		}
	}
}

/* listen_by_hand - -p [ADDRESS:]PORT or /PATH */
static void listen_by_hand(struct service *s)
{
	const char *where = s->private_->hand_listen, *colon = strrchr(where, ':');
	char address[64] = "127.0.0.1";
	char *error = NULL;
	int fd;

	if (where[0] == '/') {
		fd = unix_listen(where, 0666);
		if (fd < 0) {
			log_fatal("%s: %m", where);
		}
	} else {
		int port = service_port(colon != NULL ? colon + 1 : where);

		if (colon != NULL && (size_t)(colon - where) < sizeof(address)) {
			memcpy(address, where, (size_t)(colon - where));
			address[colon - where] = '\0';
		}
		if (port == 0) {
			log_fatal("-p %s: no such port", where);
		}
		fd = listen_tcp(address, port, LISTEN_V4 | LISTEN_V6, HAND_BACKLOG, &error);
		if (fd < 0) {
			log_fatal("%s", error);
		}
	}
	s->listen[s->listen_count].label = "";
	s->listen[s->listen_count++].fd = fd;
}

/* ---- Configuration and log ---- */

static const char *service_conf_dir(const struct service *s)
{
	return conf_dir(s->private_->info->flags & SERVICE_DOVECOT ? NULL : s->conf_path);
}

static void load_conf(struct service *s)
{
	bool dovecot = (s->private_->info->flags & SERVICE_DOVECOT) != 0;
	char *error = NULL;

	conf_define("service_name", s->name);
	conf_define("process_name", s->command);
	if (conf_load(service_conf_dir(s), dovecot || s->stdio, &error) != 0) {
		log_fatal("%s", error);
	}
	if (dovecot) {
		const char *path = s->conf_path != NULL ? s->conf_path : param.dovecot_config_file;

		path = *path != '\0' ? path : "/etc/dovecot/dovecot.conf";
		if (dovecot_conf_load(path, s->stdio, &error) != 0) {
			log_fatal("%s", error);
		}
	}
}

/* open_file_log - a log file, or syslog with a word about it */
static void open_file_log(const char *tag, const char *name, const char *path)
{
	log_open(tag, LOG_TO_SYSLOG);
	if (log_open_file(path) != 0) {
		int saved = errno;

		log_warn("%s = %s: %s", name, path, strerror(saved));
		fprintf(stderr, "warning: %s = %s: %s\n", name, path, strerror(saved));
	}
}

static void make_tag(char tag[64], const char *command, unsigned flags)
{
	if (flags & SERVICE_DOVECOT) {
		snprintf(tag, 64, "%.40s", setting.instance_name);
	} else {
		snprintf(tag, 64, "%.40s/%.20s", param.syslog_name, command);
	}
}

void service_open_log(const char *command, unsigned flags, bool to_stderr)
{
	char tag[64];

	make_tag(tag, command, flags);
	if (to_stderr) {
		log_open(command, LOG_TO_STDERR);
	} else if ((flags & SERVICE_DOVECOT) && setting.log_path[0] != '\0' &&
		strcmp(setting.log_path, "syslog") != 0) {
		open_file_log(tag, "log_path", setting.log_path);
	} else if (param.maillog_file[0] != '\0') {
		open_file_log(tag, "maillog_file", param.maillog_file);
	} else {
		log_open(tag, LOG_TO_SYSLOG);
	}
}

/* relay_log - lines to master; it reads them soon, but is not waited for without end */
static void relay_log(void *arg, const char *lines, size_t len)
{
	struct pollfd p = { .fd = SERVICE_FD_CONTROL, .events = POLLOUT };
	struct buf b = BUF_INIT;
	size_t mark = wire_begin(&b);

	(void)arg;
	wire_put_int(&b, SERVICE_MSG_LOG);
	wire_put_int(&b, G.lost);
	wire_put_bytes(&b, lines, len);
	wire_end(&b, mark);
	if (unix_send_fds(SERVICE_FD_CONTROL, b.data, b.len, NULL, 0) == (ssize_t)b.len ||
		(errno == EAGAIN && poll(&p, 1, RELAY_WAIT_MS) == 1 &&
			unix_send_fds(SERVICE_FD_CONTROL, b.data, b.len, NULL, 0) ==
				(ssize_t)b.len)) {
		G.lost = 0;
	} else {
		for (size_t i = 0; i < len; i++) {
			G.lost += lines[i] == '\n';
		}
	}
	buf_free(&b);
}

static bool is_relayed(const struct service *s)
{
	return s->by_master && (s->private_->info->flags & SERVICE_RELAYED) != 0;
}

static void open_log(struct service *s)
{
	char tag[64];

	if (!s->private_->debug && is_relayed(s)) {
		log_set_sink(relay_log, NULL);
	} else if (!s->private_->debug && s->private_->log_fd >= 0) {
		make_tag(tag, s->command, s->private_->info->flags);
		log_set_tag(tag); /* the file is open: see service_init() */
	} else {
		service_open_log(s->command, s->private_->info->flags, s->private_->debug);
	}
}

/* ---- Privileges ---- */

/* become - user, or mail_owner; root: what it sees of the file system, NULL all */
static void become(enum process_kind kind, const char *user, const char *root)
{
	const char *what = user == NULL ? "mail_owner" : "user";
	gid_t groups[GROUPS_MAX];
	int count = GROUPS_MAX;
	const struct passwd *pw;
	struct identity who = { .lock_group = (gid_t)-1, .groups = groups, .root = root };

	if (user == NULL) {
		user = param.mail_owner;
	}
	pw = geteuid() == 0 ? getpwnam(user) : NULL;
	if (geteuid() == 0 && pw == NULL) {
		log_fatal("%s: there is no user %s on this system: make it, or name another one",
			what, user);
	}
	who.name = user;
	if (pw != NULL) {
		who.uid = pw->pw_uid;
		who.gid = pw->pw_gid;
		if (getgrouplist(pw->pw_name, pw->pw_gid, groups, &count) < 0) {
			log_fatal("cannot become user %s: it is in more than %d groups", user,
				GROUPS_MAX);
		}
		who.group_count = (size_t)count;
	}
	privileges_take(kind, &who);
}

void service_drop_privileges(enum process_kind kind, const char *user)
{
	become(kind, user, NULL);
}

/* drop_login - to the account of login processes; started by hand it goes on seeing files */
static void drop_login(const struct service *s)
{
	bool there = getpwnam(setting.default_login_user) != NULL;
	struct buf empty = BUF_INIT;

	buf_addf(&empty, "%s/empty", setting.base_dir);
	become(PROCESS_LOGIN, there ? setting.default_login_user : NULL,
		s->by_master ? buf_str(&empty) : NULL);
	buf_free(&empty);
}

static void drop(const struct service *s)
{
	unsigned flags = s->private_->info->flags;

	if (flags & SERVICE_ROOT) {
		return;
	}
	if (!(flags & SERVICE_LOGIN)) {
		service_drop_privileges(PROCESS_QUEUE, NULL);
	} else if (!s->stdio) {
		drop_login(s);
	}
}

/* enter_queue - relative paths (private/auth) are below queue_directory */
static void enter_queue(const struct service *s)
{
	if (s->private_->info->flags & SERVICE_DOVECOT) {
		return;
	}
	if (chdir(param.queue_directory) != 0 && !s->stdio) {
		log_fatal("queue_directory: chdir %s: %m", param.queue_directory);
	}
}

/* ---- Control socket ---- */

static void on_control(struct watch *w, unsigned events)
{
	struct service *s = w->owner;
	struct buf b = BUF_INIT;
	size_t count = 0, size;
	struct wire msg;
	int kind, fd = -1;
	ssize_t n;

	(void)events;
	n = unix_recv_fds(w->fd, buf_reserve(&b, SERVICE_MSG_MAX), SERVICE_MSG_MAX, &fd, 1, &count);
	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
			loop_unwatch(s->loop, &s->private_->control);
			start_stop(s, false);
		}
		buf_free(&b);
		return;
	}
	buf_added(&b, (size_t)n);
	if (wire_next(&b, &msg, &size) == 1) {
		kind = (int)wire_get_int(&msg);
		if (kind == SERVICE_MSG_WAKEUP && s->on_wakeup != NULL) {
			s->on_wakeup(s);
		} else if (s->on_message != NULL) {
			s->on_message(s, kind, &msg, fd);
			fd = -1;
		}
	}
	if (fd >= 0) {
		close(fd);
	}
	buf_free(&b);
}

bool service_tell(struct service *s, const struct buf *msg, int fd)
{
	return s->by_master && msg->len <= SERVICE_MSG_MAX &&
		unix_send_fds(SERVICE_FD_CONTROL, msg->data, msg->len, &fd, fd >= 0 ? 1 : 0) ==
		(ssize_t)msg->len;
}

static void tell_kind(struct service *s, int kind)
{
	struct buf b = BUF_INIT;
	size_t mark = wire_begin(&b);

	wire_put_int(&b, (uint64_t)kind);
	wire_end(&b, mark);
	(void)service_tell(s, &b, -1);
	buf_free(&b);
}

void service_replace(void *arg)
{
	tell_kind(arg, SERVICE_MSG_REPLACE);
}

/* disk_is_full - the one with queue.db, for those who are not root */
static bool disk_is_full(void)
{
	struct buf dir = BUF_INIT;
	struct statvfs fs;
	bool full;

	buf_addf(&dir, "%s/" QUEUE_SUBDIR, param.queue_directory);
	full = statvfs(buf_str(&dir), &fs) == 0 &&
		(fs.f_bavail == 0 || (fs.f_files > 0 && fs.f_favail == 0));
	buf_free(&dir);
	return full;
}

void service_no_queue(const char *error)
{
	if (error == NULL) {
		error = "queue.db cannot be opened";
	}
	if (!disk_is_full()) {
		log_fatal("%s", error);
	}
	log_error("fatal: %s", error);
	log_flush();
	exit(SERVICE_EXIT_LATER);
}

void service_hold_hangup(void)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGHUP);
	sigprocmask(SIG_BLOCK, &mask, NULL);
}

/* ---- The end ---- */

/* end_if_done - no server has a session any more, and the daemon's own work has ended */
static void end_if_done(struct service *s)
{
	const struct service_private *p = s->private_;
	size_t sessions = 0;

	for (size_t i = 0; i < p->server_count; i++) {
		sessions += server_sessions(p->servers[i]);
	}
	if (p->stopping && (p->server_count == 0 || p->server_ended) && sessions == 0 &&
		(!p->own_work || p->own_done)) {
		loop_stop(s->loop);
	}
}

static void server_ended(void *arg)
{
	struct service *s = arg;

	/* More than once, where a connection was handed in after the last had ended. */
	s->private_->server_ended = true;
	end_if_done(s);
}

static void too_late(struct timer *t)
{
	struct service *s = t->owner;

	log_info("warning: %s: stopping with work unfinished after %d seconds", s->command,
		STOP_SECONDS);
	loop_stop(s->loop);
}

static void start_stop(struct service *s, bool soon)
{
	struct service_private *p = s->private_;

	if (p->stopping && !soon) {
		return;
	}
	if (soon && p->stop_timer.slot == 0) {
		loop_timer(s->loop, &p->stop_timer, STOP_SECONDS * 1000, too_late, s);
	}
	if (!soon && !p->stopping) {
		tell_kind(s, SERVICE_MSG_LEAVING);
	}
	p->stopping = true;
	p->own_work = s->on_stop != NULL;
	loop_untimer(s->loop, &p->idle_timer);
	if (s->on_stop != NULL && !p->own_done) {
		s->on_stop(s, soon);
	}
	for (size_t i = 0; i < p->server_count; i++) {
		if (soon) {
			server_shutdown(p->servers[i], server_ended, s);
		} else {
			server_drain(p->servers[i], server_ended, s);
		}
	}
	end_if_done(s);
}

void service_done(struct service *s)
{
	s->private_->own_done = true;
	if (!s->private_->stopping) {
		start_stop(s, false);
	} else {
		end_if_done(s);
	}
}

static void on_signal(int signo, void *owner)
{
	start_stop(owner, signo != SIGHUP);
}

static void on_idle_timer(struct timer *t)
{
	struct service *s = t->owner;
	struct service_private *p = s->private_;
	size_t sessions = 0;

	for (size_t i = 0; i < p->server_count; i++) {
		sessions += server_sessions(p->servers[i]);
	}
	if (sessions == 0 && p->was_idle && (s->on_idle == NULL || s->on_idle(s))) {
		start_stop(s, false);
		return;
	}
	p->was_idle = sessions == 0;
	loop_timer(s->loop, t, (int64_t)s->idle_seconds * 500, on_idle_timer, s);
}

/* ---- Start ---- */

/* open_first_log - until the configuration says where the log goes */
static void open_first_log(struct service *s)
{
	char tag[64];

	log_open(s->command, LOG_TO_STDERR);
	take_inherited(s);
	if (is_relayed(s)) {
		log_set_sink(relay_log, NULL);
	} else if (s->by_master) {
		/* Nobody reads a daemon's standard error; what reads logs knows this name before
		 * the configuration is read. */
		snprintf(tag, sizeof(tag), "postfix/%.20s", s->command);
		log_open(s->private_->info->flags & SERVICE_DOVECOT ? "dovecot" : tag,
			LOG_TO_SYSLOG);
		if (s->private_->log_fd >= 0) {
			log_set_fd(s->private_->log_fd);
		}
	}
}

/* open_loop - with what may come in at any time: signals, and master's word */
static void open_loop(struct service *s)
{
	s->loop = loop_new();
	loop_signal(s->loop, SIGTERM, on_signal, s);
	loop_signal(s->loop, SIGINT, on_signal, s);
	loop_signal(s->loop, SIGHUP, on_signal, s);
	if (s->by_master) {
		(void)fd_set_nonblock(SERVICE_FD_CONTROL, true);
		loop_watch(s->loop, &s->private_->control, SERVICE_FD_CONTROL, LOOP_READ,
			on_control, s);
		s->idle_seconds = (int)(param.max_idle < 86400 ? param.max_idle : 86400);
	}
}

void service_init(struct service *s, const struct service_info *info, int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');

	memset(s, 0, sizeof(*s));
	s->private_ = mem_alloc(sizeof(*s->private_));
	s->private_->info = info;
	s->private_->control.fd = -1;
	s->command = slash != NULL ? slash + 1 : argv[0];
	s->name = s->command;
	s->type = "inet";
	(void)prctl(PR_SET_NAME, s->command, 0, 0, 0);
	umask(077);
	open_first_log(s);
	parse_options(s, info, argc, argv);
	load_conf(s);
	open_log(s);
	if (s->private_->hand_listen != NULL) {
		listen_by_hand(s);
	}
	enter_queue(s);
	if (info->prepare != NULL) {
		info->prepare(s);
	}
	drop(s);
	open_loop(s);
}

void service_attach(struct service *s, struct server *server)
{
	struct service_private *p = s->private_;

	if (p->server_count >= SERVERS_MAX) {
		log_panic("service_attach: more than %d servers", SERVERS_MAX);
	}
	p->servers[p->server_count++] = server;
}

void service_listen(struct service *s, struct server *server)
{
	if (s->stdio) {
		server_stdio(server, 0, 1);
		return;
	}
	if (s->listen_count == 0) {
		log_fatal("nothing to listen on: %s is started by master, by hand with -p PORT, or "
			  "with -S for "
			  "one session on standard input",
			s->command);
	}
	service_attach(s, server);
	for (size_t i = 0; i < s->listen_count; i++) {
		server_listen(server, s->listen[i].fd);
	}
}

int service_run(struct service *s)
{
	if (s->idle_seconds > 0 && s->private_->server_count > 0) {
		loop_timer(s->loop, &s->private_->idle_timer, (int64_t)s->idle_seconds * 500,
			on_idle_timer, s);
	}
	if (!s->stdio) {
		log_set_buffered(1);
	}
	tell_kind(s, SERVICE_MSG_READY);
	loop_run(s->loop);
	log_flush();
	return s->private_->status;
}

void service_free(struct service *s)
{
	loop_free(s->loop);
	mem_free(s->private_->fds_text);
	mem_free(s->private_);
}
