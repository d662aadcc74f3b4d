/*
 * deliver_removed - was a suspect delivered, and taken out of the mailbox since?
 *
 * Who takes a message out that came lately writes it down (mail/removed.c). Only suspects are
 * looked up there, so it costs nothing as long as nobody is killed.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "mime/source.h"
#include "mail/removed.h"
#include "deliver/deliver_impl.h"

/* The size of a content with CR LF line ends. */
struct tally {
	uint64_t size;
	bool cr;
};

static int tally_put(void *arg, const char *data, size_t len)
{
	struct tally *t = arg;

	t->size += len + mime_bare_lfs(data, len, &t->cr);
	return 0;
}

/* is_key - does any entry speak of it? Its content is read only then */
static bool is_key(const struct buf *all, uint64_t key)
{
	const struct removed_entry *e = (const struct removed_entry *)all->data;
	size_t i = 0, count = all->len / sizeof(*e);

	while (i < count && e[i].key != key) {
		i++;
	}
	return i < count;
}

/* look_up - the item in all that is written down */
static void look_up(const struct buf *all, const char *real, struct deliver_item *it)
{
	uint64_t key =
		removed_key(real, it->queue_id, slice_of(it->original), slice_of(it->recipient));
	struct tally t = { 0, false };

	if (is_key(all, key) && deliver_put_content(it, false, tally_put, &t) == 0 &&
		removed_has(all, key, t.size)) {
		deliver_set(it, DELIVER_DUPLICATE, "2.0.0",
			"delivered to mailbox, and removed from it since");
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
