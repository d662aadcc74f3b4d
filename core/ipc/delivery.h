#ifndef IPC_DELIVERY_H
#define IPC_DELIVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/wire.h"

/*
 * What qmgr says to a delivery agent (local, later smtp, lmtp, pipe, virtual,
 * error) over its unix socket, and what the agent answers. Many requests may be
 * under way on one connection; answers come in any order, one for each
 * recipient. The agent reads the content from queue.db (read-only). When the
 * connection breaks, every recipient without an answer is suspect: its next request
 * carries DELIVERY_SUSPECT.
 */
enum {
	DELIVERY_SUSPECT = 1,   /* it may have been delivered: who can look, looks first */
	DELIVERY_UNANSWERED = 2 /* a try is known, or likely, to have ended without an answer */
};

struct delivery_recipient {
	uint64_t n; /* queue_recipient.n */
	const char *address;
	const char *original; /* "" same */
	const char *orcpt;
	unsigned notify;
	unsigned flags; /* DELIVERY_* */
};

struct delivery_request {
	uint64_t serial; /* names the request in answers */
	uint64_t id;     /* queue_id */
	const char *sender;
	const char *envid;
	const char *nexthop;
	int64_t size, arrival; /* bytes; microseconds */
	int64_t active_since;  /* microseconds: when qmgr picked it up (delays=) */
	unsigned env_flags;    /* QUEUE_F_*; with QUEUE_F_VERIFY nothing is to be delivered */
	size_t recipient_count;
	struct delivery_recipient *recipients;
};

enum delivery_status { DELIVERY_SENT, DELIVERY_DEFERRED, DELIVERY_BOUNCED };

/*
 * How far SENT has brought the recipient, for a sender who has asked for a report of success. An
 * answer with added recipients and no reach is "expanded".
 */
enum delivery_reach {
	DELIVERY_FINAL,    /* it is in a mailbox, or with a command: "delivered" */
	DELIVERY_RELAYED,  /* with another host that knows no DSN: "relayed" */
	DELIVERY_PASSED_ON /* with one that has taken over NOTIFY, and reports itself: nothing */
};

struct delivery_answer {
	uint64_t serial;
	uint64_t n; /* recipient */
	enum delivery_status status;
	/*
	 * Not this recipient's fault: the next hop as a whole cannot be had. Only with
	 * DEFERRED; what else is for it need not be tried for a while.
	 */
	bool unreachable;
	const char *dsn;  /* "2.0.0" */
	const char *text; /* for the DSN and mailq; the agent has logged the line itself */
	/* Whose words they were, for the DSN's fields for programs. NULL or "": nobody's. */
	const char *mta;             /* Remote-MTA: the host's name, without address and port */
	const char *diagnostic_type; /* "smtp"; "x-unix" of commands */
	const char *diagnostic;      /* the reply as it came, in one line: "550 5.1.1 unknown" */
	enum delivery_reach reach;   /* with SENT */
	/*
	 * New recipients that take this one's place (alias to another host, .forward):
	 * they are added to the message in the same commit that finishes this one. With
	 * DEFERRED and BOUNCED they are its other members: they are added, and it is kept or
	 * bounced.
	 */
	size_t added_count;
	const char **added;
	const char *owner; /* owner-alias: their envelope sender, or "" */
};

void delivery_put_request(struct buf *b, const struct delivery_request *r);
bool delivery_get_request(
	struct wire *w, struct arena *a, struct delivery_request *r); /* false: malformed */
void delivery_put_answer(struct buf *b, const struct delivery_answer *a);
bool delivery_get_answer(struct wire *w, struct arena *a, struct delivery_answer *r);

#endif
