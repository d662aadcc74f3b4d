#ifndef APPLETS_QMGR_H
#define APPLETS_QMGR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/loop.h"
#include "base/stream.h"
#include "queue/queue.h"
#include "queue/queue_change.h"
#include "queue/queue_read.h"
#include "queue/queue_write.h"
#include "ipc/delivery.h"
#include "applets/daemon/service.h"

/*
 * The queue manager's parts and what they share.
 *
 *	control.c	notices and flush requests  ->  load.c
 *	load.c		which message next: incoming, due, flushed  ->  job.c
 *	job.c		an active message: its recipients, their answers, its end
 *	transport.c	requests to agents, fair between destinations; broken agents
 *	settle.c	what a turn's answers mean for the queue; the commit
 *	succession.c	a reload: what is under way stays with the elder until it is answered
 *	notice.c	bounces, delay warnings, success reports
 *	showq_service.c	the list for mailq
 *
 *	queue.db -> job -> recipients -> route -> request -> agent
 *	   ^		      ^				       |
 *	   +--- settle -------+--------- answers --------------+
 */

enum rcpt_state {
	RCPT_NEW,     /* not routed yet */
	RCPT_WAITING, /* in a request */
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
	unsigned notify;
	enum rcpt_state state;
	uint8_t breaks; /* agent connections that broke under it */
	bool suspect;
	bool recorded; /* "done" is in the queue, or among the changes of this turn */
	bool relayed;  /* for success reports: given to another host */
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
	size_t waiting;                   /* of them in state NEW or WAITING */
	int64_t next_n;                   /* recipients from here on are not in memory */
	int64_t last_n;                   /* highest number given; -1: not known */
	bool more;                        /* there are such */
	bool deferred;                    /* an earlier part of the recipients left some deferred */
	bool suspect;
	bool touched;   /* among qmgr->touched: an answer came this turn */
	bool forwarded; /* ... and a copy of it is queued by the same commit */
	bool unsettled; /* among qmgr->unsettled: a commit with its changes is due */
	bool gone;      /* that commit removes it */
	bool kept;      /* ... or leaves it deferred */
	bool held;      /* told to our successor (succession.c) */
};

/* Some recipients of one job for one destination. */
struct request {
	struct request *next, *prev; /* waiting in dest, or sent in transport */
	struct job *job;
	struct dest *dest;
	uint32_t slot; /* of its transport; serial is slot and turn */
	uint32_t turn;
	size_t count, answered;
	struct rcpt *rcpts[];
};

/* A doubly linked list with a head element of its own. */
struct request_list {
	struct request *first, *last;
	size_t count;
};

/* transport + nexthop (+ recipient, where the agent takes one recipient at a time). */
struct dest {
	struct transport *transport;
	struct dest *next; /* in the ring of those that may send */
	bool ready;
	size_t sent;
	struct request_list waiting;
	char *nexthop;
	char key[];
};

struct transport {
	struct qmgr *m;
	const char *name;
	struct stream s;      /* the agent's connection */
	struct arena answers; /* of the one that is being taken */
	struct timer retry;
	struct hash dests;
	struct dest *ready, **ready_tail; /* ring: taken from the front, put back at the end */
	struct request_list sent;
	struct request **slots;
	uint32_t slot_count, slot_free; /* slot_free: first free one + 1, chained; 0 none */
	uint32_t *slot_next;
	uint32_t turn;
	size_t waiting; /* requests that are not sent */
	int64_t recipient_limit, dest_limit;
	bool dead;        /* nothing is sent until retry runs */
	bool unavailable; /* because nobody listens: its mail is deferred at once */
	int breaks;       /* connections in a row that broke without any answer */
};

/* What is to be picked up (load.c). */
struct load {
	queue_id *ring; /* ids of notices, in the order they came */
	size_t ring_at, ring_count;
	bool starting;                 /* notices wait */
	bool swept;                    /* the first sweep has ended */
	bool sweeping;                 /* looking through the whole queue, in id order */
	bool sweep_again, flush_again; /* asked for meanwhile */
	bool flush;                    /* the sweep picks up deferred mail too, due or not */
	char *site;                    /* ... with a recipient in this domain; NULL: all */
	queue_id sweep_at;
	struct queue_entry due_at; /* deferred mail is picked up to here */
	int64_t due_timer_at;      /* seconds since 1970 the timer is set for; 0 not set */
	struct timer due_timer, scan_timer, step_timer;
	struct loop_hook step;
	int64_t cleaned; /* when queue_clean() ran */
};

/* Other queue managers (succession.c). */
struct succession {
	struct queue_holds *holds;
	bool elders; /* some are alive and hold messages */
	struct {     /* messages that were met and are an elder's */
		queue_id *ids;
		size_t count, room;
	} held;
	struct timer timer;
	int64_t until; /* loop milliseconds: so long we list the queue */
	int look_ms;
};

/* A listening unix socket and those who are connected (peer.c). */
struct peer {
	struct peer *next, *prev;
	struct peers *peers;
	struct stream s;
	uid_t uid;
	bool closing; /* once s.out is sent */
	void *state;  /* the user's own, freed with mem_free() */
};

struct peers {
	struct loop *loop;
	void *owner; /* the user's own */
	struct watch watch;
	struct peer *first;
	size_t count;
	bool (*message)(struct peer *p, struct wire *w); /* false: close; NULL: none are expected */
	void (*more)(struct peer *p); /* a new one, or all of out was sent; NULL */
};

/* jobs are found by the upper bits of a product */
enum { JOB_BITS = 12, JOB_SLOTS = 1 << JOB_BITS };

