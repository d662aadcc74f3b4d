#ifndef IPC_CONTROL_H
#define IPC_CONTROL_H

/*
 * Control messages, between a supervisor and its daemons: one packet each (SOCK_SEQPACKET, so
 * that a message and its descriptors stay together), base/wire.h inside: int kind, then as said.
 * Both directions.
 */
enum { SERVICE_MSG_MAX = 32768 };
enum {
	SERVICE_MSG_WAKEUP = 1, /* to the daemon: master.cf's wakeup timer */
	/* to master: start a successor, as on reload (a new key only root can read) */
	SERVICE_MSG_REPLACE = 2,
	SERVICE_MSG_LOGIN = 3,   /* to master, one descriptor: see applets/read/login.c */
	SERVICE_MSG_SESSION = 4, /* to a mail part, one descriptor: see applets/read/login.c */
	SERVICE_MSG_IDLE = 5,    /* to master: a mail part has no session left; may it end? */
	SERVICE_MSG_END = 6,     /* to a mail part: no session will follow, end with the last */
	SERVICE_MSG_READY = 7,   /* to master: it serves (an older process can go now) */
	SERVICE_MSG_LEAVING = 8, /* to master: it takes nothing new, another one may start */
	SERVICE_MSG_LOG = 9,     /* to master: lines for the log, see log_set_sink() */
	SERVICE_MSG_MASTER = 10, /* to auth, one descriptor: the supervisor's own connection */
	SERVICE_MSG_AUTH = 11,   /* to dovecot, one descriptor: auth is to have it; so to auth */
	/* To dovecot, a stamp (net/tls.h): is that certificate still the files'? Back, 0: it is;
	 * 1: they have changed, and a successor comes when what they hold is good. */
	SERVICE_MSG_CERTIFICATE = 12
};

#endif
