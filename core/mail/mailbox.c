/*
 * mailbox - a folder's messages in memory, in step with the index
 *
 * A struct mailbox holds all messages of a folder, UIDs ascending. Changes
 * happen between mailbox_begin() and mailbox_commit(), which hold the index's
 * write lock: first what other processes changed is read, then the change is
 * made in memory, then the pages it touched are written. If that fails the
 * memory is thrown away and read again, so memory never runs ahead of the index.
 *
 *	mailbox_begin() --> mailbox_touch() / mailbox_added() / mailbox_drop() --> mailbox_commit()
 *
 * Every change that clients are told of gets the folder's next modseq
 * (RFC 7162); one transaction, one modseq.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "mail/mail_driver.h"
#include "mail/mailbox_state.h"
#include "mail/mailbox_view.h"

/* Messages (64 to 96 bytes each) that a folder nobody has open may keep in memory. */
enum { KEEP_LOADED = 20000 };

uint32_t mailbox_lower(const struct mailbox *mb, uint32_t uid)
{
	uint32_t low = 0, high = mb->count;

	/* Usually nothing was ever removed, or what is wanted is the end. */
	if (high == 0 || mailbox_msg(mb, high - 1)->info.uid < uid) {
		return high;
	}
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (mailbox_msg(mb, mid)->info.uid < uid) {
			low = mid + 1;
		} else {
			high = mid;
		}
	}
	return low;
}

int64_t mailbox_find(const struct mailbox *mb, uint32_t uid)
{
	uint32_t i = mailbox_lower(mb, uid);

	return i < mb->count && mailbox_msg(mb, i)->info.uid == uid ? (int64_t)i : -1;
}

void *mailbox_room(struct mailbox *mb, uint32_t n)
{
	if (mb->cap - mb->count < n) {
		uint32_t cap = mb->cap + mb->cap / 2;

		if (cap < mb->count + n) {
			cap = mb->count + n;
		}
		mb->msgs = mem_realloc(mb->msgs, (size_t)cap * mb->msg_size);
		mb->cap = cap;
	}
	return mailbox_msg(mb, mb->count);
}

void mailbox_wake(struct mailbox *mb, const struct mailbox_view *v)
{
	static const uint64_t one = 1;

	for (struct mailbox_view *other = mb->views; other != NULL; other = other->next) {
		if (other != v && other->event >= 0 && write(other->event, &one, sizeof(one)) < 0) {
			continue; /* full: it is awake */
		}
	}
}

/* page_end - index of the first message behind a page */
static uint32_t page_end(const struct mailbox *mb, uint32_t page)
{
	return page == UINT32_MAX >> INDEX_PAGE_SHIFT
		? mb->count
		: mailbox_lower(mb, (page + 1) << INDEX_PAGE_SHIFT);
}

/* ---- Keywords ---- */

/* set_keywords - the names of the folder's row */
static void set_keywords(struct mailbox *mb)
{
	const char *p = mb->f.keywords != NULL ? mb->f.keywords : "";

	for (int bit = 0; bit < 64; bit++) {
		size_t len = strcspn(p, " ");

		mem_free(mb->keywords[bit]);
		mb->keywords[bit] = len > 0 ? mem_strndup(p, len) : NULL;
		p += len + (p[len] == ' ');
	}
}

int keyword_bit(struct mailbox *mb, const char *name, size_t len, bool create)
{
	struct buf text = BUF_INIT;
	int bit;

	for (bit = 0; bit < 64 && mb->keywords[bit] != NULL; bit++) {
		if (strncasecmp(mb->keywords[bit], name, len) == 0 &&
			mb->keywords[bit][len] == '\0') {
			return bit;
		}
	}
	if (!create || bit == 64 || len == 0 || memchr(name, ' ', len) != NULL) {
		return -1;
	}
	mb->keywords[bit] = mem_strndup(name, len);
	for (int i = 0; i <= bit; i++) {
		buf_addf(&text, "%s ", mb->keywords[i]);
	}
	mem_free(mb->f.keywords);
	mb->f.keywords = buf_steal(&text);
	mb->changed = true;
	return bit;
}

