#ifndef APPLETS_LOCAL_COMMAND_RUN_H
#define APPLETS_LOCAL_COMMAND_RUN_H

#include <stdbool.h>
#include <sys/types.h>

struct job;
struct local;
struct queue_envelope;

/* ---- command_note.c ---- */

void note_make(const struct job *j); /* its command has taken the message */
bool note_find(const struct job *j);
void notes_clean_later(struct local *g); /* remove those that are not needed any more */

/* ---- command_keeper.c ---- */

enum { KEEPER_WHOLE = 'W', KEEPER_KILL = 'K' }; /* words to it */
/* In a process of its own: start and wait for the command. Pipes as pipe(2) made them. */
_Noreturn void keeper_run(const struct job *j, const struct queue_envelope *env, const int in[2],
	const int out[2], int ctl);

/* ---- command_child.c ---- */

/* In a process of its own: become the user and the command. */
_Noreturn void command_exec(const struct job *j, const struct queue_envelope *env, int in, int out);

/* ---- command_run.c ---- */

void command_add(struct local *g, struct job *j);
bool command_ended(struct local *g, pid_t pid, int status);
void commands_free(struct local *g);

#endif
