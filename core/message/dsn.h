#ifndef MESSAGE_DSN_H
#define MESSAGE_DSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/buf.h"

/*
 * Delivery status notifications: a whole message, RFC 3464 multipart/report
 * with its three parts: what happened in words, message/delivery-status, the returned
 * message or its headers. The caller queues it: null sender (for postmaster's copies
 * double_bounce_sender@myorigin), flag QUEUE_F_BOUNCE, a Received header with the new queue id
 * before it
 * (by which local delivery recognises it after a crash).
 */
enum dsn_kind {
	DSN_KIND_FAILURE, /* undeliverable */
	DSN_KIND_DELAY,   /* delay_warning_time is over */
	DSN_KIND_SUCCESS, /* NOTIFY=SUCCESS: delivered, relayed, expanded */
	DSN_KIND_VERIFY   /* sendmail -bv, -v: what would become of it, or has */
};

struct dsn_recipient {
	const char *address;  /* final recipient */
	const char *original; /* as given at RCPT, "" when the same */
	const char *orcpt;    /* RFC 3461 "type;address" (xtext decoded) or "" */
	/* "failed", "delayed", "delivered", "relayed", "expanded", "deliverable", "undeliverable";
	 * "" after the kind */
	const char *action;
	const char *status;     /* "5.1.1" */
	const char *text;       /* the reason as the log has it */
	const char *remote_mta; /* host that said so, or "" */
	const char *diagnostic; /* its reply ("550 5.1.1 no such user"), "": text says it all */
	const char *diagnostic_type; /* whose form that has: "" smtp, "x-unix" */
};

struct dsn_message {
	enum dsn_kind kind;
	const char *queue_id; /* of the original */
	const char *envid;    /* RFC 3461 ENVID or "" */
	const char *sender;   /* of the original */
	const char *to;       /* whom the notice goes to: the sender, or postmaster */
	time_t arrival;       /* of the original */
	time_t last_try;      /* DELAY: until when it will be tried (Will-Retry-Until), else 0 */
	bool smtputf8;
	bool postmaster; /* a copy for postmaster: another subject, and no words */
	/* return the whole message (RET=FULL), else the headers; bounce_size_limit rules anyway */
	bool full;
	int64_t size; /* of the original's content */
	const struct dsn_recipient *recipients;
	size_t recipient_count;
	/*
	 * Content of the original, LF line ends: bytes put into data, 0 at the end, -1
	 * unreadable.
	 */
	int64_t (*read)(void *arg, int64_t offset, void *data, size_t len);
	void *read_arg;
};

/*
 * Writes the notice (LF line ends) in pieces to put(), which returns 0, or -1 to stop. 0,
 * or -1. The whole message is returned when m->full and it is not larger than
 * bounce_size_limit, else its headers; a content that cannot be read is left out
 * and that is said in its place.
 */
int dsn_write(const struct dsn_message *m, int (*put)(void *arg, const void *data, size_t len),
	void *arg);

#endif