uint64_t keyword_bits(struct mailbox *mb, const char *names)
{
	struct slice rest = slice_of(names != NULL ? names : ""), word;
	uint64_t bits = 0;

	for (word = slice_word(&rest, " \t"); word.ptr != NULL; word = slice_word(&rest, " \t")) {
		int bit = keyword_bit(mb, word.ptr, word.len, true);

		if (bit >= 0) {
			bits |= (uint64_t)1 << bit;
		}
	}
	return bits;
}

/* ---- Leaving messages ---- */

static int compare_ghosts(const void *a, const void *b)
{
	uint32_t x = ((const struct mail_ghost *)a)->info.uid,
		 y = ((const struct mail_ghost *)b)->info.uid;

	return (x > y) - (x < y);
}

/*
 * keep_ghosts - views that still count what leaves keep its numbers and infos until their next sync
 */
static void keep_ghosts(struct mailbox *mb, const uint8_t *marks, uint32_t leaving)
{
	bool wanted = false;

	for (struct mailbox_view *v = mb->views; v != NULL; v = v->next) {
		if (v->uids == NULL && v->count > 0 && memchr(marks, 1, v->count) != NULL) {
			v->uids = mem_calloc(v->count, sizeof(*v->uids));
			for (uint32_t i = 0; i < v->count; i++) {
				v->uids[i] = mailbox_msg(mb, i)->info.uid;
			}
		}
		wanted = wanted || v->uids != NULL;
	}
	if (!wanted) {
		return;
	}
	mb->ghosts = mem_realloc(mb->ghosts, (mb->ghost_count + leaving) * sizeof(*mb->ghosts));
	for (uint32_t i = 0; i < mb->count; i++) {
		if (marks[i]) {
			mb->ghosts[mb->ghost_count++].info = mailbox_msg(mb, i)->info;
		}
	}
	qsort(mb->ghosts, mb->ghost_count, sizeof(*mb->ghosts), compare_ghosts);
}

static void add_dirty(struct mailbox *mb, uint32_t page)
{
	for (size_t i = mb->dirty_count; i > 0; i--) {
		if (mb->dirty[i - 1] == page) {
			return;
		}
	}
	if (mb->dirty_count == mb->dirty_cap) {
		mb->dirty_cap = mb->dirty_cap * 2 + 16;
		mb->dirty = mem_realloc(mb->dirty, mb->dirty_cap * sizeof(*mb->dirty));
	}
	mb->dirty[mb->dirty_count++] = page;
}

/* change_modseq - the one of this transaction */
static uint64_t change_modseq(struct mailbox *mb)
{
	if (mb->change_modseq == 0) {
		mb->change_modseq = ++mb->f.modseq;
	}
	return mb->change_modseq;
}

int mailbox_drop(struct mailbox *mb, const uint8_t *marks)
{
	uint32_t leaving = 0, kept = 0;

	for (uint32_t i = 0; i < mb->count; i++) {
		leaving += marks[i] != 0;
	}
	if (leaving == 0) {
		return 0;
	}
	keep_ghosts(mb, marks, leaving);
	for (uint32_t i = 0; i < mb->count; i++) {
		if (!marks[i]) {
			if (kept != i) {
				memcpy(mailbox_msg(mb, kept), mailbox_msg(mb, i), mb->msg_size);
			}
			kept++;
			continue;
		}
		if (!mb->in_change || mb->reading) {
			continue;
		}
		add_dirty(mb, mailbox_msg(mb, i)->info.uid >> INDEX_PAGE_SHIFT);
		if (index_expunged(mb->store->index, mb->f.id, change_modseq(mb),
			    mailbox_msg(mb, i)->info.uid) != 0) {
			return store_fail_index(mb->ms);
		}
	}
	mb->count = kept;
	mb->changed = true;
	return 0;
}

void mailbox_touch(struct mailbox *mb, uint32_t i, bool told)
{
	if (told) {
		mailbox_msg(mb, i)->info.modseq = change_modseq(mb);
	}
	add_dirty(mb, mailbox_msg(mb, i)->info.uid >> INDEX_PAGE_SHIFT);
	mb->changed = true;
}

