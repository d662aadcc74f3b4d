#ifndef PROTO_CLIENT_SMTP_CLIENT_MAIL_H
#define PROTO_CLIENT_SMTP_CLIENT_MAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "mime/filter.h"

/* What proto/client/smtp_client.h sends, and what came of it. */

enum smtp_client_status {
	/* Nothing is decided: the session ended before the server's first word about this mail.
	 * smtp_client_failure() has the reason; of a connection used again it may just be that it
	 * was dead, and the mail takes another one. */
	SMTP_RCPT_OPEN,
	SMTP_RCPT_SENT,
	SMTP_RCPT_DEFERRED, /* here and now; another host may take it (the owner's ladder) */
	SMTP_RCPT_BOUNCED   /* the remote's final word about this recipient, or about the message */
};

/* Why a session ended early, or what a recipient was told. */
enum smtp_client_reason {
	SMTP_FAILED_NOT,
	SMTP_FAILED_REPLY, /* the server said no */
	SMTP_FAILED_LOST,  /* connection lost */
	SMTP_FAILED_TIMEOUT,
	SMTP_FAILED_PROTOCOL, /* garbage, out of step, too long */
	SMTP_FAILED_TLS,      /* STARTTLS refused, handshake failed */
	SMTP_FAILED_AUTH,     /* account refused, no mechanism, server not believed */
	SMTP_FAILED_FEATURE,  /* the message needs what the server lacks: SIZE, SMTPUTF8 */
	SMTP_FAILED_OURS      /* our own content could not be read */
};

/*
 * text is what Postfix's log and bounce have between the parentheses: "host mx.example[192.0.2.1]
 * said: 550 5.1.1 nobody (in reply to RCPT TO command)". reply is the server's words alone, "550
 * 5.1.1 nobody", lines joined by LF; "" when it did not say anything.
 */
struct smtp_client_failure {
	enum smtp_client_reason reason;
	enum smtp_client_status status; /* DEFERRED, or BOUNCED for a final word */
	int code;                       /* 550; 0: no reply */
	const char *dsn;                /* "5.1.1" */
	const char *text;
	const char *reply;
};

struct smtp_client_recipient {
	const char *address; /* as between < and >, quoted where it has to be (proto/smtp.h) */
	const char
		*original; /* before rewriting: said as ORCPT where orcpt is not known; "" none */
	const char *orcpt; /* "rfc822;a@b" decoded; "" none */
	unsigned notify;   /* RFC 3461: 1 never, 2 success, 4 failure, 8 delay; 0 not said */
	void *owner;       /* not looked at */
	/* What came of it, set to OPEN by begin(); texts live until the next begin() or the
	 * client's end. SENT: code, dsn, reply and text ("250 2.0.0 Ok: queued as 1") too. */
	struct smtp_client_failure result;
	/* The fault is the host's, not this recipient's or the message's: others for it will do no
	 * better. */
	bool site;
};

/* Attributes of XFORWARD; NULL: not known. Only those the server lists are sent. */
struct smtp_client_xforward {
	const char *name, *addr, *port, *proto, *helo, *ident;
	const char *source; /* "LOCAL" or "REMOTE" */
};

enum smtp_client_body { SMTP_BODY_UNKNOWN, SMTP_BODY_7BIT, SMTP_BODY_8BITMIME };

/* How far to go: to send, or (address_verify) only to ask. */
enum smtp_client_target { SMTP_TARGET_SEND, SMTP_TARGET_RCPT, SMTP_TARGET_DATA };

struct smtp_client_mail {
	const char *sender; /* "" is the null path */
	uint64_t size;      /* bytes as the queue counts them; 0: not known */
	/* Other than 7BIT: encoded anew for a server without 8BITMIME (unless no_convert, which is
	 * disable_mime_output_conversion). */
	enum smtp_client_body body;
	bool no_convert;
	bool smtputf8;          /* it was asked for (RFC 6531) */
	bool smtputf8_required; /* and an address or a header has UTF-8 */
	enum smtp_client_target target;
	const char *ret;                             /* "FULL", "HDRS" or "" */
	const char *envid;                           /* decoded; "" none */
	const struct smtp_client_xforward *xforward; /* NULL: smtp_send_xforward_command = no */
	struct mime_filter_hooks hooks; /* smtp_header_checks, smtp_generic_maps, ... */
	struct smtp_client_recipient *recipients;
	size_t recipient_count;
};

#endif
