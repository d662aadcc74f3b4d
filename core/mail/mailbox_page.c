/*
 * mailbox_page - messages packed into pages of the index
 *
 * A page holds the messages whose UIDs share uid >> INDEX_PAGE_SHIFT. Most numbers are differences
 * to the message before, so a message of an mbox takes about 25 bytes, of a maildir its name
 * and 15.
 *
 *	page    := 1 count message*
 *	message := uid-difference flags-and-bits keywords modseq-difference received-difference size
 *		   (the driver's columns)
 */
#include "mail/mailbox_page.h"

#include <string.h>

#include "mail/mail_driver.h"

enum { PAGE_VERSION = 1, FLAG_BITS = 5, FLAG_MASK = (1 << FLAG_BITS) - 1 };

uint64_t page_get_long(struct page_reader *r)
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

const void *page_get_bytes(struct page_reader *r, uint64_t len)
{
	const void *bytes = r->at;

	if (r->bad || len > (uint64_t)(r->end - r->at)) {
		r->bad = true;
		return NULL;
	}
	r->at += len;
	return bytes;
}

void page_pack(struct buf *out, const struct mailbox *mb, uint32_t from, uint32_t to)
{
	const struct mail_driver *driver = mb->store->driver;
	struct mail_info last = { 0 };

	page_put(out, PAGE_VERSION);
	page_put(out, to - from);
	if (from < to) {
		last.uid = mailbox_msg(mb, from)->info.uid >> INDEX_PAGE_SHIFT << INDEX_PAGE_SHIFT;
	}
	for (uint32_t i = from; i < to; i++) {
		const struct msg *m = mailbox_msg(mb, i);

		page_put(out, m->info.uid - last.uid);
		page_put(out, (m->info.flags & FLAG_MASK) | (uint64_t)m->bits << FLAG_BITS);
		page_put(out, m->info.keywords);
		page_put_signed(out, (int64_t)(m->info.modseq - last.modseq));
		page_put_signed(out, (int64_t)m->info.received - (int64_t)last.received);
		page_put(out, m->info.size);
		driver->pack(out, m);
		last = m->info;
	}
}

int page_unpack(struct mailbox *mb, uint32_t page, const void *data, size_t len, void *room)
{
	const struct mail_driver *driver = mb->store->driver;
	struct page_reader r = { data, (const unsigned char *)data + len, false };
	struct mail_info last = { .uid = page << INDEX_PAGE_SHIFT };
	uint64_t count, v;

	if (page_get(&r) != PAGE_VERSION) {
		return -1;
	}
	count = page_get(&r);
	if (count > 1u << INDEX_PAGE_SHIFT) {
		return -1;
	}
	memset(room, 0, (size_t)count * driver->msg_size);
	for (uint64_t i = 0; i < count && !r.bad; i++) {
		struct msg *m = (struct msg *)((char *)room + i * driver->msg_size);

		v = page_get(&r);
		m->info.uid = last.uid + (uint32_t)v;
		if (m->info.uid >> INDEX_PAGE_SHIFT != page || (i > 0 && v == 0)) {
			return -1;
		}
		v = page_get(&r);
		m->info.flags = (unsigned)(v & FLAG_MASK);
		m->bits = (uint32_t)(v >> FLAG_BITS);
		m->info.keywords = page_get(&r);
		m->info.modseq = last.modseq + (uint64_t)page_get_signed(&r);
		m->info.received = (time_t)((int64_t)last.received + page_get_signed(&r));
		m->info.size = page_get(&r);
		driver->unpack(mb, &r, m);
		last = m->info;
	}
	return r.bad ? -1 : (int)count;
}
