#ifndef APPLETS_READ_LOGIN_H
#define APPLETS_READ_LOGIN_H

#include <stdbool.h>

#include "base/buf.h"
#include "net/session.h"
#include "ipc/auth_client.h"
#include "mail/mailbox.h"

/*
 * What pop3d and imapd have in common: the login part and the mail part.
 *
 *   client --TLS--> login part (unprivileged, one event loop, no mail access)
 *			|  USER/PASS, LOGIN, AUTHENTICATE, STLS/STARTTLS
 *			|  auth process says OK and gives a cookie
 *			v  SESSION_HANDOFF: descriptor + cookie + tag + bytes read ahead
 *		     master (asks auth whether the cookie is true; knows uid, home, mail)
 *			v  starts or finds the mail part of that uid
 *		     mail part (runs as the uid, one event loop, all sessions of that uid)
 *
 * A plain connection leaves the login part with its descriptor. With TLS the login part
 * stays between: it hands over one end of a socket pair and moves the bytes.
 *
 * applets/read/login.c has the login part's main, the mail part's main and -S;
 * pop3d and imapd each give one of these and call login_main().
 */
struct login_protocol {
	const char *name;                  /* "pop3", "imap": service name for auth and the log */
	const char *tls_name;              /* "pop3s", "imaps" */
	const struct session_class *login; /* before: service is struct login_service * */
	const struct session_class *mail;  /* after: service is struct mail_service * */
};

/* Given to login->open as service. */
struct login_service {
	struct auth_client *auth;
	bool tls_available;   /* STLS/STARTTLS can be offered */
	const char *greeting; /* setting.login_greeting */
};

/* May a plaintext mechanism be used on this connection (TLS, loopback, trusted network, or
 * disable_plaintext_auth = no)? */
bool login_plaintext_ok(const struct session_io *io);
/* Fill in what p says of the connection: addresses, whether it is secured. */
void login_auth_params(const struct session_io *io, struct auth_params *p);
/*
 * The login session calls this after AUTH_OK and then returns SESSION_HANDOFF. tag: what
 * the mail part needs to finish the reply (IMAP: the tag of LOGIN; "" for POP3). mech is for the
 * log line
 * ("imap-login: Info: Login: user=<u>, method=PLAIN, rip=..."). The mail part's open() writes the
 * OK.
 */
void login_handoff(
	struct session_io *io, const struct auth_reply *ok, const char *mech, const char *tag);
/* Failed attempt: counts and logs; seconds to wait before the reply is sent (a timer: see
 * SESSION_WAIT, resume). */
int login_failed(struct session_io *io, const char *user, const char *mech, const char *reason);

/* Given to mail->open as service, one a session. */
struct mail_service {
	struct mail_user user;
	const char *tag; /* from login_handoff() */
	bool preauth;    /* -S: nobody logged in, greet with PREAUTH (IMAP), +OK (POP3) */
};

/*
 * main of pop3d and imapd: login part as a master service (listening sockets
 * inherited), mail part (-M: control socket inherited), or stdin and stdout:
 *   imapd -S [-u USER] [-o name=value] [-c DIR]	one session as whoever runs it, no login
 */
int login_main(const struct login_protocol *proto, int argc, char **argv);

#endif
