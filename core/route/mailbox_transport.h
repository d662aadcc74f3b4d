#ifndef ROUTE_MAILBOX_TRANSPORT_H
#define ROUTE_MAILBOX_TRANSPORT_H

#include "base/arena.h"

/* Transports that deliver for local: to all users, or to those who are none of this host. */
enum mailbox_transport { MAILBOX_TRANSPORT, FALLBACK_TRANSPORT };

void mailbox_transports_open(void);
void mailbox_transports_close(void);
/* 1 and "transport:nexthop" (in a) for mail to this user, 0 none, -1 temporary. */
int mailbox_transport_find(
	struct arena *a, enum mailbox_transport which, const char *user, const char **value);
/* The command that gets a user's mail, "" none; NULL: a table does not answer. */
const char *mailbox_command_find(struct arena *a, const char *user, const char *domain);

#endif
