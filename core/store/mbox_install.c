/*
 * mbox_install - give a mailbox file a new end, so that a crash loses nothing
 *
 * Two ways. Where the directory may be written and the file is the user's
 * own, plain and of one name: the whole new content is written to a temporary
 * file beside it, synced, and renamed over it. Descriptors that others have open keep the
 * old file; they look (as this driver does) whether path still names it once they have
 * the lock, and the dotlock is held meanwhile.
 *
 * Elsewhere (/var/mail): the new end goes to a journal first, beside index.db or
 * else in /var/tmp.
 *
 *	journal.tmp written, synced -> renamed: from here on the change will happen
 *	-> copied over the mailbox, cut to its new length, synced -> journal removed
 *
 * After a crash in between the mailbox is a mixture until somebody opens it here and finds the
 * journal: it is copied again, and what was delivered meanwhile is kept behind
 * it. A mailbox that only gets shorter is just cut. A journal whose mailbox another program has
 * changed since, or that belongs to another file which had this one's number before, is put aside:
 * copied over other mail it would destroy that.
 */
#include "store/mbox_install.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

enum { COPY_CHUNK = 256 * 1024, LOOK_SIZE = 4096, TOUCH_BYTES = 64 * 1024 * 1024 };

static const char MAGIC[8] = "PBXMBOX2";

/* Bytes of the old content. */
struct look {
	uint64_t len;
	char data[LOOK_SIZE];
};

struct journal {
	char magic[8];
	uint64_t start, length; /* of the new end */
	uint64_t old_size;	/* of the mailbox before */
	struct look behind;	/* the new end: they tell whether the mailbox was cut already */
	struct look first, last; /* from start on, and up to old_size: they tell whether it still is
				  * the mailbox that the journal is for */
};

/* ---- Places ---- */

/* directory_of - the directory part of path, to out */
static void directory_of(struct buf *out, const char *path)
{
	const char *slash = strrchr(path, '/');

	buf_reset(out);
	if (slash == NULL)
		buf_addc(out, '.');
	else
		buf_add(out, path, slash == path ? 1 : (size_t)(slash - path));
}

/* journal_path - where the journal of this file is; caller frees */
static char *journal_path(const struct mailbox *mb, const struct stat *st)
{
	const char *index = index_path(mb->store->index);
	struct buf b = BUF_INIT;

	if (index != NULL)
		directory_of(&b, index);
	else
		buf_addf(&b, "/var/tmp/pillarbox-%ld", (long)geteuid());
	buf_addf(&b, "%crewrite-%llx-%llx", index != NULL ? '/' : '-',
		(unsigned long long)st->st_dev, (unsigned long long)st->st_ino);
	return buf_steal(&b);
}

/* may_rename - can a new file take this one's place and be the same to everybody? */
static bool may_rename(const struct mailbox *mb, const struct stat *st)
{
	struct stat link;
	struct buf dir = BUF_INIT;
	bool ok;

	if (lstat(mb->path, &link) != 0 || !S_ISREG(link.st_mode) || link.st_nlink != 1 ||
		st->st_uid != geteuid())
		return false;
	directory_of(&dir, mb->path);
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
		ssize_t n = pread(in->mb->fd, in->chunk, want, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n == 0)
				errno = EIO;
			return store_fail_sys(in->mb->ms, in->mb->path, "read", "read");
		}
		if (fd_write_all(in->fd, in->chunk, (size_t)n) != 0)
			return fail(in);
		if ((at + (uint64_t)n) / TOUCH_BYTES != at / TOUCH_BYTES && in->mb->lock != NULL)
			mailbox_lock_touch(in->mb->lock);
		at += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

