/*
 * mailbox_cache - parsed structures of messages, kept in the index
 *
 * What is put is collected and written with the next sync. A client that asks for
 * the structures of message after message gets rows that were read
 * ahead, a hundred at a time: single look-ups would cost three times as much.
 */
#include <string.h>

#include "base/mem.h"
#include "mail/mailbox_view.h"

/* Bytes held back before they are written; UIDs read at once. */
enum { CACHE_HOLD = 256 * 1024, AHEAD = 128 };

struct cache_item {
	struct cache_item *next;
	uint32_t uid;
	char kind;
	size_t len;
	char text[];
};

/* ---- Reading ---- */

void view_cache_forget(struct mailbox_view *v)
{
	arena_free(&v->ahead);
	v->ahead_rows = NULL;
	v->ahead_count = 0;
	v->ahead_first = v->ahead_last = 0;
}

static int take_row(void *arg, const struct index_cached *c)
{
	struct mailbox_view *v = arg;
	struct index_cached *row = &v->ahead_rows[v->ahead_count++];

	row->uid = c->uid;
	for (int i = 0; i < 3; i++) {
		row->len[i] = c->len[i];
		row->text[i] =
			c->text[i] != NULL ? arena_strndup(&v->ahead, c->text[i], c->len[i]) : NULL;
	}
	return 0;
}

/* read_rows - those from uid on; how far depends on how the client asks. 0 or -1 */
static int read_rows(struct mailbox_view *v, uint32_t uid)
{
	bool in_order = uid > v->asked_last && uid - v->asked_last < AHEAD;
	uint32_t last = in_order && uid < UINT32_MAX - AHEAD ? uid + AHEAD - 1 : uid;

	arena_reset(&v->ahead);
	v->ahead_rows = arena_alloc(&v->ahead, (size_t)(last - uid + 1) * sizeof(*v->ahead_rows));
	v->ahead_count = 0;
	v->ahead_first = uid;
	v->ahead_last = last;
	if (index_cache_read(v->mb->store->index, v->mb->f.id, uid, last, take_row, v) == 0) {
		return 0;
	}
	view_cache_forget(v);
	return store_fail_index(v->ms);
}

int mailbox_cache_get(struct mailbox_view *v, uint32_t uid, char kind, struct buf *out)
{
	int slot = index_cache_slot(kind);
	size_t low = 0, high;

	if ((uid < v->ahead_first || uid > v->ahead_last) && read_rows(v, uid) != 0) {
		return -1;
	}
	v->asked_last = uid;
	high = v->ahead_count;
	while (low < high) {
		size_t mid = (low + high) / 2;

		if (v->ahead_rows[mid].uid < uid) {
			low = mid + 1;
		} else {
			high = mid;
		}
	}
	if (low == v->ahead_count || v->ahead_rows[low].uid != uid ||
		v->ahead_rows[low].text[slot] == NULL) {
		return 0;
	}
	buf_add(out, v->ahead_rows[low].text[slot], v->ahead_rows[low].len[slot]);
	return 1;
}

/* ---- Writing ---- */

int view_cache_flush(struct mailbox_view *v)
{
	struct index *ix = v->mb->store->index;
	int rc = 0;

	if (v->cache == NULL) {
		return 0;
	}
	if (index_begin(ix, false) != 0) {
		rc = -1;
	}
	for (struct cache_item *i = v->cache, *next; i != NULL; i = next) {
		next = i->next;
		if (rc == 0 && mailbox_find(v->mb, i->uid) >= 0) {
			rc = index_cache_put(ix, v->mb->f.id, i->uid, i->kind, i->text, i->len);
		}
		mem_free(i);
	}
	v->cache = NULL;
	v->cache_size = 0;
	if (rc == 0) {
		rc = index_commit(ix);
	}
	if (rc == 0) {
		return 0;
	}
	index_rollback(ix);
	return store_fail_index(v->ms);
}

void mailbox_cache_put(
	struct mailbox_view *v, uint32_t uid, char kind, const char *text, size_t len)
{
	struct cache_item *i = mem_alloc(sizeof(*i) + len);

	i->uid = uid;
	i->kind = kind;
	i->len = len;
	memcpy(i->text, text, len);
	i->next = v->cache;
	v->cache = i;
	v->cache_size += len;
	/* A cache that cannot be written costs time later, nothing else. */
	if (v->cache_size > CACHE_HOLD) {
		view_cache_flush(v);
	}
}
