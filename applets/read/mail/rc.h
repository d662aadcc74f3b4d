#ifndef APPLETS_READ_MAIL_RC_H
#define APPLETS_READ_MAIL_RC_H

#include <stdbool.h>

struct buf;
struct mail_state;

/* Run the commands of a file (rc); missing is fine when quiet. False: cannot be read. */
bool rc_read(struct mail_state *mail, const char *path, bool quiet);
/* Whether the next line belongs to this one: a backslash at its end, which becomes a blank. */
bool line_continues(struct buf *line);

#endif
