/*
 * mbox_install - give a mailbox file a new end, so that a crash loses nothing
 *
 * Two ways. Where the directory may be written and the file is the user's
 * own, plain and of one name: the whole new content is written to a temporary
 * file beside it, synced, and renamed over it. Descriptors that others have open keep the
 * old file; they look (as this driver does) whether path still names it once they have
 * the lock, and the dotlock is held meanwhile.
 *
 * Elsewhere (/var/mail), or where the disk has no room for another copy: the new end goes to a
 * journal first (mbox_journal.c), beside index.db or else in /var/tmp, and is copied over the
 * mailbox. A mailbox that only gets shorter has one, too, as a power cut may leave the bytes that
 * were cut off half erased.
 */
#include "mail/mbox/mbox_install.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "mail/mbox/mbox_journal.h"
#include "mail/mbox/mbox_note.h"

enum { COPY_CHUNK = JOURNAL_CHUNK, TOUCH_BYTES = 64 * 1024 * 1024 };

/* may_rename - can a new file take this one's place and be the same to everybody? */
static bool may_rename(const struct mailbox *mb, const struct stat *st)
{
	struct stat link;
	struct buf dir = BUF_INIT;
	bool ok;

	if (lstat(mb->path, &link) != 0 || !S_ISREG(link.st_mode) || link.st_nlink != 1 ||
		st->st_uid != geteuid()) {
		return false;
	}
	mbox_directory(&dir, mb->path);
	ok = access(buf_str(&dir), W_OK | X_OK) == 0;
	buf_free(&dir);
	return ok;
}

/* ---- Building ---- */

static int fail(struct mbox_install *in)
{
	return store_fail_sys(in->mb->ms, in->path, "write", "write");
}

static int flush(struct mbox_install *in)
{
	int rc = fd_write_all(in->fd, in->hold.data, in->hold.len);

	buf_reset(&in->hold);
	return rc == 0 ? 0 : fail(in);
}

int mbox_install_add(struct mbox_install *in, const void *data, size_t len)
{
	buf_add(&in->hold, data, len);
	in->length += len;
	return in->hold.len >= COPY_CHUNK ? flush(in) : 0;
}

