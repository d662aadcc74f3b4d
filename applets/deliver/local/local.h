#ifndef APPLETS_LOCAL_LOCAL_H
#define APPLETS_LOCAL_LOCAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/loop.h"
#include "queue/queue.h"
#include "queue/queue_message.h"
#include "queue/queue_hold.h"
#include "queue/queue_read.h"
#include "applets/daemon/service.h"
#include "applets/deliver/local/jobs.h"

struct box;
struct command;
struct worker_events;
struct worker;

/*
 * The local delivery agent. Each file calls those below it, never back:
 *
 *	local.c		start, stop
 *	client.c	connections from qmgr: what it asks for
 *	begin.c		a request -> recipients -> jobs, one for each target
 *	command_run.c	|command and mailbox_command
 *	  command_keeper.c  who waits for a command, also when we are gone
 *	  command_child.c   who becomes the user and the command
 *	  command_note.c    what commands have taken
 *	box.c		jobs wait for their mailbox; a batch of them is delivered at once
 *	worker.c	as root: a child for each user, which delivers batches
 *	  worker_child.c    what that child does
 *	answer.c	ends of jobs -> answers to qmgr
 *	underway.c	nothing is begun twice, here or by an agent before us
 *	request_memory.c  the content, and the memory of requests
 *	local_state.c	the queue
 */
enum {
	CONTENT_KEEP = 64 * 1024, /* messages up to this size stay in memory until delivered */
	JOBS_HIGH = 4000,         /* above it no request is read */
	UNDERWAY_BITS = 10,
	FD_MAX = 65536 /* descriptors that a child closes */
};

struct local {
	struct service service;
	struct server *server;
	struct queue *queue;
	struct client *clients;
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
	size_t jobs;              /* under way */
	struct request *spares;   /* for the next requests, with their memory */
	size_t spare_count;
	struct timer spare_timer; /* gives them back when it is quiet */
	size_t content_bytes;     /* kept in memory, of all requests */
	/* underway.c */
	void (*begin)(struct local *g, struct request *q);
	struct request *underway[1 << UNDERWAY_BITS];
	struct request *wait_first, **wait_tail; /* the same is under way */
	struct timer wait_timer;
	struct queue_holds *holds;
	int64_t agent_until; /* loop milliseconds */
	bool draining;       /* a successor takes what is new */
	struct timer note_timer;
	char *scratch; /* CONTENT_KEEP bytes */
	bool root;     /* deliveries are made by children of the users */
};

/* queue.db, opened again after an error; NULL: not now. */
struct queue *local_queue(struct local *g);

#endif
