/*
 * mailbox_view - a session's own numbering of a folder
 *
 * Messages come and go when other sessions, other processes and other
 * programs want it, but a session's numbers change only when it is told
 * (RFC 3501 5.5). Most of the time a view is just a count: its messages are the
 * first count ones of the mailbox. When one of these goes, the view gets a
 * list of its UIDs until its next sync, and the infos of what is gone are kept as
 * ghosts until no view counts them any more.
 */
#include "mail/mailbox_view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/mem.h"
#include "mail/mail_driver.h"

/* ---- What the session knows ---- */

const char *mailbox_name(const struct mailbox_view *v)
{
	return v->mb->name;
}

bool mailbox_read_only(const struct mailbox_view *v)
{
	return v->read_only;
}

uint32_t mailbox_uid_validity(const struct mailbox_view *v)
{
	return v->mb->f.uid_validity;
}

uint32_t mailbox_uid_next(const struct mailbox_view *v)
{
	return v->mb->f.uid_next;
}

uint64_t mailbox_highest_modseq(const struct mailbox_view *v)
{
	return v->mb->f.modseq;
}

uint32_t mailbox_count(const struct mailbox_view *v)
{
	return v->count;
}

static uint32_t uid_of(const struct mailbox_view *v, uint32_t seq)
{
	return v->uids != NULL ? v->uids[seq - 1] : mailbox_msg(v->mb, seq - 1)->info.uid;
}

static int compare_ghost(const void *key, const void *ghost)
{
	uint32_t x = *(const uint32_t *)key, y = ((const struct mail_ghost *)ghost)->info.uid;

	return (x > y) - (x < y);
}

const struct mail_info *mailbox_info(const struct mailbox_view *v, uint32_t seq)
{
	static const struct mail_info none;
	const struct mail_ghost *g;
	uint32_t uid;
	int64_t i;

	if (seq == 0 || seq > v->count) {
		return &none;
	}
	if (v->uids == NULL) {
		return &mailbox_msg(v->mb, seq - 1)->info;
	}
	uid = v->uids[seq - 1];
	i = mailbox_find(v->mb, uid);
	if (i >= 0) {
		return &mailbox_msg(v->mb, (uint32_t)i)->info;
	}
	g = bsearch(&uid, v->mb->ghosts, v->mb->ghost_count, sizeof(*v->mb->ghosts), compare_ghost);
	return g != NULL ? &g->info : &none;
}

uint32_t mailbox_seq(const struct mailbox_view *v, uint32_t uid, bool after)
{
	uint32_t low = 0, high = v->count;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (uid_of(v, mid + 1) < uid) {
			low = mid + 1;
		} else {
			high = mid;
		}
	}
	if (after || (low < v->count && uid_of(v, low + 1) == uid)) {
		return low + 1;
	}
	return 0;
}

bool mailbox_recent(const struct mailbox_view *v, uint32_t seq)
{
	uint32_t uid;

	if (seq == 0 || seq > v->count) {
		return false;
	}
	uid = uid_of(v, seq);
	for (size_t i = v->recent_count; i > 0; i--) {
		if (uid >= v->recent[i - 1].first && uid <= v->recent[i - 1].last) {
			return true;
		}
	}
	return false;
}

static uint32_t count_recent(const struct mailbox_view *v)
{
	uint32_t n = 0;

	for (size_t i = 0; i < v->recent_count; i++) {
		uint32_t from = mailbox_seq(v, v->recent[i].first, true);
		uint32_t to = mailbox_seq(v, v->recent[i].last, true);

		n += to - from + (to <= v->count && uid_of(v, to) == v->recent[i].last);
	}
	return n;
}

const char *mailbox_keyword(const struct mailbox_view *v, int bit)
{
	return bit >= 0 && bit < 64 ? v->mb->keywords[bit] : NULL;
}

