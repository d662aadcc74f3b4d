#ifndef BASE_LOG_HOLD_H
#define BASE_LOG_HOLD_H

#include <stdbool.h>
#include <stddef.h>

/*
 * What log.c keeps of lines that are not written yet. Nothing here waits: a descriptor that takes
 * nothing now leaves the lines where they are, and those that find no room are counted.
 */

/* Keep one line (with its line end); false: there is no room, also after a try to write. */
bool log_hold_add(int fd, const char *line, size_t len);
/* Would one of len bytes find room without a write? */
bool log_hold_has_room(size_t len);
/* Hand all that is kept to fn. */
void log_hold_give(void (*fn)(void *arg, const char *lines, size_t len), void *arg);
/* Write what is kept; true: all of it is out. */
bool log_hold_flush(int fd);
/* Give back the memory of lines that are out (mem_trim). */
void log_hold_trim(void);
/* Some lines could not be written at the last try, or were lost and that was not said. */
bool log_hold_is_stuck(void);
/* Lines that were dropped and not said yet: by file or pipe (add), by syslog (lose). */
void log_hold_lose(void);
unsigned long log_hold_lost(void);
void log_hold_said(void);

#endif
