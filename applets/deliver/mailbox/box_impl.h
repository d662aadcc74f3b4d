#ifndef APPLETS_MAILBOX_BOX_IMPL_H
#define APPLETS_MAILBOX_BOX_IMPL_H

#include "applets/deliver/mailbox/box.h"

/* Private to box.c and worker.c. */
enum box_state { BOX_UNSEEN, BOX_KNOWN, BOX_BUSY };

struct box_jobs {
	struct box_job *first, *last;
	size_t count;
};

struct box {
	struct boxes *all;
	char *key;
	struct box_place place; /* its texts belong to the box */
	enum box_state state;
	struct box_jobs jobs;
	struct box *dirty_next;
	bool dirty;
	struct timer retry;           /* the mailbox is locked by somebody else */
	bool locked;                  /* so it was at the last try: no child waits for it */
	char repair[DELIVER_ID_SIZE]; /* queue id that the tail names, "" none */
};

/* Some jobs for one mailbox, delivered under one lock. */
struct batch {
	struct box *box;
	struct box_job **jobs; /* NULL: a message is only looked for (repair) */
	struct deliver_item *items;
	size_t count;
	struct deliver_how how;
	struct agent_request *repair; /* made up for a repair item */
};

#endif
