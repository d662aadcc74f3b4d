#ifndef NET_CONN_H
#define NET_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/loop.h"
#include "base/mem.h"
#include "net/dns.h"
#include "net/serve.h"
#include "net/session.h"
#include "net/tls.h"

/*
 * Private to serve.c, conn.c and relay.c: one connection, and the server
 * object that holds them. An idle plain connection is this struct and no more.
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

struct listener {
	struct listener *next;
	struct server *server;
	struct watch watch;
	int fd;
	char addr[64]; /* its own address, "" when that is all: then each connection is asked */
	int port;
};

struct server {
	struct loop *loop;
	struct server_config config;
	struct listener *listeners;
	struct conn *conns;
	size_t count;
	struct conn *resume_head, *resume_tail;
	struct loop_hook resume_hook;
	struct hash per_address; /* value: number of connections */
	struct dns *dns;
	struct buf scratch_in, scratch_out, scratch_wire;
	struct mem_trimmer trimmer; /* frees them in a pause */
	struct timer accept_timer;  /* out of descriptors: accepting rests */
	bool accept_paused;
	bool stopping;     /* told to: sessions hear SESSION_EV_SHUTDOWN */
	bool stop_at_last; /* stdio, draining: done when the last session ends */
	void (*stopped)(void *arg);
	void *stopped_arg;
	struct loop_hook stopped_hook;
};

/* conn.c; a conn may be freed by any of these. */
void conn_begin(struct conn *c);    /* addresses are known: TLS or the session starts */
void conn_shutdown(struct conn *c); /* SESSION_EV_SHUTDOWN */
void conn_resumed(struct conn *c);  /* from the resume list */
void conn_free(struct conn *c);
/* Inside a turn: send what there is as far as it goes; false: the connection is gone (told and
 * dead). */
bool conn_flush(struct conn *c);
/* Bytes not sent yet. */
size_t conn_pending(const struct conn *c);
/* The connection broke: io.error = text, the session is told, the conn is dead. */
void conn_broken(struct conn *c, enum session_event event, const char *text);

/* relay.c */
bool relay_start(struct conn *c, int *far_fd_r);
void relay_turn(struct conn *c); /* bytes from the client are in c->in */
void relay_want(struct conn *c); /* set the watch of the near end */
void relay_free(struct conn *c);
/* conn.c: fn in a guarded turn of c. */
void conn_run(struct conn *c, void (*fn)(struct conn *c, unsigned arg), unsigned arg);

/* serve.c */
void server_gone(struct conn *c); /* c left the list and is about to be freed */
void server_queue_resume(struct conn *c);

#endif
