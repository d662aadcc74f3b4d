#ifndef APPLETS_QMGR_PEER_H
#define APPLETS_QMGR_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/loop.h"
#include "base/stream.h"
#include "base/wire.h"

/* A listening unix socket and those who are connected (peer.c). */
struct peer {
	struct peer *next, *prev;
	struct peers *peers;
	struct stream s;
	uid_t uid;
	bool closing; /* once s.out is sent */
	void *state;  /* the user's own, freed with mem_free() */
};

struct peers {
	struct loop *loop;
	void *owner; /* the user's own */
	struct watch watch;
	struct peer *first;
	size_t count;
	bool (*message)(struct peer *p, struct wire *w); /* false: close; NULL: none are expected */
	void (*more)(struct peer *p); /* a new one, or all of out was sent; NULL */
};

void peers_listen(struct peers *ps, struct loop *loop, void *owner, int fd);
void peers_close(struct peers *ps);
/* May this peer do what the list of users (authorized_..._users) allows? Root and we ourselves
 * always. */
bool peer_is_allowed(const struct peer *p, const char *parameter, const char *list);

#endif
