#ifndef CONF_LINES_H
#define CONF_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/*
 * Logical lines of main.cf, master.cf and the sources of lookup tables: a line
 * that begins with a blank continues the one before; empty lines and lines whose first
 * non-blank is '#' count for nothing, also between continuation lines. Line
 * ends (LF or CRLF) go; the blanks of a continuation line stay. A UTF-8 byte
 * order mark at the start is skipped. Reads in pieces: files may be large.
 */
enum { LINES_MAX = 1024 * 1024 }; /* bytes of one logical line */

struct lines {
	int fd;
	bool eof;
	struct buf in;   /* bytes read, not yet split */
	struct buf next; /* the physical line after text, looked at already */
	bool have_next;
	bool next_nul, next_long;
	int physical; /* number of the line in next, or of the last one read */

	struct buf text; /* the logical line; NUL-terminated */
	int number;      /* where it begins, from 1 */
	int last;        /* where it ends */
	bool has_nul;    /* it holds NUL bytes */
	bool too_long;   /* it was cut at LINES_MAX */
	bool orphan;     /* it begins with a blank and there was nothing to continue */
};

/* 0; -1 with errno (EISDIR for a directory). */
int lines_open(struct lines *l, const char *path);
/* The same for a descriptor (stdin); lines_close() closes it. */
void lines_open_fd(struct lines *l, int fd);
/* 1 and text, 0 at the end, -1 with errno. */
int lines_next(struct lines *l);
void lines_close(struct lines *l);

#endif
