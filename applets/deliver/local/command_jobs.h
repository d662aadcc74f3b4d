#ifndef APPLETS_LOCAL_COMMAND_JOBS_H
#define APPLETS_LOCAL_COMMAND_JOBS_H

#include "base/arena.h"
#include "applets/deliver/command/command.h"
#include "applets/deliver/local/jobs.h"

struct local;
struct queue_envelope;

/* A job that runs; its work's owner. */
struct command_job {
	struct command_work work;
	struct job *job;
	const struct delivery_recipient *rcpt;
	const struct queue_envelope *env; /* while it is started; NULL: not known */
};

/* ---- command_env.c ---- */

void command_prepare(const struct command_work *w, struct arena *a);
void command_run(const struct command_work *w, struct arena *a);

/* ---- command_jobs.c ---- */

void command_add(struct local *g, struct job *j);

#endif
