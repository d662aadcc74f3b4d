/*
 * pipe_user - as whom the command of a pipe service runs
 *
 * Never as root, and never as who owns the queue: a command gets bytes of strangers.
 */
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/params.h"
#include "applets/deliver/pipe/pipe.h"

/* refuse_owner - mail_owner and its group may do with the queue what they like */
static void refuse_owner(const struct pipe *g)
{
	const struct passwd *owner = getpwnam(param.mail_owner);

	if (owner != NULL && owner->pw_uid == g->user.uid) {
		log_fatal("user= command-line attribute specifies mail system owner %s",
			param.mail_owner);
	}
	if (owner != NULL && owner->pw_gid == g->user.gid) {
		log_fatal("user= command-line attribute specifies mail system owner %s "
			  "group id %ld",
			param.mail_owner, (long)g->user.gid);
	}
}

void pipe_find_user(struct pipe *g)
{
	const struct passwd *pw;
	const struct group *gr;

	if (geteuid() != 0) {
		/* What an ordinary user starts is all his. */
		g->user = (struct command_user){ geteuid(), getegid(), NULL };
		return;
	}
	pw = getpwnam(g->spec.user);
	if (pw == NULL) {
		log_fatal("%s: unknown username: %s", g->host.service.name, g->spec.user);
	}
	g->user = (struct command_user){ pw->pw_uid, pw->pw_gid, NULL };
	if (g->spec.group != NULL) {
		gr = getgrnam(g->spec.group);
		if (gr == NULL) {
			log_fatal("%s: unknown group: %s", g->host.service.name, g->spec.group);
		}
		g->user.gid = gr->gr_gid;
	}
	if (g->user.uid == 0) {
		log_fatal("user= command-line attribute specifies root privileges");
	}
	if (g->user.gid == 0) {
		log_fatal("user= command-line attribute specifies privileged group id 0");
	}
	refuse_owner(g);
}