/* copy_range - len bytes of the mailbox at at, behind what is there; 0 or -1 */
static int copy_range(struct mbox_install *in, uint64_t at, uint64_t len)
{
	while (len > 0) {
		size_t want = len < COPY_CHUNK ? (size_t)len : COPY_CHUNK;
		ssize_t n = pread(mbox_box(in->mb)->fd, in->chunk, want, (off_t)at);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			if (n == 0) {
				errno = EIO;
			}
			return store_fail_sys(in->mb->ms, in->mb->path, "read", "read");
		}
		if (fd_write_all(in->fd, in->chunk, (size_t)n) != 0) {
			return fail(in);
		}
		if ((at + (uint64_t)n) / TOUCH_BYTES != at / TOUCH_BYTES &&
			mbox_box(in->mb)->lock != NULL) {
			mailbox_lock_touch(mbox_box(in->mb)->lock);
		}
		at += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

int mbox_install_copy(struct mbox_install *in, uint64_t at, uint64_t len)
{
	if (len <= COPY_CHUNK / 4) {
		ssize_t n = pread(mbox_box(in->mb)->fd, in->chunk, (size_t)len, (off_t)at);

		if (n != (ssize_t)len) {
			errno = n < 0 ? errno : EIO;
			return store_fail_sys(in->mb->ms, in->mb->path, "read", "read");
		}
		return mbox_install_add(in, in->chunk, (size_t)len);
	}
	in->length += len;
	return flush(in) != 0 ? -1 : copy_range(in, at, len);
}

/* begin_rename - a copy of the part that stays; 0, or -1 (then the journal is tried) */
static int begin_rename(struct mbox_install *in, const struct stat *st)
{
	struct buf b = BUF_INIT;

	/* Whoever makes one has the lock: what is there was left by a process that was killed. */
	mbox_directory(&b, in->mb->path);
	buf_addf(&b, "/.%s.new", strrchr(in->mb->path, '/') + 1);
	in->path = buf_steal(&b);
	(void)unlink(in->path);
	in->fd = open(in->path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (in->fd >= 0 &&
		(st->st_gid == getegid() || fchown(in->fd, (uid_t)-1, st->st_gid) == 0) &&
		fchmod(in->fd, st->st_mode & 07777) == 0) {
		return 0;
	}
	if (in->fd >= 0) {
		close(in->fd);
		unlink(in->path);
	}
	mem_free(in->path);
	in->path = NULL;
	in->fd = -1;
	return -1;
}

/* begin_journal - with room for its heads; 0 or -1 */
static int begin_journal(struct mbox_install *in, const struct stat *st)
{
	char *path = mbox_journal_path(in->mb, st);
	struct buf b = BUF_INIT;

	/* Whoever makes one has the lock. */
	buf_addf(&b, "%s.tmp", path);
	mem_free(path);
	in->path = buf_steal(&b);
	unlink(in->path);
	in->fd = open(in->path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (in->fd < 0 || lseek(in->fd, JOURNAL_CONTENT, SEEK_SET) != JOURNAL_CONTENT) {
		return fail(in);
	}
	return 0;
}

int mbox_install_begin(struct mbox_install *in, struct mailbox *mb, uint64_t start, bool whole)
{
	struct stat st;

	memset(in, 0, sizeof(*in));
	in->mb = mb;
	in->fd = -1;
	in->start = start;
	in->chunk = mem_alloc(COPY_CHUNK);
	if (fstat(mbox_box(mb)->fd, &st) != 0) {
		store_fail_sys(mb->ms, mb->path, "read", "read");
		return mbox_install_abort(in);
	}
	in->old_size = (uint64_t)st.st_size;
	mbox_note_settle(mb);
	in->by_rename = whole && may_rename(mb, &st) && begin_rename(in, &st) == 0;
	if (in->by_rename ? copy_range(in, 0, start) != 0 : begin_journal(in, &st) != 0) {
		return mbox_install_abort(in);
	}
	return 0;
}

/* release - the descriptor and memory; the file stays */
static void release(struct mbox_install *in)
{
	if (in->fd >= 0) {
		close(in->fd);
	}
	in->fd = -1;
	mem_free(in->path);
	in->path = NULL;
	buf_free(&in->hold);
	mem_free(in->chunk);
	in->chunk = NULL;
}

int mbox_install_abort(struct mbox_install *in)
{
	if (in->path != NULL) {
		unlink(in->path);
	}
	release(in);
	return -1;
}

/* ---- Putting it in place ---- */

/*
 * is_as_copied - is the mailbox the file that was read, and no longer? With the lock it is, but for
 * programs that have none: what they have put there since would go. 0 or -1
 */
static int is_as_copied(const struct mbox_install *in)
{
	const struct mailbox *mb = in->mb;
	struct stat file, named;

	if (fstat(mbox_box(mb)->fd, &file) != 0 || stat(mb->path, &named) != 0) {
		return store_fail_sys(mb->ms, mb->path, "read", "read");
	}
	if (file.st_ino == named.st_ino && file.st_dev == named.st_dev &&
		(uint64_t)file.st_size == in->old_size) {
		return 0;
	}
	return store_fail(mb->ms, MAIL_E_BUSY, "%s is written to by another program without a lock",
		mb->path);
}

/* end_journal - commit and copy; 0 or -1 */
static int end_journal(struct mbox_install *in)
{
	struct mailbox *mb = in->mb;
	struct stat st;
	char *path;
	int rc = -1;

	if (is_as_copied(in) != 0) {
		return -1;
	}
	if (fstat(mbox_box(mb)->fd, &st) != 0) {
		return store_fail_sys(mb->ms, mb->path, "read", "read");
	}
	path = mbox_journal_path(mb, &st);
	if (mbox_journal_commit(mb, in->fd, in->path, path, in->start, in->length) != 0) {
		rc = fail(in);
	} else if (mbox_journal_apply(in->fd, mbox_box(mb)->fd, in->start, in->length, in->chunk) ==
		0) {
		mbox_journal_drop(path);
		rc = 0;
	} else {
		/* The journal stays: the next one who opens the mailbox tries again. */
		rc = store_fail_sys(mb->ms, mb->path, "write", "read and write");
	}
	mem_free(path);
	return rc;
}

/* end_rename - 0 or -1 */
static int end_rename(struct mbox_install *in)
{
	struct mailbox *mb = in->mb;
	struct mbox_box *box = mbox_box(mb);
	int rc;

	/* Locked before it has its name: nobody must come in between. */
	if (fdatasync(in->fd) != 0 ||
		(box->lock != NULL && mailbox_lock_move(box->lock, in->fd) != 0)) {
		return fail(in);
	}
	rc = is_as_copied(in);
	if (rc == 0 && rename(in->path, mb->path) != 0) {
		rc = fail(in);
	}
	if (rc != 0) {
		if (box->lock != NULL) {
			(void)mailbox_lock_move(box->lock, box->fd);
		}
		return rc;
	}
	/* What comes into it from now on must not be lost with the name; it is too late to fail. */
	if (file_sync_name(mb->path, in->fd) != 0) {
		log_warn("%s: cannot sync its directory: %m", mb->path);
	}
	/* The lock on the old file ends with its descriptor; nobody looks for it there any more. */
	close(box->fd);
	box->fd = in->fd;
	in->fd = -1;
	return 0;
}

int mbox_install_end(struct mbox_install *in)
{
	int rc = flush(in);

	if (rc == 0) {
		rc = in->by_rename ? end_rename(in) : end_journal(in);
	}
	if (rc != 0) {
		return mbox_install_abort(in);
	}
	release(in);
	return 0;
}
