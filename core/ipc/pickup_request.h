#ifndef IPC_PICKUP_REQUEST_H
#define IPC_PICKUP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"

/*
 * A local submission as bytes: what sendmail writes to the socket
 * public/pickup, and what a file in the maildrop holds. Messages of
 * base/wire.h:
 *
 *	BEGIN RECIPIENT... DATA... END	-->
 *					<-- ANSWER (socket only; after the commit)
 */
enum pickup_kind { PICKUP_BEGIN = 1, PICKUP_RECIPIENT, PICKUP_DATA, PICKUP_END, PICKUP_ANSWER };

enum { PICKUP_DATA_MAX = 32768 }; /* bytes of content in one message */

enum pickup_status {
	PICKUP_OK,
	PICKUP_RETRY,  /* not now: no room, the queue cannot be written */
	PICKUP_REFUSED /* never: too big, too many hops, nobody to send it to,
		not authorized */
};

struct pickup_message {
	enum pickup_kind kind;
	/* BEGIN */
	const char *sender, *full_name, *envid;
	unsigned flags; /* QUEUE_F_8BIT, _SMTPUTF8, _RET_*, _VERIFY, _RECORD, QUEUE_VERP */
	/* RECIPIENT */
	const char *address, *orcpt;
	unsigned notify;
	/* DATA: LF line ends */
	const char *data;
	size_t len;
	/* ANSWER */
	enum pickup_status status;
	const char *text; /* the queue id, or why not */
};

void pickup_put(struct buf *b, const struct pickup_message *m);
/*
 * The message at the head of b's unread part: 1 and *m (texts point into b; then
 * buf_consume(b, *size_r)), 0 more bytes needed, -1 malformed.
 */
int pickup_get(const struct buf *b, struct pickup_message *m, size_t *size_r);

#endif
