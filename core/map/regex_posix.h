#ifndef MAP_REGEX_POSIX_H
#define MAP_REGEX_POSIX_H

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/str.h"

/*
 * POSIX regular expressions as glibc takes them, on whatever regcomp() there is: back-references in
 * extended expressions, counts up to 32767, {,n}.
 */
struct posix_regex {
	regex_t re;
	size_t groups;         /* of the pattern as written */
	unsigned char *origin; /* of each group compiled: its number in the pattern; NULL: same */
	bool fold;             /* keys are made lower case, for back-references without case */
};

/* cflags as for regcomp(). 0, or -1 with what is wrong (nothing to free then). */
int posix_regex_compile(struct posix_regex *x, struct slice pattern, int cflags, struct buf *why);
/* 1 with groups[0 .. max-1] (ptr NULL: did not take part), 0, or -1 with what went wrong. */
int posix_regex_match(const struct posix_regex *x, const char *key, struct slice *groups,
	size_t max, struct buf *why);
void posix_regex_free(struct posix_regex *x);

#endif
