#ifndef APPLETS_DAEMON_DAEMON_H
#define APPLETS_DAEMON_DAEMON_H

#include <stdbool.h>

/* Becoming a daemon, as master and dovecot do it. */

/*
 * Close what the caller left open above standard error: its locks and pipes are not ours to hold.
 * And open what he had closed below, so that no socket of ours is taken for standard error.
 */
void daemon_clean_descriptors(void);

/*
 * Go on in a child, in a session of its own. The caller's process ends when the child says
 * daemon_ready() (status 0) or has ended without it (failed). The child gets the descriptor to
 * say it with. Exits on errors.
 */
int daemon_background(int failed);
/*
 * The start has succeeded: nobody reads our standard output and error any more, they become
 * /dev/null (standard input alone where keep_output), and whoever waits at *ready (-1: nobody)
 * is told; then it is -1.
 */
void daemon_ready(int *ready, bool keep_output);

/* As many descriptors as this process may have. */
void daemon_raise_limits(void);

#endif
