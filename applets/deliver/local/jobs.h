#ifndef APPLETS_LOCAL_JOBS_H
#define APPLETS_LOCAL_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "map/map_wait.h"
#include "queue/queue.h"
#include "queue/queue_message.h"
#include "ipc/delivery.h"
#include "route/expand.h"
#include "deliver/deliver.h"

struct client;
struct local;

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
	struct map_wait wait;                      /* the tables of those not begun */
	struct request *underway_next, *wait_next; /* underway.c */
	bool underway;
};

struct recipient {
	struct request *request;
	const struct delivery_recipient *r;
	const char *original; /* X-Original-To */
	const char *sender;   /* owner- of a list, else the request's */
	const char *owner;    /* owner-, or NULL */
	bool begun;           /* what it means is known */
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

/* ---- request_memory.c ---- */

/* Content of the job's message: for struct deliver_item. arg is the struct request. */
int64_t request_read(void *arg, int64_t offset, void *data, size_t len);
/*
 * The beginning of the message into g->scratch: its headers, and mostly the whole, which then is
 * kept for the delivery; how many bytes, or -1.
 */
int64_t request_load(struct local *g, struct request *q);
/* Zeroed but for memory it may still have from an earlier one. */
struct request *request_new(struct local *g);
void request_keep(struct local *g, struct request *q);
void request_free(struct local *g, struct request *q); /* it is not under way */
void spares_free(struct local *g);

/* ---- answer.c ---- */

void request_end(struct local *g, struct request *q);
void recipient_add(struct recipient *rc, const char *address);
void target_ended(struct local *g, struct recipient *rc, const struct target *t,
	enum delivery_status status, const char *dsn, const char *text, bool unsure);
/* The job has ended: logged, counted, answered. text and dsn are copied. */
void job_done(struct local *g, struct job *j, enum delivery_status status, const char *dsn,
	const char *text);
/* Is anybody still waiting for this job? */
bool job_wanted(const struct job *j);
/* What stands above the content in a mailbox; read from the request. */
void job_item(const struct job *j, struct deliver_item *it);

/* ---- begin.c ---- */

void request_begin(struct local *g, struct request *q); /* it is under way */
void requests_free(struct local *g);                    /* all of them, at the end */

#endif
