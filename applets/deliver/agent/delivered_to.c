/*
 * delivered_to - where a message has been already: loops of aliases and hosts are found by it
 */
#include "applets/deliver/agent/delivered_to.h"

#include <string.h>

#include "base/str.h"

void delivered_to_find(struct delivered_to *d, struct arena *a, const char *p, size_t len)
{
	static const char name[] = "Delivered-To:";
	const char *end = p + len;
	const char **list = NULL;
	size_t room = 0;

	while (p < end && *p != '\n') {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		struct slice line = { p, (size_t)((nl != NULL ? nl : end) - p) };

		if (line.len > sizeof(name) &&
			slice_ieq((struct slice){ line.ptr, sizeof(name) - 1 }, name)) {
			line.ptr += sizeof(name) - 1;
			line.len -= sizeof(name) - 1;
			line = slice_trim(line);
			if (d->count == room) {
				const char **more = arena_alloc(a, (room + 8) * 2 * sizeof(*more));

				if (room > 0) {
					memcpy(more, list, room * sizeof(*more));
				}
				room = (room + 8) * 2;
				list = more;
			}
			list[d->count++] = arena_strndup(a, line.ptr, line.len);
		}
		p = nl != NULL ? nl + 1 : end;
	}
	d->list = list;
}

bool delivered_to_has(const struct delivered_to *d, const char *address)
{
	for (size_t i = 0; i < d->count; i++) {
		if (str_ieq(d->list[i], address)) {
			return true;
		}
	}
	return false;
}
