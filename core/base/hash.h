#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * String to pointer. Keys are copied; values belong to the caller. SipHash
 * with a key drawn at start, because keys come from strangers. A zeroed
 * struct is an empty table.
 */
struct hash_entry {
	struct hash_entry *next;
	uint64_t sum;
	void *value;
	char key[];
};

struct hash {
	struct hash_entry **slots;
	size_t slot_count; /* power of two, 0 when nothing was added */
	size_t count;
};

void *hash_get(const struct hash *h, const char *key);        /* NULL: none */
void *hash_set(struct hash *h, const char *key, void *value); /* the value replaced, or NULL */
void *hash_del(struct hash *h, const char *key);              /* the value removed, or NULL */
/* Walk: start with NULL; the table must not change meanwhile. */
struct hash_entry *hash_next(const struct hash *h, struct hash_entry *prev);
/* free_value may be NULL. */
void hash_free(struct hash *h, void (*free_value)(void *));

#endif
