#ifndef APPLETS_AGENT_CLIENT_H
#define APPLETS_AGENT_CLIENT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/loop.h"
#include "net/session.h"
#include "applets/deliver/agent/agent.h"

enum { AGENT_LOAD_HIGH = 8000 }; /* above it no request is read */

/* A connection from qmgr. */
struct agent_client {
	struct agent_host *host;
	struct session_io *io;
	struct agent_client *next;
	struct agent_request *requests; /* under way */
	struct buf answers;             /* to be sent with the next feed() */
	struct loop_hook hook;          /* resumes the session once a turn */
	bool ending;                    /* close when nothing is under way */
	bool paused;                    /* AGENT_LOAD_HIGH was reached */
};

extern const struct session_class agent_session;

void agent_clients_drain(struct agent_host *h); /* answer what is under way, then close */
void agent_clients_wake(struct agent_host *h);

/* ---- request_memory.c ---- */

/* Zeroed but for memory it may still have from an earlier one. */
struct agent_request *agent_request_new(struct agent_host *h);
void agent_request_spare(struct agent_host *h, struct agent_request *q);
void agent_request_free(struct agent_host *h, struct agent_request *q); /* it is not under way */
void agent_spares_free(struct agent_host *h);

#endif