void mailbox_added(struct mailbox *mb, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct msg *m = mailbox_msg(mb, mb->count);

		/* Imported UIDs are below it already. */
		if (m->info.uid == 0) {
			m->info.uid = mb->f.uid_next++;
		}
		mailbox_touch(mb, mb->count++, true);
	}
}

void mailbox_not_recent(struct mailbox *mb)
{
	/* Recent is what comes after a UID: an old message behind a new one is recent, too. */
	if (mailbox_lower(mb, mb->f.first_recent) == mb->count - 1) {
		mb->f.first_recent = mailbox_msg(mb, mb->count - 1)->info.uid + 1;
	}
}

/* ---- Reading the index ---- */

/* uid_in - of message k of room */
static uint32_t uid_in(const struct mailbox *mb, const void *room, int k)
{
	return ((const struct msg *)((const char *)room + (size_t)k * mb->msg_size))->info.uid;
}

/* drop_missing - messages at..end that are not among the n of room leave; how many */
static uint32_t drop_missing(struct mailbox *mb, uint32_t at, uint32_t end, const void *room, int n)
{
	uint8_t *marks = NULL;
	uint32_t gone = 0;

	for (int k = 0; at < end; at++) {
		while (k < n && uid_in(mb, room, k) < mailbox_msg(mb, at)->info.uid) {
			k++;
		}
		if (k < n && uid_in(mb, room, k) == mailbox_msg(mb, at)->info.uid) {
			continue;
		}
		if (marks == NULL) {
			marks = mem_alloc(mb->count);
		}
		marks[at] = 1;
		gone++;
	}
	if (gone > 0) {
		mailbox_drop(mb, marks);
	}
	mem_free(marks);
	return gone;
}

/* put_page - the n messages of room are all there is of the page whose messages are at..end */
static void put_page(struct mailbox *mb, uint32_t at, uint32_t end, const void *room, int n)
{
	uint32_t more;

	end -= drop_missing(mb, at, end, room, n);
	more = (uint32_t)n - (end - at);
	if (more > 0) {
		mailbox_room(mb, more);
		memmove(mailbox_msg(mb, end + more), mailbox_msg(mb, end),
			(size_t)(mb->count - end) * mb->msg_size);
		mb->count += more;
	}
	if (n > 0) {
		memcpy(mailbox_msg(mb, at), room, (size_t)n * mb->msg_size);
	}
}

/* apply_page - a page as another process wrote it takes the place of ours */
static int apply_page(void *arg, uint32_t page, const void *data, size_t len)
{
	struct mailbox *mb = arg;
	uint32_t at = mailbox_lower(mb, page << INDEX_PAGE_SHIFT);
	/* At the end, where all of a folder that is loaded goes, it need not be copied. */
	bool last = at == mb->count;
	void *room = last ? mailbox_room(mb, 1 << INDEX_PAGE_SHIFT)
			  : mem_calloc(1 << INDEX_PAGE_SHIFT, mb->msg_size);
	int n = page_unpack(mb, page, data, len, room);

	if (n < 0) {
		log_error("%s: page %u of %s is damaged", index_path(mb->store->index), page,
			mb->name);
	} else if (last) {
		mb->count += (uint32_t)n;
	} else {
		put_page(mb, at, page_end(mb, page), room, n);
	}
	if (!last) {
		mem_free(room);
	}
	return n < 0 ? -1 : 0;
}

