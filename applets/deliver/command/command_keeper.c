/*
 * command_keeper - the process between the agent and a command
 *
 *	agent --fork--> keeper --fork--> command
 *		 ctl: WHOLE, KILL, or its end: the agent is gone
 *
 * A command may take longer than the agent lives (reload, stop, kill -9). Its keeper waits for it,
 * holds its recipient meanwhile so that no other agent begins it again, and leaves a note when it
 * has taken the message. It also has the writing end of the command's input until the agent says
 * that the message is whole: when the agent dies before, the command is killed instead of taking
 * half a message for a whole one. The keeper ends as the command did, so the agent reads the exit
 * status as if there was nobody in between.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "conf/params.h"
#include "queue/queue_hold.h"
#include "applets/daemon/privileges.h"
#include "applets/deliver/command/command_impl.h"

enum { ORPHAN_GRACE = 5 };

struct keeper {
	pid_t pid;     /* the command, and its process group */
	int ctl;       /* -1: the agent is gone */
	int in, out;   /* other ends of the command's; -1: closed */
	int64_t limit; /* of clock_ms(): when an orphan is killed */
};

static void on_chld(int signo)
{
	(void)signo; /* only that ppoll() returns */
}

static void close_one(int *fd)
{
	if (*fd >= 0) {
		close(*fd);
	}
	*fd = -1;
}

static void end_command(const struct keeper *k)
{
	kill(-k->pid, SIGKILL);
	kill(k->pid, SIGKILL);
}

/* on_ctl - a word of the agent, or its end */
static void on_ctl(struct keeper *k)
{
	char word = 0;
	ssize_t n = read(k->ctl, &word, 1);

	if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
		return;
	}
	if (n <= 0) {
		if (k->in >= 0) {
			end_command(k);
		}
		close_one(&k->ctl);
	} else if (word == KEEPER_KILL) {
		end_command(k);
	} else {
		close_one(&k->in);
	}
}

/* read_off - what an orphan says is heard by nobody, but it must not be stopped by that */
static void read_off(struct keeper *k)
{
	char junk[4096];
	ssize_t n = read(k->out, junk, sizeof(junk));

	if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) {
		close_one(&k->out);
	}
}

/* wait_turn - until something happens */
static void wait_turn(struct keeper *k, const sigset_t *open)
{
	struct pollfd p = { .fd = k->ctl >= 0 ? k->ctl : k->out, .events = POLLIN };
	struct timespec second = { 1, 0 };

	if (ppoll(&p, 1, k->ctl >= 0 ? NULL : &second, open) > 0) {
		if (k->ctl >= 0) {
			on_ctl(k);
		} else {
			read_off(k);
		}
	}
	if (k->ctl < 0 && clock_ms() > k->limit) {
		end_command(k);
	}
}

/* end_as - the command did */
static _Noreturn void end_as(int status)
{
	const struct rlimit none = { 0, 0 };

	if (WIFEXITED(status)) {
		_exit(WEXITSTATUS(status));
	}
	(void)setrlimit(RLIMIT_CORE, &none);
	signal(WTERMSIG(status), SIG_DFL);
	kill(getpid(), WTERMSIG(status));
	_exit(128 + WTERMSIG(status));
}

/* set_signals - SIGCHLD only while we wait; what tells the agent to end is not for us */
static void set_signals(sigset_t *open)
{
	static const int ignored[] = { SIGTERM, SIGINT, SIGHUP, SIGPIPE };
	const struct sigaction chld = { .sa_handler = on_chld };
	sigset_t blocked;

	for (size_t i = 0; i < ARRAY_LEN(ignored); i++) {
		signal(ignored[i], SIG_IGN);
	}
	sigaction(SIGCHLD, &chld, NULL);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGCHLD);
	sigprocmask(SIG_BLOCK, &blocked, open);
	sigdelset(open, SIGCHLD);
}

/* hold - the recipients, as long as we live; the command does not get the descriptor */
static void hold(const struct command_work *w)
{
	struct queue_holds *holds = queue_holds_open(param.queue_directory);

	for (size_t i = 0; holds != NULL && i < w->rcpt_count; i++) {
		queue_hold(holds, QUEUE_HOLD_DELIVERY, w->request->r.id, (int64_t)w->rcpts[i]->n);
	}
}

_Noreturn void keeper_run(const struct command_work *w, const int in[2], const int out[2], int ctl)
{
	const int keep[] = { in[0], in[1], out[0], out[1], ctl };
	struct keeper k = { .ctl = ctl,
		.in = in[1],
		.out = out[0],
		.limit = clock_ms() + (w->time_limit + ORPHAN_GRACE) * 1000 };
	sigset_t open;
	int status;

	(void)prctl(PR_SET_NAME, w->class->name, 0, 0, 0);
	privileges_keep_only(keep, ARRAY_LEN(keep));
	set_signals(&open);
	hold(w);
	k.pid = fork();
	if (k.pid == 0) {
		command_exec(w, in[0], out[1]);
	}
	close(in[0]);
	close(out[1]);
	if (k.pid < 0) {
		_exit(EX_OSERR);
	}
	setpgid(k.pid, k.pid);
	while (waitpid(k.pid, &status, WNOHANG) != k.pid) {
		wait_turn(&k, &open);
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		command_note(w);
	}
	end_as(status);
}
