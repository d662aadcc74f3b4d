/*
 * buf - a growable byte string with a read cursor
 *
 * Growth doubles up to 1 MiB and then adds 1 MiB at a time, so a stream that
 * passes through costs a logarithmic number of copies and little slack.
 */
#include "base/buf.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { BUF_FIRST = 64, BUF_STEP = 1 << 20 };

void buf_free(struct buf *b)
{
	mem_free(b->data);
	memset(b, 0, sizeof(*b));
}

void buf_reset(struct buf *b)
{
	b->len = b->pos = 0;
	if (b->data != NULL) {
		b->data[0] = '\0';
	}
}

void buf_shrink(struct buf *b, size_t keep)
{
	if (buf_unread(b) == 0 && b->cap > keep) {
		buf_free(b);
	}
}

char *buf_reserve(struct buf *b, size_t n)
{
	size_t need = b->len + n + 1;
	size_t cap = b->cap ? b->cap : BUF_FIRST;

	if (need > b->cap && b->pos >= b->len / 2 && b->pos > 0) {
		/* Reclaim what was consumed before asking for more. */
		memmove(b->data, b->data + b->pos, b->len - b->pos);
		b->len -= b->pos;
		b->pos = 0;
		need = b->len + n + 1;
	}
	if (need > b->cap) {
		while (cap < need) {
			cap = cap < BUF_STEP ? cap * 2 : cap + BUF_STEP;
		}
		b->data = mem_realloc(b->data, cap);
		b->cap = cap;
	}
	return b->data + b->len;
}

void buf_added(struct buf *b, size_t n)
{
	b->len += n;
	b->data[b->len] = '\0';
}

void buf_add(struct buf *b, const void *data, size_t n)
{
	if (n > 0) {
		memcpy(buf_reserve(b, n), data, n);
		buf_added(b, n);
	}
}

void buf_adds(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_addc(struct buf *b, char c)
{
	*buf_reserve(b, 1) = c;
	buf_added(b, 1);
}

void buf_addvf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	size_t room;
	int n;

	buf_reserve(b, 80);
	room = b->cap - b->len;
	va_copy(again, ap);
	n = vsnprintf(b->data + b->len, room, fmt, again);
	va_end(again);
	if (n > 0 && (size_t)n >= room) {
		buf_reserve(b, (size_t)n);
		n = vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	}
	if (n > 0) {
		b->len += (size_t)n;
	}
	b->data[b->len] = '\0';
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_addvf(b, fmt, ap);
	va_end(ap);
}

void buf_truncate(struct buf *b, size_t len)
{
	if (len < b->len) {
		b->len = len;
		b->data[len] = '\0';
		if (b->pos > len) {
			b->pos = len;
		}
	}
}

const char *buf_str(const struct buf *b)
{
	return b->data != NULL ? b->data : "";
}

char *buf_steal(struct buf *b)
{
	char *s = b->data != NULL ? b->data : mem_strdup("");

	memset(b, 0, sizeof(*b));
	return s;
}

void buf_consume(struct buf *b, size_t n)
{
	b->pos += n;
	if (b->pos >= b->len) {
		buf_reset(b);
	}
}

void buf_addu32(struct buf *b, uint32_t v)
{
	unsigned char raw[4] = { (unsigned char)(v >> 24), (unsigned char)(v >> 16),
		(unsigned char)(v >> 8), (unsigned char)v };

	buf_add(b, raw, sizeof(raw));
}

void buf_addu64(struct buf *b, uint64_t v)
{
	buf_addu32(b, (uint32_t)(v >> 32));
	buf_addu32(b, (uint32_t)v);
}
