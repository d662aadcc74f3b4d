#ifndef APPLETS_QMGR_LOAD_H
#define APPLETS_QMGR_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "queue/queue.h"
#include "queue/queue_read.h"

struct qmgr;

/* What is to be picked up (load.c). */
struct load {
	queue_id *ring; /* ids of notices, in the order they came */
	size_t ring_at, ring_count;
	bool failed;                   /* a message could not be read in this step */
	bool starting;                 /* notices wait */
	bool swept;                    /* the first sweep has ended */
	bool sweeping;                 /* looking through the whole queue, in id order */
	bool sweep_again, flush_again; /* asked for meanwhile */
	bool flush;                    /* the sweep picks up deferred mail too, due or not */
	bool asked;                    /* ... because somebody wants it, not at the start */
	queue_id sweep_at;
	char *sites[16]; /* to be flushed, one after the other */
	size_t site_count;
	queue_id site_at;          /* of the first of them */
	bool again;                /* the sweep after a reload: what was put in anew is tried */
	bool flushing;             /* what is picked up now was asked for */
	struct queue_entry due_at; /* deferred mail is picked up to here */
	int64_t due_timer_at;      /* seconds since 1970 the timer is set for; 0 not set */
	struct timer due_timer, scan_timer, step_timer;
	struct loop_hook step;
	int64_t cleaned; /* when queue_clean() ran */
};

void load_start(struct qmgr *m);
/* Out of memory to the disk: what waits, or all that another setting left there. */
void load_spill(struct qmgr *m);
void load_free(struct qmgr *m);
void load_new(struct qmgr *m, const queue_id *ids, size_t count);
void load_scan(struct qmgr *m); /* look through the whole queue soon */
void load_flush_all(struct qmgr *m);
void load_flush_site(struct qmgr *m, const char *site);
bool load_flush_id(struct qmgr *m, queue_id id); /* false: no such message */
void load_wake(struct qmgr *m);                  /* room was made, or something is due */
void load_due_at(struct qmgr *m, int64_t when);  /* a message was deferred until then */
/* An elder let go of this message: gone, due later, or ours to try. */
void load_released(struct qmgr *m, queue_id id);

#endif
