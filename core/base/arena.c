/*
 * arena - memory that is freed all at once
 *
 * Blocks grow from 512 bytes to 32 KB, so an idle session costs little and a
 * busy one few calls; up to 8 KB they stay below a page's half, several of which malloc() keeps
 * in one page. A request larger than that gets a block of its own.
 */
#include "base/arena.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { BLOCK_FIRST = 512, BLOCK_SMALL = 1984, SMALL_TOTAL = 8192, BLOCK_MAX = 32768 };

struct arena_block {
	struct arena_block *next;
	size_t size; /* bytes in data */
	max_align_t data[];
};

static struct arena_block *add_block(struct arena *a, size_t size)
{
	size_t want = a->blocks == NULL  ? BLOCK_FIRST
		: a->total < SMALL_TOTAL ? BLOCK_SMALL
					 : a->blocks->size * 2;
	struct arena_block *block;

	if (want > BLOCK_MAX) {
		want = BLOCK_MAX;
	}
	if (want < size) {
		want = size;
	}
	block = mem_realloc(NULL, sizeof(*block) + want);
	block->size = want;
	block->next = a->blocks;
	a->blocks = block;
	a->used = 0;
	return block;
}

void *arena_alloc(struct arena *a, size_t size)
{
	size_t need = (size + sizeof(max_align_t) - 1) & ~(sizeof(max_align_t) - 1);
	struct arena_block *block = a->blocks;
	char *ptr;

	if (need < size || need > SIZE_MAX - sizeof(*block)) {
		need = SIZE_MAX - sizeof(*block); /* it wraps around: for mem_realloc to refuse */
	}
	if (block == NULL || block->size - a->used < need) {
		block = add_block(a, need);
	}
	ptr = (char *)block->data + a->used;
	a->used += need;
	a->total += need;
	memset(ptr, 0, size);
	return ptr;
}

char *arena_strndup(struct arena *a, const char *s, size_t len)
{
	char *copy = arena_alloc(a, len + 1);

	if (len > 0) { /* an empty slice may have no address */
		memcpy(copy, s, len);
	}
	return copy;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return s != NULL ? arena_strndup(a, s, strlen(s)) : NULL;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	s = arena_alloc(a, n > 0 ? (size_t)n + 1 : 1);
	va_start(ap, fmt);
	vsnprintf(s, n > 0 ? (size_t)n + 1 : 1, fmt, ap);
	va_end(ap);
	return s;
}

void arena_reset(struct arena *a)
{
	struct arena_block *block = a->blocks;

	while (block != NULL && (block->next != NULL || block->size > 4096)) {
		a->blocks = block->next;
		mem_free(block);
		block = a->blocks;
	}
	a->used = a->total = 0;
}

void arena_free(struct arena *a)
{
	while (a->blocks != NULL) {
		struct arena_block *next = a->blocks->next;

		mem_free(a->blocks);
		a->blocks = next;
	}
	a->used = a->total = 0;
}

void arena_join(struct arena *a, struct arena *from)
{
	struct arena_block *last = from->blocks;

	if (last == NULL) {
		return;
	}
	if (a->blocks == NULL) {
		a->blocks = from->blocks;
		a->used = from->used;
	} else {
		while (last->next != NULL) {
			last = last->next;
		}
		last->next = a->blocks->next;
		a->blocks->next = from->blocks;
	}
	a->total += from->total;
	*from = (struct arena)ARENA_INIT;
}
