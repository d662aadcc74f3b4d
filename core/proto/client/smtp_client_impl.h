#ifndef PROTO_CLIENT_SMTP_CLIENT_IMPL_H
#define PROTO_CLIENT_SMTP_CLIENT_IMPL_H

#include "base/arena.h"
#include "proto/client/smtp_client.h"
#include "proto/client/smtp_encode.h"
#include "proto/client/smtp_reply.h"

/*
 * What the files smtp_client*.c share. The state is what the session waits for, in the order of a
 * conversation; commands are sent ahead of it where the server takes them (PIPELINING), and
 * client_enter() alone changes it.
 */
enum client_state {
	CLIENT_GREETING,
	CLIENT_EHLO, /* LHLO too */
	CLIENT_HELO,
	CLIENT_DECIDE, /* the owner */
	CLIENT_STARTTLS,
	CLIENT_HANDSHAKE, /* the owner */
	CLIENT_AUTH,
	/* A transaction. */
	CLIENT_XFORWARD_NAME,
	CLIENT_XFORWARD_PROTO,
	CLIENT_MAIL,
	CLIENT_RCPT,
	CLIENT_DATA,
	CLIENT_CONTENT, /* the owner */
	CLIENT_DOT,
	CLIENT_RSET,  /* given up; the results are there */
	CLIENT_READY, /* the owner */
	CLIENT_QUIT,
	CLIENT_CLOSED,
	CLIENT_STATES
};

struct smtp_client {
	const struct smtp_client_config *config;
	enum client_state state;
	bool esmtp, tls_required, secured, authenticated;
	bool spoiled; /* 421, RSET refused, more said than asked: not to be used again */
	bool delay_dot;
	unsigned features, xforward;
	uint64_t size_limit;
	struct buf mechanisms, server_name, greeting_name;
	struct smtp_reply reply;
	struct arena texts; /* of the failure, and of AUTH's */
	struct smtp_client_failure failure;
	/* AUTH */
	struct sasl_client sasl;
	bool sasl_on;
	bool sasl_held; /* the initial response waits for the first challenge */
	unsigned sasl_steps;
	/* Transaction. */
	struct smtp_client_mail *mail;
	unsigned transactions; /* begun so far */
	bool heard;            /* the server has said something in this one */
	struct arena results;
	enum client_state sending; /* the next command to be sent */
	size_t sending_rcpt, reading_rcpt;
	size_t window; /* bytes of commands whose replies are to come */
	size_t accepted;
	bool xforward_proto; /* the second XFORWARD has something to say */
	bool mail_refused, data_refused;
	bool downgrade;
	bool broken_said;
	struct buf command;
	struct smtp_encoder encoder;
	struct mime_filter *filter;
	struct buf filtered;
};

/* ---- smtp_client_state.c ---- */

void client_enter(struct smtp_client *c, enum client_state state);
enum smtp_client_want client_want(const struct smtp_client *c);
/* "sending MAIL FROM": what is going on. */
const char *client_doing(const struct smtp_client *c);
void client_note(struct smtp_client *c, bool warning, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The reply's lines in one: LF as blank. In a. */
const char *client_reply_line(const struct smtp_client *c, struct arena *a);
/* A failure by the reply just read: "(before)PEER(between)REPLY", with stage also "(in reply to
 * MAIL FROM command)". Texts are in a. */
struct smtp_client_failure client_reply_failure(struct smtp_client *c, struct arena *a,
	const char *before, const char *between, bool stage);
/* Everybody in the transaction who has no result yet has this one. */
void client_fail_open(struct smtp_client *c, const struct smtp_client_failure *failure, bool site);
/* The session is over, and so is the transaction. polite: QUIT is said. */
void client_fail(struct smtp_client *c, const struct smtp_client_failure *failure, struct buf *out,
	bool polite);
/* The same with a text of our own; dsn decides the status. */
void client_fail_text(struct smtp_client *c, enum smtp_client_reason reason, const char *dsn,
	struct buf *out, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* ---- smtp_client_hello.c ---- */

/* The reply that is in c->reply, for the states up to AUTH. */
void client_hello_reply(struct smtp_client *c, struct buf *out);

/* ---- smtp_client_mail.c ---- */

/* Send what may be sent, turn back where all is refused. */
void client_pump(struct smtp_client *c, struct buf *out);
/* The reply that is in c->reply, for the states of a transaction. */
void client_mail_reply(struct smtp_client *c);
/* Are replies to commands already sent still to come? */
bool client_is_ahead(const struct smtp_client *c);
/* Before the dot was sent: does in refuse the mail? True: everybody has a result. */
bool client_early_reply(struct smtp_client *c, struct buf *in);

/* ---- smtp_client_command.c ---- */

/* The command of c->sending, without its end, in c->command; false: there is nothing to say. */
bool client_build(struct smtp_client *c);

#endif
