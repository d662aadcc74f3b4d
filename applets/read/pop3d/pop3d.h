#ifndef APPLETS_READ_POP3D_H
#define APPLETS_READ_POP3D_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/loop.h"
#include "base/str.h"
#include "net/session.h"
#include "proto/pop3.h"
#include "ipc/auth_client.h"
#include "mail/mailbox.h"
#include "applets/read/login.h"

/*
 * A POP3 session, in its first life (AUTHORIZATION, in the login part) or its
 * second (TRANSACTION and UPDATE, in the mail part). Each has a table of what is legal
 * then; see pop3d.c.
 */

enum { POP3_LINE_MAX = 1024, POP3_AUTH_LINE_MAX = 16384, POP3_BAD_MAX = 20 };

struct pop3_phase;

struct pop3 {
	struct session_io *io;
	const struct pop3_phase *phase;
	int bad;            /* commands in a row that were none */
	bool closing;       /* all is said */
	const char *reason; /* for the log: why it ended */

	/* AUTHORIZATION */
	struct login_service *service;
	char *user;                /* of USER, NULL: none */
	struct auth_request *auth; /* under way */
	bool auth_reads;           /* the next line answers a challenge */
	char mech[32];
	char *auth_name; /* for the log */
	bool handoff, tls_wanted;
	struct buf late; /* a reply that waits for the failure delay */
	struct timer delay;

	/* TRANSACTION */
	struct mail_user mail_user;
	char *name; /* login name */
	struct mailstore *ms;
	struct mailbox_view *view;
	uint32_t count;   /* messages, as at the start */
	uint64_t total;   /* their octets */
	uint8_t *deleted; /* one byte a message */
	uint8_t *seen;
	uint32_t deleted_count, last, last_at_start;
	uint64_t deleted_bytes;
	unsigned top_count, retr_count; /* and octets sent, for the log */
	uint64_t top_bytes, retr_bytes;
	uint32_t expunged_count;

	/* A reply under way that is longer than io->out_high. */
	void (*more)(struct pop3 *s, struct buf *out);
	uint32_t at;            /* LIST, UIDL: the next message */
	struct mail_text *text; /* RETR, TOP */
	uint64_t text_at;
	struct pop3_body body;
	bool is_top;
};

/* A command: what follows the verb in args, the reply to out. */
typedef enum session_want pop3_command_fn(struct pop3 *s, struct slice args, struct buf *out);

struct pop3_command {
	const char *verb;
	pop3_command_fn *run;
	bool needs_args; /* something has to follow the verb */
};

struct pop3_phase {
	const struct pop3_command *commands;
	size_t count;
	bool repeats_verb;       /* of a command that there is not */
	pop3_command_fn *answer; /* the line that answers a challenge, while auth_reads */
};

/* "+OK text", "-ERR text". */
void pop3_ok(struct buf *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void pop3_err(struct buf *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The reply is said in full; then the session ends. */
enum session_want pop3_close(struct pop3 *s, const char *reason);
/* Lines from in, through the table of the phase. */
enum session_want pop3_feed(struct pop3 *s, struct buf *in, struct buf *out);
/* What CAPA says in every phase; the caller adds its own lines, and the dot. */
void pop3_put_capa(struct buf *out);

/* pop3_login.c, transaction.c */
extern const struct session_class pop3_login_class, pop3_mail_class;

#endif
