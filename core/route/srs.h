#ifndef ROUTE_SRS_H
#define ROUTE_SRS_H

#include <stdbool.h>

#include "base/arena.h"

/*
 * The Sender Rewriting Scheme, as Mail::SRS and libsrs2 have it: mail that a recipient here has
 * forwarded goes on with a sender of srs_domain, so that the next host's SPF finds this host
 * allowed to send it, and its bounces come back through here.
 *
 *	user@from.example		SRS0=HHHH=TT=from.example=user@here
 *	SRS0=...@first.example		SRS1=HHHH=first.example==...@here
 *
 * HHHH is made with the secret, TT is the day: what we have not made ourselves in the last 21 days
 * is not turned back.
 */
/* srs_domain and srs_secret_file; without both nothing is rewritten. Part of route_init(). */
void srs_init(void);
void srs_free(void);

bool srs_is_on(void);
/* The sender that such mail gets; in a. One that cannot be rewritten stays. */
const char *srs_forward(struct arena *a, const char *sender);
/* An address that srs_forward() has made: what it stands for, in a; NULL: it is none. */
const char *srs_reverse(struct arena *a, const char *address);

#endif
