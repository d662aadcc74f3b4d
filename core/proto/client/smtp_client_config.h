#ifndef PROTO_CLIENT_SMTP_CLIENT_CONFIG_H
#define PROTO_CLIENT_SMTP_CLIENT_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* What an SMTP client's session (smtp_client.h) is told at its beginning, and the numbers it
 * answers with. */

/* smtp_pix_workarounds: for firewalls that damage SMTP. */
enum { SMTP_PIX_DISABLE_ESMTP = 1, SMTP_PIX_DELAY_DOTCRLF = 2 };

/* What is waited for: each has its own time limit (smtp_xxx_timeout). */
enum smtp_client_stage {
	SMTP_STAGE_HELO,     /* greeting, EHLO, HELO, LHLO and AUTH */
	SMTP_STAGE_STARTTLS, /* the reply and the handshake */
	SMTP_STAGE_XFORWARD,
	SMTP_STAGE_MAIL,
	SMTP_STAGE_RCPT,
	SMTP_STAGE_DATA_INIT,
	SMTP_STAGE_DATA_XFER, /* CONTENT: each piece */
	SMTP_STAGE_DATA_DONE,
	SMTP_STAGE_RSET,
	SMTP_STAGE_QUIT
};

/* What the server announced, minus what discard names. */
enum {
	SMTP_HAS_ESMTP = 1,
	SMTP_HAS_8BITMIME = 2,
	SMTP_HAS_PIPELINING = 4,
	SMTP_HAS_SIZE = 8,
	SMTP_HAS_STARTTLS = 16,
	SMTP_HAS_AUTH = 32,
	SMTP_HAS_DSN = 64,
	SMTP_HAS_SMTPUTF8 = 128,
	SMTP_HAS_CHUNKING = 256, /* never used: Postfix's client does not either */
	SMTP_HAS_XFORWARD = 512  /* any attribute */
};

/* smtp_always_send_ehlo, smtp_never_send_ehlo. By greeting: EHLO where it has the word ESMTP. */
enum smtp_client_hello { SMTP_HELLO_EHLO, SMTP_HELLO_BY_GREETING, SMTP_HELLO_HELO };

struct smtp_client_config {
	bool lmtp;
	bool wrapped; /* TLS came first (smtp_tls_wrappermode): no STARTTLS */
	enum smtp_client_hello hello;
	bool keep_5xx_greeting; /* smtp_skip_5xx_greeting = no: a 5xx greeting is final */
	bool wait_for_quit;     /* smtp_skip_quit_response = no */
	const char *peer;       /* as texts name the server: "mx.example[192.0.2.1]" */
	const char *helo_name;
	const char *discard;     /* smtp_discard_ehlo_keywords; "" none */
	size_t line_limit;       /* smtp_line_length_limit; 0: none */
	size_t reply_line_limit; /* of a line of a reply (line_length_limit); 0: 2048 */
	unsigned pix;            /* SMTP_PIX_*: used where the greeting looks like a PIX's */
	/* smtp_reply_filter: line (without its end) may be changed. NULL: none. */
	void (*reply_filter)(void *arg, struct buf *line);
	/* Something to be logged that changes no result. NULL: nobody wants to know. */
	void (*note)(void *arg, bool warning, const char *text);
	void *arg;
};

#endif
