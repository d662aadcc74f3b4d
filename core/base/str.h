#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* A piece of somebody else's bytes; not NUL-terminated. */
struct slice {
	const char *ptr;
	size_t len;
};

#define SLICE_LIT(s) ((struct slice){ (s), sizeof(s) - 1 })

struct slice slice_of(const char *s);
bool slice_eq(struct slice a, const char *b);  /* exact */
bool slice_ieq(struct slice a, const char *b); /* ASCII case ignored */
struct slice slice_trim(struct slice s);       /* SP HT CR LF off both ends */

/*
 * Next word of *rest, split at any byte of delims (runs count once); empty
 * slice with ptr NULL at the end. *rest advances.
 */
struct slice slice_word(struct slice *rest, const char *delims);

/* Is word (ASCII case ignored) in a list whose words are separated by commas and blanks? */
bool list_has(const char *list, const char *word);
bool list_has_slice(const char *list, struct slice word);

bool str_ieq(const char *a, const char *b); /* ASCII case ignored */
bool str_starts(const char *s, const char *prefix);
bool str_istarts(const char *s, const char *prefix); /* ASCII case ignored */
bool str_ends(const char *s, const char *suffix);
void str_lower(char *s); /* ASCII, in place */
/* strlcpy: copy with truncation, always NUL-terminated; true when it fitted. */
bool str_copy(char *dst, size_t size, const char *src);

/*
 * Decimal number of the whole string, min..max. True when it is one; false
 * leaves *out alone.
 */
bool str_to_int(const char *s, int64_t min, int64_t max, int64_t *out);
/* Time in seconds with Postfix's suffixes s m h d w; unit is used when there is none. */
bool str_to_seconds(const char *s, char unit, int64_t *out);

#endif
