#ifndef APPLETS_READ_MAIL_COMMAND_H
#define APPLETS_READ_MAIL_COMMAND_H

#include <stdbool.h>

struct mail_state;

void commands_run(struct mail_state *mail);
/* One command line; in an rc file, source names it. */
void command_line(struct mail_state *mail, char *line, bool in_rc);

#endif
