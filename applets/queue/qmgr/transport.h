#ifndef APPLETS_QMGR_TRANSPORT_H
#define APPLETS_QMGR_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/loop.h"
#include "ipc/delivery.h"
#include "applets/queue/qmgr/agent.h"
#include "applets/queue/qmgr/dest.h"
#include "applets/queue/qmgr/request.h"

/*
 * A transport: settings, its destinations, its agent, and the choice whose turn it is. It knows no
 * queue: what becomes of a recipient it tells whoever made the set of transports.
 */
struct transport_events {
	void (*answer)(void *owner, struct job *j, struct rcpt *r, const struct delivery_answer *a);
	/* Deferred by us, and nobody has logged it. */
	void (*fail)(void *owner, struct job *j, struct rcpt *r, const char *dsn, const char *text);
	bool (*may_send)(void *owner);
};

struct transport_settings {
	int64_t recipient_limit; /* of one request; 1: each recipient is a destination */
	int64_t pause_ms;        /* between two requests, whatever their destination; 0: none */
	struct dest_limits dest;
};

/* The set of all. */
struct transports {
	struct loop *loop;
	struct hash names;
	const struct transport_events *on;
	void *owner;
};

struct transport {
	struct transports *set;
	char *name;
	struct transport_settings settings;
	struct agent agent;
	struct timer retry, pause;
	bool pausing; /* until the timer runs */
	struct hash dests;
	struct dest *ready, **ready_tail;     /* ring: taken from the front, put back at the end */
	struct dest *dead_first, **dead_tail; /* the one that comes to life first, first */
	size_t dead_count;
	size_t waiting;   /* requests that are not sent */
	bool resting;     /* nothing is sent until retry runs */
	bool unavailable; /* because nobody listens: its mail is deferred at once */
};

enum { DESTS_DEAD_MAX = 2000 }; /* of a transport: beyond, the eldest is tried again */

/* Requests of one job that may take more recipients; zeroed to begin with. */
struct request_open {
	struct request *at[16];
	size_t count;
};

void transports_init(
	struct transports *ts, struct loop *loop, const struct transport_events *on, void *owner);
/* Send what may be sent, everywhere. */
void transports_send(struct transports *ts);
size_t transports_sent(const struct transports *ts); /* requests under way */
/* Flush: what rests is tried again now, whatever else wakes it, and with dests what is dead. */
void transports_revive(struct transports *ts, bool dests);
/* Forget all requests that are not sent (their recipients are RCPT_NEW again), and leave agents
 * that have none; or only those of jobs that are let go. */
void transports_drop_waiting(struct transports *ts, bool all);
void transports_free(struct transports *ts);

/* As main.cf has them. */
void transport_settings(struct transport_settings *s, const char *name);
struct transport *transport_get(struct transports *ts, const char *name);
/* The same for one that is not there yet, with settings of the caller's. */
struct transport *transport_new(
	struct transports *ts, const char *name, const struct transport_settings *s);
/*
 * Put r of j (state RCPT_NEW) into a request for its destination; recipient is its address as the
 * agent is to see it. It fails at once when the transport or the destination is out of order.
 */
void transport_add(struct transport *t, const char *nexthop, const char *recipient, struct job *j,
	struct rcpt *r, struct request_open *open);

#endif
