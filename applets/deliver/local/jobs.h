#ifndef APPLETS_LOCAL_JOBS_H
#define APPLETS_LOCAL_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "map/map_wait.h"
#include "ipc/delivery.h"
#include "route/expand.h"
#include "deliver/deliver.h"
#include "applets/deliver/agent/agent.h"
#include "applets/deliver/agent/delivered_to.h"
#include "applets/deliver/mailbox/box.h"

struct local;

/* One message. Freed when its last job has ended. */
struct request {
	struct agent_request q; /* first */
	struct delivered_to delivered_to;
	struct recipient *recipients; /* q.r.recipient_count of them */
	struct map_wait wait;         /* the tables of those not begun */
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
	/* Whose words they are, and how far it has come: as in struct delivery_answer. */
	const char *mta, *diagnostic_type, *diagnostic;
	enum delivery_reach reach;
	/* targets elsewhere, and failed ones that are tried on their own */
	const char **added;
	size_t added_count;
};

/* A target of a recipient on its way. Owned by the request's arena. */
struct job {
	struct recipient *recipient;
	const struct target *target;
	const char *output; /* of its command, or NULL */
	struct job *next;   /* in the queue of the commands */
	struct box_job box; /* in that of its mailbox; box.suspect holds for all kinds */
};

struct jobs {
	struct job *first, *last;
	size_t count;
};

/* ---- answer.c ---- */

void recipient_add(struct recipient *rc, const char *address);
void target_ended(struct recipient *rc, const struct target *t, enum delivery_status status,
	const char *dsn, const char *text, bool unsure);
/* The same of another agent, which has written the line. */
void target_passed(
	struct recipient *rc, const struct target *t, const struct delivery_answer *a, bool unsure);
/* The job has ended: logged, counted, answered. text and dsn are copied. */
void job_done(struct job *j, enum delivery_status status, const char *dsn, const char *text);
/* Is anybody still waiting for this job? */
bool job_wanted(const struct job *j);

/* ---- begin.c ---- */

void request_begin(struct agent_request *aq); /* it is under way */

#endif
