#ifndef APPLETS_SMTP_OUTCOME_H
#define APPLETS_SMTP_OUTCOME_H

#include <stdbool.h>

#include "applets/deliver/smtp/smtp.h"

/* What has become of recipients: answered, or left for the next host. */

/* The text of errno as Postfix's systems have it, whatever our library calls it. */
const char *outcome_errno(int error);

/* The reason that is given when nothing better is found; texts are copied. */
void outcome_why(struct delivery *d, const char *dsn, const char *text);
/*
 * The host (l, or NULL: none was reached) cannot be used for any of those that are left: bounced
 * for good, deferred at the last host, left for the next one with a line in the log otherwise.
 * site: the host is to blame, not this message.
 */
void outcome_host(struct delivery *d, const struct link *l,
	const struct smtp_client_failure *failure, bool site);
/* The results of the transaction; failure: why it ended early, or NULL. */
void outcome_transaction(
	struct delivery *d, const struct link *l, const struct smtp_client_failure *failure);
/* Nothing is left to be tried: those that are left get d->why. */
void outcome_give_up(struct delivery *d);

#endif