int mbox_install_copy(struct mbox_install *in, uint64_t at, uint64_t len)
{
	if (len <= COPY_CHUNK / 4) {
		ssize_t n = pread(in->mb->fd, in->chunk, (size_t)len, (off_t)at);

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
	directory_of(&b, in->mb->path);
	buf_addf(&b, "/.%s.new", strrchr(in->mb->path, '/') + 1);
	in->path = buf_steal(&b);
	(void)unlink(in->path);
	in->fd = open(in->path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (in->fd >= 0 &&
		(st->st_gid == getegid() || fchown(in->fd, (uid_t)-1, st->st_gid) == 0) &&
		fchmod(in->fd, st->st_mode & 07777) == 0)
		return 0;
	if (in->fd >= 0) {
		close(in->fd);
		unlink(in->path);
	}
	mem_free(in->path);
	in->path = NULL;
	in->fd = -1;
	return -1;
}

/* begin_journal - room for its head; 0 or -1 */
static int begin_journal(struct mbox_install *in, const struct stat *st)
{
	char *path = journal_path(in->mb, st);
	struct buf b = BUF_INIT;

	buf_addf(&b, "%s.%ld.tmp", path, (long)getpid());
	mem_free(path);
	in->path = buf_steal(&b);
	unlink(in->path);
	in->fd = open(in->path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (in->fd < 0)
		return fail(in);
	_Static_assert(sizeof(struct journal) <= COPY_CHUNK, "the head is written from the chunk");
	memset(in->chunk, 0, sizeof(struct journal));
	return fd_write_all(in->fd, in->chunk, sizeof(struct journal)) == 0 ? 0 : fail(in);
}

int mbox_install_begin(struct mbox_install *in, struct mailbox *mb, uint64_t start)
{
	struct stat st;

	memset(in, 0, sizeof(*in));
	in->mb = mb;
	in->fd = -1;
	in->start = start;
	in->chunk = mem_alloc(COPY_CHUNK);
	if (fstat(mb->fd, &st) != 0) {
		store_fail_sys(mb->ms, mb->path, "read", "read");
		return mbox_install_abort(in);
	}
	in->by_rename = may_rename(mb, &st) && begin_rename(in, &st) == 0;
	if (in->by_rename ? copy_range(in, 0, start) != 0 : begin_journal(in, &st) != 0)
		return mbox_install_abort(in);
	return 0;
}

/* release - the descriptor and memory; the file stays */
static void release(struct mbox_install *in)
{
	if (in->fd >= 0)
		close(in->fd);
	in->fd = -1;
	mem_free(in->path);
	in->path = NULL;
	buf_free(&in->hold);
	mem_free(in->chunk);
	in->chunk = NULL;
}

int mbox_install_abort(struct mbox_install *in)
{
	if (in->path != NULL)
		unlink(in->path);
	release(in);
	return -1;
}

/* ---- Putting it in place ---- */

/* copy_back - the journal's bytes over the mailbox, and its new length; 0 or -1 with errno */
static int copy_back(int journal, int mailbox, uint64_t start, uint64_t length, char *chunk)
{
	struct stat st;
	uint64_t done = 0;

	/* First to its full length, so that what others append after a crash is behind it. */
	if (fstat(mailbox, &st) != 0 || ((uint64_t)st.st_size < start + length &&
						ftruncate(mailbox, (off_t)(start + length)) != 0))
		return -1;
	while (done < length) {
		size_t want = length - done < COPY_CHUNK ? (size_t)(length - done) : COPY_CHUNK;
		ssize_t n = pread(journal, chunk, want, (off_t)(sizeof(struct journal) + done));

		if (n > 0)
			n = pwrite(mailbox, chunk, (size_t)n, (off_t)(start + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n == 0 ? EIO : errno;
			return -1;
		}
		done += (uint64_t)n;
	}
	/* The bytes before the length: cut first, a power failure would leave neither. */
	if (fdatasync(mailbox) != 0 || ftruncate(mailbox, (off_t)(start + length)) != 0)
		return -1;
	return fdatasync(mailbox);
}

/* take_look - up to LOOK_SIZE bytes of the mailbox from at to end; 0 or -1 with errno */
static int take_look(struct look *l, int mailbox, uint64_t at, uint64_t end)
{
	size_t want = at >= end ? 0 : end - at < LOOK_SIZE ? (size_t)(end - at) : LOOK_SIZE;
	ssize_t n = want > 0 ? pread(mailbox, l->data, want, (off_t)at) : 0;

	if (n < 0)
		return -1;
	l->len = (uint64_t)n;
	return 0;
}

/* last_at - where the last bytes begin that are looked at */
static uint64_t last_at(const struct journal *j)
{
	return j->old_size - j->start > LOOK_SIZE ? j->old_size - LOOK_SIZE : j->start;
}

/* write_head - the journal is whole; 0 or -1 with errno */
static int write_head(int fd, int mailbox, uint64_t start, uint64_t length, uint64_t old_size)
{
	struct journal j = { .start = start, .length = length, .old_size = old_size };

	memcpy(j.magic, MAGIC, sizeof(j.magic));
	if (take_look(&j.behind, mailbox, start + length, old_size) != 0 ||
		take_look(&j.first, mailbox, start, old_size) != 0 ||
		take_look(&j.last, mailbox, last_at(&j), old_size) != 0)
		return -1;
	return pwrite(fd, &j, sizeof(j), 0) == (ssize_t)sizeof(j) && fdatasync(fd) == 0 ? 0 : -1;
}

/* drop_journal - the change is made; durably: it must not come back when the mailbox is another */
static void drop_journal(const char *path)
{
	if (unlink(path) == 0)
		(void)file_sync_name(path, -1);
}

/* end_journal - commit and copy; 0 or -1 */
static int end_journal(struct mbox_install *in)
{
	struct mailbox *mb = in->mb;
	struct stat st;
	char *path;
	int rc = -1;

	if (fstat(mb->fd, &st) != 0)
		return store_fail_sys(mb->ms, mb->path, "read", "read");
	if (in->length == 0) {
		if (ftruncate(mb->fd, (off_t)in->start) != 0 || fdatasync(mb->fd) != 0)
			return store_fail_sys(mb->ms, mb->path, "write", "read and write");
		unlink(in->path);
		return 0;
	}
	path = journal_path(mb, &st);
	if (write_head(in->fd, mb->fd, in->start, in->length, (uint64_t)st.st_size) != 0 ||
		rename(in->path, path) != 0 || file_sync_name(path, in->fd) != 0) {
		rc = fail(in);
	} else if (copy_back(in->fd, mb->fd, in->start, in->length, in->chunk) == 0) {
		drop_journal(path);
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

	/* Locked before it has its name: nobody must come in between. */
	if (fdatasync(in->fd) != 0 ||
		(mb->lock != NULL && mailbox_lock_move(mb->lock, in->fd) != 0))
		return fail(in);
	if (rename(in->path, mb->path) != 0) {
		int saved = errno;

		if (mb->lock != NULL)
			(void)mailbox_lock_move(mb->lock, mb->fd);
		errno = saved;
		return fail(in);
	}
	/* What comes into it from now on must not be lost with the name; it is too late to fail. */
	if (file_sync_name(mb->path, in->fd) != 0)
		log_warn("%s: cannot sync its directory: %m", mb->path);
	/* The lock on the old file ends with its descriptor; nobody looks for it there any more. */
	close(mb->fd);
	mb->fd = in->fd;
	in->fd = -1;
	return 0;
}

int mbox_install_end(struct mbox_install *in)
{
	int rc = flush(in);

	if (rc == 0)
		rc = in->by_rename ? end_rename(in) : end_journal(in);
	if (rc != 0)
		return mbox_install_abort(in);
	release(in);
	return 0;
}

/* ---- After a crash ---- */

bool mbox_needs_recovery(struct mailbox *mb)
{
	struct stat st;
	char *path;
	bool there;

	if (stat(mb->path, &st) != 0)
		return false;
	path = journal_path(mb, &st);
	there = access(path, F_OK) == 0;
	mem_free(path);
	return there;
}

/* is_whole - does a journal of that size hold what its head says? */
static bool is_whole(const struct journal *j, off_t size)
{
	uint64_t content = (uint64_t)size - sizeof(*j);

	return memcmp(j->magic, MAGIC, sizeof(MAGIC)) == 0 && j->length <= content &&
		j->start <= j->old_size && j->old_size <= INT64_MAX - content &&
		j->behind.len <= LOOK_SIZE && j->first.len <= LOOK_SIZE &&
		j->last.len <= LOOK_SIZE;
}

/* open_journal - its head, when it is ours and whole; the descriptor or -1 */
static int open_journal(const char *path, struct journal *j)
{
	int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && S_ISREG(st.st_mode) &&
		pread(fd, j, sizeof(*j), 0) == (ssize_t)sizeof(*j) && is_whole(j, st.st_size))
		return fd;
	close(fd);
	return -1;
}

/* was_extended - are the bytes behind the old end those of the copy, or still zero? */
static bool was_extended(int journal, int mailbox, const struct journal *j, uint64_t size)
{
	char have[LOOK_SIZE], want[LOOK_SIZE];
	uint64_t len = (size < j->start + j->length ? size : j->start + j->length) - j->old_size;
	size_t n = len < LOOK_SIZE ? (size_t)len : LOOK_SIZE;

	if (pread(mailbox, have, n, (off_t)j->old_size) != (ssize_t)n ||
		pread(journal, want, n, (off_t)(sizeof(*j) + j->old_size - j->start)) != (ssize_t)n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (have[i] != want[i] && have[i] != '\0')
			return false;
	}
	return true;
}

/*
 * appended_from - where begins what others appended since? UINT64_MAX: the change was
 * complete, only the journal had not gone yet
 */
static uint64_t appended_from(int journal, int mailbox, const struct journal *j, uint64_t size)
{
	uint64_t end = j->start + j->length;
	char look[LOOK_SIZE];

	if (size < j->old_size)
		return UINT64_MAX;
	if (end < j->old_size) {
		size_t n = (size_t)j->behind.len;

		if (pread(mailbox, look, n, (off_t)end) != (ssize_t)n ||
			memcmp(look, j->behind.data, n) != 0)
			return UINT64_MAX;
		return j->old_size;
	}
	if (size > j->old_size && was_extended(journal, mailbox, j, size))
		return end;
	return j->old_size;
}

/* fits - is every byte of the mailbox there as it was, or as the journal makes it? */
static bool fits(int journal, int mailbox, const struct journal *j, const struct look *l,
	uint64_t at)
{
	char have[LOOK_SIZE], will[LOOK_SIZE];
	size_t n = (size_t)l->len, known = 0;

	if (pread(mailbox, have, n, (off_t)at) != (ssize_t)n)
		return false;
	if (at - j->start < j->length)
		known = j->length - (at - j->start) < n ? (size_t)(j->length - (at - j->start)) : n;
	if (pread(journal, will, known, (off_t)(sizeof(*j) + at - j->start)) != (ssize_t)known)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (have[i] != l->data[i] && (i >= known || have[i] != will[i]))
			return false;
	}
	return true;
}

/* put_aside - a journal that is not for this mailbox (any more); 0 or -1 with errno */
static int put_aside(const struct mailbox *mb, const char *path)
{
	struct buf to = BUF_INIT;
	int rc;

	buf_addf(&to, "%s.unused", path);
	rc = rename(path, buf_str(&to));
	if (rc == 0)
		log_warn("%s: changed by another program after a crash: the change that was "
			"interrupted is not finished, %s has it", mb->path, buf_str(&to));
	buf_free(&to);
	return rc;
}

/*
 * keep_appended - put it behind the journal's bytes, durably, before they are copied; 0 or -1 with
 * errno
 */
static int keep_appended(
	int journal, int mailbox, struct journal *j, uint64_t from, uint64_t size, char *chunk)
{
	uint64_t length = j->length;

	while (from < size) {
		size_t want = size - from < COPY_CHUNK ? (size_t)(size - from) : COPY_CHUNK;
		ssize_t n = pread(mailbox, chunk, want, (off_t)from);

		if (n <= 0 || pwrite(journal, chunk, (size_t)n, (off_t)(sizeof(*j) + length)) != n)
			return -1;
		length += (uint64_t)n;
		from += (uint64_t)n;
	}
	if (length == j->length)
		return 0;
	j->length = length;
	return fdatasync(journal) == 0 && write_head(journal, mailbox, j->start, length, size) == 0
		       ? 0
		       : -1;
}

/*
 * skip_separator - behind a file that ended in zeros, half copied, whoever appended put line ends
 * first; what the journal makes has its empty line already: they would belong to its last message
 */
static uint64_t skip_separator(
	int journal, int mailbox, const struct journal *j, uint64_t from, uint64_t size)
{
	char end[2], next;

	if (j->length < 2 ||
		pread(journal, end, 2, (off_t)(sizeof(*j) + j->length - 2)) != 2 ||
		memcmp(end, "\n\n", 2) != 0)
		return from;
	for (int i = 0; i < 2 && from < size; i++) {
		if (pread(mailbox, &next, 1, (off_t)from) != 1 || next != '\n')
			break;
		from++;
	}
	return from;
}

int mbox_recover(struct mailbox *mb)
{
	struct stat st;
	struct journal j;
	uint64_t from;
	char *path, *chunk;
	int fd, rc = 0;

	if (mb->fd < 0 || fstat(mb->fd, &st) != 0)
		return 0;
	path = journal_path(mb, &st);
	fd = open_journal(path, &j);
	if (fd < 0) {
		mem_free(path);
		return 0;
	}
	chunk = mem_alloc(COPY_CHUNK);
	from = appended_from(fd, mb->fd, &j, (uint64_t)st.st_size);
	if (from != UINT64_MAX && (!fits(fd, mb->fd, &j, &j.first, j.start) ||
					  !fits(fd, mb->fd, &j, &j.last, last_at(&j)))) {
		rc = put_aside(mb, path) == 0 ? 0 : store_fail_sys(mb->ms, path, "rename", "write");
	} else if (from != UINT64_MAX) {
		from = skip_separator(fd, mb->fd, &j, from, (uint64_t)st.st_size);
		if (keep_appended(fd, mb->fd, &j, from, (uint64_t)st.st_size, chunk) != 0 ||
			copy_back(fd, mb->fd, j.start, j.length, chunk) != 0)
			rc = store_fail_sys(mb->ms, mb->path, "repair", "read and write");
		else
			log_info("%s: finished a change that was interrupted", mb->path);
	}
	if (rc == 0)
		drop_journal(path);
	close(fd);
	mem_free(chunk);
	mem_free(path);
	return rc == 0 ? 1 : -1;
}
