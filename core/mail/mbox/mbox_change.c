/*
 * mbox_change - the mbox driver: put messages in, take them out, write flags
 *
 * Appended messages carry their flags and keywords as bookkeeping lines and their date in
 * the From_ line, and are synced before the index hears of them; then they are read
 * back as any other program's would be. So after a crash the file alone says all.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/date.h"
#include "base/file.h"
#include "base/mem.h"
#include "mail/mbox/mbox_driver.h"

enum { WRITE_HOLD = 256 * 1024, FLUSH_LOCK_MS = 2000 };
/* Flags alone are not worth moving more than this; the index has them. */
enum { FLUSH_MOVE_MAX = 32 * 1024 * 1024 };

/* ---- Flags ---- */

int mbox_write_flags(struct mailbox *mb, const uint8_t *marks)
{
	for (uint32_t i = 0; i < mb->count; i++) {
		if (marks[i]) {
			mbox_msg(mb, i)->msg.bits =
				(mbox_msg(mb, i)->msg.bits & ~(uint32_t)MSG_LATE) | MSG_DIRTY;
		}
	}
	return 0;
}

/* wants_flush - does the file lack anything that other programs, or a lost index, would want? */
static bool wants_flush(const struct mailbox *mb)
{
	bool memory = index_in_memory(mb->store->index) && !mb->store->status_only;

	for (uint32_t i = 0; i < mb->count; i++) {
		if ((mbox_msg(mb, i)->msg.bits & (MSG_DIRTY | MSG_LATE)) == MSG_DIRTY ||
			(memory && !(mbox_msg(mb, i)->msg.bits & MSG_SAVED_UID))) {
			return true;
		}
	}
	return false;
}

int mbox_flush(struct mailbox *mb)
{
	bool memory = index_in_memory(mb->store->index);
	int rc;

	if (!mb->loaded || !wants_flush(mb) || access(mb->path, W_OK) != 0 ||
		mbox_prepare(mb) != 0) {
		return 0;
	}
	rc = mailbox_begin(mb, false);
	if (rc == 0) {
		rc = mbox_rewrite(mb, NULL, memory ? UINT64_MAX : FLUSH_MOVE_MAX);
		if (rc == 0) {
			rc = mbox_settle(mb);
		}
		if (rc == 0) {
			rc = mailbox_commit(mb);
		} else {
			mb->changed = true;
			mailbox_rollback(mb);
		}
	}
	mbox_unlock(mb);
	return rc;
}

/* ---- Out ---- */

int mbox_expunge(struct mailbox *mb, uint8_t *marks)
{
	return mbox_rewrite(mb, marks, UINT64_MAX);
}

int mbox_settle(struct mailbox *mb)
{
	mbox_regap(mb);
	return mbox_take_sig(mb);
}

/* ---- In ---- */

struct appender {
	struct mailbox *mb;
	struct buf hold;
	uint64_t at; /* where hold goes */
};

static int flush_hold(struct appender *w)
{
	size_t done = 0;

	while (done < w->hold.len) {
		ssize_t n = pwrite(
			mbox_box(w->mb)->fd, w->hold.data + done, w->hold.len - done, (off_t)w->at);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			errno = n == 0 ? ENOSPC : errno;
			return store_fail_sys(w->mb->ms, w->mb->path, "write", "read and write");
		}
		done += (size_t)n;
		w->at += (uint64_t)n;
	}
	buf_reset(&w->hold);
	return 0;
}

static int put(void *arg, const char *data, size_t len)
{
	struct appender *w = arg;

	buf_add(&w->hold, data, len);
	return w->hold.len >= WRITE_HOLD ? flush_hold(w) : 0;
}

/* put_from - the From_ line; a sender with blanks or none at all gets a name that has no blanks */
static int put_from(struct appender *w, const struct append_item *it)
{
	const char *sender =
		it->sender != NULL && it->sender[0] != '\0' ? it->sender : "MAILER-DAEMON";
	struct buf line = BUF_INIT;
	char date[DATE_SIZE];
	int rc;

	date_asctime(date, it->received);
	buf_adds(&line, "From ");
	for (const char *p = sender; *p != '\0' && p - sender < 320; p++) {
		buf_addc(&line, *p > ' ' && *p != 0x7f ? *p : '-');
	}
	buf_addf(&line, " %s\n", date);
	rc = put(w, line.data, line.len);
	buf_free(&line);
	return rc;
}

/* has_open_end - is there a body, and does its last line lack an end? (The reader tells by a blank
 * line and what is behind it; a header that just ends is no body.) */
static bool has_open_end(struct mail_append *a, const struct append_item *it)
{
	char last;

	return it->len > 0 && append_read(a, it->offset + it->len - 1, &last, 1) == 1 &&
		last != '\n';
}

