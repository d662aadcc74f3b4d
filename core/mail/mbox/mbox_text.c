/*
 * mbox_text - a message out of an mbox as the client sees it
 *
 * Most messages are one run of bytes. Bookkeeping lines split it into pieces;
 * only where lines were quoted does every line have to be looked at. Bytes are
 * read in windows, and before each the file is looked at (at most every 2 ms):
 * if another program changed it, the folder is synced and the message found
 * again by its UID. Reading by read(2) and not by mapping, because a mapping of a file
 * that somebody truncates kills the process.
 */
#include "mail/mbox/mbox_text.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

enum { LOOK_AGAIN_MS = 2 };

/* add_piece - stored bytes that are shown */
static void add_piece(struct mbox_text *t, uint64_t stored, uint64_t len)
{
	struct text_piece *p = &t->pieces[t->piece_count];

	if (len == 0 || t->piece_count == TEXT_PIECES) {
		return;
	}
	p->stored = stored;
	p->len = len;
	p->shown = t->piece_count > 0 ? p[-1].shown + p[-1].len : 0;
	t->piece_count++;
}

/* place_pieces - what lies between the bookkeeping lines; 0 or -1 */
static int place_pieces(struct mbox_text *t, const struct mbox_msg *m)
{
	uint64_t head = m->offset + m->from_len, at = head;
	struct mbox_head h;

	t->piece_count = 0;
	if (m->msg.bits & MSG_HIDDEN) {
		if (mbox_scan_head(mbox_box(t->text.mb)->fd, head, m->head_len, &h) != 0) {
			return store_fail_sys(t->text.ms, t->text.mb->path, "read", "read");
		}
		for (size_t k = 0; k < h.hidden_count; k++) {
			add_piece(t, at, head + h.hidden[k].at - at);
			at = head + h.hidden[k].at + h.hidden[k].len;
		}
	}
	add_piece(t, at, t->end - at);
	if (t->piece_count > 0) {
		t->scan_stored = t->pieces[0].stored;
	}
	return 0;
}

