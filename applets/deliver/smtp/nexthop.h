#ifndef APPLETS_SMTP_NEXTHOP_H
#define APPLETS_SMTP_NEXTHOP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"

/*
 * Where mail is to be sent, as transport tables and relayhost have it:
 *
 *	domain  domain:port	its MX hosts (SMTP), or the host (LMTP)
 *	[host]  [host]:port	that host
 *	[1.2.3.4]  [::1]:25  [IPv6:::1]
 *	inet:host:port		LMTP: one of the above
 *	unix:path		LMTP: a socket
 */
struct nexthop {
	const char *text; /* as it was written */
	const char *host; /* without brackets and port; NULL: it is a path */
	const char *path;
	int port;
	bool bracketed; /* no MX */
};

/*
 * A list of them, separated by commas and blanks; default_port is a number or a service's name.
 * Texts are a's. False: *error says what is wrong with which, and nothing is set.
 */
bool nexthop_parse(struct arena *a, const char *text, bool lmtp, const char *default_port,
	struct nexthop **list_r, size_t *count_r, struct buf *error);

#endif
