#ifndef APPLETS_QMGR_REQUEST_H
#define APPLETS_QMGR_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "applets/queue/qmgr/job.h"

struct dest;

/* Some recipients of one job for one destination. */
struct request {
	struct request *next, *prev; /* waiting in dest, or sent in agent */
	struct job *job;
	struct dest *dest;
	uint32_t slot; /* of its agent; serial is slot and turn */
	uint32_t turn;
	size_t count, answered;
	bool unreachable; /* an answer blames the destination as a whole */
	struct rcpt *rcpts[];
};

/* A doubly linked list with a head element of its own. */
struct request_list {
	struct request *first, *last;
	size_t count;
};

struct request *request_make(struct job *j, struct dest *d, size_t room);
void request_append(struct request_list *l, struct request *r);
void request_prepend(struct request_list *l, struct request *r);
void request_remove(struct request_list *l, struct request *r);
void request_list_free(struct request_list *l); /* all of them; their recipients are their jobs' */

#endif
