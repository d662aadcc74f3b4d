#ifndef POLICY_RESTRICT_H
#define POLICY_RESTRICT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

/*
 * The restriction lists of main.cf (smtpd_client_restrictions and its kin):
 * read once into a set, then run over what is known of a client and its mail.
 *
 *	stage (RCPT) -> lists in order (client, helo, sender, relay, recipient)
 *			  each: rules in order until one permits (the list ends) or rejects
 *
 * A restriction is one row of the table in restrict_rules.c: name, what it
 * takes, a function. A function that has to wait (DNS, a policy server) returns
 * RESTRICT_PENDING and is called again by the next restrict_run(). One that looks something up
 * does nothing for it: where the caller has entered a struct map_wait, what has no answer yet makes
 * it RESTRICT_PENDING, and what it would have done is not done.
 */
enum restrict_list_name {
	RESTRICT_CLIENT,
	RESTRICT_HELO,
	RESTRICT_SENDER,
	RESTRICT_RELAY,
	RESTRICT_RECIPIENT,
	RESTRICT_DATA,
	RESTRICT_END_OF_DATA,
	RESTRICT_ETRN,
	RESTRICT_LISTS
};

struct restrict_set;

/*
 * Read all lists from param. NULL with a text (caller frees) when neither
 * smtpd_relay_restrictions nor smtpd_recipient_restrictions stops strangers from relaying.
 * Names that are not built and unknown ones are warned of here and answer 451 4.3.5 when they are
 * reached.
 */
struct restrict_set *restrict_set_new(char **error_r);
void restrict_set_free(struct restrict_set *set);

/* What is known so far; the texts live as long as the run. */
struct restrict_query {
	const char *client_name, *client_addr, *local_addr;
	const char *helo;           /* "" not said */
	const char *sender;         /* as given, "" null, NULL no MAIL yet */
	const char *sender_full;    /* rewritten */
	const char *recipient;      /* as given, NULL none */
	const char *recipient_full; /* rewritten */
	const char *etrn;           /* domain, or NULL */
	const char *sasl_user;      /* NULL not logged in */
	bool tls;                   /* encrypted */
	bool pipelined;             /* input waits that should not be there yet */
	unsigned recipient_count;   /* accepted ones of this mail */
	/*
	 * Things to be logged that do not end the evaluation: what is "reject_warning",
	 * "hold", "discard", "redirect", "bcc", "info", "warn".
	 */
	void (*log)(void *arg, const char *what, const char *text);
	void *arg;
};

enum restrict_verdict { RESTRICT_DUNNO, RESTRICT_OK, RESTRICT_REJECT, RESTRICT_PENDING };

struct restrict_header { /* PREPEND */
	struct restrict_header *next;
	const char *text;
};

enum { RESTRICT_DEPTH = 20 }; /* lists inside lists (classes, access actions) */

/* One evaluation; zeroed and filled by restrict_begin(). */
struct restrict_run {
	struct restrict_set *set;
	const struct restrict_query *query;
	struct arena *arena; /* owns the texts below */
	/* Results. */
	/* of RESTRICT_REJECT: "554 5.7.1 <a@b>: Relay access denied" */
	const char *reply;
	bool hold, discard;
	const char *redirect, *bcc; /* NULL none */
	struct restrict_header *prepend;
	/* Private. */
	enum restrict_list_name list;
	const char *name, *class_name; /* what a reply is about: <name>: class rejected */
	const char *defer_if_permit, *defer_if_reject; /* replies, NULL none */
	bool warn_if_reject;
	bool unlisted_checked; /* the recipient was looked up */
	bool unlisted_sender_checked;
	struct {
		const void *list;
		size_t at;
	} frames[RESTRICT_DEPTH];
	size_t depth;
	void *waiting; /* of the rule that is pending */
};

void restrict_begin(struct restrict_run *run, struct restrict_set *set,
	const struct restrict_query *query, struct arena *arena);
/*
 * Run one list (again after RESTRICT_PENDING). OK and DUNNO both mean: no objection from
 * this list.
 */
enum restrict_verdict restrict_run(struct restrict_run *run, enum restrict_list_name list);
/*
 * All lists of the stage were passed: what DEFER_IF_PERMIT left over becomes a
 * rejection now. At RCPT the recipient is also looked up
 * (smtpd_reject_unlisted_recipient), and the sender (smtpd_reject_unlisted_sender), unless
 * a list did that. RESTRICT_PENDING: call it again.
 */
enum restrict_verdict restrict_end(struct restrict_run *run, bool recipient);

#endif
