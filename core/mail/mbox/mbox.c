/*
 * mbox - the mbox driver: follow what other programs do to the file
 *
 * A file with the device, inode, size and time it had is the file it was, and
 * costs one stat(2). One that only grew is read from its last message on. Anything else
 * is read whole, and fingerprints tell which message is which, so UIDs survive
 * whatever another program deleted, reordered or flagged.
 *
 * That a file which grew was not changed before its old end as well is believed until
 * the folder is opened again (or a message is read that is not what it should be); so
 * does Dovecot with mbox_dirty_syncs.
 *
 * File times have the grain of a clock tick, and a change within the same tick that keeps the
 * size would go unseen. So a file that was changed just now gets one nanosecond
 * added to its time under the lock: whoever changes it next sets another.
 *
 * Flags are in the index at once and in the file when the folder is closed.
 * Clients never see bookkeeping lines (mbox_format.h). See mbox_rewrite.c for how the
 * file is changed so that a crash loses nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/lock_group.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "mail/mbox/mbox_driver.h"
#include "mail/mbox/mbox_journal.h"
#include "mail/mbox/mbox_note.h"

enum { FOLLOW_TRIES = 5, TICK_NS = 50 * 1000 * 1000 };

static int64_t stat_mtime(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

/* look - stat the path; a missing INBOX is an empty one. 0 or -1 */
static int look(struct mailbox *mb, struct stat *st)
{
	if (stat(mb->path, st) != 0) {
		if (errno != ENOENT || strcmp(mb->name, "INBOX") != 0) {
			return store_fail_sys(mb->ms, mb->path, "read", "read");
		}
		memset(st, 0, sizeof(*st));
		return 0;
	}
	if (!S_ISREG(st->st_mode)) {
		return store_fail(mb->ms, MAIL_E_INVALID, "%s is not a regular file", mb->path);
	}
	return 0;
}

static bool same_file(const struct mailbox *mb, const struct stat *st)
{
	return mb->f.sig[0] == (int64_t)st->st_dev && mb->f.sig[1] == (int64_t)st->st_ino;
}

static bool unchanged(const struct mailbox *mb, const struct stat *st)
{
	return same_file(mb, st) && mb->f.sig[2] == (int64_t)st->st_size &&
		mb->f.sig[3] == stat_mtime(st);
}

/* ---- The file ---- */

/* note_file - remember which file fd is */
static void note_file(struct mailbox *mb)
{
	struct mbox_box *box = mbox_box(mb);
	struct stat st;

	if (box->fd < 0 || fstat(box->fd, &st) != 0) {
		return;
	}
	box->fd_dev = (int64_t)st.st_dev;
	box->fd_ino = (int64_t)st.st_ino;
}

/*
 * in_spool - is it an INBOX in a directory that the user may have no right to write? There the
 * group of mail_privileged_group makes lock and file; never where a link of the user's could lead.
 */
static bool in_spool(const struct mailbox *mb)
{
	const struct store *st = mb->store;
	size_t home = strlen(st->home);

	return strcmp(mb->path, st->inbox) == 0 &&
		(home == 0 || strncmp(mb->path, st->home, home) != 0 || mb->path[home] != '/');
}

/* make_in_spool - an INBOX that is missing, where the user may not make it: descriptor or -1 */
static int make_in_spool(const struct mailbox *mb)
{
	int fd;

	lock_group_use(true);
	fd = open(mb->path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0600);
	lock_group_use(false);
	return fd;
}

