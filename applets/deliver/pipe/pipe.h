#ifndef APPLETS_PIPE_PIPE_H
#define APPLETS_PIPE_PIPE_H

#include <stdbool.h>
#include <stddef.h>

#include "queue/queue_message.h"
#include "applets/deliver/agent/agent.h"
#include "applets/deliver/command/command.h"
#include "applets/deliver/pipe/pipe_spec.h"

/*
 * The pipe agent.
 *
 *	pipe.c			start; requests -> commands -> answers
 *	  pipe_child.c		becoming the command
 *	  pipe_user.c		as whom
 *	pipe_argv.c		the macros of its command line
 *	pipe_content.c		the lines it reads
 *	pipe_spec.c		the attributes in master.cf
 */
struct pipe_request {
	struct agent_request q;           /* first */
	struct pipe_request *next, *prev; /* waiting for a command's turn */
	struct command_work work;
	struct pipe_content content;
	const struct delivery_recipient **rcpts; /* not taken yet */
	char **argv;
	bool waiting;
};

struct pipe {
	struct agent_host host;
	struct arena arena; /* of the configuration */
	struct pipe_spec spec;
	struct command_user user;
	int64_t time_limit;
	int64_t most; /* commands at once */
	struct commands commands;
	struct pipe_request *first, *last; /* waiting */
};

/* ---- pipe_user.c ---- */

/* user= and group= as numbers; ends the process when they may not be used. */
void pipe_find_user(struct pipe *g);

/* ---- pipe_child.c: of struct command_class ---- */

void pipe_prepare(const struct command_work *w, struct arena *a);
void pipe_run(const struct command_work *w, struct arena *a);

#endif
