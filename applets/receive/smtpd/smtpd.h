#ifndef APPLETS_RECEIVE_SMTPD_H
#define APPLETS_RECEIVE_SMTPD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/loop.h"
#include "base/str.h"
#include "net/session.h"
#include "net/tls.h"
#include "map/map.h"
#include "proto/smtp_data.h"
#include "queue/queue.h"
#include "address/match.h"
#include "ipc/auth_client.h"
#include "ipc/notify.h"
#include "message/cleanup.h"
#include "policy/restrict.h"

/*
 * smtpd from the inside. A session is fed bytes and moves between states;
 * each command is a row of verbs[] with a handler.
 *
 *	main.c		the process: options, listeners, what all sessions share
 *	session.c	states, lines, the dispatcher, replies, events
 *	commands.c	the table; HELO EHLO LHLO RSET NOOP HELP QUIT VRFY ETRN
 *	mail.c		MAIL and RCPT
 *	data.c		DATA and BDAT: content into the queue
 *	auth.c		AUTH and STARTTLS
 *	check.c		restriction lists at each stage, log lines of rejections
 *	intake.c	where messages go: queue.db with group commit, or submission
 */

/* What the sessions of a process share. */
struct smtpd {
	struct loop *loop;           /* NULL in tests: nothing waits, no delays */
	struct queue *queue;         /* NULL: stand_alone */
	struct queue_notify *notify; /* or NULL */
	struct restrict_set *restrictions;
	struct auth_client *auth;      /* NULL: no AUTH */
	struct match_list *bare_lf_ok; /* smtpd_forbid_bare_newline_exclusions */
	struct match_list *sasl_exceptions;
	struct match_list *mechanisms;    /* smtpd_sasl_mechanism_filter */
	struct match_list *flush_domains; /* ETRN */
	struct match_list *unlimited;     /* smtpd_client_event_limit_exceptions */
	struct hash clients;              /* connections by address */
	struct maps *forbidden;           /* the tables of smtpd_forbidden_commands */
	struct maps *hidden_words;        /* smtpd_discard_ehlo_keyword_address_maps */
	const char *service_name;         /* master.cf's */
	bool lmtp;
	bool stand_alone; /* one trusted session on stdin and stdout (sendmail -bs) */
	bool tls_offered, tls_required;
	bool broken; /* queue.db cannot be used any more */
	void (*on_broken)(struct smtpd *d);

	struct loop_hook commit_hook;
	struct timer commit_timer;
	size_t transactions;            /* sessions between MAIL and the end of their message */
	size_t waiting, waiting_before; /* messages for the next commit: now, a turn ago */
	int64_t waiting_since;          /* microseconds */
	struct buf content;             /* message data between filters, within one call */
	int64_t space_checked;          /* loop milliseconds of the last look at the free space */
	bool space_low;
};

enum session_state {
	ST_COMMAND,   /* the next line is a command */
	ST_CHECK,     /* a restriction waits */
	ST_AUTH_WAIT, /* the auth process is asked */
	ST_AUTH,      /* the next line is a SASL response */
	ST_DATA,      /* message data up to the dot */
	ST_BDAT,      /* chunk bytes */
	ST_COMMIT,    /* the message waits for its commit */
	ST_TLS,       /* the handshake is under way */
	ST_CLOSING
};

/* Why message data that was taken cannot become a message. */
enum data_error {
	DATA_OK,
	DATA_TOO_BIG,
	DATA_HOPS,
	DATA_WRITE, /* queue trouble; disk full is asked for at the end */
	DATA_BARE_LF,
	DATA_NO_MEMORY
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

struct intake;
struct pending_rcpt;

/* An accepted recipient; it joins the message at the end, when REDIRECT is known. */
struct rcpt {
	struct rcpt *next;
	const char *address;      /* as given */
	struct queue_recipient r; /* address rewritten */
	bool silent;              /* added by us (BCC): no LMTP reply */
};

/* From MAIL to the end of the message. */
struct transaction {
	struct arena arena;      /* owns the texts */
	bool open;               /* MAIL was accepted */
	const char *sender;      /* as given */
	const char *sender_full; /* rewritten */
	unsigned flags;          /* QUEUE_F_* */
	const char *envid;
	uint64_t size; /* SIZE=, 0 not given */
	unsigned rcpt_count, rcpt_overshoot;
	struct rcpt *rcpts, **rcpts_tail;
	bool hold, discard;
	const char *redirect;
	struct restrict_header *prepend;
	struct intake *intake;   /* from the first accepted recipient on */
	struct cleanup *cleanup; /* from the first byte of content on */
	struct smtp_data data;
	uint64_t received; /* bytes of content as sent */
	uint64_t stored;   /* the same with LF line ends */
	enum data_error error;
	uint64_t chunk_size, chunk_left; /* BDAT */
	bool chunk_last;
	bool drop_chunk;         /* it was refused: its bytes are read and dropped */
	bool bdat, chunk_failed; /* a BDAT was seen, and refused */
};

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
	bool pipelined;    /* input stood behind a command that ends its group */
	bool shutdown;     /* close when this transaction is over */
	bool lost;         /* the end was logged */
	bool counted;      /* in d->clients */
	const char *where; /* last command, for the log */
	char *helo;        /* NULL none */
	char *denied;      /* the client list said no at connect: its reply */
	unsigned errors, junk;
	struct {
		unsigned good, all;
	} counts[VERBS];
	char *sasl_user, *sasl_method;
	struct auth_request *auth;
	struct arena scratch;         /* of one command */
	struct check *check;          /* in scratch */
	const char *argument;         /* in scratch: VRFY's, as given */
	struct pending_rcpt *pending; /* in scratch: the recipient being checked */
	struct transaction tx;
};

