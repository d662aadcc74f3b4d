#ifndef APPLETS_MAILDROP_H
#define APPLETS_MAILDROP_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/loop.h"
#include "queue/queue.h"

/* The maildrop: files of mail that was handed in while nobody listened, taken into the queue. */
struct maildrop;

struct maildrop_config {
	struct loop *loop;
	struct queue *queue;
	void (*commit)(void); /* of all that waits in queue, now */
	bool (*is_authorized)(uid_t uid);
};

/* Looked through at once and every minute from now on. NULL with errno: it cannot be opened. */
struct maildrop *maildrop_new(const struct maildrop_config *config);
/* Look through it now. NULL: nothing. */
void maildrop_scan(struct maildrop *d);
/* A file that is being read stays there, for the next process. NULL: nothing. */
void maildrop_close(struct maildrop *d);

#endif
