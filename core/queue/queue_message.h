#ifndef QUEUE_QUEUE_MESSAGE_H
#define QUEUE_QUEUE_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "queue/queue.h"

/* A message's envelope and its recipients, as they are stored. */

/* Envelope flags. */
enum {
	QUEUE_F_8BIT = 1, /* BODY=8BITMIME */
	QUEUE_F_SMTPUTF8 = 2,
	QUEUE_F_BOUNCE = 4,    /* a notification of ours: never bounced again */
	QUEUE_F_LOCAL = 8,     /* submitted on this host (sendmail, pickup) */
	QUEUE_F_RET_FULL = 16, /* RFC 3461 RET=FULL */
	QUEUE_F_RET_HDRS = 32,
	QUEUE_F_HOLD = 64,     /* begin in hold */
	QUEUE_F_EXPIRE = 128,  /* forced expire (postsuper -e) */
	QUEUE_F_WARNED = 256,  /* the delay notice was sent */
	QUEUE_F_VERIFY = 512,  /* sendmail -bv: nothing is delivered, only reported */
	QUEUE_F_RECORD = 1024, /* sendmail -v: delivered, and all of it reported */
	QUEUE_F_PROBE =
		2048, /* with QUEUE_F_VERIFY: the queue manager's own, to verify an address */
	QUEUE_F_REQUEUED = 4096 /* put in anew (postsuper -r) */
};

/*
 * VERP: each recipient has a sender of its own, made with these two delimiters (ASCII), which are
 * kept above the flags; 0: none.
 */
#define QUEUE_VERP(first, second) ((unsigned)(first) << 16 | (unsigned)(second) << 24)
#define QUEUE_VERP_FIRST(flags) ((char)((flags) >> 16 & 127))
#define QUEUE_VERP_SECOND(flags) ((char)((flags) >> 24 & 127))

/* RFC 3461 NOTIFY bits; 0: not given. */
enum { DSN_NEVER = 1, DSN_SUCCESS = 2, DSN_FAILURE = 4, DSN_DELAY = 8 };

struct queue_envelope {
	queue_id id;
	int64_t arrival;        /* microseconds since 1970 */
	int64_t size;           /* bytes of content, as stored (LF line ends) */
	enum queue_state state; /* a new one is incoming, or with QUEUE_F_HOLD in hold */
	int64_t next_try;       /* seconds since 1970; 0: at once */
	int attempts;           /* delivery attempts so far */
	unsigned flags;
	const char *sender;                                   /* "" is the null sender */
	const char *envid;                                    /* RFC 3461 ENVID, decoded, or "" */
	const char *full_name;                                /* of a local submitter, or "" */
	const char *client_name, *client_addr, *helo, *proto; /* "" when local */
	const char *sasl_user;
	const char *reason; /* why the message as a whole waits, or "" */
};

/* For initializers: no text but the sender's is given, as of mail of our own. */
#define QUEUE_ENVELOPE_NO_TEXTS                                                         \
	.envid = "", .full_name = "", .client_name = "", .client_addr = "", .helo = "", \
	.proto = "", .sasl_user = "", .reason = ""

struct queue_recipient {
	int64_t n;                /* number within the message, from 0 */
	const char *address;      /* where it goes */
	const char *original;     /* as given at RCPT; "" when the same */
	const char *orcpt;        /* RFC 3461 ORCPT "type;address" or "" */
	unsigned notify;          /* DSN_* */
	bool done;                /* delivered or bounced; kept until the message goes */
	const char *dsn, *reason; /* of the last deferral, or "" */
};

#endif
