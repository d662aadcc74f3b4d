#ifndef APPLETS_LOCAL_LOCAL_H
#define APPLETS_LOCAL_LOCAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/hash.h"
#include "base/loop.h"
#include "applets/deliver/agent/agent.h"
#include "applets/deliver/command/command.h"
#include "applets/deliver/local/jobs.h"

struct box;
struct worker_events;
struct worker;

/*
 * The local delivery agent. Each file calls those below it, never back:
 *
 *	local.c		start, stop
 *	begin.c		a request -> recipients -> jobs, one for each target
 *	command_jobs.c	|command and mailbox_command (run by applets/deliver/command)
 *	  command_env.c     as its user would run it
 *	box.c		jobs wait for their mailbox; a batch of them is delivered at once
 *	worker.c	as root: a child for each user, which delivers batches
 *	  worker_child.c    what that child does
 *	answer.c	ends of jobs -> answers to qmgr
 *
 * What it shares with other agents is in applets/deliver/agent.
 */
struct local {
	struct agent_host host;
	struct hash boxes; /* "uid:path" -> struct box */
	struct box *dirty; /* boxes with jobs to begin at the end of the turn */
	struct loop_hook turn;
	struct timer turn_timer; /* for those that found no child */
	const struct worker_events *worker_events;
	struct worker *workers;
	size_t worker_count;
	struct commands commands;
	struct jobs command_jobs; /* waiting */
	bool root;                /* deliveries are made by children of the users */
};

#endif
