/*
 * postfix - start, stop and look after the mail system
 *
 *	postfix [-c DIR] [-v] start | start-fg | stop | abort | reload | flush | status | check
 *
 * What Postfix does in a shell script is done here, with the same words:
 * messages go to the log and to standard error. Whether the system runs is asked
 * of the lock on pid/master.pid, so a file left behind means nothing.
 *
 * Exit status: 0 done (status: it runs), 1 not.
 */
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/dovecot/dovecot_conf.h"
#include "conf/main_cf.h"
#include "conf/params.h"
#include "queue/queue.h"
#include "queue/queue_parts.h"
#include "queue/queue_wear.h"
#include "applets/daemon/master_lock.h"
#include "applets/daemon/privileges.h"
#include "applets/daemon/spawn.h"
#include "applets/daemon/supervise.h"
#include "applets/admin/master/layout.h"
#include "applets/admin/postfix/check.h"
#include "applets/admin/postfix/script.h"
#include "applets/applets.h"

enum { STOP_WAIT_MS = 13000, POLL_MS = 20 };

static struct {
	const char *dir;
	int verbose;
	struct buf elsewhere; /* queue_directory of the running system, when it is not main.cf's */
} G;

static int take_log(void *arg, struct slice name, struct slice value, int line)
{
	const char **file = arg;

	(void)line;
	if (slice_eq(name, "maillog_file")) {
		*file = mem_strndup(value.ptr, value.len);
	}
	return 0;
}

/* find_log - main.cf cannot be used; as far as it can be read it may say where the log is */
static void find_log(void)
{
	struct buf path = BUF_INIT;
	const char *file = NULL;
	char *error = NULL;

	buf_addf(&path, "%s/main.cf", G.dir);
	(void)main_cf_read(buf_str(&path), take_log, &file, &error);
	if (file != NULL && strchr(file, '$') == NULL) {
		param.maillog_file = file;
	}
	param.syslog_name = param.syslog_name != NULL ? param.syslog_name : "postfix";
	mem_free(error);
	buf_free(&path);
}

/* running - the master of this configuration; G.elsewhere: not in the queue_directory it has now */
static pid_t running(void)
{
	int dir = layout_open_pid();
	pid_t pid = dir >= 0 ? lock_owner(dir) : 0;
	char *slash;

	if (dir >= 0) {
		close(dir);
	}
	buf_reset(&G.elsewhere);
	if (pid == 0 && (pid = lock_find("master", G.dir, false, &G.elsewhere)) != 0) {
		/* Without process_id_directory. */
		slash = strrchr(buf_str(&G.elsewhere), '/');
		buf_truncate(&G.elsewhere,
			slash != NULL ? (size_t)(slash - buf_str(&G.elsewhere)) : G.elsewhere.len);
	}
	return pid;
}

/* moved_away - what to do when the running system has another queue_directory */
static int moved_away(pid_t pid)
{
	return script_fatal("process %d runs with queue_directory = %s, and main.cf has %s: mail "
			    "does not move by itself: postfix stop, move the directory, postfix "
			    "start",
		(int)pid, buf_str(&G.elsewhere), param.queue_directory);
}

/* run_applet - another applet in this process; its exit status */
static int run_applet(const char *name, const char *const *more)
{
	const struct applet *applet = applet_find(name);
	const char *argv[16];
	int argc = 0;

	if (applet == NULL) {
		return script_fatal("this build has no %s", name);
	}
	argv[argc++] = name;
	argv[argc++] = "-c";
	argv[argc++] = G.dir;
	while (*more != NULL && argc < 10) {
		argv[argc++] = *more++;
	}
	for (int i = 0; i < G.verbose && argc < 14; i++) {
		argv[argc++] = "-v";
	}
	argv[argc] = NULL;
	optind = 1;
	return applet_call(applet, argc, (char **)(uintptr_t)argv);
}

