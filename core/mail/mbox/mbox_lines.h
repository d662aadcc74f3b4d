#ifndef MAIL_MBOX_MBOX_LINES_H
#define MAIL_MBOX_MBOX_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MBOX_WINDOW = 256 * 1024 };

struct mbox_lines {
	int fd;
	uint64_t at, end; /* of the next line; where to stop */
	char *data;       /* size bytes: all there is to read, at most MBOX_WINDOW */
	size_t size;
	size_t have, pos;
	bool begun; /* the next piece goes on with a line */
};
void mbox_lines_open(struct mbox_lines *l, int fd, uint64_t at, uint64_t end);
void mbox_lines_close(struct mbox_lines *l);
/*
 * The next line, or a piece of one that is longer than the window. *start_r: the piece begins a
 * line. 1, 0 at the end, -1 with errno. Stays until the next call.
 */
int mbox_lines_next(struct mbox_lines *l, const char **line_r, size_t *len_r, bool *start_r);
/* The line just read is read again by the next call. */
void mbox_lines_back(struct mbox_lines *l, size_t len);

#endif
