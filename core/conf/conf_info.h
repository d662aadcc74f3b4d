#ifndef CONF_CONF_INFO_H
#define CONF_CONF_INFO_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

/* What postconf and `postfix check` want to know beyond the values. */

/*
 * Read DIR/main.cf as conf_load() does, but convert nothing: param is left alone, and a value
 * that cannot be expanded is no error. 0, or -1 with text.
 */
int conf_read(const char *dir, bool optional, char **error_r);

/* The directory main.cf was loaded from. */
const char *conf_loaded_dir(void);
/* Names set in main.cf or by -o, sorted: array of *count_r, owned by a. */
const char **conf_set_names(struct arena *a, size_t *count_r);
/* Line of main.cf that set name; 0: set by -o or on the way here; -1: not set. */
int conf_line(const char *name);
/* The default, found-out ones too, not expanded; NULL: unknown name. */
const char *conf_default(const char *name);
/*
 * For names like smtp_destination_concurrency_limit: "$default_destination_concurrency_limit";
 * NULL for others.
 */
const char *conf_service_default(const char *name);
/* The ends of such names, one after the other; NULL behind the last. */
const char *conf_service_suffix(size_t n);
/* Does main.cf or -o set name to this text? NULL: not set. */
const char *conf_set_value(const char *name);
/* As conf_expand(), with errors in *error_r (caller frees) and NULL. */
const char *conf_expand_checked(struct arena *a, const char *text, char **error_r);

/*
 * Does a value of a guard (expanded) ask for nothing that we would have to do? That is its default,
 * an empty one, or one whose words are all in harmless; with "!" before it, none of them.
 */
bool conf_guard_harmless(const char *def, const char *harmless, const char *value);
/* Does name = value (as written) protect in a way that nothing acts on? */
bool conf_guard_refuses(const char *name, const char *value);
/*
 * The next name set in main.cf or by -o that conf_guard_refuses(); *at is 0 at first; NULL behind
 * the last. Rows of postscreen are left out.
 */
const char *conf_guard_set(size_t *at);

#endif
