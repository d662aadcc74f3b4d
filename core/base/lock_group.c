/*
 * lock_group - a group that a process has for moments only
 */
#include "base/lock_group.h"

#include <errno.h>
#include <unistd.h>

#include "base/log.h"

/* Credentials are the process's, so what is known of them is, too. */
static struct {
	bool there, used;
	gid_t group;
} G;

void lock_group_set(gid_t gid)
{
	G.there = true;
	G.group = gid;
}

void lock_group_use(bool on)
{
	int saved = errno;

	if (G.there && on != G.used) {
		/* The real group id is the one that we have otherwise. */
		if (setegid(on ? G.group : getgid()) == 0) {
			G.used = on;
		} else if (!on) {
			log_fatal("cannot give up group %ld: %m", (long)G.group);
		}
	}
	errno = saved;
}
