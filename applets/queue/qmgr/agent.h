#ifndef APPLETS_QMGR_AGENT_H
#define APPLETS_QMGR_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/loop.h"
#include "base/stream.h"
#include "ipc/delivery.h"
#include "applets/queue/qmgr/request.h"

/*
 * A process that delivers, as the queue manager sees it: a connection with many requests under way.
 * It knows neither destinations nor why something is sent; what it hears it tells its owner.
 */
struct agent;

struct agent_events {
	/* About one recipient that is still open. The texts are gone afterwards. */
	void (*answer)(struct agent *a, struct request *r, struct rcpt *to,
		const struct delivery_answer *what);
	/* The last of its recipients was answered: r is the owner's again. */
	void (*ended)(struct agent *a, struct request *r);
	/* All answers of one read were taken: there may be room. */
	void (*taken)(struct agent *a);
	/*
	 * The connection is gone: first each request that was under way, the latest first (so that
	 * each put in front of its queue keeps the order), then once that it is over.
	 */
	void (*lost)(struct agent *a, struct request *r);
	void (*broken)(struct agent *a);
};

struct agent {
	const struct agent_events *on;
	void *owner;
	const char *name; /* the owner's text, for the log */
	struct stream s;
	struct arena answers; /* of the one that is being taken */
	struct request_list sent;
	struct request **slots;
	uint32_t slot_count, slot_free; /* slot_free: first free one + 1, chained; 0 none */
	uint32_t *slot_next;
	uint32_t turn;
	int breaks; /* connections in a row that broke without any answer */
};

void agent_init(struct agent *a, struct loop *loop, const struct agent_events *on, void *owner,
	const char *name);
/* 0, or -1 with errno: EAGAIN when its backlog is full, else nobody listens. */
int agent_connect(struct agent *a, const char *path);
bool agent_is_open(const struct agent *a);
/* May one more be sent now? */
bool agent_has_room(const struct agent *a);
/* How many more could be under way. */
size_t agent_room(const struct agent *a);
void agent_put(struct agent *a, struct request *r, const char *nexthop);
/* What was put goes out. */
void agent_flush(struct agent *a);
/* One without requests is left; it ends by itself. */
void agent_close(struct agent *a);
void agent_free(struct agent *a); /* and what is under way */

#endif
