#ifndef APPLETS_SMTP_LADDER_H
#define APPLETS_SMTP_LADDER_H

#include "applets/deliver/smtp/smtp.h"

/* A request of qmgr's, from its next hops down to addresses. For struct agent_class. */
void ladder_begin(struct agent_request *q);
void ladder_end(struct agent_request *q);
/* The process ends: unless the next host may have taken it, it is as if it had not begun. */
bool ladder_may_drop(const struct agent_request *q);

/* For struct smtp_agent: the next step of a delivery whose session is over. */
void ladder_next(struct delivery *d);
/* ... and: a connection is ready. Does somebody who waits for one go on with it? */
bool ladder_offer(struct smtp_agent *g, const char *key, struct link *l);
/* For struct links: one is less, somebody may wait for that. */
void ladder_link_freed(struct links *ls);

#endif
