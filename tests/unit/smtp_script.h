/*
 * smtp_script - a server that says what a script has, and an owner who drives the client's session
 */
#ifndef TESTS_UNIT_SMTP_SCRIPT_H
#define TESTS_UNIT_SMTP_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/client/smtp_client.h"

/* How the owner and the mail are. */
enum {
	S_LMTP = 1,
	S_HELO = 2,
	S_BY_GREETING = 4,
	S_KEEP_5XX = 8,
	S_TLS = 16,      /* STARTTLS where it is offered */
	S_TLS_MUST = 32, /* required */
	S_AUTH = 64,     /* user "me", password "pass" */
	S_TWICE = 128,   /* a second transaction on the same connection */
	S_UTF8 = 256,    /* SMTPUTF8 is asked for and required */
	S_8BIT = 512,
	S_7BIT = 1024,
	S_DSN = 2048, /* envid, ret, notify, orcpt */
	S_XFORWARD = 4096,
	S_ASK_RCPT = 8192, /* address_verify */
	S_ASK_DATA = 16384,
	S_WAIT_QUIT = 32768,
	S_PIX = 65536,
	S_NO_CONVERT = 131072,
	S_EMPTY = 262144,   /* a message of no bytes */
	S_TLS_BAD = 524288, /* the handshake fails */
	S_WRAPPED = 1048576,
	S_AT_ONCE = 2097152 /* it depends on what comes together: not to be cut */
};

/*
 * server: what it says, one part for the greeting and one for each command and for the dot, between
 * '|'. '\n' in a part is a line end; the last one is added. A part may be empty (no word). At the
 * end of a part (which then gets no line end) "!" closes the connection, "~" is silence until the
 * time limit.
 */
struct script {
	const char *name, *server;
	unsigned flags;
	unsigned recipients; /* a@b, c@d, e@f, ...; 0 is one */
	const char *content; /* NULL: "Subject: x\n\n.hello\n" */
	const char *discard; /* NULL: "" */
};

enum { SCRIPT_RECIPIENTS = 4, SCRIPT_WHOLE = -1 };

struct script_result {
	struct buf commands; /* as they came, between '|'; the content is "." */
	struct buf wire;     /* the content on the wire, with its dot */
	/* For each recipient "sent|wait|back DSN TEXT\n", nothing where nothing is decided;
	 * " (site)" behind DSN where that is set.
	 * Then "failure: DSN TEXT\n" when there was one. */
	struct buf result;
	struct buf notes;
	bool ended;                                           /* CLOSE was reached */
	struct smtp_client_recipient last[SCRIPT_RECIPIENTS]; /* texts are gone */
	size_t server_bytes;                                  /* that the server said in all */
};

/*
 * Input comes in two pieces cut at byte `split` of all that the server says, or whole, or
 * (split < -1) in pieces of -split bytes. content_piece: bytes of content at a time, 0 all.
 */
void script_run(const struct script *s, int split, size_t content_piece, struct script_result *r);
void script_free(struct script_result *r);

#endif
