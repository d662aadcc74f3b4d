/*
 * mbox_lines - read part of a file line by line, by windows
 */
#include "mail/mbox/mbox_lines.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

void mbox_lines_open(struct mbox_lines *l, int fd, uint64_t at, uint64_t end)
{
	memset(l, 0, sizeof(*l));
	l->fd = fd;
	l->at = at;
	l->end = end;
	l->size = end - at < MBOX_WINDOW ? (size_t)(end - at) + 1 : MBOX_WINDOW;
	l->data = mem_realloc(NULL, l->size);
}

void mbox_lines_close(struct mbox_lines *l)
{
	mem_free(l->data);
	l->data = NULL;
}

/* refill - keep what is not read, add what fits; bytes added, 0 at the end, -1 */
static ssize_t refill(struct mbox_lines *l)
{
	uint64_t next = l->at + (l->have - l->pos);
	size_t room;
	ssize_t n;

	memmove(l->data, l->data + l->pos, l->have - l->pos);
	l->have -= l->pos;
	l->pos = 0;
	room = l->size - l->have;
	if (l->end - next < room) {
		room = (size_t)(l->end - next);
	}
	do {
		n = room == 0 ? 0 : pread(l->fd, l->data + l->have, room, (off_t)next);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		l->have += (size_t)n;
	}
	return n;
}

int mbox_lines_next(struct mbox_lines *l, const char **line_r, size_t *len_r, bool *start_r)
{
	const char *nl = memchr(l->data + l->pos, '\n', l->have - l->pos);
	ssize_t n = 1;

	while (nl == NULL && n > 0) {
		size_t seen = l->have - l->pos;

		n = refill(l);
		if (n > 0) {
			nl = memchr(l->data + seen, '\n', l->have - seen);
		}
	}
	if (n < 0) {
		return -1;
	}
	if (l->have == l->pos) {
		return 0;
	}
	*line_r = l->data + l->pos;
	*len_r = nl != NULL ? (size_t)(nl + 1 - *line_r) : l->have - l->pos;
	*start_r = !l->begun;
	l->begun = nl == NULL;
	l->pos += *len_r;
	l->at += *len_r;
	return 1;
}

void mbox_lines_back(struct mbox_lines *l, size_t len)
{
	l->pos -= len;
	l->at -= len;
	l->begun = false;
}
