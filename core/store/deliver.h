#ifndef STORE_DELIVER_H
#define STORE_DELIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/buf.h"

/*
 * Local delivery into mailbox files: a batch of messages for one mailbox under
 * one lock with one fsync. Runs as the recipient. Does not use index.db; the index
 * notices. A message that may have been delivered before (suspect: an earlier
 * attempt ended without an answer) is looked for by its queue id and recipient
 * and its bytes; a torn tail of it is cut off first.
 */
struct deliver_batch;

enum deliver_status { DELIVER_OK, DELIVER_DUPLICATE /* was there already: counts as delivered */,
	DELIVER_DEFER, DELIVER_FAIL };

struct deliver_item {
	const char *queue_id;
	const char *sender;		/* Return-Path and From_ line; "" null */
	const char *recipient;		/* Delivered-To */
	const char *original;		/* X-Original-To, "" none */
	time_t arrival;
	bool suspect;
	/* The content, LF line ends: next piece, or 0 at the end, -1. rewind: from the start again. */
	int64_t (*read)(void *arg, int64_t offset, void *data, size_t len);
	void *read_arg;
	/* Results. */
	enum deliver_status status;
	char dsn[12];			/* "2.0.0", "4.2.2" */
	char text[256];			/* why, for the log and the bounce */
};

/*
 * path ending in '/' is a maildir, else an mbox (created mode 0600 when
 * missing). size_limit 0: none. All items get a status; when it returns, what is
 * DELIVER_OK is fsynced.
 */
void deliver_to_mailbox(const char *path, struct deliver_item *items, size_t count, int64_t size_limit);

#endif
