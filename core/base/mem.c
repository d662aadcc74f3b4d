/*
 * mem - allocation that never returns NULL
 *
 * Servers here are event loops with many sessions, so running out of memory
 * must cost one session and not the process. Instead of a check after every
 * call, the failure jumps to the innermost mem_guard. Sessions keep what they
 * own in an arena or in their struct, so the guard's owner can free it all.
 *
 * Blocks of 16 to 256 KB (chunks of messages, arenas at work) are kept for the next
 * user instead of going back: musl maps and unmaps each of them, which cost a third of the
 * system time of a mail. mem_trim() gives them back; the event loop calls it when nothing happens.
 */
#include "base/mem.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"

static struct mem_guard *guard;
static unsigned long fail_countdown;

/* Kept blocks: a list for each power of two. */
/* Bytes below the stack pointer: what the call itself uses; how far down is looked. */
enum { STACK_NEAR = 1024, STACK_SPAN = 1 << 20 };

enum { KEEP_FIRST = 14, KEEP_LAST = 18, KEEP_TOTAL = 1 << 20 };

#ifndef MEM_KEEPS
#ifdef __SANITIZE_ADDRESS__
#define MEM_KEEPS 0 /* a kept block would hide its use after the free */
#else
#define MEM_KEEPS 1
#endif
#endif

struct kept {
	struct kept *next;
};

static struct kept *kept[KEEP_LAST - KEEP_FIRST + 1];
static size_t kept_total;
static struct mem_trimmer *trimmers;

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

/* keep_class - the list for a block of that size, rounded up; -1: none */
static int keep_class(size_t size)
{
	int class = 0;

	if (!MEM_KEEPS || size <= (size_t)1 << (KEEP_FIRST - 1) || size > (size_t)1 << KEEP_LAST) {
		return -1;
	}
	while (((size_t)1 << (KEEP_FIRST + class)) < size) {
		class ++;
	}
	return class;
}

/*
 * new_block - size bytes; NULL when there is no memory. To be cleared is left to calloc(), and no
 * kept block is taken for it: pages that come fresh from the system are not even touched.
 */
static void *new_block(size_t size, bool cleared)
{
	int class = keep_class(size);
	size_t room = class >= 0 ? (size_t)1 << (KEEP_FIRST + class) : size ? size : 1;
	struct kept *block = class >= 0 && !cleared ? kept[class] : NULL;

	if (block == NULL) {
		return cleared ? calloc(1, room) : malloc(room);
	}
	kept[class] = block->next;
	kept_total -= room;
	return block;
}

/* keep_block - put it on its list; false: too small, too large or enough of them */
static bool keep_block(void *ptr)
{
	size_t size = malloc_usable_size(ptr);
	struct kept *block = ptr;
	int class = 0;

	if (!MEM_KEEPS || size < (size_t)1 << KEEP_FIRST || size >= (size_t)2 << KEEP_LAST) {
		return false;
	}
	while (class < KEEP_LAST - KEEP_FIRST && ((size_t)2 << (KEEP_FIRST + class)) <= size) {
		class ++;
	}
	if (kept_total + ((size_t)1 << (KEEP_FIRST + class)) > KEEP_TOTAL) {
		return false;
	}
	block->next = kept[class];
	kept[class] = block;
	kept_total += (size_t)1 << (KEEP_FIRST + class);
	return true;
}

void mem_trim_call(struct mem_trimmer *t, void (*fn)(void *owner), void *owner)
{
	t->fn = fn;
	t->owner = owner;
	t->next = trimmers;
	trimmers = t;
}

void mem_trim_forget(struct mem_trimmer *t)
{
	struct mem_trimmer **link = &trimmers;

	while (*link != NULL && *link != t) {
		link = &(*link)->next;
	}
	if (*link != NULL) {
		*link = t->next;
	}
}

/*
 * trim_stack - the pages below our caller's, which deeper calls of the start or of a mail have left
 * behind. The kernel keeps 128 MB below a stack free of anything else, so what it has not grown to
 * is no mapping at all: passed over.
 */
static void trim_stack(void)
{
#ifndef __SANITIZE_ADDRESS__
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t end = ((uintptr_t)__builtin_frame_address(0) - STACK_NEAR) & ~(page - 1);

	(void)madvise((void *)(end - STACK_SPAN), STACK_SPAN, MADV_DONTNEED);
#endif
}

void mem_trim(void)
{
	for (struct mem_trimmer *t = trimmers; t != NULL; t = t->next) {
		t->fn(t->owner);
	}
	for (size_t class = 0; class < sizeof(kept) / sizeof(kept[0]); class ++) {
		while (kept[class] != NULL) {
			struct kept *next = kept[class]->next;

			free(kept[class]);
			kept[class] = next;
		}
	}
	kept_total = 0;
	log_trim();
	trim_stack();
}

void *mem_alloc(size_t size)
{
	void *ptr = must_fail() ? NULL : new_block(size, true);

	if (ptr == NULL) {
		out_of_memory(size);
	}
	return ptr;
}

void *mem_realloc(void *old, size_t size)
{
	void *ptr = must_fail() ? NULL
		: old == NULL   ? new_block(size, false)
				: realloc(old, size ? size : 1);

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

	if (len > 0) {
		memcpy(copy, s, len);
	}
	copy[len] = '\0';
	return copy;
}

char *mem_strdup(const char *s)
{
	return s != NULL ? mem_strndup(s, strlen(s)) : NULL;
}

void mem_free(void *ptr)
{
	if (ptr != NULL && !keep_block(ptr)) {
		free(ptr);
	}
}
