/*
 * mbox_match - which message is which, after another program rewrote an mbox
 *
 * The fingerprint of header and body (mbox_scan.c) tells. Messages with the same
 * fingerprint are copies of each other; of these the first is the first. The order need
 * not be the same: UIDs follow their messages wherever they went.
 */
#include <string.h>

#include "base/mem.h"
#include "mail/mbox/mbox_driver.h"

struct table {
	uint32_t *slots; /* index + 1 of an old message, 0: free */
	uint32_t mask;
	uint8_t *taken;
};

static void build_table(struct table *t, const struct mbox_msg *old, uint32_t count)
{
	uint32_t size = 16;

	while (size < count + count / 2) {
		size *= 2;
	}
	t->mask = size - 1;
	t->slots = mem_calloc(size, sizeof(*t->slots));
	/* In order, so that of copies the first is met first. */
	for (uint32_t i = 0; i < count; i++) {
		uint32_t at = (uint32_t)(old[i].print >> 17) & t->mask;

		while (t->slots[at] != 0) {
			at = (at + 1) & t->mask;
		}
		t->slots[at] = i + 1;
	}
}

static uint32_t look_up(const struct table *t, const struct mbox_msg *old, uint64_t print)
{
	uint32_t at = (uint32_t)(print >> 17) & t->mask;

	for (; t->slots[at] != 0; at = (at + 1) & t->mask) {
		uint32_t i = t->slots[at] - 1;

		if (old[i].print == print && !t->taken[i]) {
			return i;
		}
	}
	return UINT32_MAX;
}

void mbox_match(const struct mbox_msg *old, uint32_t count, const struct mbox_found *found,
	uint32_t found_count, uint32_t *match)
{
	struct table t = { .taken = mem_alloc(count + 1) };
	uint32_t next = 0;

	for (uint32_t j = 0; j < found_count; j++) {
		/* Mostly it is the one after the last. */
		if (next < count && old[next].print == found[j].m.print && !t.taken[next]) {
			match[j] = next;
		} else {
			if (t.slots == NULL) {
				build_table(&t, old, count);
			}
			match[j] = look_up(&t, old, found[j].m.print);
		}
		if (match[j] != UINT32_MAX) {
			t.taken[match[j]] = 1;
			next = match[j] + 1;
		}
	}
	mem_free(t.slots);
	mem_free(t.taken);
}
