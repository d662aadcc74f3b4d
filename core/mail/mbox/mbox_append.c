/*
 * mbox_append - the mbox driver: put messages in
 *
 * Appended messages carry their flags and keywords as bookkeeping lines and their date in
 * the From_ line, and are synced before the index hears of them; then they are read
 * back as any other program's would be. So after a crash the file alone says all, but for a piece
 * of a message: what is going to be written is noted before (mbox_note.c), and put together twice
 * where it is too long to be held.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/date.h"
#include "base/file.h"
#include "mail/mbox/mbox_driver.h"
#include "mail/mbox/mbox_note.h"

enum { WRITE_HOLD = 256 * 1024, READ_SIZE = 16 * 1024, FROM_ROOM = 512 };

struct appender {
	struct mailbox *mb;
	struct buf hold;
	uint64_t at; /* where hold goes */
	/* While it is noted nothing is written; whole: hold has all of it. */
	struct mbox_note note;
	bool noting, whole;
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

/* note - bytes that are going to be written */
static void note(struct appender *w, const char *data, size_t len)
{
	mbox_note_add(&w->note, data, len);
	w->whole = w->whole && w->hold.len + len <= WRITE_HOLD;
	if (w->whole) {
		buf_add(&w->hold, data, len);
	} else {
		buf_reset(&w->hold);
	}
}

static int put(void *arg, const char *data, size_t len)
{
	struct appender *w = arg;

	if (w->noting) {
		note(w, data, len);
		return 0;
	}
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
	char chunk[READ_SIZE];
	int rc;

	if (w->noting) {
		mbox_note_item(&w->note);
	}
	rc = put_from(w, it);

	if (it->flags != 0 || m.msg.info.keywords != 0) {
		mbox_meta(&meta, w->mb, &m, false);
	}
	mbox_writer_init(&out, buf_str(&meta), put, w);
	out.open_end = has_open_end(a, it);
	for (uint64_t at = 0; at < it->len && rc == 0;) {
		size_t want = it->len - at < sizeof(chunk) ? (size_t)(it->len - at) : sizeof(chunk);
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

/* put_items - all messages; 0 or -1 */
static int put_items(struct appender *w, struct mail_append *a)
{
	int rc = 0;

	for (size_t i = 0; i < a->count && rc == 0; i++) {
		rc = put_item(w, a, &a->items[i]);
	}
	return rc;
}

/* note_items - all that is going to be written from w->at on, on the disk; 0 or -1 */
static int note_items(struct appender *w, struct mail_append *a)
{
	uint64_t size = 0;
	int rc;

	for (size_t i = 0; i < a->count; i++) {
		size += a->items[i].len;
	}
	mbox_note_begin(&w->note, w->at, size);
	w->noting = true;
	w->whole = size <= WRITE_HOLD;
	if (w->whole) {
		buf_reserve(&w->hold, (size_t)size + FROM_ROOM);
	}
	rc = put_items(w, a);
	w->noting = false;
	if (rc == 0) {
		mbox_note_write(&w->note, w->mb);
	}
	mbox_note_free(&w->note);
	return rc;
}

/* write_items - at w->at, durably; old_size: of the file before. 0 or -1 */
static int write_items(struct appender *w, struct mail_append *a, uint64_t old_size)
{
	int fd = mbox_box(w->mb)->fd, rc = note_items(w, a);

	if (rc == 0 && !w->whole) {
		rc = put_items(w, a);
	}
	if (rc == 0) {
		rc = flush_hold(w);
	}
	/* An empty file may be a new one, whose name is not on the disk yet. */
	if (rc == 0 &&
		(fdatasync(fd) != 0 || (old_size == 0 && file_sync_name(w->mb->path, fd) != 0))) {
		rc = store_fail_sys(w->mb->ms, w->mb->path, "write", "read and write");
	}
	buf_free(&w->hold);
	return rc;
}

/*
 * has_name - is the file that was written to somebody's still? A program that does not wait for
 * locks may have put another in its place meanwhile, and what went into this one is gone. 0 or -1
 */
static int has_name(const struct mailbox *mb)
{
	struct stat st;

	if (fstat(mbox_box(mb)->fd, &st) != 0) {
		return store_fail_sys(mb->ms, mb->path, "read", "read");
	}
	return st.st_nlink > 0 ? 0
			       : store_fail(mb->ms, MAIL_E_BUSY, "%s is being replaced", mb->path);
}

/*
 * cut_back - what was written, up to `end', goes again; where others have put mail behind it
 * without a lock, the note stays, and what it is of is taken out from before that (mbox_torn.c).
 * 0 or -1
 */
static int cut_back(const struct mailbox *mb, uint64_t end, uint64_t old_size)
{
	struct stat st;

	if (fstat(mbox_box(mb)->fd, &st) == 0 && (uint64_t)st.st_size > end) {
		return -1;
	}
	return ftruncate(mbox_box(mb)->fd, (off_t)old_size) == 0
		? 0
		: store_fail_sys(mb->ms, mb->path, "cut back", "read and write");
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
	if (rc == 0) {
		rc = write_items(&w, a, old_size);
	}
	if (rc == 0) {
		rc = mbox_add_from(mb, size, w.at);
	}
	if (rc == 0 && mb->count != before + a->count) {
		rc = store_fail(mb->ms, MAIL_E_INTERNAL,
			"%s: messages appended were not found again", mb->path);
	}
	if (rc == 0) {
		rc = has_name(mb);
	}
	mb->f.first_recent = first_recent;
	if (rc != 0 && cut_back(mb, w.at, old_size) != 0) {
		return -1;
	}
	mbox_note_end(mb);
	return rc;
}
