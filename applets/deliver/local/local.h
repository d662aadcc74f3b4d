#ifndef APPLETS_DELIVER_LOCAL_H
#define APPLETS_DELIVER_LOCAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/loop.h"
#include "base/wire.h"
#include "net/session.h"
#include "queue/queue.h"
#include "queue/queue_message.h"
#include "queue/queue_hold.h"
#include "queue/queue_read.h"
#include "ipc/delivery.h"
#include "route/expand.h"
#include "deliver/deliver.h"
#include "applets/daemon/service.h"

/*
 * The local delivery agent, and the files below this header:
 *
 *	local.c		start, stop, the one G
 *	request.c	what qmgr asks -> jobs, one for each target -> answers
 *	box.c		jobs wait for their mailbox; a batch of them is delivered at once
 *	worker.c	as root: a child for each user, which delivers batches
 *	worker_child.c	what that child does
 *	command_run.c	|command and mailbox_command
 *	command_keeper.c  who waits for a command, also when we are gone
 *	command_note.c	what commands have taken
 *	underway.c	nothing is begun twice, here or by an agent before us
 */
enum {
	BATCH_ITEMS = 500, /* messages delivered under one lock */
	BATCH_BYTES = 16 << 20,
	/* messages up to this size stay in memory until delivered */
	CONTENT_KEEP = 64 * 1024,
	SPARE_CONTENT = 16 * 1024, /* a spare request keeps this much room for a content */
	SPARES_MAX = 200,
	CONTENT_TOTAL = 16 << 20, /* all of them together; above it content is read again */
	JOBS_HIGH = 4000,         /* above it no request is read */
	UNDERWAY_BITS = 10,
	FD_MAX = 65536 /* descriptors that a child closes */
};

struct box;
struct command;
struct local;
struct worker;

/* A connection from qmgr. */
struct client {
	struct local *g;
	struct session_io *io;
	struct client *next;
	struct request *requests; /* under way */
	struct buf answers;       /* to be sent with the next feed() */
	struct loop_hook hook;    /* resumes the session once a turn */
	bool ending;              /* close when nothing is under way */
	bool paused;              /* JOBS_HIGH was reached */
};

/* One message. Freed when its last job has ended. */
struct request {
	struct local *g;
	struct client *client;       /* NULL: the connection is gone, answers go nowhere */
	struct request *prev, *next; /* of the client */
	struct arena arena;
	struct delivery_request r;
	char id[QUEUE_ID_TEXT];
	int64_t begun;      /* microseconds */
	struct buf content; /* the whole of it, when content_whole */
	bool content_whole;
	const char **delivered_to; /* values of the Delivered-To headers */
	size_t delivered_count;
	struct recipient *recipients;              /* r.recipient_count of them */
	size_t open;                               /* recipients without an answer */
	struct request *underway_next, *wait_next; /* underway.c */
	bool underway;
};

struct recipient {
	struct request *request;
	const struct delivery_recipient *r;
	const char *original; /* X-Original-To */
	const char *sender;   /* owner- of a list, else the request's */
	const char *owner;    /* owner-, or NULL */
	size_t pending, targets;
	/* The worst so far. */
	enum delivery_status status;
	const char *dsn, *text;
	/* targets elsewhere, and failed ones that are tried on their own */
	const char **added;
	size_t added_count;
};

/* A target of a recipient on its way. Owned by the request's arena. */
struct job {
	struct recipient *recipient;
	const struct target *target;
	struct job *next; /* in the queue of its mailbox or of the commands */
	bool suspect;     /* may have been delivered before */
};

struct jobs {
	struct job *first, *last;
	size_t count;
};