/* place_text - where m stands now */
static int place_text(struct mbox_text *t, const struct mbox_msg *m)
{
	uint64_t head = m->offset + m->from_len;

	t->start = head;
	t->end = m->offset + m->len - m->tail_len;
	t->text.size = m->len - m->from_len - m->tail_len - m->cut;
	t->quoted = (m->msg.bits & MSG_QUOTED) != 0;
	t->piece_count = 0;
	t->layout = mbox_box(t->text.mb)->layout;
	t->scan_shown = 0;
	t->scan_piece = 0;
	t->scan_stored = head;
	t->filtered = (m->msg.bits & (MSG_HIDDEN | MSG_QUOTED)) != 0;
	/* A small message is filtered as a whole once it is read. */
	return t->filtered && t->end - head <= text_whole(&t->text) ? 0 : place_pieces(t, m);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* is_as_known - the file has not changed since it was synced */
static bool is_as_known(struct mailbox *mb)
{
	int64_t now = now_ms();
	struct stat st;

	if (!mbox_is_open(mb)) {
		return false;
	}
	if (now - mbox_box(mb)->checked_ms < LOOK_AGAIN_MS) {
		return true;
	}
	if (stat(mb->path, &st) != 0 || mb->f.sig[0] != (int64_t)st.st_dev ||
		mb->f.sig[1] != (int64_t)st.st_ino || mb->f.sig[2] != (int64_t)st.st_size ||
		mb->f.sig[3] != (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec) {
		return false;
	}
	mbox_box(mb)->checked_ms = now;
	return true;
}

/*
 * is_itself - is what stands at m's place m? (asked when the file grew, and not all of it was
 * looked at)
 */
static bool is_itself(struct mailbox *mb, const struct mbox_msg *m)
{
	struct arena a = ARENA_INIT;
	struct mbox_scan s;
	struct mbox_found f;
	bool same;

	mbox_scan_open(&s, mbox_box(mb)->fd, m->offset, m->offset + m->len, &a);
	s.listed = true;
	same = mbox_scan_next(&s, &f) > 0 && f.m.print == m->print && f.m.len == m->len &&
		f.m.cut == m->cut;
	mbox_scan_close(&s);
	arena_free(&a);
	return same;
}

/*
 * locate - the message where it is now; sure: what stands there is read for that where it might be
 * another. NULL: it is gone, or an error
 */
static struct mbox_msg *locate(struct mailbox *mb, struct mailstore *ms, uint32_t uid, bool sure)
{
	const struct mail_driver *driver = mb->store->driver;
	int64_t i;

	mb->ms = ms;
	if (!is_as_known(mb)) {
		if (driver->sync(mb, false) != 0) {
			return NULL;
		}
		/* Known from the index alone so far, or as it was before. */
		if (!mbox_is_open(mb) && mbox_lock(mb, false, MBOX_LOCK_SYNC_MS) != 0) {
			return NULL;
		}
		mbox_unlock(mb);
	}
	i = mailbox_find(mb, uid);
	if (i >= 0 && sure && (mb->f.state & MBOX_UNVERIFIED) && !is_itself(mb, mbox_msg(mb, i))) {
		if (driver->sync(mb, true) != 0) {
			return NULL;
		}
		i = mailbox_find(mb, uid);
	}
	if (i < 0 || mbox_box(mb)->fd < 0) {
		store_fail(ms, MAIL_E_NOT_FOUND, "The message was expunged meanwhile");
		return NULL;
	}
	return mbox_msg(mb, i);
}

/* read_stored - exactly len bytes at at, appended to the window; 0 or -1 */
static int read_stored(struct mbox_text *t, uint64_t at, size_t len)
{
	char *to = buf_reserve(&t->text.window, len);
	size_t done = 0;

	while (done < len) {
		ssize_t n =
			pread(mbox_box(t->text.mb)->fd, to + done, len - done, (off_t)(at + done));

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			errno = n == 0 ? EIO : errno;
			return store_fail_sys(t->text.ms, t->text.mb->path, "read", "read");
		}
		done += (size_t)n;
	}
	buf_added(&t->text.window, len);
	return 0;
}

/* fill_plain - pieces as they are, from shown offset on */
static int fill_plain(struct mbox_text *t, uint64_t offset, size_t want)
{
	buf_reset(&t->text.window);
	t->text.window_at = offset;
	for (size_t k = 0; k < t->piece_count && t->text.window.len < want; k++) {
		const struct text_piece *p = &t->pieces[k];
		uint64_t skip = offset > p->shown ? offset - p->shown : 0;
		size_t len;

		if (skip >= p->len) {
			continue;
		}
		len = want - t->text.window.len;
		if (p->len - skip < len) {
			len = (size_t)(p->len - skip);
		}
		if (read_stored(t, p->stored + skip, len) != 0) {
			return -1;
		}
	}
	return 0;
}

/*
 * unquote - drop one '>' of each line that was quoted; inside: data begins within a line; last:
 * nothing follows. The new length; *used: so much of data was decided
 */
static size_t unquote(char *data, size_t len, bool inside, bool last, size_t *used)
{
	size_t in = 0, out = 0;

	while (in < len) {
		char *nl = memchr(data + in, '\n', len - in);
		size_t line = nl != NULL ? (size_t)(nl - data) + 1 - in : len - in;
		size_t skip;

		/* Without its end it may be decided only when more is there. */
		if (nl == NULL && !last) {
			break;
		}
		skip = !(inside && in == 0) && data[in] == '>' &&
			mbox_is_quoted(data + in, line, 1);
		memmove(data + out, data + in + skip, line - skip);
		out += line - skip;
		in += line;
	}
	*used = in;
	return out;
}

/* next_quoted - the next stored bytes, unquoted, as the window; 0, or -1 */
static int next_quoted(struct mbox_text *t)
{
	const struct text_piece *p = &t->pieces[t->scan_piece];
	uint64_t left = p->stored + p->len - t->scan_stored;
	size_t most = t->text.head ? TEXT_HEAD : MBOX_WINDOW;
	size_t want = left < most ? (size_t)left : most, used, len;

	buf_reset(&t->text.window);
	if (read_stored(t, t->scan_stored, want) != 0) {
		return -1;
	}
	len = unquote(t->text.window.data, want, t->scan_inside, want == left, &used);
	if (used == 0) {
		/* One line that fills the window: its beginning decides. */
		bool quoted = !t->scan_inside && mbox_is_quoted(t->text.window.data, want, 1);

		memmove(t->text.window.data, t->text.window.data + quoted, want - quoted);
		len = want - quoted;
		used = want;
	}
	t->scan_inside =
		used == want && len > 0 && want < left && t->text.window.data[len - 1] != '\n';
	buf_truncate(&t->text.window, len);
	t->text.window_at = t->scan_shown;
	t->scan_shown += len;
	t->scan_stored += used;
	if (t->scan_stored == p->stored + p->len && t->scan_piece + 1 < t->piece_count) {
		t->scan_stored = t->pieces[++t->scan_piece].stored;
	}
	return 0;
}

/*
 * fill_quoted - windows one after the other until the one with offset; from the start when it is
 * behind
 */
static int fill_quoted(struct mbox_text *t, uint64_t offset)
{
	if (offset < t->scan_shown) {
		t->scan_shown = 0;
		t->scan_piece = 0;
		t->scan_inside = false;
		t->scan_stored = t->piece_count > 0 ? t->pieces[0].stored : t->end;
	}
	do {
		if (t->scan_stored >= t->end) {
			errno = EIO;
			return store_fail_sys(t->text.ms, t->text.mb->path, "read", "read");
		}
		if (next_quoted(t) != 0) {
			return -1;
		}
	} while (t->scan_shown <= offset);
	return 0;
}

/* drop_hidden - bookkeeping lines out of the header that data begins with; the new length */
static size_t drop_hidden(char *data, size_t len)
{
	struct mbox_head h = { 0 };
	size_t at = 0, out = 0;

	while (at < len) {
		char *nl = memchr(data + at, '\n', len - at);
		size_t line = nl != NULL ? (size_t)(nl - data) + 1 - at : len - at;

		if (data[at] == '\n' || (line == 2 && data[at] == '\r')) {
			break;
		}
		mbox_head_line(&h, at, data + at, line, true);
		at += line;
	}
	/* Only now: a fence makes the lines above it the message's own. */
	at = 0;
	for (size_t k = 0; k < h.hidden_count; k++) {
		memmove(data + out, data + at, h.hidden[k].at - at);
		out += h.hidden[k].at - at;
		at = h.hidden[k].at + h.hidden[k].len;
	}
	memmove(data + out, data + at, len - at);
	return out + len - at;
}

/* fill_whole - all of a small message, filtered; 0 or -1 */
static int fill_whole(struct mbox_text *t)
{
	size_t len = (size_t)(t->end - t->start), used;

	buf_reset(&t->text.window);
	t->text.window_at = 0;
	if (read_stored(t, t->start, len) != 0) {
		return -1;
	}
	len = drop_hidden(t->text.window.data, len);
	if (t->quoted) {
		len = unquote(t->text.window.data, len, false, true, &used);
	}
	buf_truncate(&t->text.window, len);
	if (len == t->text.size) {
		return 0;
	}
	return store_fail(t->text.ms, MAIL_E_INTERNAL, "%s: another program changed the message",
		t->text.mb->path);
}

int mbox_open_text(struct mailbox *mb, uint32_t uid, struct mail_text *t)
{
	struct mbox_msg *m = locate(mb, t->ms, uid, !t->head);

	return m != NULL ? place_text((struct mbox_text *)t, m) : -1;
}

int64_t mbox_stored(struct mailbox *mb, uint32_t uid, uint64_t offset, void *data, size_t len)
{
	const struct mbox_msg *m = locate(mb, mb->ms, uid, true);
	size_t done = 0;

	if (m == NULL) {
		return -1;
	}
	if (offset >= m->len) {
		return 0;
	}
	if (m->len - offset < len) {
		len = (size_t)(m->len - offset);
	}
	while (done < len) {
		ssize_t n = pread(mbox_box(mb)->fd, (char *)data + done, len - done,
			(off_t)(m->offset + offset + done));

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return store_fail_sys(mb->ms, mb->path, "read", "read");
		}
		if (n == 0) {
			break;
		}
		done += (size_t)n;
	}
	return (int64_t)done;
}

int mbox_fill_text(struct mail_text *text, uint64_t offset)
{
	struct mbox_text *t = (struct mbox_text *)text;
	struct mbox_msg *m;
	size_t want;

	if (!is_as_known(t->text.mb) || t->layout != mbox_box(t->text.mb)->layout) {
		uint64_t size = t->text.size;

		m = locate(t->text.mb, t->text.ms, t->text.uid, !text->head);
		if (m == NULL || place_text(t, m) != 0) {
			return -1;
		}
		if (t->text.size != size) {
			return store_fail(t->text.ms, MAIL_E_INTERNAL,
				"%s: another program changed the message", t->text.mb->path);
		}
	}
	if (t->filtered && t->end - t->start <= text_whole(text)) {
		return fill_whole(t);
	}
	if (t->quoted) {
		return fill_quoted(t, offset);
	}
	want = text->size <= text_whole(text) ? (size_t)text->size : text_window(text);
	if (t->text.size - offset < want) {
		want = (size_t)(t->text.size - offset);
	}
	return fill_plain(t, offset, want);
}
