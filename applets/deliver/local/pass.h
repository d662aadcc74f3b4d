#ifndef APPLETS_LOCAL_PASS_H
#define APPLETS_LOCAL_PASS_H

struct job;
struct local;

/* The target's transport is asked to deliver; the job ends with its answer. */
void pass_add(struct local *g, struct job *j);
void passes_free(struct local *g);

#endif
