/* trace.h - a piece of work in a child under ptrace(2), system call by system call */
#ifndef TESTS_UNIT_TRACE_H
#define TESTS_UNIT_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct trace_call {
	pid_t pid;
	uint64_t nr;
	uint64_t args[6];
	bool entry;     /* about to be made; else it was */
	int64_t result; /* negative: an errno */
};

/* What to do at a call: false kills the child there. */
typedef bool trace_fn(void *arg, const struct trace_call *call);

/*
 * Fork, do the work there and show its calls to fn. True: it ended by itself (with status 0, else
 * the test fails); false: fn had it killed. Skips the test where processes cannot be traced.
 */
bool trace_run(void (*work)(void), trace_fn *fn, void *arg);
/* Instructions that the work takes, to the end of its process: for what must not tell by its time
 * what it saw. The same work always takes as many. */
int64_t trace_instructions(void (*work)(void));
/* fork(2); nothing that waits to be written is written twice. */
pid_t trace_fork(void);

#endif
