#ifndef APPLETS_COMMAND_COMMAND_IMPL_H
#define APPLETS_COMMAND_COMMAND_IMPL_H

#include "applets/deliver/command/command.h"

/* ---- command_end.c ---- */

/* Why it was ended by us. */
enum command_cut { COMMAND_WHOLE, COMMAND_TIMED_OUT, COMMAND_UNREADABLE };

/* status is wait(2)'s; output is one line afterwards. Texts are in a or in output. */
void command_outcome(struct arena *a, const char *shown, int status, enum command_cut cut,
	struct buf *output, struct command_end *end);

/* ---- command_note.c ---- */

void command_note(const struct command_work *w); /* its command has taken the message */
/* Notes that are not needed any more go, after a while. */
void command_notes_clean(struct commands *k);

/* ---- command_keeper.c ---- */

enum { KEEPER_WHOLE = 'W', KEEPER_KILL = 'K' }; /* words to it */
/* In a process of its own: start and wait for the command. Pipes as pipe(2) made them. */
_Noreturn void keeper_run(const struct command_work *w, const int in[2], const int out[2], int ctl);

/* ---- command_child.c ---- */

/* In a process of its own: become the user and the command. */
_Noreturn void command_exec(const struct command_work *w, int in, int out);

#endif