/* exec_master - become master by its own name, so that ps and netstat show it */
static int exec_master(const char *how)
{
	const char *argv[16] = { "master", "-c", G.dir, how };
	int argc = 4, self = spawn_self("postfix");

	for (int i = 0; i < G.verbose && argc < 14; i++) {
		argv[argc++] = "-v";
	}
	argv[argc] = NULL;
	log_flush();
	/* Without /proc, master can find the binary only by the name it was started with. */
	if (access("/proc/self/exe", F_OK) != 0 && spawn_self_path() != NULL) {
		(void)execve(spawn_self_path(), (char **)(uintptr_t)argv, environ);
	}
	if (self >= 0) {
		(void)fexecve(self, (char **)(uintptr_t)argv, environ);
	}
	return script_fatal("cannot execute our own binary as master: %s", strerror(errno));
}

/* may_start - nothing runs yet */
static bool may_start(void)
{
	pid_t pid = running();

	if (pid != 0 && G.elsewhere.len > 0) {
		(void)moved_away(pid);
	} else if (pid != 0) {
		(void)script_fatal("the Postfix mail system is already running");
	}
	return pid == 0;
}

static int cmd_start(void)
{
	int status = 0;
	pid_t pid;

	if (!may_start()) {
		return 1;
	}
	if (check_system(false, false) > 1) {
		return script_fatal("Postfix integrity check failed!");
	}
	check_build_tables();
	script_info("starting the Postfix mail system");
	log_flush();
	pid = fork();
	if (pid == 0) {
		_exit(exec_master("-w"));
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
		WEXITSTATUS(status) != 0) {
		return script_fatal("mail system startup failed");
	}
	return 0;
}

static int cmd_start_fg(void)
{
	if (!may_start()) {
		return 1;
	}
	if (check_system(false, false) > 1) {
		return script_fatal("Postfix integrity check failed!");
	}
	check_build_tables();
	script_info("starting the Postfix mail system");
	return exec_master("-s");
}

static void pause_ms(int ms)
{
	struct timespec ts = { ms / 1000, (long)(ms % 1000) * 1000000 };

	(void)nanosleep(&ts, NULL);
}

/* signal_master - not root and not its owner: say so */
static int signal_master(pid_t pid, int signo)
{
	if (kill(pid, signo) != 0) {
		return script_fatal("cannot signal process %d: %s", (int)pid, strerror(errno));
	}
	return 0;
}

/* kill_all - the master and, where it leads a process group of its own, all of them */
static void kill_all(pid_t pid)
{
	if (getpgid(pid) == pid) {
		(void)kill(-pid, SIGKILL);
	}
	(void)kill(pid, SIGKILL);
}

static int cmd_stop(void)
{
	pid_t pid = running();
	int waited = 0;

	if (pid == 0) {
		return script_fatal("the Postfix mail system is not running");
	}
	script_info("stopping the Postfix mail system");
	if (signal_master(pid, SIGTERM) != 0) {
		return 1;
	}
	for (; running() == pid && waited < STOP_WAIT_MS; waited += POLL_MS) {
		pause_ms(POLL_MS);
	}
	if (running() == pid) {
		script_warn("stopping the Postfix mail system with force");
		kill_all(pid);
	}
	return 0;
}

static int cmd_abort(void)
{
	pid_t pid = running();

	if (pid == 0) {
		return script_fatal("the Postfix mail system is not running");
	}
	script_info("aborting the Postfix mail system");
	kill_all(pid);
	return 0;
}

static int cmd_reload(void)
{
	pid_t pid = running();

	if (pid == 0) {
		return script_fatal("the Postfix mail system is not running");
	}
	if (G.elsewhere.len > 0) {
		return moved_away(pid);
	}
	if (check_unused(UNUSED_REFUSED) > 0) {
		return script_fatal("the running system keeps its configuration");
	}
	script_info("refreshing the Postfix mail system");
	return signal_master(pid, SIGHUP);
}

static int cmd_flush(void)
{
	static const char *const args[] = { "-f", NULL };

	pid_t pid = running();

	if (pid == 0) {
		return script_fatal(
			"cannot flush the mail queue: the Postfix mail system is not running");
	}
	if (G.elsewhere.len > 0) {
		return moved_away(pid);
	}
	return run_applet("postqueue", args);
}

