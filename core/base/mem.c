/*
 * mem - allocation that never returns NULL
 *
 * Servers here are event loops with many sessions, so running out of memory
 * must cost one session and not the process. Instead of a check after every
 * call, the failure jumps to the innermost mem_guard. Sessions keep what they
 * own in an arena or in their struct, so the guard's owner can free it all.
 */
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"

static struct mem_guard *guard;
static unsigned long fail_countdown;

void mem_guard_push(struct mem_guard *g)
{
	g->outer = guard;
	guard = g;
}

void mem_guard_leave(struct mem_guard *g)
{
	guard = g->outer;
}

void mem_fail_at(unsigned long n)
{
	fail_countdown = n;
}

/* out_of_memory - end the innermost guarded piece of work, or the process */
static _Noreturn void out_of_memory(size_t size)
{
	log_error("out of memory: %zu bytes wanted", size);
	if (guard != NULL) {
		longjmp(guard->jump, 1);
	}
	log_flush();
	_exit(EX_OSERR);
}

static int must_fail(void)
{
	return fail_countdown != 0 && --fail_countdown == 0;
}

void *mem_alloc(size_t size)
{
	void *ptr = must_fail() ? NULL : calloc(1, size ? size : 1);

	if (ptr == NULL) {
		out_of_memory(size);
	}
	return ptr;
}

void *mem_realloc(void *old, size_t size)
{
	void *ptr = must_fail() ? NULL : realloc(old, size ? size : 1);

	if (ptr == NULL) {
		out_of_memory(size);
	}
	return ptr;
}

void *mem_calloc(size_t count, size_t size)
{
	if (size != 0 && count > (size_t)-1 / size) {
		out_of_memory((size_t)-1);
	}
	return mem_alloc(count * size);
}

char *mem_strndup(const char *s, size_t len)
{
	char *copy = mem_alloc(len + 1);

	memcpy(copy, s, len);
	copy[len] = '\0';
	return copy;
}

char *mem_strdup(const char *s)
{
	return s != NULL ? mem_strndup(s, strlen(s)) : NULL;
}

void mem_free(void *ptr)
{
	free(ptr);
}
