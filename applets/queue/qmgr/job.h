#ifndef APPLETS_QMGR_JOB_H
#define APPLETS_QMGR_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/hash.h"
#include "map/map_wait.h"
#include "queue/queue.h"
#include "queue/queue_message.h"
#include "ipc/delivery.h"

struct qmgr;

enum rcpt_state {
	RCPT_NEW,     /* not routed yet */
	RCPT_WAITING, /* in a request */
	RCPT_COPYING, /* answered, but a copy that goes with it is on its way (post.h) */
	RCPT_DONE,
	RCPT_DEFERRED,
	RCPT_BOUNCED
};

/* A recipient in memory; one allocation, texts behind it. */
struct rcpt {
	struct rcpt *next; /* of its job */
	int64_t n;
	const char *address, *original, *orcpt;
	char *as;         /* the address as the agent is to see it; NULL: address */
	char *dsn, *text; /* of the answer; NULL for plain success */
	char *mta, *diagnostic_type, *diagnostic; /* whose words they were, or NULL */
	const char *action; /* how far it has come: "relayed", "expanded"; NULL: as the state is */
	unsigned notify;
	enum rcpt_state state;
	uint8_t breaks;           /* agent connections that broke under it */
	bool suspect, unanswered; /* DELIVERY_* of ipc/delivery.h */
	bool recorded;            /* "done" is in the queue, or among the changes of this turn */
	bool forwarded;           /* by somebody here: its sender is rewritten (route/srs.h) */
	bool reporting;           /* a success report with it is on its way */
};

/* A message from the moment it is picked up until all of its recipients were tried. */
struct job {
	struct job *hash_next, *touched_next, *unsettled_next;
	queue_id id;
	unsigned flags; /* QUEUE_F_* */
	int attempts;
	enum queue_state state; /* in the database */
	int64_t arrival, active_since, size;
	int64_t retry_at; /* seconds since 1970, when it was deferred */
	const char *sender, *envid;
	struct rcpt *rcpts, **rcpts_tail;
	struct rcpt *added, **added_tail; /* recipients that exist from the next commit on */
	size_t count;                     /* recipients in memory */
	size_t told;                      /* rows that are reports of an expansion and no more */
	size_t waiting;                   /* of them in state NEW, WAITING or COPYING */
	int64_t next_n;                   /* recipients from here on are not in memory */
	int64_t last_n;                   /* highest number given; -1: not known */
	struct hash *known;               /* addresses it has, once one was added; or NULL */
	struct routing *routing;          /* some of them wait for it; or NULL */
	struct post *posts;               /* notices and copies on their way */
	bool expired;                     /* its time is over, and that was said */
	unsigned noticed;                 /* POST_* begun since it was settled last */
	bool more;                        /* there are such */
	bool deferred;                    /* an earlier part of the recipients left some deferred */
	bool suspect, unanswered;         /* those of its recipients */
	bool flushed;   /* asked for: it is tried whatever would keep it waiting */
	bool touched;   /* among qmgr's touched: an answer came this turn */
	bool unsettled; /* among qmgr's unsettled: a commit with its changes is due */
	bool gone;      /* that commit removes it */
	bool kept;      /* ... or leaves it deferred */
	bool held;      /* told to our successor (succession.c) */
	bool let_go;    /* back to the queue as soon as no agent has any of it (changed.c) */
	bool deleted;   /* ... where it is no more */
};

/* The look-ups for a job's recipients, when a table has yet to answer (dispatch.c). */
struct routing {
	struct map_wait wait;
	struct qmgr *m;
	struct job *job;
};

/* ---- job_load.c ---- */

/* Pick up a message: 1, 0 (gone, on hold, active already), -1 the queue does not answer. */
int job_load(struct qmgr *m, queue_id id);
/* Its next recipients after those in memory were settled; -1 as above. */
int job_load_more(struct qmgr *m, struct job *j);

/* ---- job.c ---- */

bool job_is_traced(const struct job *j); /* its sender gets a report of all (sendmail -bv, -v) */
/* From the envelope, not in the table yet; not suspect. */
struct job *job_new(const struct queue_envelope *env);
struct job *job_find(struct qmgr *m, queue_id id);
void job_enter(struct qmgr *m, struct job *j);
int job_load_rcpts(struct qmgr *m, struct job *j, struct arena *a);
struct rcpt *rcpt_new(const struct queue_recipient *r);
void job_free_rcpts(struct qmgr *m, struct job *j);
/* Recipients that were added by the commit that has just succeeded. */
void job_take_added(struct qmgr *m, struct job *j);
/* Our successor's work: the same, and they are left to it. */
void job_leave_added(struct job *j);
/*
 * The recipients that no agent has are left to our successor; true: that was all, and the job is
 * freed.
 */
bool job_leave_unsent(struct qmgr *m, struct job *j);
void job_free(struct qmgr *m, struct job *j);
void job_end_routing(struct job *j); /* its look-ups are waited for no longer */
void job_forget_known(struct job *j);
void jobs_free(struct qmgr *m); /* all of them, at the end */

#endif
