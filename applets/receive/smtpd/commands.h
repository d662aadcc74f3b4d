#ifndef APPLETS_RECEIVE_SMTPD_COMMANDS_H
#define APPLETS_RECEIVE_SMTPD_COMMANDS_H

#include "base/str.h"
#include "applets/receive/smtpd/session_state.h"

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

/*
 * The look-ups that a command will need are done before it, as often as it takes until all tables
 * have answered: so no handler stops in the middle. What it finds out it may keep in the session.
 */
typedef void ahead_fn(struct smtpd_session *s, struct slice rest);

struct command {
	const char *name;
	handler_fn *handler;
	unsigned flags;
	ahead_fn *ahead; /* NULL: none */
};

extern const struct command commands[VERBS];

/* envelope.c, data.c, sasl_exchange.c */
handler_fn cmd_mail, cmd_rcpt, cmd_data, cmd_bdat, cmd_auth, cmd_starttls;
ahead_fn ahead_data;

#endif
