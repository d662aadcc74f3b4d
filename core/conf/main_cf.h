#ifndef CONF_MAIN_CF_H
#define CONF_MAIN_CF_H

#include <stdbool.h>

#include "base/str.h"

/* One assignment of main.cf or of -o: "name = value", blanks trimmed. */
struct assignment {
	struct slice name, value;
};
/* NULL, or what is wrong with text ("missing '=' after attribute name"). */
const char *assignment_split(const char *text, struct assignment *out);

/*
 * Read main.cf and call fn for each assignment, in order; fn's non-zero return
 * ends the walk and is returned. 0; -1 with a text that names file and line in
 * *error_r, which must be NULL before (caller frees); 1: the same, there is no such file.
 */
int main_cf_read(const char *path,
	int (*fn)(void *arg, struct slice name, struct slice value, int line), void *arg,
	char **error_r);

#endif