/* say_wear - what a part of the queue has written since its files were made */
static void say_wear(const char *dir, const char *where)
{
	struct queue_wear w;
	char since[32] = "";
	struct tm tm;
	time_t when;

	if (queue_wear(dir, &w) != 0 || w.since == 0) {
		return;
	}
	when = (time_t)w.since;
	if (localtime_r(&when, &tm) != NULL) {
		strftime(since, sizeof(since), "%Y-%m-%d %H:%M:%S", &tm);
	}
	script_info(
		"the queue %s: %lld mails since %s, for them %lld bytes written and %lld syncs: "
		"%lld bytes a mail",
		where, (long long)w.mails, since, (long long)w.bytes, (long long)w.syncs,
		(long long)(w.mails > 0 ? w.bytes / w.mails : w.bytes));
}

static void say_all_wear(void)
{
	struct buf dir = BUF_INIT;

	buf_addf(&dir, "%s/" QUEUE_SUBDIR, param.queue_directory);
	say_wear(buf_str(&dir), "on the disk");
	buf_reset(&dir);
	queue_memory_directory(param.queue_directory, &dir);
	say_wear(buf_str(&dir), "in memory");
	buf_free(&dir);
}

static int cmd_status(void)
{
	pid_t pid = running();

	if (pid == 0) {
		script_info("the Postfix mail system is not running");
		return 1;
	}
	script_info("the Postfix mail system is running: PID: %d", (int)pid);
	if (G.elsewhere.len > 0) {
		script_warn("with queue_directory = %s, and main.cf has %s", buf_str(&G.elsewhere),
			param.queue_directory);
	}
	if (G.verbose > 0) {
		say_all_wear();
	}
	return 0;
}

static const char *user_or_owner(const char *name)
{
	return name != NULL && getpwnam(name) != NULL ? name : param.mail_owner;
}

/* list_processes - what each kind of process may and holds, when root starts them */
static void list_processes(void)
{
	const char *users[PROCESS_USERS] = { [USER_ROOT] = "root",
		[USER_QUEUE] = param.mail_owner,
		[USER_LOGIN] = user_or_owner(setting.default_login_user),
		[USER_INTERNAL] = user_or_owner(setting.default_internal_user),
		[USER_OF_MAIL] = "the mail's" };
	struct buf b = BUF_INIT;

	privileges_print(&b, users);
	(void)fputs(buf_str(&b), stdout);
	(void)fflush(stdout);
	buf_free(&b);
}

static int cmd_check(void)
{
	int worst = check_system(true, G.verbose > 0);

	if (G.verbose > 0 && worst < 2) {
		list_processes();
	}
	return worst > 1 ? 1 : 0;
}

static const struct {
	const char *name;
	int (*fn)(void);
} commands[] = {
	{ "abort", cmd_abort },
	{ "check", cmd_check },
	{ "flush", cmd_flush },
	{ "reload", cmd_reload },
	{ "start", cmd_start },
	{ "start-fg", cmd_start_fg },
	{ "status", cmd_status },
	{ "stop", cmd_stop },
};

static int usage(void)
{
	return applet_usage("postfix");
}

/* options - those from optind on, until the first argument that is none; false: an unknown one */
static bool options(int argc, char **argv, const char **dir_r)
{
	int opt;

	while ((opt = getopt(argc, argv, "+c:Dv")) != -1) {
		switch (opt) {
		case 'c':
			*dir_r = optarg;
			break;
		case 'v':
			G.verbose++;
			break;
		case 'D':
			break;
		default:
			return false;
		}
	}
	return true;
}

int postfix_main(int argc, char **argv)
{
	const char *dir = NULL, *command;
	char *error = NULL;

	log_open("postfix/postfix-script", LOG_TO_STDERR);
	if (!options(argc, argv, &dir) || optind >= argc) {
		return usage();
	}
	command = argv[optind++];
	/* "check -v" as well as "-v check". */
	if (!options(argc, argv, &dir) || optind != argc) {
		return usage();
	}
	G.dir = conf_dir(dir);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (strcmp(commands[i].name, command) != 0) {
			continue;
		}
		script_begin();
		if (conf_load(G.dir, false, &error) != 0) {
			find_log();
			script_open_log();
			return script_fatal("%s", error);
		}
		script_open_log();
		return commands[i].fn();
	}
	dprintf(2,
		"postfix/postfix-script: fatal: unknown command: '%s'. Usage: postfix start (or "
		"stop, "
		"reload, abort, flush, check, status, start-fg)\n",
		command);
	return 1;
}