/* open_file - the file that path names now; 0 or -1 */
static int open_file(struct mailbox *mb, bool create)
{
	struct mbox_box *box = mbox_box(mb);
	static const int how[] = { O_RDWR, O_RDONLY };

	if (box->fd >= 0) {
		close(box->fd);
	}
	box->fd = -1;
	for (size_t i = 0; i < 2 && box->fd < 0; i++) {
		box->fd_writable = i == 0;
		box->fd = open(mb->path,
			how[i] | O_CLOEXEC | O_NONBLOCK | O_NOCTTY |
				(i == 0 && create ? O_CREAT : 0),
			0600);
		if (box->fd < 0 && errno != EACCES && errno != EROFS && errno != EPERM) {
			break;
		}
	}
	if (box->fd < 0 && errno == ENOENT && create && in_spool(mb)) {
		box->fd = make_in_spool(mb);
		box->fd_writable = true;
		errno = ENOENT;
	}
	note_file(mb);
	return box->fd >= 0 || errno == ENOENT
		? 0
		: store_fail_sys(mb->ms, mb->path, "open", "read and write");
}

bool mbox_is_open(const struct mailbox *mb)
{
	struct mbox_box *box = mbox_box(mb);

	return box->fd >= 0 && box->fd_dev == mb->f.sig[0] && box->fd_ino == mb->f.sig[1];
}

