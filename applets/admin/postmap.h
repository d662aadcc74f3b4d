#ifndef APPLETS_ADMIN_POSTMAP_H
#define APPLETS_ADMIN_POSTMAP_H

/*
 * Rebuild every indexed table of alias_database, as newaliases and `sendmail -bi` do.
 * Configuration and log are open. 0, or 1 when one could not be built (which is logged; the
 * others are).
 */
int newaliases_run(void);

#endif
