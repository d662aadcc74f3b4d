#ifndef APPLETS_DAEMON_SERVICE_CONTRACT_H
#define APPLETS_DAEMON_SERVICE_CONTRACT_H

/*
 * Descriptors of a daemon that master started (environment SERVICE_ENV tells):
 *	0	/dev/null		1, 2	master's own
 *	3	control: a socket to master; its end of file means master is gone
 *	4	the log, when it is a file; not of what serves strangers or users (SERVICE_RELAYED)
 *	6 ...	listening sockets, in the order of the labels
 * The daemon runs with every signal unblocked, umask 077, in queue_directory (not SERVICE_DOVECOT).
 * But SIGHUP: it is started with it blocked, and waits until the loop takes it.
 * SIGTERM: end soon. SIGHUP: master has read new configuration and starts a
 * successor: take nothing new, finish what is there, end.
 */
enum { SERVICE_FD_CONTROL = 3, SERVICE_FD_LOG = 4, SERVICE_FD_LISTEN = 6, SERVICE_LISTEN_MAX = 64 };

#define SERVICE_ENV "PILLARBOX_FDS" /* "LISTENERS,LOG,HOW[,LABEL]...": 2,1,0,-,ssl */

enum { SERVICE_SUCCESSOR = 1, SERVICE_AGAIN = 2 }; /* HOW: a sum of these */

/* Exit status of a daemon that cannot begin now and may soon (a full disk): no failed start. */
enum { SERVICE_EXIT_LATER = 75 };

#endif
