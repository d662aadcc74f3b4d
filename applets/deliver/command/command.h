#ifndef APPLETS_COMMAND_COMMAND_H
#define APPLETS_COMMAND_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/loop.h"
#include "ipc/delivery.h"
#include "applets/deliver/agent/agent.h"

/*
 * Commands that get a message on their standard input, for local and pipe.
 *
 *	command.c		the content goes in, output and exit status come out
 *	  command_end.c		... and what they mean for the delivery
 *	command_keeper.c	who waits for a command, also when we are gone
 *	  command_child.c	who becomes the user and the command
 *	command_note.c		what commands have taken
 */
struct command;
struct command_work;

/* All commands of an agent. */
struct commands {
	struct agent_host *host;
	struct command *first; /* running */
	size_t count;
	struct timer note_timer;
};

struct command_user {
	uid_t uid;
	gid_t gid;
	const char *name; /* whose further groups it has; NULL: none */
};

/* How it ended. */
struct command_end {
	enum delivery_status status;
	const char *dsn, *text; /* text: "" with DELIVERY_SENT */
	const char *output;     /* one line, bounded */
};

struct command_class {
	const char *name; /* of its keeper as ps(1) shows it */
	/* In the child, still with our identity: the environment, another root. */
	void (*prepare)(const struct command_work *w, struct arena *a);
	/* As the user: become the command; does not return. */
	void (*run)(const struct command_work *w, struct arena *a);
	/* The next piece of the content (len 0: its end) as the command is to get it; NULL: so. */
	void (*convert)(struct command_work *w, struct buf *out, const char *data, size_t len);
	void (*done)(struct command_work *w, const struct command_end *end);
};

/* One command to be run; the owner's, until done(). */
struct command_work {
	const struct command_class *class;
	struct agent_request *request; /* its content is the input */
	/* Whose delivery it is: held while it runs, noted when it has taken the message. */
	const struct delivery_recipient *const *rcpts;
	size_t rcpt_count;
	const char *shown; /* the command, in texts */
	uint64_t key;      /* of what is run as whom: command_key() */
	struct command_user user;
	int64_t time_limit; /* seconds */
	void *owner;
};

void commands_init(struct commands *k, struct agent_host *host);
void commands_free(struct commands *k);
/* head: what stands above the content, taken. False with errno: it cannot be started. */
bool command_start(struct commands *k, struct command_work *w, struct buf *head);
/* A child has ended: true if it was one of ours, and its done() was called. */
bool command_ended(struct commands *k, pid_t pid, int status);
/* The running ones, one after the other; NULL: the first, or no more. */
const struct command_work *commands_next(const struct commands *k, const struct command_work *w);

/* ---- command_note.c ---- */

uint64_t command_key(uint64_t sum, const char *text); /* begin with 0 */
/* Has this command taken the message for r before? */
bool command_was_done(
	const struct agent_request *q, const struct delivery_recipient *r, uint64_t key);

/* ---- command_child.c ---- */

/* The environment: export_environment and PATH, nothing else. */
void command_environment(struct arena *a);

#endif