struct local {
	struct service service;
	struct server *server;
	struct queue *queue;
	struct client *clients;
	struct hash boxes; /* "uid:path" -> struct box */
	struct box *dirty; /* boxes with jobs to begin at the end of the turn */
	struct loop_hook turn;
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

int64_t local_now(void); /* microseconds since 1970 */
/* queue.db, opened again after an error; NULL: not now. */
struct queue *local_queue(struct local *g);

/* request.c */
extern const struct session_class local_session;
/* Content of the job's message: for struct deliver_item. arg is the struct request. */
int64_t request_read(void *arg, int64_t offset, void *data, size_t len);
/* The job has ended: logged, counted, answered. text and dsn are copied. */
void job_done(struct local *g, struct job *j, enum delivery_status status, const char *dsn,
	const char *text);
/* Is anybody still waiting for this job? */
bool job_wanted(const struct job *j);
/* What stands above the content in a mailbox; read from the request. */
void job_item(const struct job *j, struct deliver_item *it);
void requests_free(struct local *g); /* all of them, at the end */
void clients_drain(struct local *g); /* answer what is under way, then close */
void clients_wake(struct local *g);
void request_begin(
	struct local *g, struct request *q);           /* entered in the table of those under way */
void request_drop(struct local *g, struct request *q); /* nobody wants it, and it was not begun */

/* underway.c */
void underway_init(struct local *g);
/* True: to be begun now. Else it waits, and is begun (or dropped) later. */
bool underway_enter(struct local *g, struct request *q);
void underway_leave(struct local *g, struct request *q);
struct request *underway_any(struct local *g); /* NULL: nothing is under way or waits */
/* A successor is about to begin: it is told what is under way here, from now to the end. */
void underway_publish(struct local *g);
void underway_free(struct local *g);

/* box.c */
void box_add(struct local *g, struct job *j);
/* A batch came back from a worker. items NULL: the worker died, its messages may be there. */
struct batch {
	struct box *box;
	struct job **jobs; /* NULL: a message is only looked for (repair) */
	struct deliver_item *items;
	size_t count;
	struct deliver_how how;
	struct request *repair; /* made up for a repair item */
};
void box_batch_done(struct local *g, struct batch *b, bool locked);
void box_batch_died(struct local *g, struct batch *b);
/* The answer to a probe: as deliver_probe(). */
void box_probed(struct local *g, struct box *box, int rc, const char *id);
const char *box_path(const struct box *box);
const struct target *box_target(const struct box *box);
void boxes_free(struct local *g);

/* worker.c; only as root */
/*
 * Give work to the child of the box's user. False: no child is free; box_wanted() will be
 * called again.
 */
bool worker_probe(struct local *g, struct box *box);
bool worker_deliver(struct local *g, struct batch *b);
/* A child of ours ended: true if it was one of these. */
bool worker_ended(struct local *g, pid_t pid, int status);
void workers_free(struct local *g);
/* box.c: a worker became free. */
void box_worker_free(struct local *g);

/* worker_child.c */
/* In the child: log lines go to the parent by sock. */
void worker_log(const int *sock);
_Noreturn void worker_child(int sock, pid_t parent);
/* The messages between worker.c and worker_child.c: kinds; either side. */
enum {
	WORKER_PROBE = 1,
	WORKER_BATCH = 2,
	WORKER_DATA = 3, /* to the child */
	WORKER_PROBED = 4,
	WORKER_WANT = 5,
	WORKER_RESULT = 6, /* from the child */
	WORKER_LOG = 7
};
enum { WORKER_INLINE = 64 * 1024, WORKER_PIECE = 256 * 1024 };

/* command_note.c */
void note_make(const struct job *j); /* its command has taken the message */
bool note_find(const struct job *j);
void notes_clean_later(struct local *g); /* remove those that are not needed any more */

/* command_keeper.c */
enum { KEEPER_WHOLE = 'W', KEEPER_KILL = 'K' }; /* words to it */
/* In a process of its own: start and wait for the command. Pipes as pipe(2) made them. */
_Noreturn void keeper_run(const struct job *j, const struct queue_envelope *env, const int in[2],
	const int out[2], int ctl);

/* command_run.c */
/* In a process of its own: become the user and the command. */
_Noreturn void command_exec(const struct job *j, const struct queue_envelope *env, int in, int out);
void command_add(struct local *g, struct job *j);
bool command_ended(struct local *g, pid_t pid, int status);
void commands_free(struct local *g);

#endif
