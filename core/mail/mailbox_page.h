#ifndef MAIL_MAILBOX_PAGE_H
#define MAIL_MAILBOX_PAGE_H

#include "mail/mailbox_state.h"

/*
 * Pages of the index: mailbox_page.c has the format. Numbers are in base 128, least significant
 * first, high bit: more follows; signed ones zigzag. Drivers pack their own columns with these.
 */
static inline void page_put(struct buf *b, uint64_t v)
{
	while (v >= 0x80) {
		buf_addc(b, (char)(v | 0x80));
		v >>= 7;
	}
	buf_addc(b, (char)v);
}

static inline void page_put_signed(struct buf *b, int64_t v)
{
	page_put(b, (uint64_t)v << 1 ^ (v < 0 ? ~(uint64_t)0 : 0));
}

struct page_reader {
	const unsigned char *at, *end;
	bool bad; /* something was not there: what was read since is 0 */
};

/* page_get() of a number of any length. */
uint64_t page_get_long(struct page_reader *r);

static inline uint64_t page_get(struct page_reader *r)
{
	/* Most have one byte. */
	return r->at < r->end && *r->at < 0x80 ? *r->at++ : page_get_long(r);
}

static inline int64_t page_get_signed(struct page_reader *r)
{
	uint64_t v = page_get(r);

	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

/* The next len bytes; NULL: they are not there (bad is set). */
const void *page_get_bytes(struct page_reader *r, uint64_t len);

/* Messages from..to (their UIDs share a page) packed. */
void page_pack(struct buf *out, const struct mailbox *mb, uint32_t from, uint32_t to);
/*
 * Unpack into room (1 << INDEX_PAGE_SHIFT messages of the driver's kind); how many, or -1: damaged.
 */
int page_unpack(struct mailbox *mb, uint32_t page, const void *data, size_t len, void *room);

#endif
