#ifndef APPLETS_AGENT_RESULT_H
#define APPLETS_AGENT_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/delivery.h"
#include "applets/deliver/agent/agent.h"

/* What became of a recipient, or of one of the places that it leads to. */
struct agent_result {
	enum delivery_status status;
	const char *dsn, *text;
	bool unreachable;  /* as in struct delivery_answer */
	const char *relay; /* of the log line; NULL: it was written already */
	const char *to;    /* of the log line; NULL: the recipient's address */
	int64_t connected; /* microseconds: connection set up, HELO and TLS done; 0: when begun */
	unsigned conn_use; /* of the log line; 0: not said */
	/* The rest as in struct delivery_answer. */
	const char *mta, *diagnostic_type, *diagnostic;
	enum delivery_reach reach;
	size_t added_count;
	const char **added;
	const char *owner; /* or NULL */
};

/*
 * Through the delivery_status_filter, which may change status, dsn and text of *res (they are in
 * q's arena then), and into the log; res->relay is NULL afterwards.
 */
void agent_log(
	struct agent_request *q, const struct delivery_recipient *r, struct agent_result *res);
/* The recipient is decided: logged if res->relay is there, answered. After the last q is gone. */
void agent_answer(struct agent_request *q, const struct delivery_recipient *r,
	const struct agent_result *res);
/* At the end of the process: recipients that are left get no answer, and q is gone. */
void agent_abandon(struct agent_request *q);
/* ... and all that class->may_drop() names, and those that were not begun. */
void agent_drop(struct agent_host *h);
/* Does anybody still wait for it? */
bool agent_is_wanted(const struct agent_request *q);
/* Between these two it does not end under the caller's hands. */
void agent_keep(struct agent_request *q);
void agent_release(struct agent_request *q);
/* More (or less) work than its recipients are; with too much no request is read. */
void agent_load(struct agent_host *h, int delta);

/* ---- For the room itself ---- */

/* It is under way: class->begin. */
void agent_begin(struct agent_request *q);
/* What the connection has to be told or may be asked for: its feed() is called this turn. */
void agent_client_wake(struct agent_client *c);

#endif
