#ifndef NET_CONN_H
#define NET_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/loop.h"
#include "net/dns.h"
#include "net/session.h"
#include "net/tls.h"

/*
 * Private to serve.c, conn*.c and relay.c: one connection. An idle plain connection is this
 * struct and no more.
 */
enum conn_state {
	CONN_LOOKUP,    /* waiting for the peer's name; not watched yet */
	CONN_OPEN,      /* the session is fed */
	CONN_TLS_START, /* SESSION_TLS: plain output goes out first */
	CONN_HANDSHAKE,
	CONN_HANDOFF, /* SESSION_HANDOFF: output goes out first */
	CONN_RELAY,   /* TLS bytes pass to and from another process */
	CONN_CLOSING, /* output goes out, then the end */
	CONN_LINGER,  /* all is said; input is read off so that no reset eats the last reply */
	CONN_DEAD     /* freed at the end of the turn */
};

struct server;

/* What TLS adds to a connection. */
struct conn_tls {
	struct tls *engine;
	struct buf wire_in, wire_out;
};

/* A TLS connection handed off: the other process holds the far end of a socket pair. */
struct relay {
	struct watch watch;
	bool client_done; /* nothing more comes from the client; said to the far end */
};

struct conn {
	struct session_io io;
	struct server *server;
	struct conn *prev, *next; /* all of the server's */
	struct conn *resume_next;
	void *session;
	void *service;
	struct watch watch;
	struct timer timer;
	int64_t active;       /* loop_now() when bytes last moved */
	struct buf in, out;   /* of the application */
	struct conn_tls *tls; /* NULL: plain */
	struct relay *relay;
	struct dns_query *lookup;
	int fd;     /* input, and output unless out_fd is set; -1: gone */
	int out_fd; /* stdio: output; -1: same as fd */
	enum conn_state state;
	bool in_lent, out_lent; /* in, out stand in the server's scratch memory during a turn */
	bool waiting;           /* the session said SESSION_WAIT */
	bool resumed;           /* resume() was called since */
	bool queued;            /* in the server's resume list */
	bool eof, eof_told;
	bool over_high;   /* more than io.out_high to send: the session rests until DRAINED */
	bool shut_told;   /* SESSION_EV_SHUTDOWN was given */
	bool counted;     /* in the server's per-address table */
	bool file_in;     /* input cannot be watched (a file): a timer of 0 ms reads it */
	bool notify_sent; /* close_notify */
	bool running;     /* inside conn_run() */
};

enum { CONN_READ_SIZE = 65536 }; /* one read(2) */

/* ---- conn.c: turns; a conn may be freed by any of these ---- */

void conn_begin(struct conn *c);    /* addresses are known: TLS or the session starts */
void conn_shutdown(struct conn *c); /* SESSION_EV_SHUTDOWN */
void conn_resumed(struct conn *c);  /* from the resume list */
void conn_free(struct conn *c);

/* ---- conn_io.c: within a turn ---- */

/* Feed, send, and go on while the peer takes everything at once. */
void conn_drive(struct conn *c);
/* An event for the session; its answer counts. */
void conn_tell(struct conn *c, enum session_event event);
void conn_close_session(struct conn *c);
/* Send what there is as far as it goes; false: the connection is gone (told and dead). */
bool conn_flush(struct conn *c);
/* One read into in, or wire_in; false: it broke. */
bool conn_read(struct conn *c);
/* Lingering: throw input away until the peer closes. */
void conn_read_off(struct conn *c);
/* Bytes not sent yet. */
size_t conn_pending(const struct conn *c);
/* The connection broke: io.error = text, the session is told, the conn is dead. */
void conn_broken(struct conn *c, enum session_event event, const char *text);
void conn_tls_begin(struct conn *c);
/* wire_in through the engine; false: the connection is gone. */
bool conn_tls_turn(struct conn *c);

/* ---- relay.c ---- */

/* on_near, whose watch is c's, is to run relay_near_turn() in a turn of c. */
bool relay_start(struct conn *c, void (*on_near)(struct watch *w, unsigned events), int *far_fd_r);
void relay_near_turn(struct conn *c, unsigned events); /* it has bytes, room, or is done */
void relay_turn(struct conn *c);                       /* bytes from the client are in c->in */
void relay_want(struct conn *c);                       /* set the watch of the near end */
void relay_free(struct conn *c);

#endif
