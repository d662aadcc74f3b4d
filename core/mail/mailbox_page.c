/*
 * mailbox_page - messages packed into pages of the index
 *
 * A page holds the messages whose UIDs share uid >> INDEX_PAGE_SHIFT. Numbers
 * are in base 128, least significant first, high bit: more follows; signed
 * ones zigzag. Most are differences to the message before, so a message
 * of an mbox takes about 25 bytes, of a maildir its name and 15.
 *
 *	page    := 1 count message*
 *	message := uid-difference flags-and-bits keywords modseq-difference received-difference size
 *		   (gap from_len head_len tail_len cut len print | len name-length name)
 *
 * Offsets in an mbox are not kept: they are the sum of the lengths, so
 * removing a message near the front changes one page and not all. The gap is 0
 * unless another program put the messages in another order.
 */
#include <string.h>

#include "mail/mailstore.h"

enum { PAGE_VERSION = 1, FLAG_BITS = 5, FLAG_MASK = (1 << FLAG_BITS) - 1 };

static void put_number(struct buf *b, uint64_t v)
{
	while (v >= 0x80) {
		buf_addc(b, (char)(v | 0x80));
		v >>= 7;
	}
	buf_addc(b, (char)v);
}

static void put_signed(struct buf *b, int64_t v)
{
	put_number(b, (uint64_t)v << 1 ^ (v < 0 ? ~(uint64_t)0 : 0));
}

struct reader {
	const unsigned char *at, *end;
	bool bad;
};

static uint64_t get_number(struct reader *r)
{
	uint64_t v = 0;

	for (unsigned shift = 0; r->at < r->end && shift < 64; shift += 7) {
		unsigned char c = *r->at++;

		v |= (uint64_t)(c & 0x7f) << shift;
		if (c < 0x80) {
			return v;
		}
	}
	r->bad = true;
	return 0;
}

static int64_t get_signed(struct reader *r)
{
	uint64_t v = get_number(r);

	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

void page_pack(struct buf *out, const struct mailbox *mb, uint32_t from, uint32_t to)
{
	bool mbox = mb->store->driver == &mbox_driver;
	struct mail_info last = { 0 };

	put_number(out, PAGE_VERSION);
	put_number(out, to - from);
	if (from < to) {
		last.uid = mb->msgs[from].info.uid >> INDEX_PAGE_SHIFT << INDEX_PAGE_SHIFT;
	}
	for (uint32_t i = from; i < to; i++) {
		const struct msg *m = &mb->msgs[i];

		put_number(out, m->info.uid - last.uid);
		put_number(out, (m->info.flags & FLAG_MASK) | (uint64_t)m->bits << FLAG_BITS);
		put_number(out, m->info.keywords);
		put_signed(out, (int64_t)(m->info.modseq - last.modseq));
		put_signed(out, (int64_t)m->info.received - (int64_t)last.received);
		put_number(out, m->info.size);
		if (mbox) {
			put_signed(out, m->gap);
			put_number(out, m->from_len);
			put_number(out, m->head_len);
			put_number(out, m->tail_len);
			put_number(out, m->cut);
			put_number(out, m->len);
			buf_add(out, &m->print, sizeof(m->print));
		} else {
			put_number(out, m->len);
			put_number(out, strlen(m->name));
			buf_adds(out, m->name);
		}
		last = m->info;
	}
}

/* get_name - a maildir name, copied to the mailbox's arena */
static const char *get_name(struct reader *r, struct mailbox *mb)
{
	uint64_t len = get_number(r);
	const char *name = (const char *)r->at;

	if (r->bad || len > (uint64_t)(r->end - r->at)) {
		r->bad = true;
		return "";
	}
	r->at += len;
	return arena_strndup(&mb->names, name, (size_t)len);
}

int page_unpack(struct mailbox *mb, uint32_t page, const void *data, size_t len, struct msg *room)
{
	struct reader r = { data, (const unsigned char *)data + len, false };
	bool mbox = mb->store->driver == &mbox_driver;
	struct mail_info last = { .uid = page << INDEX_PAGE_SHIFT };
	uint64_t count, v;

	if (get_number(&r) != PAGE_VERSION) {
		return -1;
	}
	count = get_number(&r);
	if (count > 1u << INDEX_PAGE_SHIFT) {
		return -1;
	}
	for (uint64_t i = 0; i < count && !r.bad; i++) {
		struct msg *m = &room[i];

		memset(m, 0, sizeof(*m));
		v = get_number(&r);
		m->info.uid = last.uid + (uint32_t)v;
		if (m->info.uid >> INDEX_PAGE_SHIFT != page || (i > 0 && v == 0)) {
			return -1;
		}
		v = get_number(&r);
		m->info.flags = (unsigned)(v & FLAG_MASK);
		m->bits = (uint32_t)(v >> FLAG_BITS);
		m->info.keywords = get_number(&r);
		m->info.modseq = last.modseq + (uint64_t)get_signed(&r);
		m->info.received = (time_t)((int64_t)last.received + get_signed(&r));
		m->info.size = get_number(&r);
		if (mbox) {
			m->gap = get_signed(&r);
			m->from_len = (uint32_t)get_number(&r);
			m->head_len = (uint32_t)get_number(&r);
			m->tail_len = (uint32_t)get_number(&r);
			m->cut = (uint32_t)get_number(&r);
			m->len = get_number(&r);
			if (r.end - r.at < (ptrdiff_t)sizeof(m->print)) {
				return -1;
			}
			memcpy(&m->print, r.at, sizeof(m->print));
			r.at += sizeof(m->print);
		} else {
			m->len = get_number(&r);
			m->name = get_name(&r, mb);
		}
		last = m->info;
	}
	return r.bad ? -1 : (int)count;
}