int mailbox_keyword_bit(struct mailbox_view *v, const char *name, bool create)
{
	struct mailbox *mb = v->mb;
	int bit = keyword_bit(mb, name, strlen(name), false);

	if (bit >= 0 || !create || v->read_only) {
		return bit;
	}
	mb->ms = v->ms;
	if (mailbox_begin(mb, false) != 0) {
		return -1;
	}
	bit = keyword_bit(mb, name, strlen(name), true);
	if (bit < 0) {
		mailbox_rollback(mb);
		return -1;
	}
	return mailbox_commit(mb) == 0 ? bit : -1;
}

int mailbox_writable(struct mailbox_view *v)
{
	v->mb->ms = v->ms;
	v->ms->code = MAIL_E_NONE;
	return v->read_only ? store_fail(v->ms, MAIL_E_PERM, "Mailbox is read-only") : 0;
}

/* ---- Opening ---- */

/* add_recent - UIDs first..last are recent in v and nowhere else */
static void add_recent(struct mailbox_view *v, uint32_t first, uint32_t last)
{
	struct uid_range *r = v->recent_count > 0 ? &v->recent[v->recent_count - 1] : NULL;

	if (r != NULL && r->last + 1 == first) {
		r->last = last;
		return;
	}
	v->recent = mem_realloc(v->recent, (v->recent_count + 1) * sizeof(*v->recent));
	v->recent[v->recent_count++] = (struct uid_range){ first, last };
}

/* claim_recent - what came since the last session looked is recent here; 0 or -1 */
static int claim_recent(struct mailbox_view *v)
{
	struct mailbox *mb = v->mb;
	uint32_t first, last;

	if (mb->f.first_recent >= mb->f.uid_next) {
		return 0;
	}
	if (v->read_only) {
		/* RFC 3501 6.3.2: seen as recent, and stays so for the next. */
		if (v->recent_count == 0 ||
			v->recent[v->recent_count - 1].last + 1 < mb->f.uid_next) {
			add_recent(v,
				v->recent_count == 0 ? mb->f.first_recent
						     : v->recent[v->recent_count - 1].last + 1,
				mb->f.uid_next - 1);
		}
		return 0;
	}
	if (mailbox_begin(mb, false) != 0) {
		return -1;
	}
	first = mb->f.first_recent;
	last = mb->f.uid_next - 1;
	mb->f.first_recent = mb->f.uid_next;
	mb->changed = true;
	if (mailbox_commit(mb) != 0) {
		return -1;
	}
	if (first <= last) {
		add_recent(v, first, last);
	}
	return 0;
}

struct mailbox_view *view_open(struct mailstore *ms, const char *name, bool read_only)
{
	struct mailbox *mb = mailbox_get(ms, name);
	struct mailbox_view *v;

	if (mb == NULL) {
		return NULL;
	}
	ms->code = MAIL_E_NONE;
	if ((mb->store->driver->sync(mb, true) != 0 &&
		    (ms->code != MAIL_E_BUSY || mb->f.gen == 0)) ||
		mailbox_refresh(mb) != 0) {
		mailbox_put(mb);
		return NULL;
	}
	v = mem_alloc(sizeof(*v));
	v->ms = ms;
	v->mb = mb;
	v->read_only = read_only;
	v->notify = v->event = v->session_lock = -1;
	if (claim_recent(v) != 0) {
		mem_free(v->recent);
		mem_free(v);
		mailbox_put(mb);
		return NULL;
	}
	v->next = mb->views;
	mb->views = v;
	v->count = mb->count;
	v->modseq = mb->f.modseq;
	v->told_recent = count_recent(v);
	return v;
}

