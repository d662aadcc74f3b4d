#ifndef IPC_AUTH_CLIENT_H
#define IPC_AUTH_CLIENT_H

#include <stdbool.h>

#include "base/loop.h"

/*
 * Client of the auth process over the Dovecot auth protocol (v1.x), used by
 * smtpd, the pop3 and imap login processes, and doveadm. One connection, many
 * requests, reconnects by itself. An auth process that has a successor (reload) closes the
 * connection when nothing is open on it; a request that met that is sent again.
 */
struct auth_client;
struct auth_request;

struct auth_client *auth_client_new(struct loop *loop, const char *socket_path);
/*
 * The same where the process may not connect by itself: open_fn gives a connected socket, or -1
 * with errno; name is for the log.
 */
struct auth_client *auth_client_new_by(struct loop *loop, const char *name,
	int (*open_fn)(const char *name, void *arg), void *arg);
void auth_client_free(struct auth_client *c);
/* Space-separated mechanism names the server offers; plaintext ones left out when !secure. "" while
 * not connected. */
const char *auth_client_mechs(struct auth_client *c, bool secure);

enum auth_result {
	AUTH_OK,       /* user is set */
	AUTH_CONTINUE, /* challenge (base64) is set: answer with auth_request_continue() */
	AUTH_FAIL,     /* wrong */
	AUTH_TEMPFAIL  /* no answer, server down: say try later */
};

struct auth_reply {
	enum auth_result result;
	const char *user;      /* as normalised by the server */
	const char *challenge; /* base64 */
	const char *reason;    /* for the log */
	unsigned request_id;   /* with client pid: what the mail process proves itself with (cookie
				handoff) */
	unsigned long server_pid; /* the auth process that said so, and knows it (SPID) */
	const char *cookie;       /* hex; for the handoff to a mail process */
};

struct auth_params {
	const char *service; /* "smtp", "imap", "pop3" */
	const char *mech;
	const char *initial; /* base64, NULL: none */
	const char *remote_ip, *local_ip;
	int remote_port, local_port;
	bool secured; /* TLS or loopback/trusted */
	bool trusted; /* guesses from there do not wait (login_trusted_networks) */
};

/* fn may be called several times (CONTINUE); after any other result the request is gone. */
struct auth_request *auth_start(struct auth_client *c, const struct auth_params *p,
	void (*fn)(void *arg, const struct auth_reply *reply), void *arg);
void auth_continue(struct auth_request *r, const char *response_base64);
void auth_cancel(struct auth_request *r);

#endif
