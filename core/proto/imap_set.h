#ifndef PROTO_IMAP_SET_H
#define PROTO_IMAP_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "proto/imap_parse.h"

/* Sequence sets (RFC 3501 9 sequence-set): "1:3,7,9:*". */
struct imap_range {
	uint32_t first, last; /* 0: '*' */
};

struct imap_set {
	struct imap_range *ranges;
	size_t count;
};

/* Ranges as written; in a's arena. */
bool imap_args_set(struct imap_args *a, struct imap_set *out);
/* Put max for '*' (max 0: an empty mailbox, '*' ranges vanish), sort, join. First <= last and
 * ascending then. */
void imap_set_resolve(struct imap_set *s, uint32_t max);
/* Of a resolved set. */
bool imap_set_has(const struct imap_set *s, uint32_t n);
/* Smallest number of the set at or above n; 0 none. */
uint32_t imap_set_next(const struct imap_set *s, uint32_t n);
/* Largest number in it, 0 when empty. */
uint32_t imap_set_max(const struct imap_set *s);
/* Write numbers as a set: neighbours that count up are joined ("4:7,9"). Order is kept. */
void imap_set_put(struct buf *out, const uint32_t *numbers, size_t count);

#endif