int mailbox_session_lock(struct mailbox_view *v)
{
	const char *index = index_path(v->mb->store->index);
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct buf path = BUF_INIT;
	int rc = 0;

	for (struct mailbox_view *other = v->mb->views; other != NULL; other = other->next) {
		if (other != v && other->locked) {
			return store_fail(
				v->ms, MAIL_E_BUSY, "Mailbox is locked by another session");
		}
	}
	v->locked = true;
	/* For other processes: beside the index. Without one on disk there is no place that all
	 * would see. */
	if (index == NULL || v->session_lock >= 0) {
		return 0;
	}
	buf_addf(&path, "%s.session-%lld", index, (long long)v->mb->f.id);
	v->session_lock = open(buf_str(&path), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (v->session_lock < 0) {
		rc = store_fail_sys(v->ms, buf_str(&path), "open", "read and write");
	} else if (fcntl(v->session_lock, F_OFD_SETLK, &fl) != 0) {
		rc = store_fail(v->ms, MAIL_E_BUSY, "Mailbox is locked by another session");
		close(v->session_lock);
		v->session_lock = -1;
	}
	v->locked = rc == 0;
	buf_free(&path);
	return rc;
}

void mailbox_message_name(const struct mailbox_view *v, uint32_t seq, char *out, size_t size)
{
	int64_t i = seq > 0 && seq <= v->count ? mailbox_find(v->mb, uid_of(v, seq)) : -1;
	const struct msg *m = i >= 0 ? mailbox_msg(v->mb, i) : NULL;

	if (m == NULL) {
		snprintf(out, size, "%s", "");
	} else {
		v->mb->store->driver->message_name(m, out, size);
	}
}

int64_t mailbox_stored(
	struct mailbox_view *v, uint32_t seq, uint64_t offset, void *data, size_t len)
{
	const struct mail_driver *driver = v->mb->store->driver;

	if (seq == 0 || seq > v->count || driver->stored == NULL) {
		return 0;
	}
	v->mb->ms = v->ms;
	return driver->stored(v->mb, uid_of(v, seq), offset, data, len);
}

/* drop_ghosts - once no view needs them */
static void drop_ghosts(struct mailbox *mb)
{
	for (struct mailbox_view *v = mb->views; v != NULL; v = v->next) {
		if (v->uids != NULL) {
			return;
		}
	}
	mem_free(mb->ghosts);
	mb->ghosts = NULL;
	mb->ghost_count = 0;
}

void mailbox_close(struct mailbox_view *v)
{
	struct mailbox_view **link;
	struct mailbox *mb;

	if (v == NULL) {
		return;
	}
	mb = v->mb;
	mb->ms = v->ms;
	view_cache_flush(v);
	view_cache_forget(v);
	for (link = &mb->views; *link != v; link = &(*link)->next) {
		;
	}
	*link = v->next;
	drop_ghosts(mb);
	if (v->notify >= 0) {
		close(v->notify);
	}
	if (v->event >= 0) {
		close(v->event);
	}
	if (v->session_lock >= 0) {
		close(v->session_lock);
	}
	mem_free(v->uids);
	mem_free(v->recent);
	mem_free(v);
	mailbox_put(mb);
}

/* ---- Following ---- */

/* tell_expunged - numbers from the highest; afterwards the view is aligned again */
static void tell_expunged(struct mailbox_view *v, const struct mailbox_changes *c)
{
	uint32_t left = v->count;

	for (uint32_t seq = v->count; seq > 0; seq--) {
		uint32_t uid = v->uids[seq - 1];

		if (mailbox_find(v->mb, uid) >= 0) {
			continue;
		}
		left--;
		if (c != NULL && c->expunged != NULL) {
			c->expunged(c->arg, seq, uid);
		}
	}
	mem_free(v->uids);
	v->uids = NULL;
	v->count = left;
	drop_ghosts(v->mb);
}

static void tell_flags(struct mailbox_view *v, const struct mailbox_changes *c)
{
	struct mailbox *mb = v->mb;

	if (v->modseq == mb->f.modseq || c == NULL || c->flags == NULL) {
		return;
	}
	for (uint32_t seq = 1, i = 0; seq <= v->count && i < mb->count; i++) {
		if (v->uids != NULL) {
			while (seq <= v->count && v->uids[seq - 1] < mailbox_msg(mb, i)->info.uid) {
				seq++;
			}
			if (seq > v->count || v->uids[seq - 1] != mailbox_msg(mb, i)->info.uid) {
				continue;
			}
		}
		if (mailbox_msg(mb, i)->info.modseq > v->modseq) {
			c->flags(c->arg, seq);
		}
		seq++;
	}
}

/* take_new - messages behind those the view knows */
static void take_new(struct mailbox_view *v, const struct mailbox_changes *c)
{
	struct mailbox *mb = v->mb;
	uint32_t from = v->count, recent;

	if (v->uids == NULL) {
		v->count = mb->count;
	} else {
		uint32_t i = v->count > 0 ? mailbox_lower(mb, v->uids[v->count - 1] + 1) : 0;
		uint32_t n = mb->count - i;

		v->uids = mem_realloc(v->uids, (size_t)(v->count + n + 1) * sizeof(*v->uids));
		while (n-- > 0) {
			v->uids[v->count++] = mailbox_msg(mb, i++)->info.uid;
		}
	}
	recent = count_recent(v);
	if (c != NULL && c->exists != NULL && (v->count > from || recent != v->told_recent)) {
		c->exists(c->arg, v->count, recent);
	}
	v->told_recent = recent;
}

/* drain - what is waiting on the descriptors was heard */
static void drain(struct mailbox_view *v)
{
	char junk[4096] __attribute__((aligned(8)));
	uint64_t n;

	if (v->notify < 0) {
		return;
	}
	if (read(v->event, &n, sizeof(n)) < 0 && errno != EAGAIN) {
		return;
	}
	for (int bound = 0; v->mb->inotify >= 0 && bound < 64; bound++) {
		if (read(v->mb->inotify, junk, sizeof(junk)) <= 0) {
			return;
		}
		/* One descriptor for all: the others must hear of it too. */
		mailbox_wake(v->mb, v);
		if (v->mb->store->driver->watch != NULL) {
			v->mb->store->driver->watch(v->mb, v->mb->inotify);
		}
	}
}

int mailbox_view_sync(struct mailbox_view *v, bool expunges, const struct mailbox_changes *changes)
{
	struct mailbox *mb = v->mb;

	mb->ms = v->ms;
	v->ms->code = MAIL_E_NONE;
	drain(v);
	view_cache_forget(v);
	if (mb->store->driver->sync(mb, false) != 0 &&
		(v->ms->code != MAIL_E_BUSY || mailbox_refresh(mb) != 0)) {
		return -1;
	}
	if (claim_recent(v) != 0 || view_cache_flush(v) != 0) {
		return -1;
	}
	if (v->uids != NULL && expunges) {
		tell_expunged(v, changes);
	}
	tell_flags(v, changes);
	v->modseq = mb->f.modseq;
	take_new(v, changes);
	return 0;
}

/* add_watches - inotify on the files, and on the index for other processes' changes */
static void add_watches(struct mailbox *mb)
{
	const char *path = index_path(mb->store->index);
	struct buf wal = BUF_INIT;

	if (mb->store->driver->watch != NULL) {
		mb->store->driver->watch(mb, mb->inotify);
	}
	if (path != NULL) {
		buf_addf(&wal, "%s-wal", path);
		inotify_add_watch(mb->inotify, buf_str(&wal), IN_MODIFY);
		buf_free(&wal);
	}
}

int mailbox_notify_fd(struct mailbox_view *v)
{
	struct epoll_event e = { .events = EPOLLIN };

	if (v->notify >= 0) {
		return v->notify;
	}
	v->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	v->notify = epoll_create1(EPOLL_CLOEXEC);
	if (v->mb->inotify < 0) {
		v->mb->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
		if (v->mb->inotify >= 0) {
			add_watches(v->mb);
		}
	}
	if (v->event < 0 || v->notify < 0 ||
		epoll_ctl(v->notify, EPOLL_CTL_ADD, v->event, &e) != 0 ||
		(v->mb->inotify >= 0 &&
			epoll_ctl(v->notify, EPOLL_CTL_ADD, v->mb->inotify, &e) != 0)) {
		if (v->event >= 0) {
			close(v->event);
		}
		if (v->notify >= 0) {
			close(v->notify);
		}
		v->event = v->notify = -1;
	}
	return v->notify;
}
