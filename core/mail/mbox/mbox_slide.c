/*
 * mbox_slide - take messages out of a mailbox where the disk has no room for another copy
 *
 * What is kept moves over what goes, a piece at a time: each piece is in the journal before it is
 * written (mbox_journal.c), so that a crash, or the power, may end it anywhere. Nothing but the
 * journal of two pieces takes room; index_make_room() has given up what was kept for that. Many
 * fsyncs: only for the full disk. Flags are not written to the file: the index has them.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "mail/mbox/mbox_install.h"
#include "mail/mbox/mbox_journal.h"

enum { TOUCH_PIECES = 500 };

/* Fills pieces from what is kept. */
struct mover {
	struct mbox_slide s;
	char *piece;
	size_t used;
	unsigned pieces;
};

static int fail(struct mover *m)
{
	return store_fail_sys(m->s.mb->ms, m->s.mb->path, "write", "read and write");
}

/* reserve - room for two pieces as long as can be had; 0 or -1 */
static int reserve(struct mover *m)
{
	for (m->s.room = JOURNAL_CHUNK; m->s.room >= 4096; m->s.room /= 4) {
		if (fallocate(m->s.fd, 0, 0, JOURNAL_CONTENT + 2 * (off_t)m->s.room) == 0) {
			return 0;
		}
		if (errno == EOPNOTSUPP) {
			break;
		}
	}
	/* Not for want of room: the first piece will show whether there is any. */
	m->s.room = 16 * 1024;
	return errno == EOPNOTSUPP ? 0 : -1;
}

/* begin - the journal, under a name that counts for nothing; 0 or -1 */
static int begin(struct mover *m, struct mailbox *mb, uint64_t start)
{
	struct buf temporary = BUF_INIT;
	struct stat st;

	m->s.mb = mb;
	m->s.at = start;
	m->s.fd = -1;
	if (fstat(mbox_box(mb)->fd, &st) != 0) {
		return fail(m);
	}
	m->s.path = mbox_journal_path(mb, &st);
	buf_addf(&temporary, "%s.tmp", m->s.path);
	m->s.temporary = buf_steal(&temporary);
	(void)unlink(m->s.temporary);
	m->s.fd = open(m->s.temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (m->s.fd < 0 || reserve(m) != 0) {
		return store_fail_sys(mb->ms, m->s.temporary, "write", "write");
	}
	m->piece = mem_alloc(m->s.room);
	return 0;
}

/* flush - the piece goes to its place; rest as of mbox_slide_put(). 0 or -1 */
static int flush(struct mover *m, uint64_t rest)
{
	if (m->used > 0 && mbox_slide_put(&m->s, m->piece, m->used, rest) != 0) {
		return fail(m);
	}
	m->used = 0;
	if (++m->pieces % TOUCH_PIECES == 0 && mbox_box(m->s.mb)->lock != NULL) {
		mailbox_lock_touch(mbox_box(m->s.mb)->lock);
	}
	return 0;
}

/* move - len bytes at offset at are kept; 0 or -1 */
static int move(struct mover *m, uint64_t at, uint64_t len)
{
	while (len > 0) {
		size_t want = m->s.room - m->used < len ? m->s.room - m->used : (size_t)len;
		ssize_t n = pread(mbox_box(m->s.mb)->fd, m->piece + m->used, want, (off_t)at);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			errno = n == 0 ? EIO : errno;
			return fail(m);
		}
		m->used += (size_t)n;
		at += (uint64_t)n;
		len -= (uint64_t)n;
		if (m->used == m->s.room && flush(m, at) != 0) {
			return -1;
		}
	}
	return 0;
}

int mbox_slide(struct mailbox *mb, uint64_t start, const struct mbox_part *kept, size_t count)
{
	struct mover m = { .used = 0 };
	uint64_t at = start;
	int rc = begin(&m, mb, start);

	for (size_t i = 0; i < count && rc == 0; i++) {
		at = kept[i].at + kept[i].len;
		rc = move(&m, kept[i].at, kept[i].len);
	}
	if (rc == 0) {
		rc = flush(&m, at);
	}
	if (rc == 0 && mbox_slide_end(&m.s) != 0) {
		rc = fail(&m);
	}
	if (m.s.temporary != NULL && m.s.number == 0) {
		(void)unlink(m.s.temporary);
	}
	if (m.s.fd >= 0) {
		close(m.s.fd);
	}
	mem_free(m.s.path);
	mem_free(m.s.temporary);
	mem_free(m.piece);
	return rc;
}
