#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

/*
 * An arena hands out memory that is freed all at once: one per session, one
 * per transaction or command. A zeroed struct is an empty arena. Memory is
 * aligned for any type and zeroed.
 */
struct arena_block;

struct arena {
	struct arena_block *blocks; /* newest first */
	size_t used;                /* bytes of the newest block in use */
	size_t total;               /* bytes handed out since the last reset: for bounds */
};

#define ARENA_INIT         \
	{                  \
		NULL, 0, 0 \
	}

void *arena_alloc(struct arena *a, size_t size);
char *arena_strdup(struct arena *a, const char *s); /* NULL gives NULL */
char *arena_strndup(struct arena *a, const char *s, size_t len);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Forget everything; one small block is kept for the next use. */
void arena_reset(struct arena *a);
void arena_free(struct arena *a);
/* What is in from lives as long as what is in a; from is empty afterwards. */
void arena_join(struct arena *a, struct arena *from);

#endif
