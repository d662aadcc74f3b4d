#ifndef APPLETS_AGENT_DELIVERED_TO_H
#define APPLETS_AGENT_DELIVERED_TO_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

/* The addresses that a message was delivered to before, by its Delivered-To headers. */
struct delivered_to {
	const char **list;
	size_t count;
};

/* Of a message that begins with these bytes; the texts are in a. */
void delivered_to_find(struct delivered_to *d, struct arena *a, const char *p, size_t len);
bool delivered_to_has(const struct delivered_to *d, const char *address);

#endif
