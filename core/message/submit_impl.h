#ifndef MESSAGE_SUBMIT_IMPL_H
#define MESSAGE_SUBMIT_IMPL_H

#include "base/buf.h"
#include "base/loop.h"
#include "base/stream.h"
#include "queue/queue.h"
#include "ipc/pickup_request.h"
#include "message/enqueue.h"
#include "message/submit.h"

/* What submit.c and the ways in submit_ways.c share; nobody else includes this. */

/* How a way took something. */
enum way_status {
	WAY_OK,
	WAY_BROKEN, /* nothing is queued by it: another way may be tried */
	WAY_RETRY,
	WAY_REFUSED /* final answers, with s->error */
};

struct submit_way {
	const char *name;
	enum way_status (*open)(struct submit *s);
	/* Whole messages of ipc/pickup_request.h. */
	enum way_status (*put)(struct submit *s, const char *data, size_t len);
	enum way_status (*end)(struct submit *s);
	void (*close)(struct submit *s);
};

struct submit {
	const struct submit_way *way; /* NULL: none is open */
	size_t next_way;
	enum way_status final; /* once it is not WAY_OK nothing more is done */
	struct buf kept;       /* everything so far, for the next way */
	bool too_long;         /* kept was given up */
	struct buf message;    /* the one being put together */
	struct buf error;
	char id[64];
	/* socket */
	struct stream socket;
	bool answered;
	enum way_status answer;
	/* queue */
	struct buf out;
	struct queue *queue;
	struct enqueue *enqueue;
	struct loop *loop; /* what the message's stages wait in */
	bool committed;
	/* maildrop */
	int fd;
	int drop_dir;       /* -1 none */
	char drop_name[40]; /* "": nothing of ours lies there unfinished */
};

extern const struct submit_way submit_ways[];
extern const size_t submit_way_count;

/* submit_error.c: set s->error. */
void submit_set_error(struct submit *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