struct qmgr {
	struct service service;
	struct loop *loop;
	struct queue *queue;
	int64_t started;   /* seconds since 1970 */
	queue_id start_id; /* ids below may have been under way before */

	struct job *jobs[JOB_SLOTS];
	size_t job_count, rcpt_count;
	struct job *touched, **touched_tail;
	size_t forwards; /* of them forwarded */
	struct job *unsettled, **unsettled_tail;
	struct loop_hook turn_end;
	struct timer commit_timer;
	int64_t last_commit; /* loop milliseconds */
	int batch;           /* jobs that one commit settles at most */
	bool commit_failed;  /* nothing new is begun until one succeeds */

	struct arena scratch,
		routing; /* of one call in job.c and one in transport.c, which reset it */
	struct queue_recipient *found; /* room for a part of a message's recipients */

	struct hash transports;
	struct load load;
	struct succession succession;
	struct peers control, showq;

	bool running; /* this process is the queue manager (queue_claim) */
	bool stopping;
	bool soon;       /* not for a successor, but for good */
	int64_t stop_by; /* loop milliseconds */
	struct timer stop_timer, claim_timer;
};

/* ---- job.c ---- */

struct job *job_find(struct qmgr *m, queue_id id);
/* Pick up a message: 1, 0 (gone, on hold, active already), -1 the queue does not answer. */
int job_load(struct qmgr *m, queue_id id);
/* Its next recipients after those in memory were settled; -1 as above. */
int job_load_more(struct qmgr *m, struct job *j);
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
void jobs_free(struct qmgr *m); /* all of them, at the end */
/* An answer, from an agent or by us. The texts of a are copied. */
void job_answer(struct qmgr *m, struct job *j, struct rcpt *r, const struct delivery_answer *a);
/* The same, and the log line that agents write themselves. relay "none". */
void job_fail(struct qmgr *m, struct job *j, struct rcpt *r, enum delivery_status status,
	const char *dsn, const char *text);

/* ---- transport.c ---- */

/* Route the recipients in state RCPT_NEW and hand them to their destinations. */
void transport_submit(struct qmgr *m, struct job *j);
/* Send what may be sent, everywhere. */
void transport_send_all(struct qmgr *m);
size_t transport_sent_count(struct qmgr *m); /* requests under way */
void transport_revive(struct qmgr *m);       /* flush: dead ones are tried again now */
/* Forget all requests that are not sent (their recipients are RCPT_NEW again), and leave agents
 * that have none. */
void transport_drop_waiting(struct qmgr *m);
void transport_free_all(struct qmgr *m);

/* ---- settle.c ---- */

void settle_touch(struct qmgr *m, struct job *j);
void settle_with_copy(
	struct qmgr *m, struct job *j); /* a copy of it is among the changes: both in one commit */
void settle_now(struct qmgr *m);
bool settle_idle(struct qmgr *m); /* nothing waits for a commit */

/* ---- notice.c ---- */

/*
 * Queue what has to be said about the job's recipients in RCPT_BOUNCED (in
 * RCPT_DEFERRED for a delay). 0, or -1: it could not be queued, the recipients have to stay.
 */
int notice_failure(struct qmgr *m, struct job *j);
int notice_delay(struct qmgr *m, struct job *j);
int notice_success(struct qmgr *m, struct job *j);
/* The message again, from another sender to others (owner-alias). 0 or -1. */
int notice_forward(
	struct qmgr *m, struct job *j, const char *sender, const char **to, size_t count);
bool notice_wants(const struct rcpt *r, unsigned what); /* DSN_FAILURE ... */

/* ---- load.c ---- */

void load_start(struct qmgr *m);
void load_free(struct qmgr *m);
void load_new(struct qmgr *m, const queue_id *ids, size_t count);
void load_scan(struct qmgr *m); /* look through the whole queue soon */
void load_flush_all(struct qmgr *m);
void load_flush_site(struct qmgr *m, const char *site);
bool load_flush_id(struct qmgr *m, queue_id id); /* false: no such message */
void load_wake(struct qmgr *m);                  /* room was made, or something is due */
void load_due_at(struct qmgr *m, int64_t when);  /* a message was deferred until then */

/* ---- succession.c ---- */

void succession_begin(struct qmgr *m); /* this process is the queue manager: are there elders? */
bool succession_is_elders(
	struct qmgr *m, queue_id id);               /* another one still has this message in hand */
void succession_await(struct qmgr *m, queue_id id); /* pick it up when that one lets go of it */
/* A reload: leave all to the successor but what agents have; service_done() when they answered. */
void succession_hand_over(struct qmgr *m);
void succession_end(struct qmgr *m);
void succession_stop(struct qmgr *m);                /* no longer: SIGTERM */
void succession_free(struct qmgr *m, struct job *j); /* the job ends: let go of its message */

/* ---- peer.c ---- */

void peers_listen(struct peers *ps, struct loop *loop, void *owner, int fd);
void peers_close(struct peers *ps);
/* May this peer do what the list of users (authorized_..._users) allows? Root and we ourselves
 * always. */
bool peer_is_allowed(const struct peer *p, const char *parameter, const char *list);

/* ---- control.c, showq_service.c ---- */

void control_start(struct qmgr *m);
void control_stop(struct qmgr *m);
void showq_start(struct qmgr *m);
void showq_stop(struct qmgr *m, bool for_good); /* else a successor has the name, or will */

/* Microseconds and seconds since 1970. */
int64_t qmgr_now_us(void);
int64_t qmgr_now(void);
/* log_fatal() when the queue cannot be used any more, a warning otherwise. */
void qmgr_queue_trouble(struct qmgr *m, const char *what);

#endif
