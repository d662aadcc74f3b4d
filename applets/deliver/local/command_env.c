/*
 * command_env - how a command of a user is run: its environment, directory and shell
 *
 * Values that come from outside have bytes that are not in command_expansion_filter replaced by
 * '_'. A command without characters that need a shell is executed directly.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "queue/queue_message.h"
#include "address/forward.h"
#include "applets/deliver/local/command_jobs.h"

enum { WORDS_MAX = 100 };

static const char SAFE[] = " \t0123456789!@%-_=+:,./"
			   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/* set_clean - an environment variable with a value from outside */
static void set_clean(const char *name, const char *value)
{
	char *copy = mem_strdup(value);

	for (char *p = copy; *p != '\0'; p++) {
		*p = strchr(param.command_expansion_filter, *p) != NULL ? *p : '_';
	}
	setenv(name, copy, 1);
	mem_free(copy);
}

static void set_if(const char *name, const char *value)
{
	if (value != NULL && value[0] != '\0') {
		set_clean(name, value);
	}
}

/* bare_name - who the mail is for: the name of an alias, not of the user its command runs as */
static const char *bare_name(struct arena *a, const struct target *t)
{
	size_t len = strlen(t->local), ext = strlen(t->extension);

	if (ext > 0 && ext < len) {
		len -= ext + 1;
	}
	return arena_strndup(a, t->local, len);
}

static void set_environment(struct arena *a, const struct command_job *c)
{
	const struct job *j = c->job;
	const struct target *t = j->target;
	const struct recipient *rc = j->recipient;
	const char *name = bare_name(a, t);

	command_environment(a);
	set_if("HOME", t->user.home);
	set_if("SHELL", t->user.shell);
	set_clean("USER", name);
	set_clean("LOGNAME", name);
	set_clean("SENDER", rc->sender);
	set_clean("RECIPIENT", t->address);
	set_clean("ORIGINAL_RECIPIENT", rc->original);
	set_clean("LOCAL", t->local);
	set_if("DOMAIN", t->domain);
	set_if("EXTENSION", t->extension);
	if (c->env != NULL) {
		set_if("CLIENT_ADDRESS", c->env->client_addr);
		set_if("CLIENT_HOSTNAME", c->env->client_name);
		set_if("CLIENT_HELO", c->env->helo);
		set_if("CLIENT_PROTOCOL", c->env->proto);
		set_if("SASL_USERNAME", c->env->sasl_user);
	}
}

/* enter_directory - command_execution_directory, else the home, else / */
static void enter_directory(struct arena *a, const struct job *j)
{
	const struct target *t = j->target;
	struct forward_names names = { &t->user, t->address, t->local, t->domain, t->extension, "",
		NULL };

	if (param.command_execution_directory[0] != '\0') {
		const char *dir = forward_expand(a, param.command_execution_directory, &names);

		/* $home of an alias' command is nothing. */
		if (dir[0] != '\0' && chdir(dir) != 0) {
			dprintf(2, "cannot enter command_execution_directory %s: %s\n", dir,
				strerror(errno));
			_exit(EX_TEMPFAIL);
		}
	} else if (t->user.home[0] != '/' || chdir(t->user.home) != 0) {
		(void)!chdir("/");
	}
}

/* split_words - at blanks, for exec; how many */
static size_t split_words(char *text, char **argv, size_t max)
{
	char *save = NULL;
	size_t n = 0;

	for (char *w = strtok_r(text, " \t", &save); w != NULL && n < max;
		w = strtok_r(NULL, " \t", &save)) {
		argv[n++] = w;
	}
	argv[n] = NULL;
	return n;
}

/*
 * execute - directly when no character needs a shell and there is such a program (it may be
 * built into the shell), else by local_command_shell or /bin/sh; does not return
 */
static _Noreturn void execute(struct arena *a, const char *command)
{
	char *argv[WORDS_MAX + 2];
	size_t n;

	if (param.local_command_shell[0] != '\0') {
		n = split_words(arena_strdup(a, param.local_command_shell), argv, WORDS_MAX);
		argv[n] = arena_strdup(a, command);
		argv[n + 1] = NULL;
		execvp(argv[0], argv);
		dprintf(2, "cannot execute %s: %s\n", argv[0], strerror(errno));
		_exit(EX_TEMPFAIL);
	}
	if (command[strspn(command, SAFE)] == '\0' &&
		split_words(arena_strdup(a, command), argv, WORDS_MAX) > 0) {
		execvp(argv[0], argv);
		if (errno != ENOENT || strchr(argv[0], '/') != NULL) {
			dprintf(2, "cannot execute %s: %s\n", argv[0], strerror(errno));
			_exit(EX_TEMPFAIL);
		}
	}
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	dprintf(2, "cannot execute /bin/sh: %s\n", strerror(errno));
	_exit(EX_TEMPFAIL);
}

void command_prepare(const struct command_work *w, struct arena *a)
{
	set_environment(a, w->owner);
}

void command_run(const struct command_work *w, struct arena *a)
{
	const struct command_job *c = w->owner;

	enter_directory(a, c->job);
	umask(077);
	execute(a, c->job->target->value);
}
