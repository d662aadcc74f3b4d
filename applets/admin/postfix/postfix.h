#ifndef APPLETS_ADMIN_POSTFIX_POSTFIX_H
#define APPLETS_ADMIN_POSTFIX_POSTFIX_H

#include <stdbool.h>

/* Private to applets/admin/postfix. */

/*
 * Look at configuration, directories and tables, make queue directories that are
 * missing. Silent when all is well, one line a fault; warnings only if wanted. 0: fine, 1:
 * warnings, 2: it cannot start like this. verbose: what is accepted but not acted on is listed,
 * too.
 */
int check_system(bool warnings, bool verbose);
/*
 * Before a start: tables of main.cf that are missing or were made by another program
 * are made from their sources. What fails is said; mail that needs such a table waits.
 */
void check_build_tables(void);
enum unused_say { UNUSED_REFUSED, UNUSED_COUNT, UNUSED_LIST };
/*
 * What main.cf, master.cf and dovecot.conf set and nothing acts on: those that protect are said as
 * fatal, and their number is the result; of the others nothing is said, or one line with their
 * number, or a line each.
 */
int check_unused(enum unused_say say);

#endif
