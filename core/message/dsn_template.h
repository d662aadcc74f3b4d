#ifndef MESSAGE_DSN_TEMPLATE_H
#define MESSAGE_DSN_TEMPLATE_H

#include <stdbool.h>

#include "base/arena.h"

/*
 * The words of a notice, bounce(5): built in, or those of bounce_template_file. A file may hold
 * some of the four templates, and a template some of the headers.
 */
struct dsn_template {
	const char *charset, *from, *subject, *postmaster_subject;
	const char *text; /* expanded; whole lines, the last one ended */
};

/*
 * Put what text (a file's) says in the template of that name over *t, its text expanded: 1, 0 it
 * has no such template, -1 there is something wrong, *error_r says what; *t is as it was. All in a.
 */
int dsn_template_parse(struct arena *a, const char *text, const char *name, struct dsn_template *t,
	const char **error_r);
/* The same of bounce_template_file, if there is one; what is wrong is logged. */
void dsn_template_load(struct arena *a, const char *name, struct dsn_template *t);

#endif
