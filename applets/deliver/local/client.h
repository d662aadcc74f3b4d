#ifndef APPLETS_LOCAL_CLIENT_H
#define APPLETS_LOCAL_CLIENT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/loop.h"
#include "net/session.h"

struct local;
struct request;

/* A connection from qmgr. */
struct client {
	struct local *g;
	struct session_io *io;
	struct client *next;
	struct request *requests; /* under way */
	struct buf answers;       /* to be sent with the next feed() */
	struct loop_hook hook;    /* resumes the session once a turn */
	bool ending;              /* close when nothing is under way */
	bool paused;              /* JOBS_HIGH was reached */
};

extern const struct session_class local_session;

void clients_drain(struct local *g); /* answer what is under way, then close */
void clients_wake(struct local *g);

/* answer.c */
/* feed() is to be called: there are answers, or room for requests. */
void client_wake(struct local *g, struct client *c);

#endif
