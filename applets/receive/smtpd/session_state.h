#ifndef APPLETS_RECEIVE_SMTPD_SESSION_STATE_H
#define APPLETS_RECEIVE_SMTPD_SESSION_STATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/loop.h"
#include "net/session.h"
#include "map/map_wait.h"
#include "ipc/auth_client.h"
#include "applets/receive/smtpd/smtpd.h"
#include "applets/receive/smtpd/transaction.h"

enum session_state {
	ST_COMMAND,   /* the next line is a command */
	ST_CHECK,     /* a restriction or a table waits */
	ST_AUTH_WAIT, /* the auth process is asked */
	ST_AUTH,      /* the next line is a SASL response */
	ST_DATA,      /* message data up to the dot */
	ST_BDAT,      /* chunk bytes */
	ST_COMMIT,    /* the message waits for its commit */
	ST_TLS,       /* the handshake is under way */
	ST_CLOSING
};

enum verb {
	VERB_HELO,
	VERB_EHLO,
	VERB_LHLO,
	VERB_STARTTLS,
	VERB_AUTH,
	VERB_MAIL,
	VERB_RCPT,
	VERB_DATA,
	VERB_BDAT,
	VERB_RSET,
	VERB_NOOP,
	VERB_VRFY,
	VERB_ETRN,
	VERB_HELP,
	VERB_QUIT,
	VERB_UNKNOWN,
	VERBS
};

struct check;
struct pending_rcpt;

struct smtpd_session {
	struct session_io *io;
	struct smtpd *d;
	enum session_state state;
	struct buf *out; /* where replies go: the driver's, or held */
	struct buf held; /* replies that are delayed, or came about outside feed() */
	struct timer delay;
	bool delayed;   /* held waits for the delay */
	bool skip_line; /* the rest of a line that was too long */
	bool esmtp;
	bool pipelined;             /* input stood behind a command that ends its group */
	bool shutdown;              /* close when this transaction is over */
	bool lost, counted;         /* the end was logged; in d->clients */
	const char *where;          /* last command, for the log */
	char *helo;                 /* NULL none */
	char *denied;               /* the client list said no at connect: its reply */
	unsigned errors, junk, met; /* met: classes of errors that are told (transcript.h) */
	struct {
		unsigned good, all;
	} counts[VERBS];
	char *sasl_user, *sasl_method;
	struct auth_request *auth;
	struct map_wait wait;                   /* the look-ups of one command */
	enum session_state before;              /* ST_CHECK, */
	void (*again)(struct smtpd_session *s); /* and what goes on behind it; NULL: the input */
	struct arena scratch;                   /* of one command */
	struct check *check;                    /* in scratch */
	char *hidden;                           /* EHLO words not told; NULL: not looked up */
	const char *mechs;            /* in scratch: what AUTH offers, from before the command on */
	bool trusts_lf, is_local;     /* what DATA has to know of the client */
	const char *argument;         /* in scratch: VRFY's, as given */
	struct pending_rcpt *pending; /* in scratch: the recipient being checked */
	struct buf transcript;        /* for postmaster (transcript.h) */
	struct transaction tx;
};

/* The only writer of state. */
void session_enter(struct smtpd_session *s, enum session_state state);
/*
 * Until what waits is there: ST_CHECK, then the state it is in now and again(). It may be called
 * again too early.
 */
void session_wait(struct smtpd_session *s, void (*again)(struct smtpd_session *s));
/* The same if a look-up has no answer yet; false: all have. */
bool session_waits(struct smtpd_session *s, void (*again)(struct smtpd_session *s));
void session_again(struct smtpd_session *s);
/*
 * A reply line; text without CRLF ("250 2.1.0 Ok"). 4xx and 5xx are slowed down above the
 * soft limit.
 */
void session_reply(struct smtpd_session *s, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* soft_bounce: a 5xx reply becomes 4xx in place. */
void session_soften(char *reply);
/* An answer came outside feed(): what session_reply() said since goes out. */
void session_resume(struct smtpd_session *s);
/* "client.example[192.0.2.1]" in scratch. */
const char *session_peer(struct smtpd_session *s);
/* "ESMTPSA" */
const char *session_proto(const struct smtpd_session *s);
/* A command is over: its success is counted, errors too. */
void session_count(struct smtpd_session *s, enum verb verb, bool good);
/* The message is in the queue: earlier errors are forgiven. */
void session_forgive(struct smtpd_session *s);
/* The connection is gone, or is about to be: said once, and what it was in the middle of. */
void session_log_lost(struct smtpd_session *s, const char *what);
/* Which EHLO words this client is not told, by parameter or maps: looked up once an EHLO. */
const char *session_hidden_words(struct smtpd_session *s);

#endif
