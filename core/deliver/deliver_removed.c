/*
 * deliver_removed - was a suspect delivered, and taken out of the mailbox since?
 *
 * Who takes a message out that came lately writes it down (mail/removed.c). Only suspects are
 * looked up there, so it costs nothing as long as nobody is killed.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "mail/removed.h"
#include "deliver/deliver_impl.h"

static int sum_put(void *arg, const char *data, size_t len)
{
	delivered_sum_add(arg, data, len);
	return 0;
}

/* is_same - has the item this sum? */
static bool is_same(const struct deliver_item *it, uint64_t sum)
{
	struct delivered_sum s;

	delivered_sum_begin(&s);
	return deliver_put_content(it, false, sum_put, &s) == 0 && delivered_sum_end(&s) == sum;
}

/* look_up - the item in all that is written down */
static void look_up(const struct buf *all, const char *real, struct deliver_item *it)
{
	const struct removed_entry *e = (const struct removed_entry *)all->data;
	uint64_t key =
		removed_key(real, it->queue_id, slice_of(it->original), slice_of(it->recipient));

	for (size_t i = 0; i < all->len / sizeof(*e); i++) {
		if (e[i].key == key && is_same(it, e[i].sum)) {
			deliver_set(it, DELIVER_DUPLICATE, "2.0.0",
				"delivered to mailbox, and removed from it since");
			return;
		}
	}
}

void deliver_find_removed(
	const char *path, const struct deliver_how *how, struct deliver_item *items, size_t count)
{
	struct buf all = BUF_INIT;
	char *real = NULL;

	for (size_t i = 0; i < count && how->home != NULL; i++) {
		if (!items[i].suspect || items[i].status != DELIVER_NONE) {
			continue;
		}
		if (real == NULL) {
			real = realpath(path, NULL);
			removed_read(how->home, &all);
		}
		if (real == NULL || all.len == 0) {
			break;
		}
		look_up(&all, real, &items[i]);
	}
	free(real);
	buf_free(&all);
}
