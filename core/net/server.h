#ifndef NET_SERVER_H
#define NET_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/loop.h"
#include "base/mem.h"
#include "net/dns.h"
#include "net/serve.h"

/* Private to serve.c, conn*.c and relay.c: the server object, which holds its connections. */
struct conn;

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
	/* What a connection asks of its server. */
	void (*gone)(struct conn *c); /* it is about to be freed */
	void (*queue_resume)(struct conn *c);
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

#endif
