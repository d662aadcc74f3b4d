/*
 * pipe_child - the process that becomes the command of a pipe service
 *
 * No shell is in between.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "conf/params.h"
#include "applets/deliver/pipe/pipe.h"

void pipe_prepare(const struct command_work *w, struct arena *a)
{
	const struct pipe_request *q = w->owner;
	const struct pipe *g = q->q.host->owner;

	command_environment(a);
	if (g->spec.chroot != NULL && (chroot(g->spec.chroot) != 0 || chdir("/") != 0)) {
		dprintf(2, "pipe: fatal: cannot change root to \"%s\": %s\n", g->spec.chroot,
			strerror(errno));
		_exit(EX_TEMPFAIL);
	}
}

void pipe_run(const struct command_work *w, struct arena *a)
{
	const struct pipe_request *q = w->owner;
	const struct pipe *g = q->q.host->owner;

	(void)a;
	if (g->spec.directory != NULL && chdir(g->spec.directory) != 0) {
		dprintf(2,
			"pipe: fatal: cannot change directory to \"%s\" for uid=%lu gid=%lu: %s\n",
			g->spec.directory, (unsigned long)geteuid(), (unsigned long)getegid(),
			strerror(errno));
		_exit(EX_TEMPFAIL);
	}
	umask(077);
	execvp(q->argv[0], q->argv);
	dprintf(2, "pipe: fatal: pipe_command: execvp %s: %s\n", q->argv[0], strerror(errno));
	_exit(EX_TEMPFAIL);
}
