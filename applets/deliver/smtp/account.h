#ifndef APPLETS_SMTP_ACCOUNT_H
#define APPLETS_SMTP_ACCOUNT_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "proto/sasl_client.h"
#include "applets/deliver/smtp/settings.h"

/* Who we are at a server: smtp_sasl_password_maps and what belongs to it. */
struct accounts;

/* NULL with *error: a setting is no good. */
struct accounts *accounts_new(const struct smtp_settings *settings, struct buf *error);
void accounts_free(struct accounts *as); /* NULL is fine */

/* For whom: sender "" is the null sender; hop is the next hop as it was written. */
struct account_place {
	const char *sender, *host, *hop;
	int port;
};

/*
 * 1: *account is filled in, its texts are in a until account_forget(). 0: we have no account
 * there. -1: a table or a token cannot be read, *error says so; within map_wait_enter() also: not
 * yet.
 */
int account_find(const struct accounts *as, struct arena *a, const struct account_place *place,
	struct sasl_account *account, struct buf *error);
void account_forget(struct sasl_account *account); /* wiped; an empty one is fine */
/* What may be used: tls, and is the server known to be the right one? */
void account_choice(
	const struct accounts *as, bool tls, bool verified, struct sasl_client_choice *choice);

#endif
