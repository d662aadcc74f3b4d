#ifndef PROTO_CLIENT_SMTP_CLIENT_H
#define PROTO_CLIENT_SMTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "proto/sasl_client.h"
#include "proto/client/smtp_client_config.h"
#include "proto/client/smtp_client_mail.h"

/*
 * The client's side of an SMTP or LMTP connection, without I/O and without policy. The owner has
 * the socket, the clock and the rules; every function that moves the session on says what it
 * wants next:
 *
 *	READ     send out, wait for input as long as smtp_client_stage() allows; then feed()
 *	DECIDE   greeting and EHLO are over (after STARTTLS: EHLO anew): look at the features and
 *	         call starttls(), auth(), begin() or quit()
 *	TLS      send out, then shake hands; secured() or tls_failed()
 *	CONTENT  send out, then give a piece by content(), the last time content_end(); no more at
 *	         a time than the wire has room for. Input that comes meanwhile stays where it is
 *	READY    the transaction is over, results are in the mail's recipients: begin() the next
 *	         on the same connection, or quit()
 *	CLOSE    send out, close. smtp_client_failure() says whether that was wanted
 *
 * To begin with feed() is called with whatever is there, also nothing. Input behind the reply that
 * was waited for is a server out of step: the session ends with a protocol error.
 */
enum smtp_client_want {
	SMTP_WANT_READ,
	SMTP_WANT_DECIDE,
	SMTP_WANT_TLS,
	SMTP_WANT_CONTENT,
	SMTP_WANT_READY,
	SMTP_WANT_CLOSE
};

struct smtp_client;

/* config and its texts live as long as the client. */
struct smtp_client *smtp_client_new(const struct smtp_client_config *config);
void smtp_client_free(struct smtp_client *c); /* NULL: nothing */

/* Takes what it can use of in. */
enum smtp_client_want smtp_client_feed(struct smtp_client *c, struct buf *in, struct buf *out);
enum smtp_client_stage smtp_client_stage(const struct smtp_client *c);
/* The connection broke or was closed by the server; the stage's time limit passed. in: what was
 * still to be read. Always CLOSE. */
enum smtp_client_want smtp_client_lost(struct smtp_client *c, struct buf *in);
enum smtp_client_want smtp_client_timed_out(struct smtp_client *c);

/* ---- DECIDE ---- */

unsigned smtp_client_features(const struct smtp_client *c);
uint64_t smtp_client_size_limit(const struct smtp_client *c);    /* 0: none announced */
const char *smtp_client_mechanisms(const struct smtp_client *c); /* "PLAIN LOGIN" or "" */
/* How the server calls itself in its greeting, and in its reply to EHLO; "". The owner looks for
 * itself there. */
const char *smtp_client_greeting_name(const struct smtp_client *c);
const char *smtp_client_server_name(const struct smtp_client *c);

/* Refused or not announced: DECIDE without SMTP_HAS_STARTTLS; when it is required, a failure
 * (SMTP_FAILED_TLS). */
enum smtp_client_want smtp_client_starttls(struct smtp_client *c, bool required, struct buf *out);
enum smtp_client_want smtp_client_secured(struct smtp_client *c, struct buf *out);
/* why NULL: "Cannot start TLS: handshake failure". Also when the certificate will not do. */
enum smtp_client_want smtp_client_tls_failed(struct smtp_client *c, const char *why);
/* account and choice until DECIDE or CLOSE; choice->announced is filled in by the session. No
 * mechanism that will do is a failure (SMTP_FAILED_AUTH) too. */
enum smtp_client_want smtp_client_auth(struct smtp_client *c, const struct sasl_account *account,
	const struct sasl_client_choice *choice, struct buf *out);
bool smtp_client_authenticated(const struct smtp_client *c);

/* ---- DECIDE and READY ---- */

/* A transaction: mail lives until READY or CLOSE. */
enum smtp_client_want smtp_client_begin(
	struct smtp_client *c, struct smtp_client_mail *mail, struct buf *out);
/* At any moment; when it is not the session's turn to speak, no QUIT is said. */
enum smtp_client_want smtp_client_quit(struct smtp_client *c, struct buf *out);
/* READY: may the connection be used again? */
bool smtp_client_reusable(const struct smtp_client *c);

/* ---- CONTENT ---- */

/* A piece of the queue's bytes: lines end with LF. */
enum smtp_client_want smtp_client_content(
	struct smtp_client *c, const char *data, size_t len, struct buf *out);
/* in: what has come meanwhile, which is no reply to a dot not yet sent: a refusal is believed, and
 * anything else is a protocol error; then no dot is sent, and nothing can have been delivered. */
enum smtp_client_want smtp_client_content_end(
	struct smtp_client *c, struct buf *in, struct buf *out);
/* SMTP_PIX_DELAY_DOTCRLF is in force: what content_end() puts is to go some seconds later. */
bool smtp_client_delays_dot(const struct smtp_client *c);
/* It cannot be read: CLOSE without a final dot, all that are left are deferred with this. */
enum smtp_client_want smtp_client_content_failed(
	struct smtp_client *c, const char *dsn, const char *text);

/* ---- CLOSE ---- */

/* Why the session ended before its time; NULL: it did not. Until the free. */
const struct smtp_client_failure *smtp_client_failure(const struct smtp_client *c);

#endif
