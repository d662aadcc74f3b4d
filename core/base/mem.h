#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <setjmp.h>
#include <stddef.h>

/*
 * Allocation that never returns NULL. When memory is short the innermost
 * mem_guard is resumed (an event loop sets one around each session's turn, so
 * one session ends with 451 or BYE and the server lives on); without a guard
 * the process logs and ends with EX_OSERR.
 */
struct mem_guard {
	jmp_buf jump;
	struct mem_guard *outer;
};

/* Zeroed memory of size bytes; the caller frees it with mem_free(). */
void *mem_alloc(size_t size);
/* realloc(3) that cannot fail; new bytes are not cleared. */
void *mem_realloc(void *ptr, size_t size);
/* Array of count elements; ends as out of memory when the product overflows. */
void *mem_calloc(size_t count, size_t size);
/* Copies, NUL-terminated, the caller frees. mem_strdup(NULL) is NULL. */
char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t len);
/* free(3); NULL is fine. */
void mem_free(void *ptr);
/*
 * Give back what is only kept for speed: the large blocks of mem_free() (at most 1 MiB), and the
 * caches whose owners asked to be told with mem_trim_call(). The event loop calls it in a pause.
 */
void mem_trim(void);
/* A cache's wish to be emptied by mem_trim(). Embedded in its owner, who takes it back before it
 * goes. fn may free, and may not add or take back wishes. */
struct mem_trimmer {
	struct mem_trimmer *next;
	void (*fn)(void *owner);
	void *owner;
};
void mem_trim_call(struct mem_trimmer *t, void (*fn)(void *owner), void *owner);
void mem_trim_forget(struct mem_trimmer *t); /* not added: nothing */

/*
 * mem_guard_enter(&g) is 0 at first and 1 when memory ran out further down;
 * every enter is paired with mem_guard_leave(&g) on both ways. A macro,
 * because setjmp must run in the caller's frame.
 */
#define mem_guard_enter(g) (mem_guard_push(g), setjmp((g)->jump))
void mem_guard_push(struct mem_guard *g);
void mem_guard_leave(struct mem_guard *g);

/* Test hook: the n-th allocation from now fails (0 turns it off). */
void mem_fail_at(unsigned long n);

#endif
