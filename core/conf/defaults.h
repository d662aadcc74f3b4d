#ifndef CONF_DEFAULTS_H
#define CONF_DEFAULTS_H

#include "base/buf.h"

/* Defaults that are found out when the program runs. */

/* The system's name; completed with domain ("localdomain") when it has no dot. */
void default_myhostname(struct buf *out, const char *domain);
/* What follows the first dot of myhostname; "localdomain" when there is none. */
void default_mydomain(struct buf *out, const char *myhostname);
/*
 * Networks of our interfaces: "127.0.0.0/8 192.0.2.0/24 [::1]/128". interfaces,
 * protocols and style are the values of inet_interfaces, inet_protocols and
 * mynetworks_style. 0, or -1 when style is none we know (then as host).
 */
int default_mynetworks(
	struct buf *out, const char *interfaces, const char *protocols, const char *style);

#endif
