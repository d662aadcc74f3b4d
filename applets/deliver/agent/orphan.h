#ifndef APPLETS_AGENT_ORPHAN_H
#define APPLETS_AGENT_ORPHAN_H

#include <stdbool.h>
#include <stdint.h>

#include "applets/deliver/agent/result.h"

/*
 * Final answers that nobody was there to hear: the queue manager was killed while a recipient was
 * under way, and its successor has not asked yet.
 */
struct orphan;

/*
 * To be told later; with many the oldest is forgotten. res is copied. Not for what leads to more
 * recipients.
 */
void orphan_keep(struct agent_host *h, uint64_t id, uint64_t n, const struct agent_result *res);
/* The answer for recipient n of message id, which is the caller's to orphan_free(); or NULL. */
struct orphan *orphan_take(struct agent_host *h, uint64_t id, uint64_t n);
const struct agent_result *orphan_result(const struct orphan *o);
void orphan_free(struct orphan *o);
void orphans_free(struct agent_host *h);

#endif
