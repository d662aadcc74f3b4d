#ifndef APPLETS_LOCAL_UNDERWAY_H
#define APPLETS_LOCAL_UNDERWAY_H

#include <stdbool.h>

struct local;
struct request;

/* begin() is told of requests that waited. */
void underway_init(struct local *g, void (*begin)(struct local *g, struct request *q));
/* True: to be begun now. Else it waits, and is begun (or dropped) later. */
bool underway_enter(struct local *g, struct request *q);
void underway_leave(struct local *g, struct request *q);
struct request *underway_any(struct local *g); /* NULL: nothing is under way or waits */
/* A successor is about to begin: it is told what is under way here, from now to the end. */
void underway_publish(struct local *g);
void underway_free(struct local *g);

#endif
