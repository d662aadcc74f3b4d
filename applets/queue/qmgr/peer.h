#ifndef APPLETS_QMGR_PEER_H
#define APPLETS_QMGR_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/loop.h"
#include "base/stream.h"
#include "base/wire.h"
#include "map/map_wait.h"

struct match_list;

/* A listening unix socket and those who are connected (peer.c). */
struct peer {
	struct peer *next, *prev;
	struct peers *peers;
	struct stream s;
	uid_t uid;
	bool closing; /* once s.out is sent */
	bool waits;   /* for the table that says what it may */
	struct map_wait wait;
	void *state; /* the user's own, freed with mem_free() */
};

struct peers {
	struct loop *loop;
	void *owner; /* the user's own */
	struct watch watch;
	struct peer *first;
	size_t count;
	const char *parameter, *list; /* authorized_..._users: its name, its value */
	struct match_list *users;     /* the same, compiled when it is needed */
	bool (*message)(struct peer *p, struct wire *w); /* false: close; NULL: none are expected */
	void (*known)(struct peer *p); /* after its message: peer_is_allowed() can say more now */
	void (*gone)(struct peer *p);  /* it is about to be freed; NULL */
	void (*more)(struct peer *p);  /* a new one, all of out was sent, or as known(); NULL */
};

/* With a list of users, and the functions, set before. */
void peers_listen(struct peers *ps, struct loop *loop, void *owner, int fd);
void peers_close(struct peers *ps);
/*
 * May this peer do what the list of users allows? Root and we ourselves always. 1, 0; -1: a table
 * has yet to answer: nothing is done now, known() or more() will be called.
 */
int peer_is_allowed(struct peer *p);

#endif