/* ---- session.c ---- */

extern const struct session_class smtpd_class;

/* The only writer of state. */
void session_enter(struct smtpd_session *s, enum session_state state);
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
/* MAIL FROM has to be given again. */
void session_reset_mail(struct smtpd_session *s);
/* "client.example[192.0.2.1]" in scratch. */
const char *session_peer(struct smtpd_session *s);
/* "ESMTPSA" */
const char *session_proto(const struct smtpd_session *s);
/* A command is over: its success is counted, errors too. */
void session_count(struct smtpd_session *s, enum verb verb, bool good);
/* The message is in the queue: earlier errors are forgiven. */
void session_forgive(struct smtpd_session *s);

/* ---- commands.c ---- */

/*
 * A handler replies and says how it went; LATER: it will say so itself with
 * session_count(). rest: what stands behind the verb.
 */
enum handled { HANDLED_BAD, HANDLED_GOOD, HANDLED_LATER };
typedef enum handled handler_fn(struct smtpd_session *s, struct slice rest);

enum {
	CMD_PRE_TLS = 1, /* legal before STARTTLS where that is required */
	CMD_LAST = 2,    /* must end a pipelined group (RFC 2920 3.1) */
	CMD_JUNK = 4,    /* counts towards smtpd_junk_command_limit */
	CMD_SMTP = 8,    /* not in LMTP */
	CMD_LMTP = 16,   /* only in LMTP */
	CMD_DENIED = 32  /* legal for a client that was refused at connect */
};

struct command {
	const char *name;
	handler_fn *handler;
	unsigned flags;
};

extern const struct command commands[VERBS];

/* Is an EHLO word hidden from this client (smtpd_discard_ehlo_keywords and its maps)? */
bool command_is_hidden(struct smtpd_session *s, const char *word);

handler_fn cmd_mail, cmd_rcpt, cmd_data, cmd_bdat, cmd_auth, cmd_starttls;

/* ---- data.c ---- */

/* Bytes of message data, ST_DATA and ST_BDAT; consumes from in. */
void data_feed(struct smtpd_session *s, struct buf *in);
/* From intake: the message is safe, or not. */
void data_committed(struct smtpd_session *s, bool ok, const char *id_text);

/* ---- auth.c ---- */

/* A line while a SASL exchange is under way. */
void auth_response(struct smtpd_session *s, struct slice line);
/* Forget a request that is under way and who was logged in. */
void auth_reset(struct smtpd_session *s);
/* The text of the AUTH line in EHLO, or NULL: not offered. In scratch. */
const char *auth_offer(struct smtpd_session *s);
void tls_started(struct smtpd_session *s);

/* ---- check.c ---- */

enum check_stage {
	CHECK_CONNECT,
	CHECK_HELO,
	CHECK_MAIL,
	CHECK_RCPT,
	CHECK_VRFY,
	CHECK_DATA,
	CHECK_END,
	CHECK_ETRN
};

/* What the lists of a stage have found. */
typedef void checked_fn(struct smtpd_session *s, bool permitted, struct restrict_run *run);

struct check {
	struct restrict_query query;
	struct restrict_run run;
	enum check_stage stage;
	const enum restrict_list_name *lists;
	size_t list_count, list_at;
	checked_fn *then;
	const char *helo, *recipient, *recipient_full, *etrn;
};

/*
 * Run the lists of a stage; then() is called at once, or after a wait in ST_CHECK. A rejection is
 * logged and replied before then(false). what: the HELO name, recipient or ETRN domain.
 */
void check_stage(
	struct smtpd_session *s, enum check_stage stage, const char *what, checked_fn *then);
void check_resume(struct smtpd_session *s);
/* "ID: reject: RCPT from ...: reply; from=<> to=<> proto= helo=<>" (verb: "reject") */
void check_log(struct smtpd_session *s, const char *verb, const char *where, const char *recipient,
	const char *reply);
/* Log and reply. */
void check_refuse(
	struct smtpd_session *s, const char *where, const char *recipient, const char *reply);
/* May headers of this client be completed (local_header_rewrite_clients)? */
bool check_local_client(const struct smtpd_session *s);
/* Is there room for a mail (queue_minfree, 1.5 x message_size_limit)? */
bool check_space(struct smtpd_session *s);

/* ---- intake.c ---- */

/* A message on its way to the queue. NULL: it cannot be begun (the caller replies 451). */
struct intake *intake_begin(struct smtpd_session *s);
const char *intake_id(const struct intake *i);
time_t intake_arrival(const struct intake *i);
/* Stand-alone: the envelope, before the content. */
void intake_submit(struct intake *i, const struct smtpd_session *s);
/* Content; for cleanup's put(). 0 or -1. */
int intake_write(void *intake, const void *data, size_t len);
/*
 * The content is whole: envelope and recipients of the session's transaction
 * are added. data_committed() will be called, in this turn or a later one.
 */
void intake_end(struct intake *i);
/* Give it up; one that waits for its commit is only told that its session is gone. */
void intake_abort(struct intake *i);
/* Was it lack of room that made the last commit fail? */
bool intake_full(const struct smtpd *d);

#endif
