/*
 * trace - a piece of work in a child under ptrace(2)
 */
#include "trace.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

pid_t trace_fork(void)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	REQUIRE(pid >= 0);
	return pid;
}

/* show - the call at which the child stopped; false: fn wants it killed */
static bool show(struct trace_call *call, trace_fn *fn, void *arg)
{
	struct __ptrace_syscall_info info;

	REQUIRE(ptrace(PTRACE_GET_SYSCALL_INFO, call->pid, sizeof(info), &info) > 0);
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
		call->entry = true;
		call->nr = info.entry.nr;
		memcpy(call->args, info.entry.args, sizeof(call->args));
	} else if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
		call->entry = false;
		call->result = info.exit.rval;
	} else {
		return true;
	}
	return fn(arg, call);
}

/* follow - a traced child to its end, or to the call where it is killed */
static bool follow(pid_t pid, trace_fn *fn, void *arg)
{
	struct trace_call call = { .pid = pid };
	int status;

	for (;;) {
		REQUIRE(ptrace(PTRACE_SYSCALL, pid, 0, 0) == 0 && waitpid(pid, &status, 0) == pid);
		if (WIFEXITED(status)) {
			CHECK_INT(WEXITSTATUS(status), 0);
			return true;
		}
		REQUIRE(WIFSTOPPED(status));
		if (WSTOPSIG(status) != (SIGTRAP | 0x80) || show(&call, fn, arg)) {
			continue;
		}
		kill(pid, SIGKILL);
		REQUIRE(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
		return false;
	}
}

/* begin - a child that waits to be followed; a call of getppid() marks where the work begins */
static pid_t begin(void (*work)(void))
{
	pid_t pid = trace_fork();
	int status;

	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0) {
			_exit(77);
		}
		raise(SIGSTOP);
		(void)getppid();
		work();
		_exit(0);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		unit_skip("processes cannot be traced here");
	}
	REQUIRE(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) == 0);
	return pid;
}

bool trace_run(void (*work)(void), trace_fn *fn, void *arg)
{
	return follow(begin(work), fn, arg);
}

/* until_mark - to the return from getppid() */
static void until_mark(pid_t pid)
{
	struct __ptrace_syscall_info info = { .op = PTRACE_SYSCALL_INFO_NONE };
	bool marked = false;
	int status;

	while (!marked || info.op != PTRACE_SYSCALL_INFO_EXIT) {
		REQUIRE(ptrace(PTRACE_SYSCALL, pid, 0, 0) == 0);
		REQUIRE(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
		REQUIRE(ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) > 0);
		if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
			marked = info.entry.nr == SYS_getppid;
		}
	}
}

int64_t trace_instructions(void (*work)(void))
{
	pid_t pid = begin(work);
	int64_t steps = 0;
	int status = 0;

	until_mark(pid);
	while (!WIFEXITED(status) || steps == 0) {
		if (ptrace(PTRACE_SINGLESTEP, pid, 0, 0) != 0) {
			unit_skip("processes cannot be stepped here");
		}
		REQUIRE(waitpid(pid, &status, 0) == pid && steps++ < 1000000);
	}
	return steps;
}
