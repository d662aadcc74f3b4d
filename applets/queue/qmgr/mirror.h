#ifndef APPLETS_QMGR_MIRROR_H
#define APPLETS_QMGR_MIRROR_H

#include <dirent.h>
#include <stdbool.h>

#include "base/loop.h"
#include "queue/queue.h"

struct qmgr;

/*
 * queue_mirror = yes: an empty file named by its id below queue_directory/deferred for every
 * message that is deferred, so that find and ls | wc -l count them as they did in the queue
 * that was files. Only the queue counts for us; markers are never read, are not on disk with
 * the commit, and may be wrong from a kill to the next start, which puts them right.
 */
struct mirror {
	int dir;        /* of deferred, or -1: not wanted */
	queue_id after; /* as far as the look through the queue has come */
	DIR *names;     /* then through the directory */
	struct timer step;
};

/* The markers are made what the queue says, bit by bit; logs why there will be none. */
void mirror_start(struct qmgr *m);
void mirror_stop(struct qmgr *m);
/* This message is deferred from now on, or is not (any more). */
void mirror_put(struct qmgr *m, queue_id id, bool deferred);
/* A command has changed it: look what it is. */
void mirror_look(struct qmgr *m, queue_id id);

#endif