/* put_item - a whole message; 0 or -1 */
static int put_item(struct appender *w, struct mail_append *a, const struct append_item *it)
{
	struct mbox_msg m = { .msg.info.flags = it->flags,
		.msg.info.keywords = keyword_bits(w->mb, it->keywords) };
	struct buf meta = BUF_INIT;
	struct mbox_writer out;
	char *chunk = mem_alloc(WRITE_HOLD);
	int rc = put_from(w, it);

	if (it->flags != 0 || m.msg.info.keywords != 0) {
		mbox_meta(&meta, w->mb, &m, false);
	}
	mbox_writer_init(&out, buf_str(&meta), put, w);
	out.open_end = has_open_end(a, it);
	for (uint64_t at = 0; at < it->len && rc == 0;) {
		size_t want = it->len - at < WRITE_HOLD ? (size_t)(it->len - at) : WRITE_HOLD;
		int64_t n = append_read(a, it->offset + at, chunk, want);

		if (n <= 0) {
			rc = -1;
		} else {
			rc = mbox_writer_add(&out, chunk, (size_t)n);
		}
		at += n > 0 ? (uint64_t)n : 0;
	}
	if (rc == 0) {
		rc = mbox_writer_end(&out);
	}
	mem_free(chunk);
	buf_free(&meta);
	return rc;
}

/* look_again - message i, whose end changed, as it stands in the file now; 0 or -1 */
static int look_again(struct mailbox *mb, uint32_t i, uint64_t end)
{
	struct mbox_msg *m = mbox_msg(mb, i);
	struct arena a = ARENA_INIT;
	struct mbox_scan s;
	struct mbox_found f;
	int rc;

	mbox_scan_open(&s, mbox_box(mb)->fd, m->offset, end, &a);
	s.listed = true;
	rc = mbox_scan_next(&s, &f);
	mbox_scan_close(&s);
	arena_free(&a);
	if (rc <= 0) {
		return store_fail_sys(mb->ms, mb->path, "read", "read");
	}
	f.m.msg.info.uid = m->msg.info.uid;
	f.m.msg.info.flags = m->msg.info.flags;
	f.m.msg.info.keywords = m->msg.info.keywords;
	f.m.msg.info.modseq = m->msg.info.modseq;
	f.m.msg.bits |= m->msg.bits & (MSG_DIRTY | MSG_LATE | MSG_SAVED_UID);
	f.m.gap = m->gap;
	*m = f.m;
	mailbox_touch(mb, i, false);
	return 0;
}

/*
 * end_last - the message that is last gets its separator, so that new ones begin where it ends; 0
 * or -1
 */
static int end_last(struct mailbox *mb, uint64_t *size)
{
	int n = mbox_separator(mbox_box(mb)->fd, *size);

	if (n < 0) {
		return store_fail_sys(mb->ms, mb->path, "read", "read");
	}
	if (n == 0) {
		return 0;
	}
	if (pwrite(mbox_box(mb)->fd, "\n\n", (size_t)n, (off_t)*size) != n) {
		return store_fail_sys(mb->ms, mb->path, "write", "read and write");
	}
	*size += (uint64_t)n;
	if (mb->count == 0) {
		mb->f.sig[4] += n;
		return 0;
	}
	return look_again(mb, mbox_last_in_file(mb), *size);
}

int mbox_append(struct mailbox *mb, struct mail_append *a)
{
	struct mbox_box *box = mbox_box(mb);
	struct appender w = { .mb = mb };
	uint32_t before = mb->count, first_recent = mb->f.first_recent;
	uint64_t old_size, size;
	struct stat st;
	int rc;

	if (fstat(box->fd, &st) != 0) {
		return store_fail_sys(mb->ms, mb->path, "read", "read");
	}
	old_size = size = (uint64_t)st.st_size;
	rc = end_last(mb, &size);
	w.at = size;
	for (size_t i = 0; i < a->count && rc == 0; i++) {
		rc = put_item(&w, a, &a->items[i]);
	}
	if (rc == 0) {
		rc = flush_hold(&w);
	}
	if (rc == 0 && fdatasync(box->fd) != 0) {
		rc = store_fail_sys(mb->ms, mb->path, "write", "read and write");
	}
	/* An empty file may be a new one, whose name is not on the disk yet. */
	if (rc == 0 && old_size == 0 && file_sync_name(mb->path, box->fd) != 0) {
		rc = store_fail_sys(mb->ms, mb->path, "write", "read and write");
	}
	if (rc == 0) {
		rc = mbox_add_from(mb, size);
	}
	if (rc == 0 && mb->count != before + a->count) {
		rc = store_fail(mb->ms, MAIL_E_INTERNAL,
			"%s: messages appended were not found again", mb->path);
	}
	mb->f.first_recent = first_recent;
	buf_free(&w.hold);
	if (rc != 0 && ftruncate(box->fd, (off_t)old_size) != 0) {
		return store_fail_sys(mb->ms, mb->path, "cut back", "read and write");
	}
	return rc;
}
