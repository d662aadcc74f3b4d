#ifndef APPLETS_LOCAL_BOX_H
#define APPLETS_LOCAL_BOX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "deliver/deliver.h"
#include "applets/deliver/local/jobs.h"

struct local;

enum box_state { BOX_UNSEEN, BOX_KNOWN, BOX_BUSY };

struct box {
	struct local *g;
	char *key;
	char *path;
	struct target target; /* whose rights; its texts belong to the box */
	enum box_state state;
	struct jobs jobs;
	struct box *dirty_next;
	bool dirty;
	struct timer retry;           /* the mailbox is locked by somebody else */
	int64_t locked_since;         /* loop_now() of the first try, 0: it was not */
	char repair[DELIVER_ID_SIZE]; /* queue id that the tail names, "" none */
};

/* Some jobs for one mailbox, delivered under one lock. */
struct batch {
	struct box *box;
	struct job **jobs; /* NULL: a message is only looked for (repair) */
	struct deliver_item *items;
	size_t count;
	struct deliver_how how;
	struct request *repair; /* made up for a repair item */
};

void boxes_init(struct local *g);
void box_add(struct local *g, struct job *j);
void boxes_free(struct local *g);

#endif
