#ifndef MESSAGE_CLEANUP_H
#define MESSAGE_CLEANUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/arena.h"
#include "base/buf.h"
#include "queue/queue.h"
#include "queue/queue_write.h"

/*
 * What happens to every new message on its way into the queue, whether it
 * came by SMTP, sendmail or the maildrop: a Received header is put before
 * it, headers that must not travel are removed, missing ones and missing parts of
 * addresses are added, hops are counted. A filter: content goes in as it
 * comes, LF line ends, and leaves through put().
 *
 *	header lines --> one logical header at a time --> kept, changed or dropped --> put
 *	blank line, or a line that is no header --> missing headers, blank line
 *	body --> put
 *
 * Only the logical header being read is held in memory (header_size_limit; a
 * longer one passes unchanged).
 */
enum {
	/*
	 * From local_header_rewrite_clients or this host: addresses are completed
	 * with myorigin, missing From, Date and Message-ID are added.
	 */
	CLEANUP_LOCAL = 1,
	/*
	 * From sendmail: a "From " line before the headers goes (else it becomes
	 * X-Mailbox-Line).
	 */
	CLEANUP_SUBMIT = 2,
	/* Nothing but the Received header is added or changed (notices of our own). */
	CLEANUP_RAW = 4
};

enum cleanup_status {
	CLEANUP_OK,
	CLEANUP_HOPS, /* more than hopcount_limit Received headers */
	CLEANUP_WRITE /* put() failed */
};

struct cleanup_config {
	unsigned flags;
	const char *queue_id;  /* as text; for the Message-ID that is made */
	const char *sender;    /* envelope sender, complete; for the From that is made */
	const char *full_name; /* of the submitter, or "" */
	time_t arrival;
	/* 0, or -1: what is left is dropped */
	int (*put)(void *arg, const void *data, size_t len);
	void *arg;
};

struct cleanup;

/* The texts of config must live as long as c; received (whole header, or NULL) goes out at once. */
struct cleanup *cleanup_begin(const struct cleanup_config *config, const char *received);
/* More content. The first status that is not OK stays. */
enum cleanup_status cleanup_write(struct cleanup *c, const char *data, size_t len);
/* All content is in: a message that ended inside its headers gets what was missing. */
enum cleanup_status cleanup_end(struct cleanup *c);
/*
 * Value of the Message-ID header (Resent-Message-ID), the made one too; "" none. Valid
 * until the free.
 */
const char *cleanup_message_id(const struct cleanup *c);
void cleanup_free(struct cleanup *c);

/* ---- The Received header, RFC 5321 4.4 ---- */

struct cleanup_trace {
	/* client_addr "" : a local submission by uid */
	const char *helo, *client_name, *client_addr;
	uid_t uid;
	const char *tls;       /* "TLSv1.2 with cipher ECDHE... (256/256 bits)" or NULL */
	const char *sasl_user; /* for smtpd_sasl_authenticated_header, or NULL */
	const char *proto;     /* "ESMTPS" */
	const char *queue_id;
	const char *recipient; /* of a message with one recipient; NULL: left out */
	time_t when;
};

/* The whole header with its folds and LF. */
void cleanup_received(struct buf *out, const struct cleanup_trace *t);

/* ---- The envelope ---- */

/*
 * With or without <>: brought to its plainest form and completed
 * (address/rewrite.h). "" stays. Owned by a.
 */
const char *cleanup_address(struct arena *a, const char *address);
/* A complete sender as the canonical tables have it: 1; 0 they have yet to answer; -1. */
int cleanup_sender(struct arena *a, const char **sender);
struct hash;
/*
 * Add a recipient, or what virtual_alias_maps makes of it, each address once: seen
 * remembers them for the message (NULL: there is only this one). False: a table does not
 * answer, the message cannot be taken now; or it has yet to (map_is_waiting()): once more then.
 */
bool cleanup_add_recipient(
	struct queue_message *m, struct hash *seen, const struct queue_recipient *r);
/* Have the tables asked about a recipient, who is to be added later (map/map_wait.h). */
void cleanup_ask_recipient(const char *address);
/* Before queue_end(): what the configuration adds to every new message, always_bcc. */
bool cleanup_add_bcc(struct queue_message *m, struct hash *seen);
/* "ID: message-id=<...>", under the name of Postfix's cleanup. */
void cleanup_log_message_id(const struct cleanup *c, const char *id);

#endif
