#ifndef APPLETS_LOCAL_LOCAL_H
#define APPLETS_LOCAL_LOCAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/hash.h"
#include "base/loop.h"
#include "applets/deliver/agent/agent.h"
#include "applets/deliver/local/jobs.h"

struct box;
struct command;
struct worker_events;
struct worker;

/*
 * The local delivery agent. Each file calls those below it, never back:
 *
 *	local.c		start, stop
 *	begin.c		a request -> recipients -> jobs, one for each target
 *	command_run.c	|command and mailbox_command
 *	  command_keeper.c  who waits for a command, also when we are gone
 *	  command_child.c   who becomes the user and the command
 *	  command_note.c    what commands have taken
 *	box.c		jobs wait for their mailbox; a batch of them is delivered at once
 *	worker.c	as root: a child for each user, which delivers batches
 *	  worker_child.c    what that child does
 *	answer.c	ends of jobs -> answers to qmgr
 *
 * What it shares with other agents is in applets/deliver/agent.
 */
enum { FD_MAX = 65536 }; /* descriptors that a child closes */

struct local {
	struct agent_host host;
	struct hash boxes; /* "uid:path" -> struct box */
	struct box *dirty; /* boxes with jobs to begin at the end of the turn */
	struct loop_hook turn;
	struct timer turn_timer; /* for those that found no child */
	const struct worker_events *worker_events;
	struct worker *workers;
	size_t worker_count;
	struct command *commands; /* running */
	size_t command_count;
	struct jobs command_jobs; /* waiting */
	struct timer note_timer;
	bool root; /* deliveries are made by children of the users */
};

#endif
