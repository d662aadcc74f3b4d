#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A growable byte string, the only one in the tree. data[len] is always NUL
 * once anything was appended (buf_str() gives "" before), so it serves as a C
 * string as well; it may hold NULs. pos is a read cursor for byte streams:
 * buf_consume() moves it and reclaims the space when the buffer runs empty.
 * A zeroed struct is an empty buffer that owns no memory.
 */
struct buf {
	char *data;
	size_t len; /* bytes in data */
	size_t cap; /* bytes allocated, 0 when nothing is */
	size_t pos; /* bytes of data already consumed */
};

#define BUF_INIT              \
	{                     \
		NULL, 0, 0, 0 \
	}

void buf_free(struct buf *b);                /* release; b is empty again and usable */
void buf_reset(struct buf *b);               /* empty, keep the memory */
void buf_shrink(struct buf *b, size_t keep); /* give memory back when empty and cap > keep */
char *buf_reserve(struct buf *b, size_t n);  /* room for n more bytes; where to put them */
void buf_added(struct buf *b, size_t n);     /* n bytes were put into the reserved room */
void buf_add(struct buf *b, const void *data, size_t n);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_addvf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
void buf_truncate(struct buf *b, size_t len); /* shorten to len bytes */
const char *buf_str(const struct buf *b);     /* from the start, NUL-terminated, never NULL */
char *buf_steal(struct buf *b); /* the bytes as a string; the caller frees, b is empty */

/* The unread part: buf_unread() bytes at buf_head(). */
static inline const char *buf_head(const struct buf *b)
{
	return b->data != NULL ? b->data + b->pos : "";
}

static inline size_t buf_unread(const struct buf *b)
{
	return b->len - b->pos;
}

void buf_consume(struct buf *b, size_t n); /* n bytes of the unread part are done with */

/* Big-endian integers, for protocols of our own between processes. */
void buf_addu32(struct buf *b, uint32_t v);
void buf_addu64(struct buf *b, uint64_t v);

#endif