/* is_current - is the open descriptor the file that path names? */
static bool is_current(const struct mailbox *mb)
{
	struct stat a, b;

	if (mbox_box(mb)->fd < 0) {
		return stat(mb->path, &b) != 0 && errno == ENOENT;
	}
	return fstat(mbox_box(mb)->fd, &a) == 0 && stat(mb->path, &b) == 0 &&
		a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

int mbox_lock(struct mailbox *mb, bool exclusive, int timeout_ms)
{
	struct mbox_box *box = mbox_box(mb);

	/* Left by a session that ran out of memory. */
	mbox_unlock(mb);
	for (int tries = 0; tries < FOLLOW_TRIES; tries++) {
		if ((!is_current(mb) || box->fd < 0) && open_file(mb, exclusive) != 0) {
			return -1;
		}
		if (box->fd < 0) {
			return 0;
		}
		if (exclusive && !box->fd_writable) {
			errno = EACCES;
			return store_fail_sys(mb->ms, mb->path, "write", "read and write");
		}
		lock_group_use(in_spool(mb));
		box->lock = mailbox_lock(mb->path, box->fd, exclusive, timeout_ms);
		lock_group_use(false);
		if (box->lock == NULL) {
			return store_fail_sys(mb->ms, mb->path, "lock", "read and write");
		}
		if (is_current(mb)) {
			return 0;
		}
		mbox_unlock(mb);
	}
	errno = EAGAIN;
	return store_fail_sys(mb->ms, mb->path, "lock", "read and write");
}

void mbox_unlock(struct mailbox *mb)
{
	struct mbox_box *box = mbox_box(mb);

	if (box->lock != NULL) {
		lock_group_use(in_spool(mb));
		mailbox_unlock(box->lock);
		lock_group_use(false);
	}
	box->lock = NULL;
}

int mbox_take_sig(struct mailbox *mb)
{
	struct mbox_box *box = mbox_box(mb);
	struct stat st = { 0 };
	struct timespec now;
	int64_t age;

	note_file(mb);
	if (box->fd >= 0 && fstat(box->fd, &st) != 0) {
		return store_fail_sys(mb->ms, mb->path, "read", "read");
	}
	clock_gettime(CLOCK_REALTIME, &now);
	age = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - stat_mtime(&st);
	if (box->fd >= 0 && age < TICK_NS && age > -(int64_t)TICK_NS && st.st_uid == geteuid() &&
		st.st_mtim.tv_nsec < 999999999) {
		struct timespec times[2] = { { 0, UTIME_OMIT }, st.st_mtim };

		times[1].tv_nsec++;
		if (futimens(box->fd, times) == 0) {
			fstat(box->fd, &st);
		}
	}
	mb->f.sig[0] = (int64_t)st.st_dev;
	mb->f.sig[1] = (int64_t)st.st_ino;
	mb->f.sig[2] = (int64_t)st.st_size;
	mb->f.sig[3] = stat_mtime(&st);
	mb->changed = true;
	return 0;
}

/* ---- Scanning ---- */

struct found_list {
	struct arena arena;
	struct mbox_found *items;
	uint32_t count, cap;
	uint64_t size; /* of the file when it was read */
	struct mbox_scan scan;
};

static void free_found(struct found_list *l)
{
	mem_free(l->items);
	arena_free(&l->arena);
}

/* scan_from - all messages from offset at to the end, or to stop; 0 or -1 */
static int scan_from(struct mailbox *mb, uint64_t at, uint64_t stop, struct found_list *l)
{
	struct mbox_box *box = mbox_box(mb);
	struct stat st = { 0 };
	uint64_t end;
	int rc = 0;

	memset(l, 0, sizeof(*l));
	if (box->fd < 0) {
		return 0;
	}
	if (fstat(box->fd, &st) != 0 ||
		mbox_content_end(box->fd, (uint64_t)st.st_size, &end) != 0) {
		return store_fail_sys(mb->ms, mb->path, "read", "read");
	}
	l->size = (uint64_t)st.st_size;
	end = end < stop ? end : stop;
	mbox_scan_open(&l->scan, box->fd, at, end > at ? end : at, &l->arena);
	l->scan.known = mbox_msg(mb, 0);
	l->scan.known_count = mb->count;
	do {
		if (l->count == l->cap) {
			l->cap = l->cap * 2 + 64;
			l->items = mem_realloc(l->items, (size_t)l->cap * sizeof(*l->items));
		}
		rc = mbox_scan_next(&l->scan, &l->items[l->count]);
		l->count += rc > 0;
	} while (rc > 0 && l->count < UINT32_MAX / 2);
	mbox_scan_close(&l->scan);
	if (rc == 0) {
		return 0;
	}
	store_fail_sys(mb->ms, mb->path, "read", "read");
	free_found(l);
	return -1;
}

/* add_found - a message the index does not know; uid 0: the next */
static void add_found(struct mailbox *mb, const struct mbox_found *f, uint32_t uid)
{
	struct mbox_msg *m = mailbox_room(mb, 1);

	*m = f->m;
	m->msg.info.uid = uid;
	m->msg.info.keywords = keyword_bits(mb, f->keywords);
	m->msg.bits &= ~(uint32_t)MSG_SAVED_UID;
	mailbox_added(mb, 1);
	m = mbox_msg(mb, mb->count - 1);
	if (f->uid != 0 && f->uid == m->msg.info.uid) {
		m->msg.bits |= MSG_SAVED_UID;
	}
	if (f->old) {
		mailbox_not_recent(mb);
	}
}

/* update_found - a message that is known: where it is now, and what others changed */
static void update_found(struct mailbox *mb, uint32_t i, const struct mbox_found *f)
{
	struct mbox_msg *m = mbox_msg(mb, i);
	uint64_t keywords = keyword_bits(mb, f->keywords);
	uint32_t keep = m->msg.bits & (MSG_DIRTY | MSG_LATE);
	bool told = keep == 0 &&
		(m->msg.info.flags != f->m.msg.info.flags || m->msg.info.keywords != keywords);
	uint32_t bits = f->m.msg.bits & ~(uint32_t)MSG_SAVED_UID;
	/* A program that knows of no keywords leaves them as others had them last. */
	bool theirs = mb->store->status_only && m->msg.info.keywords != keywords;

	if (f->uid != 0 && f->uid == m->msg.info.uid) {
		bits |= MSG_SAVED_UID;
	}
	if (!told && !theirs && m->msg.bits == (bits | keep) && m->len == f->m.len &&
		m->from_len == f->m.from_len && m->head_len == f->m.head_len &&
		m->cut == f->m.cut && m->tail_len == f->m.tail_len) {
		m->offset = f->m.offset;
		return;
	}
	m->msg.bits = bits | keep;
	m->offset = f->m.offset;
	m->len = f->m.len;
	m->from_len = f->m.from_len;
	m->head_len = f->m.head_len;
	m->tail_len = f->m.tail_len;
	m->cut = f->m.cut;
	m->msg.info.size = f->m.msg.info.size;
	if (theirs) {
		m->msg.info.keywords = keywords;
	}
	if (told) {
		m->msg.info.flags = f->m.msg.info.flags;
		m->msg.info.keywords = keywords;
	}
	mailbox_touch(mb, i, told);
}

void mbox_regap(struct mailbox *mb)
{
	uint64_t at = (uint64_t)mb->f.sig[4];

	for (uint32_t i = 0; i < mb->count; i++) {
		struct mbox_msg *m = mbox_msg(mb, i);
		int64_t gap = (int64_t)(m->offset - at);

		if (gap != m->gap) {
			m->gap = gap;
			mailbox_touch(mb, i, false);
		}
		at = m->offset + m->len;
	}
	mbox_box(mb)->layout++;
}

/*
 * import_base - the first look at a folder: UIDs that the file has are kept, if they
 * ascend and only the newest messages have none
 */
static void import_base(struct mailbox *mb, const struct found_list *l, uint32_t *uids)
{
	uint32_t last = 0, given = 0;

	while (given < l->count && l->items[given].uid > last) {
		last = l->items[given++].uid;
	}
	for (uint32_t i = given; i < l->count; i++) {
		if (l->items[i].uid != 0) {
			return;
		}
	}
	if (!l->scan.has_base) {
		return;
	}
	for (uint32_t i = 0; i < given; i++) {
		uids[i] = l->items[i].uid;
	}
	mb->f.uid_validity = l->scan.base_validity;
	mb->f.uid_next = l->scan.base_last > last ? l->scan.base_last + 1 : last + 1;
	keyword_bits(mb, l->scan.base_keywords);
}

/* apply_whole - the file was read whole */
static int apply_whole(struct mailbox *mb, const struct found_list *l)
{
	uint32_t *match = mem_calloc((size_t)l->count + 1, sizeof(*match));
	uint32_t *uids = mem_calloc((size_t)l->count + 1, sizeof(*uids));
	uint8_t *marks = mem_alloc((size_t)mb->count + 1);
	int rc;

	if (!(mb->f.state & MBOX_INDEXED)) {
		import_base(mb, l, uids);
	}
	mbox_match(mb->msgs, mb->count, l->items, l->count, match);
	memset(marks, 1, mb->count);
	for (uint32_t j = 0; j < l->count; j++) {
		if (match[j] != UINT32_MAX) {
			update_found(mb, match[j], &l->items[j]);
			marks[match[j]] = 0;
		}
	}
	rc = mailbox_drop(mb, marks);
	for (uint32_t j = 0; j < l->count && rc == 0; j++) {
		if (match[j] == UINT32_MAX) {
			add_found(mb, &l->items[j], uids[j]);
		}
	}
	mb->f.sig[4] = (int64_t)l->scan.lead;
	mb->f.state = (mb->f.state | MBOX_INDEXED) & ~(unsigned)MBOX_UNVERIFIED;
	mem_free(match);
	mem_free(uids);
	mem_free(marks);
	return rc;
}

/* fits_tail - is the first message found, from the last one on, the last one as it was? */
static bool fits_tail(const struct mailbox *mb, const struct found_list *l)
{
	return l->scan.lead == 0 && l->count > 0 &&
		l->items[0].m.print == mbox_msg(mb, mb->count - 1)->print;
}

uint32_t mbox_last_in_file(const struct mailbox *mb)
{
	uint32_t last = 0;

	for (uint32_t i = 1; i < mb->count; i++) {
		if (mbox_msg(mb, i)->offset > mbox_msg(mb, last)->offset) {
			last = i;
		}
	}
	return last;
}

/* scan_changed - read what has to be read; *tail_r: only from the last message on. 0 or -1 */
static int scan_changed(struct mailbox *mb, bool full, struct found_list *l, bool *tail_r)
{
	struct stat st;

	*tail_r = mbox_box(mb)->fd >= 0 && mb->count > 0 && (mb->f.state & MBOX_INDEXED) && !full &&
		fstat(mbox_box(mb)->fd, &st) == 0 && same_file(mb, &st) &&
		mb->f.sig[2] < (int64_t)st.st_size && mbox_last_in_file(mb) == mb->count - 1;
	if (*tail_r) {
		if (scan_from(mb, mbox_msg(mb, mb->count - 1)->offset, UINT64_MAX, l) != 0) {
			return -1;
		}
		if (fits_tail(mb, l)) {
			return 0;
		}
		free_found(l);
		*tail_r = false;
	}
	return scan_from(mb, 0, UINT64_MAX, l);
}

int mbox_add_from(struct mailbox *mb, uint64_t offset, uint64_t end)
{
	struct found_list l;

	if (scan_from(mb, offset, end, &l) != 0) {
		return -1;
	}
	for (uint32_t i = 0; i < l.count; i++) {
		add_found(mb, &l.items[i], 0);
	}
	free_found(&l);
	mbox_regap(mb);
	return 0;
}

/* say_size - a large mailbox takes time: why */
static void say_size(const struct mailbox *mb, uint32_t count)
{
	if (count >= 10000 && !(mb->f.state & MBOX_INDEXED)) {
		log_info("%s: indexed %u messages", mb->path, count);
	}
}

/* check_lead - nothing that is there is hidden without a word; 0, or -1: that is no mailbox */
static int check_lead(const struct mailbox *mb, const struct found_list *l)
{
	/* Known, and said when it was new: also when the mail behind it has all been removed. */
	if (!l->scan.junk || (mb->f.uid_next > 1 && (int64_t)l->scan.lead == mb->f.sig[4])) {
		return 0;
	}
	if (l->count == 0) {
		log_error("%s: no mbox: %llu bytes, and none of the lines is a From_ line with a "
			  "date or a header behind it",
			mb->path, (unsigned long long)l->scan.lead);
		return store_fail(mb->ms, MAIL_E_INVALID, "Mailbox isn't a valid mbox file");
	}
	log_warn("%s: %llu bytes before the first From_ line are not shown", mb->path,
		(unsigned long long)l->scan.lead);
	return 0;
}

/* mbox_follow - with the lock: bring memory and index up to date with the file. 0 or -1 */
static int mbox_follow(struct mailbox *mb, bool full)
{
	struct found_list l;
	uint64_t size;
	bool tail;
	int rc;

	for (int tries = 0; tries < FOLLOW_TRIES; tries++) {
		int64_t gen = mb->f.gen;

		/* The index is not locked while the file is read: that may take long. */
		if (scan_changed(mb, full, &l, &tail) != 0) {
			return -1;
		}
		if (check_lead(mb, &l) != 0 || mailbox_begin(mb, false) != 0) {
			free_found(&l);
			return -1;
		}
		if (mb->f.gen != gen) {
			mailbox_rollback(mb);
			free_found(&l);
			continue;
		}
		say_size(mb, l.count);
		if (tail) {
			rc = 0;
			update_found(mb, mb->count - 1, &l.items[0]);
			for (uint32_t i = 1; i < l.count; i++) {
				add_found(mb, &l.items[i], 0);
			}
			mb->f.state |= MBOX_UNVERIFIED;
		} else {
			rc = apply_whole(mb, &l);
		}
		size = l.size;
		free_found(&l);
		mbox_regap(mb);
		if (rc == 0) {
			rc = mbox_take_sig(mb);
		}
		if (rc == 0) {
			/* What came behind it since, without a lock, is still to be read. */
			mb->f.sig[2] = (int64_t)size;
			return mailbox_commit(mb);
		}
		mb->changed = true;
		mailbox_rollback(mb);
		return -1;
	}
	return store_fail(mb->ms, MAIL_E_BUSY, "%s: the index changes all the time", mb->name);
}

/* can_open - the index alone knows what is in a file that we may not read; 0 or -1 */
static int can_open(struct mailbox *mb)
{
	return mbox_is_open(mb) ? 0 : open_file(mb, false);
}

/* needs_recovery - did a crash interrupt a change or an append? */
static bool needs_recovery(struct mailbox *mb)
{
	return mbox_journal_left(mb) || mbox_note_left(mb);
}

/* recover - finish the one, take back the other. With the exclusive lock; 1 done, 0 nothing, -1 */
static int recover(struct mailbox *mb)
{
	int changed = mbox_journal_recover(mb);
	int torn = changed >= 0 ? mbox_torn_recover(mb) : -1;

	return torn < 0 ? -1 : changed | torn;
}

int mbox_sync(struct mailbox *mb, bool full)
{
	struct stat st;
	bool mend;
	int rc;

	mailbox_unstick(mb);
	if (look(mb, &st) != 0 || mailbox_refresh(mb) != 0) {
		return -1;
	}
	mend = full && needs_recovery(mb);
	if (unchanged(mb, &st) && !mend && !(full && (mb->f.state & MBOX_UNVERIFIED))) {
		return full && st.st_size > 0 ? can_open(mb) : 0;
	}
	/* Opening, one waits; with a folder open the next look is soon enough. */
	if (mbox_lock(mb, mend, full ? MBOX_LOCK_MS : MBOX_LOCK_SYNC_MS) != 0) {
		return -1;
	}
	rc = mend ? recover(mb) : 0;
	if (rc >= 0) {
		rc = mbox_follow(mb, full && (mb->f.state & MBOX_UNVERIFIED));
	}
	mbox_unlock(mb);
	return rc;
}

/* cut_zeros - what a power cut left at the end goes before anything comes behind it; 0 or -1 */
static int cut_zeros(struct mailbox *mb)
{
	struct mbox_box *box = mbox_box(mb);
	struct stat st;
	uint64_t end;

	if (box->fd < 0) {
		return 0;
	}
	if (fstat(box->fd, &st) != 0 ||
		mbox_content_end(box->fd, (uint64_t)st.st_size, &end) != 0) {
		return store_fail_sys(mb->ms, mb->path, "read", "read");
	}
	if (end == (uint64_t)st.st_size) {
		return 0;
	}
	log_warn("%s: %llu zeros at its end, as a power cut leaves them, are cut off", mb->path,
		(unsigned long long)st.st_size - end);
	return ftruncate(box->fd, (off_t)end) == 0
		? 0
		: store_fail_sys(mb->ms, mb->path, "cut", "read and write");
}

int mbox_prepare(struct mailbox *mb)
{
	struct stat st;
	bool verify = mb->store->status_only;
	int rc;

	mailbox_unstick(mb);
	if (mailbox_refresh(mb) != 0 || mbox_lock(mb, true, MBOX_LOCK_MS) != 0) {
		return -1;
	}
	rc = recover(mb);
	if (rc >= 0 && cut_zeros(mb) != 0) {
		rc = -1;
	}
	/* Who keeps no flags of its own writes back what others have there now. */
	if (rc == 0 && look(mb, &st) == 0 && mailbox_refresh(mb) == 0 && unchanged(mb, &st) &&
		!(verify && (mb->f.state & MBOX_UNVERIFIED))) {
		return 0;
	}
	if (rc < 0 || mbox_follow(mb, verify) != 0) {
		mbox_unlock(mb);
		return -1;
	}
	return 0;
}

void mbox_close(struct mailbox *mb)
{
	struct mbox_box *box = mbox_box(mb);

	mbox_unlock(mb);
	mbox_note_close(mb);
	if (box->fd >= 0) {
		close(box->fd);
	}
	box->fd = -1;
}

void mbox_watch(struct mailbox *mb, int inotify_fd)
{
	/* Once more after the file was replaced; asked for again it stays one watch. */
	if (inotify_add_watch(inotify_fd, mb->path,
		    IN_MODIFY | IN_CLOSE_WRITE | IN_MOVE_SELF | IN_DELETE_SELF) < 0) {
		char *slash = strrchr(mb->path, '/');

		/* Not there: its directory will tell. */
		if (slash != NULL && slash > mb->path) {
			*slash = '\0';
			inotify_add_watch(inotify_fd, mb->path, IN_CREATE | IN_MOVED_TO);
			*slash = '/';
		}
	}
}
