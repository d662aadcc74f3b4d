#ifndef APPLETS_AGENT_AGENT_H
#define APPLETS_AGENT_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/loop.h"
#include "queue/queue.h"
#include "queue/queue_hold.h"
#include "ipc/delivery.h"
#include "applets/daemon/service.h"

/*
 * What every delivery agent has in common: connections from qmgr, requests in memory, nothing begun
 * twice, content out of queue.db, answers (result.h), ending. Each file calls those below it.
 *
 *	host.c			start, stop
 *	client.c		connections from qmgr: what it asks for
 *	result.c		what became of a recipient -> log line, answer
 *	  status_filter.c	... as delivery_status_filter wants it
 *	  orphan.c		answers that wait for a queue manager
 *	underway.c		nothing is begun twice, here or by an agent before us
 *	request_memory.c	the content, and the memory of requests
 *
 * An agent's main(): service_init, agent_host_init, agent_host_run, agent_host_free, service_free.
 */
enum {
	AGENT_CONTENT_KEEP = 64 * 1024, /* messages up to this size stay in memory */
	AGENT_UNDERWAY_BITS = 10
};

struct agent_client;
struct agent_host;
struct orphan;
struct status_filter;

/* One message to deliver; the first member of the agent's own struct. */
struct agent_request {
	struct agent_host *host;
	struct agent_client *client;       /* NULL: the connection is gone, answers go nowhere */
	struct agent_request *prev, *next; /* of the client */
	struct arena arena;
	struct delivery_request r;
	char id[QUEUE_ID_TEXT];
	int64_t begun;      /* microseconds */
	struct buf content; /* the whole of it, when content_whole */
	bool content_whole;
	size_t open; /* recipients without an answer */
	struct agent_request *underway_next, *wait_next;
	bool underway;
	bool started; /* class->begin() has seen it, so class->end() will */
};

struct agent_class {
	size_t size; /* of the agent's request */
	/*
	 * It is under way: each of its recipients is to be answered, now or later. The agent's part
	 * of the memory is zeroed.
	 */
	void (*begin)(struct agent_request *q);
	void (*end)(struct agent_request *q);          /* its memory goes; or NULL */
	void (*stop)(struct agent_host *h, bool soon); /* as service's on_stop; or NULL */
	/* Of the end: may it be begun anew at the next start? NULL: all are waited for. */
	bool (*may_drop)(const struct agent_request *q);
	/* What may have been given is given again, and said so in the log. */
	bool repeats;
};

struct agent_host {
	struct service service;
	const struct agent_class *class;
	void *owner; /* the agent's state */
	struct server *server;
	struct queue *queue; /* agent_queue() */
	struct agent_client *clients;
	size_t load;                  /* recipients without an answer, and agent_load() */
	struct agent_request *spares; /* for the next requests, with their memory */
	size_t spare_count;
	struct timer spare_timer; /* gives them back when it is quiet */
	size_t content_bytes;     /* kept in memory, of all requests */
	char *scratch;            /* AGENT_CONTENT_KEEP bytes */
	struct status_filter *filter;
	struct orphan *orphans; /* oldest first */
	/* underway.c */
	void (*begin)(struct agent_request *q);
	struct agent_request *underway[1 << AGENT_UNDERWAY_BITS];
	struct agent_request *wait_first, **wait_tail; /* the same is under way */
	struct timer wait_timer;
	struct queue_holds *holds;
	int64_t agent_until; /* loop milliseconds */
	bool draining;       /* a successor takes what is new */
	bool ending;         /* nothing is begun any more */
};

/* ---- host.c ---- */

/* filter: value of the agent's ..._delivery_status_filter. */
void agent_host_init(
	struct agent_host *h, const struct agent_class *class, void *owner, const char *filter);
int agent_host_run(struct agent_host *h);   /* until the end; the exit status */
void agent_host_free(struct agent_host *h); /* requests that are left, too */

/* ---- request_memory.c ---- */

/* queue.db, opened again after an error; NULL: not now. */
struct queue *agent_queue(struct agent_host *h);
/* Content from offset on: bytes (0 at the end), or -1, which was logged. arg: the request. */
int64_t agent_read(void *arg, int64_t offset, void *data, size_t len);
/*
 * The beginning of the message into host->scratch: its headers, and mostly the whole, which then
 * is kept in q->content; how many bytes, or -1.
 */
int64_t agent_read_first(struct agent_request *q);

#endif
