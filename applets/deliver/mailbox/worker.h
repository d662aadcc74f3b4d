#ifndef APPLETS_MAILBOX_WORKER_H
#define APPLETS_MAILBOX_WORKER_H

#include <stdbool.h>
#include <sys/types.h>

struct batch;
struct box;
struct boxes;

enum { BOX_DIED = -2 };

/* What becomes of the work, for who gave it. */
struct worker_events {
	void (*batch_done)(struct boxes *m, struct batch *b, bool locked);
	/* Its messages may be in the mailbox. */
	void (*batch_died)(struct boxes *m, struct batch *b);
	/* The answer to a probe: as deliver_probe(), or BOX_DIED: who was asked did. */
	void (*probed)(struct boxes *m, struct box *box, int rc, const char *id);
	void (*free)(struct boxes *m); /* a child can be had again */
};

/* ---- worker.c; only as root ---- */

/* Give work to the child of the box's user. False: no child is free; free() will be called. */
bool worker_probe(struct boxes *m, struct box *box);
bool worker_deliver(struct boxes *m, struct batch *b);
/* A child of ours ended: true if it was one of these. */
bool worker_ended(struct boxes *m, pid_t pid);
void workers_free(struct boxes *m);

/* ---- worker_child.c ---- */

/* In the child: log lines go to the parent by sock. */
void worker_log(const int *sock);
_Noreturn void worker_child(int sock, pid_t parent);
/* The messages between worker.c and worker_child.c: kinds; either side. */
enum {
	WORKER_PROBE = 1,
	WORKER_BATCH = 2,
	WORKER_DATA = 3, /* to the child */
	WORKER_PROBED = 4,
	WORKER_WANT = 5,
	WORKER_RESULT = 6, /* from the child */
	WORKER_LOG = 7
};
enum { BATCH_ITEMS = 500 }; /* messages delivered under one lock */
enum { WORKER_INLINE = 64 * 1024, WORKER_PIECE = 256 * 1024 };

#endif
