#ifndef MAP_MAP_SOURCE_H
#define MAP_MAP_SOURCE_H

#include <stdbool.h>

#include "conf/lines.h"

enum { SOURCE_ALIAS = 1 /* "name: value, value" */, SOURCE_EXACT = 2 /* keys are not folded */ };

/*
 * Rows of a table's source: "key whitespace value", or with SOURCE_ALIAS those of aliases(5). Bad
 * rows are warned of with path and line, and passed over; NUL bytes and lines longer than
 * LINES_MAX are errors. fn's non-zero return ends the walk and is returned. 0; -1 with a text in
 * *error_r, which must be NULL before (caller frees).
 */
int map_source_read(struct lines *l, const char *path, unsigned flags,
	int (*fn)(void *arg, const char *key, const char *value, int line), void *arg,
	char **error_r);

#endif