/* read_index - row and pages, all or those newer than ours */
static int read_index(struct mailbox *mb)
{
	struct index *ix = mb->store->index;
	int64_t gen = mb->loaded ? mb->f.gen : -1;
	int rc = index_folder_reload(ix, &mb->f);

	if (rc == 0) {
		return store_fail(mb->ms, MAIL_E_NOT_FOUND, "Mailbox was deleted: %s", mb->name);
	}
	if (rc < 0) {
		return store_fail_index(mb->ms);
	}
	if (mb->loaded && mb->f.gen == gen) {
		return 0;
	}
	set_keywords(mb);
	if (gen < 0) {
		uint8_t *marks = mem_alloc(mb->count + 1);

		/* Nothing is taken over, but views keep their numbers of what is still there. */
		mb->loaded = false;
		memset(marks, 1, mb->count);
		keep_ghosts(mb, marks, mb->count);
		mem_free(marks);
		mb->count = 0;
		if (mb->store->driver->unload != NULL) {
			mb->store->driver->unload(mb);
		}
		mailbox_room(mb, mb->f.messages + (1 << INDEX_PAGE_SHIFT));
	}
	if (index_pages(ix, mb->f.id, gen, apply_page, mb) != 0) {
		return mailstore_errno(mb->ms) != MAIL_E_NONE ? -1 : store_fail_index(mb->ms);
	}
	if (mb->store->driver->loaded != NULL) {
		mb->store->driver->loaded(mb);
	}
	mailbox_wake(mb, NULL);
	return 0;
}

int mailbox_refresh(struct mailbox *mb)
{
	struct index *ix = mb->store->index;
	int64_t version = index_version(ix);
	bool own = !mb->in_change;
	int rc;

	if (mb->loaded && version == mb->version) {
		return 0;
	}
	if (own && index_begin_read(ix) != 0) {
		return store_fail_index(mb->ms);
	}
	mb->reading = true;
	rc = read_index(mb);
	mb->reading = false;
	if (own) {
		index_rollback(ix);
	}
	mb->loaded = rc == 0;
	mb->version = version;
	mb->changed = false;
	return rc;
}

void mailbox_unstick(struct mailbox *mb)
{
	if (!mb->in_change && !mb->reading) {
		return;
	}
	index_rollback(mb->store->index);
	mb->in_change = mb->reading = mb->loaded = false;
}

void mailbox_drop_note(struct mailbox *mb)
{
	if (mb->note >= 0) {
		close(mb->note);
	}
	mb->note = -1;
}

void mailbox_let_go(struct mailbox *mb)
{
	mb->store->driver->unlock(mb);
	mailbox_unstick(mb);
	mailbox_drop_note(mb);
}

int mailbox_begin(struct mailbox *mb, bool durable)
{
	mailbox_unstick(mb);
	if (index_begin(mb->store->index, durable) != 0) {
		return store_fail_index(mb->ms);
	}
	mb->in_change = true;
	mb->change_modseq = 0;
	mb->dirty_count = 0;
	mb->changed = false;
	if (mailbox_refresh(mb) == 0) {
		return 0;
	}
	mailbox_rollback(mb);
	return -1;
}

void mailbox_rollback(struct mailbox *mb)
{
	index_rollback(mb->store->index);
	mb->in_change = false;
	if (mb->changed) {
		mb->loaded = false;
	}
}

/* write_page - the messages of a page as they are now */
static int write_page(struct mailbox *mb, uint32_t page, struct buf *b)
{
	uint32_t from = mailbox_lower(mb, page << INDEX_PAGE_SHIFT);

	buf_reset(b);
	page_pack(b, mb, from, page_end(mb, page));
	return index_page_put(mb->store->index, mb->f.id, page, mb->f.gen, b->data, b->len);
}

int mailbox_commit(struct mailbox *mb)
{
	struct index *ix = mb->store->index;
	struct buf b = BUF_INIT;
	int rc = 0;

	mb->f.gen++;
	mb->f.messages = mb->count;
	mb->f.unseen = 0;
	mb->f.bytes = 0;
	for (uint32_t i = 0; i < mb->count; i++) {
		mb->f.unseen += !(mailbox_msg(mb, i)->info.flags & MAIL_SEEN);
		mb->f.bytes += mailbox_msg(mb, i)->info.size;
	}
	for (size_t i = 0; i < mb->dirty_count && rc == 0; i++) {
		rc = write_page(mb, mb->dirty[i], &b);
	}
	buf_free(&b);
	if (rc == 0) {
		rc = index_folder_save(ix, &mb->f);
	}
	if (rc == 0) {
		rc = index_commit(ix);
	}
	if (rc != 0) {
		store_fail_index(mb->ms);
		mb->changed = true;
		mailbox_rollback(mb);
		return -1;
	}
	mb->in_change = false;
	if (mb->change_modseq != 0) {
		mailbox_wake(mb, NULL);
	}
	return 0;
}

