/*
 * command_child - the process that becomes the user, and then the command
 *
 * No descriptor but the standard ones is left to it, no signal is ignored or blocked, and the
 * environment has what export_environment names. It does not outlive its keeper.
 */
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/str.h"
#include "conf/params.h"
#include "applets/daemon/privileges.h"
#include "applets/deliver/command/command_impl.h"

enum { WORDS_MAX = 100 };

void command_environment(struct arena *a)
{
	struct slice rest = slice_of(param.export_environment), word;
	struct {
		const char *name, *value;
	} keep[WORDS_MAX];
	size_t n = 0;

	while (n < WORDS_MAX && (word = slice_word(&rest, ", \t\r\n")).ptr != NULL) {
		char *text = arena_strndup(a, word.ptr, word.len), *eq = strchr(text, '=');

		if (eq != NULL) {
			*eq++ = '\0';
		}
		keep[n].name = text;
		keep[n++].value = eq != NULL ? eq : arena_strdup(a, getenv(text));
	}
	clearenv();
	for (size_t i = 0; i < n; i++) {
		if (keep[i].value != NULL) {
			setenv(keep[i].name, keep[i].value, 1);
		}
	}
	setenv("PATH", "/usr/bin:/bin", 1);
}

/* become - the user, for good */
static void become(const struct command_user *u)
{
	if (geteuid() == 0 &&
		((u->name == NULL ? setgroups(1, &u->gid) : initgroups(u->name, u->gid)) != 0 ||
			setgid(u->gid) != 0 || setuid(u->uid) != 0)) {
		_exit(EX_TEMPFAIL);
	}
	if (u->uid != 0 && geteuid() == 0) {
		_exit(EX_TEMPFAIL);
	}
}

_Noreturn void command_exec(const struct command_work *w, int in, int out)
{
	struct arena a = ARENA_INIT;
	pid_t keeper = getppid();
	sigset_t none;

	setpgid(0, 0);
	for (int sig = 1; sig < NSIG; sig++) {
		signal(sig, SIG_DFL);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0) {
		_exit(EX_TEMPFAIL);
	}
	privileges_keep_only(NULL, 0);
	w->class->prepare(w, &a);
	become(&w->user);
	/* Without its keeper nobody would know that it runs: it would be begun again. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != keeper) {
		_exit(EX_TEMPFAIL);
	}
	w->class->run(w, &a);
	_exit(EX_TEMPFAIL);
}
