#ifndef APPLETS_RECEIVE_SMTPD_H
#define APPLETS_RECEIVE_SMTPD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/loop.h"
#include "net/session.h"
#include "map/map.h"
#include "queue/queue.h"
#include "address/match.h"
#include "ipc/auth_client.h"
#include "ipc/notify.h"
#include "policy/restrict.h"

/*
 * smtpd from the inside. A session is fed bytes and moves between states;
 * each command is a row of commands[] with a handler. From above to below:
 *
 *	smtpd.c		the process: options, listeners, what all sessions share
 *	smtp_session.c	lines, the dispatcher, events
 *	commands.c	the table; HELO EHLO LHLO RSET NOOP HELP QUIT VRFY ETRN
 *	envelope.c	MAIL and RCPT
 *	data.c		DATA and BDAT: content into the queue
 *	sasl_exchange.c	AUTH and STARTTLS
 *	restrictions.c	restriction lists at each stage, log lines of rejections
 *	intake.c	where messages go: queue.db with group commit, or submission
 *	transcript.c	sessions with errors, for postmaster
 *	session_state.c	states, replies, counts
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
	struct match_list *verp_clients;
	struct match_list *unlimited; /* smtpd_client_event_limit_exceptions */
	struct hash clients;          /* connections by address */
	struct maps *forbidden;       /* the tables of smtpd_forbidden_commands */
	struct maps *hidden_words;    /* smtpd_discard_ehlo_keyword_address_maps */
	const char *service_name;     /* master.cf's */
	bool lmtp;
	bool stand_alone; /* one trusted session on stdin and stdout (sendmail -bs) */
	bool tls_offered, tls_required;
	unsigned told; /* classes of errors that postmaster hears of (transcript.h) */
	bool broken;   /* queue.db cannot be used any more */
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

extern const struct session_class smtpd_class;

#endif
