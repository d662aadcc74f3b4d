#ifndef APPLETS_AGENT_UNDERWAY_H
#define APPLETS_AGENT_UNDERWAY_H

#include <stdbool.h>

struct agent_host;
struct agent_request;

/* begin() is told of requests that waited. */
void underway_init(struct agent_host *h, void (*begin)(struct agent_request *q));
/* True: to be begun now. Else it waits, and is begun (or dropped) later. */
bool underway_enter(struct agent_host *h, struct agent_request *q);
void underway_leave(struct agent_host *h, struct agent_request *q);
/* NULL: nothing is under way or waits. */
struct agent_request *underway_any(struct agent_host *h);
/* A successor is about to begin: it is told what is under way here, from now to the end. */
void underway_publish(struct agent_host *h);
void underway_free(struct agent_host *h);

#endif
