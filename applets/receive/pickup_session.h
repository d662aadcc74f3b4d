#ifndef APPLETS_PICKUP_SESSION_H
#define APPLETS_PICKUP_SESSION_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/loop.h"
#include "net/session.h"
#include "queue/queue.h"
#include "address/match.h"

/* A submission over the socket public/pickup: messages of ipc/pickup_request.h, and the answer. */
struct pickup {
	struct loop *loop;
	struct queue *queue;
	struct match_list *authorized; /* authorized_submit_users */
	void (*commit_soon)(void);     /* what has ended in this turn */
};

struct pickup_client { /* given to open(), who frees it */
	struct pickup *pickup;
	uid_t uid;
};

extern const struct session_class pickup_class;

bool pickup_is_authorized(const struct pickup *p, uid_t uid);

#endif
