#ifndef IPC_DELIVERY_LOG_H
#define IPC_DELIVERY_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "ipc/delivery.h"

/*
 * The one line per delivered, deferred or bounced recipient, as pflogsumm and its kin read it:
 *
 * ID: to=<a@b>, orig_to=<c>, relay=local, delay=0.34, delays=0.19/0.09/0.03/0.03, dsn=2.0.0,
 * status=sent (...)
 *
 * Times are microseconds since 1970; one that is 0 or before the one above it counts as that one.
 */
struct delivery_log {
	const char *queue_id; /* as text */
	const char *to;
	const char *orig_to;  /* "" or the same as to: left out */
	const char *relay;    /* "local", "mx.example[192.0.2.1]:25", "none" */
	unsigned conn_use;    /* how often the connection is used; said from the second time on */
	int64_t arrival;      /* of the message */
	int64_t active_since; /* qmgr picked it up */
	int64_t begun;        /* the agent began with it */
	int64_t connected;    /* connection set up, HELO and TLS done */
	int64_t ended;        /* 0: now */
	const char *dsn;
	const char *status; /* "sent", "deferred", "bounced", "expired", "undeliverable",
			       "deliverable" */
	const char *text;   /* without the parentheses */
};

void delivery_log_line(const struct delivery_log *l);
const char *delivery_status_name(enum delivery_status status); /* "sent", "deferred", "bounced" */

enum { DELIVERY_DELAY_SIZE = 24 };
/* Seconds with two significant digits, at most two after the point, no trailing zeros: "0.34",
 * "1.2", "12", "0". */
void delivery_delay(char out[DELIVERY_DELAY_SIZE], int64_t microseconds);

#endif
