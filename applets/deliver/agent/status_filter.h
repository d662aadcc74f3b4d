#ifndef APPLETS_AGENT_STATUS_FILTER_H
#define APPLETS_AGENT_STATUS_FILTER_H

#include "base/arena.h"

struct agent_result;
struct status_filter;

/* tables: value of the parameter; NULL when there are none. Closed by status_filter_close(). */
struct status_filter *status_filter_open(const char *tables);
void status_filter_close(struct status_filter *f);
/* f may be NULL. What it changes is in a. */
void status_filter_apply(struct status_filter *f, struct arena *a, struct agent_result *res);

#endif
