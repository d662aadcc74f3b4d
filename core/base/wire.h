#ifndef BASE_WIRE_H
#define BASE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/*
 * Messages between our own processes over unix stream sockets: u32 length of
 * what follows, then fields one after the other: u64 numbers and strings
 * (u32 length, bytes, NUL). Big-endian, so that a dump reads the same on
 * every machine. A reader never runs past the message and turns bad once
 * something does not fit; check wire_ok() at the end.
 */
enum { WIRE_MAX = 1 << 24 }; /* longer messages are refused */

/* Writing: begin, put..., end. The buffer must not be consumed in between. */
size_t wire_begin(struct buf *b); /* a mark for wire_end() */
void wire_put_int(struct buf *b, uint64_t v);
void wire_put_str(struct buf *b, const char *s); /* NULL is written as "" */
void wire_put_bytes(struct buf *b, const void *data, size_t len);
void wire_end(struct buf *b, size_t mark);

struct wire {
	const char *ptr;
	size_t left;
	bool bad;
};

/*
 * A whole message at the head of b's unread part: 1 and *w is set (valid until
 * b changes; then buf_consume(b, *size_r)); 0 more bytes needed; -1 too long.
 */
int wire_next(const struct buf *b, struct wire *w, size_t *size_r);
size_t wire_announced(const struct buf *b); /* the length that message is to have; 0: not known */
uint64_t wire_get_int(struct wire *w);      /* 0 when bad */
const char *wire_get_str(struct wire *w);   /* "" when bad; points into the message */
const char *wire_get_bytes(struct wire *w, size_t *len_r);
bool wire_ok(const struct wire *w); /* nothing was bad and nothing is left */

#endif
