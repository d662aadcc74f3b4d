#ifndef APPLETS_LOCAL_LOCAL_H
#define APPLETS_LOCAL_LOCAL_H

#include <stdbool.h>
#include <stddef.h>

#include "applets/deliver/agent/agent.h"
#include "applets/deliver/command/command.h"
#include "applets/deliver/local/jobs.h"
#include "applets/deliver/mailbox/box.h"

/*
 * The local delivery agent. Each file calls those below it, never back:
 *
 *	local.c		start, stop
 *	begin.c		a request -> recipients -> jobs, one for each target
 *	command_jobs.c	|command and mailbox_command (run by applets/deliver/command)
 *	  command_env.c     as its user would run it
 *	pass.c		mailbox_transport and fallback_transport
 *	answer.c	ends of jobs -> answers to qmgr
 *
 * Its mailboxes are in applets/deliver/mailbox; what all agents share is in applets/deliver/agent.
 */
struct pass_peer;

struct local {
	struct agent_host host;
	struct boxes boxes;
	struct commands commands;
	struct pass_peer *passes; /* transports that deliver for us */
	struct jobs command_jobs; /* waiting */
};

#endif
