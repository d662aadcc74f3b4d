#ifndef POLICY_RESTRICT_NAMES_H
#define POLICY_RESTRICT_NAMES_H

#include <stdbool.h>
#include <stddef.h>

/* The names of restrictions, for who looks at a configuration (postfix check, postconf). */

enum restrict_kind { RESTRICT_BUILT, RESTRICT_NOT_BUILT, RESTRICT_UNKNOWN };
/*
 * Look at a list without opening its tables: fn gets each name in it and in the classes it names.
 * What follows warn_if_reject cannot refuse anything: it counts as built if it is known.
 */
void restrict_each(const char *text,
	void (*fn)(void *arg, const char *name, enum restrict_kind kind), void *arg);

#endif