/* ---- Opening ---- */

/* add_row - a folder that the index does not know yet */
static int add_row(struct mailbox *mb)
{
	struct index *ix = mb->store->index;
	int rc;

	if (index_begin(ix, false) != 0) {
		return store_fail_index(mb->ms);
	}
	/* Another process may have been faster. */
	rc = index_folder_get(ix, mb->name, &mb->f);
	mb->f.uid_next = rc == 0 ? 1 : mb->f.uid_next;
	if (rc < 0 || (rc == 0 && index_folder_add(ix, mb->name, &mb->f) != 0) ||
		index_commit(ix) != 0) {
		store_fail_index(mb->ms);
		index_rollback(ix);
		return -1;
	}
	return 0;
}

void mailbox_forget(struct mailbox *mb)
{
	struct mailbox **link = &mb->store->open;

	while (*link != NULL && *link != mb) {
		link = &(*link)->next;
	}
	if (*link == mb) {
		*link = mb->next;
	}
	if (mb->store->kept == mb) {
		mb->store->kept = NULL;
	}
	mb->store->driver->close(mb);
	if (mb->inotify >= 0) {
		close(mb->inotify);
	}
	mailbox_drop_note(mb);
	for (int bit = 0; bit < 64; bit++) {
		mem_free(mb->keywords[bit]);
	}
	index_folder_clear(&mb->f);
	mem_free(mb->msgs);
	mem_free(mb->dirty);
	mem_free(mb->ghosts);
	mem_free(mb->name);
	mem_free(mb->path);
	mem_free(mb);
}

struct mailbox *mailbox_get(struct mailstore *ms, const char *name)
{
	struct store *st = ms->store;
	char *path = folder_path(ms, name, false), *key;
	bool selectable = true;
	struct mailbox *mb;

	if (path == NULL) {
		return NULL;
	}
	key = folder_key(name);
	for (mb = st->open; mb != NULL && strcmp(mb->name, key) != 0; mb = mb->next) {
		;
	}
	if (mb != NULL) {
		mem_free(path);
		mem_free(key);
		mb->ms = ms;
		mb->refs++;
		if (st->kept == mb) {
			st->kept = NULL;
		}
		return mb;
	}
	if (strcmp(key, "INBOX") != 0 && (!st->driver->exists(path, &selectable) || !selectable)) {
		store_fail(ms, MAIL_E_NOT_FOUND,
			selectable ? "Mailbox doesn't exist: %s" : "Mailbox isn't selectable: %s",
			name);
		mem_free(path);
		mem_free(key);
		return NULL;
	}
	mb = mem_alloc(st->driver->mailbox_size);
	mb->msg_size = st->driver->msg_size;
	mb->store = st;
	mb->ms = ms;
	mb->refs = 1;
	mb->name = key;
	mb->path = path;
	mb->inotify = mb->note = -1;
	if (st->driver->setup != NULL) {
		st->driver->setup(mb);
	}
	mb->next = st->open;
	st->open = mb;
	if (index_folder_get(st->index, key, &mb->f) <= 0 && add_row(mb) != 0) {
		mailbox_forget(mb);
		return NULL;
	}
	return mb;
}

void mailbox_put(struct mailbox *mb)
{
	struct store *st = mb->store;
	struct mailbox *before = st->kept;

	if (--mb->refs > 0) {
		return;
	}
	st->driver->flush(mb);
	if (mb->inotify >= 0) {
		close(mb->inotify);
	}
	mb->inotify = -1;
	if (mb->count > KEEP_LOADED) {
		mailbox_forget(mb);
		return;
	}
	st->kept = mb;
	if (before != NULL && before != mb) {
		mailbox_forget(before);
	}
}
