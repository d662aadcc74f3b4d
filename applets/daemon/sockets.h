#ifndef APPLETS_DAEMON_SOCKETS_H
#define APPLETS_DAEMON_SOCKETS_H

#include <stdbool.h>

#include "applets/daemon/sv_config.h"

/* Listening sockets of endpoints. */

/*
 * Open it: fd; -1 with a text (caller frees), or -1 with *error_r NULL when it is optional and
 * cannot be had. shared: beside sockets of ours that endpoint_share() has opened for it. A unix
 * socket on which a living process listens is an error that names it.
 */
int endpoint_open(const struct sv_endpoint *ep, bool shared, char **error_r);
/* Is the open TCP socket what endpoint_open() would give? */
bool endpoint_is(const struct sv_endpoint *ep, int fd);
/* Port of a TCP socket. */
int endpoint_port(int fd);
/* May an endpoint that is opened as shared stand beside this one, on a part of its addresses? */
void endpoint_share(int fd, bool on);

#endif
