#ifndef APPLETS_READ_MAIL_SHELL_H
#define APPLETS_READ_MAIL_SHELL_H

#include <stdbool.h>

struct buf;
struct mail_state;

/* NULL: the shell itself. The status as waitpid() has it, -1: said. */
int shell_run(struct mail_state *mail, const char *command);
/* The text in $EDITOR or another variable's program, and back. False: not changed (said). */
bool shell_edit(
	struct mail_state *mail, struct buf *text, const char *variable, const char *fallback);

#endif
