#ifndef APPLETS_QMGR_POST_H
#define APPLETS_QMGR_POST_H

#include <stdbool.h>
#include <stddef.h>

#include "queue/queue_message.h"
#include "ipc/delivery.h"

struct qmgr;
struct job;
struct rcpt;

/*
 * A message of the queue manager's own (a notice, a copy for an alias with an owner) on its way
 * into the queue through the stages of message/pipeline.h, which may wait. It hangs on the job it
 * is about until the pass that settles what it is about ends it: one commit has both.
 *
 *	post_new -> dsn_write(post_write), post_written	\
 *		 -> post_copy				 -> post_status 1 ... 0 -> post_end
 */
enum post_kind {
	POST_SUCCESS = 1,
	POST_FAILURE = 2,
	POST_DELAY = 4,
	POST_COPY = 8,
	POST_TRACE = 16
};

struct post {
	struct post *next; /* of the job */
	struct qmgr *m;
	struct job *job;
	enum post_kind kind;
	/* It waits no more: post_status() is 0 or -1. From the loop; not called without a wait. */
	void (*ready)(struct post *p);
	const char *log_text; /* of a notice; static */
	/* Of a copy: the answer that it came with, to be taken when it is whole. */
	struct rcpt *rcpt;
	enum delivery_status status;
	char *dsn, *text;
	/* Private. */
	struct queue_message *message;
	struct pipeline *pipeline;
	int64_t at; /* of the content that is copied */
	bool whole, failed;
	char id[QUEUE_ID_TEXT];
};

/* With its recipients and the Received header. */
struct post *post_new(struct qmgr *m, struct job *j, enum post_kind kind,
	const struct queue_envelope *env, const struct queue_recipient *to, size_t count,
	void (*ready)(struct post *p));
int post_write(void *post, const void *data, size_t len); /* 0 or -1 */
void post_written(struct post *p, bool ok);
void post_copy(struct post *p); /* all of the job's content */
/* 0 whole, 1 it waits, -1 it could not be written, or a stage has refused it. */
int post_status(const struct post *p);
/* The same, of all of these kinds; -1: and they are given up. */
int posts_status(struct job *j, unsigned kinds);
void post_end(struct post *p);  /* into the next commit; p is gone */
void post_drop(struct post *p); /* given up; NULL: nothing */

#endif
