/*
 * mbox_torn - a message that a crash left in pieces is taken out again
 *
 * Who appends by IMAP is answered when all is on the disk. Killed before that, or when the power
 * fails, the file may have any part of it: a piece of a message, which the client, who still has
 * all of it, sends again. (Deliveries know their own pieces: deliver/deliver_find.c.)
 *
 *	note    file                     what the next one does
 *	whole   as before                the note ends
 *	whole   a piece of the append    takes it out, all of it; what others put behind it stays
 *	whole   all of the append        the note ends: it is as if it was answered
 *	whole   anything else            the note ends: somebody else has been there
 *	none, torn or ended              nothing: no append was begun
 *
 * A piece is what has our first bytes, parts that are as noted or still zero, and then ends: with
 * the file, or where a From_ line begins that is none of ours. It lacks something, or it is no
 * piece. The end of a note is not synced: an old one is of a file that is whole. But a change of
 * ours that makes the file shorter must not look like a piece to it (mbox_note_settle()).
 */
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "mail/mbox/mbox_format.h"
#include "mail/mbox/mbox_install.h"
#include "mail/mbox/mbox_journal.h"
#include "mail/mbox/mbox_note.h"

/* A From_ line; with it, the largest part of what is appended. */
enum { FROM_ROOM = 1024, CHUNK = NOTE_PART_MAX + FROM_ROOM };

/* A note that was found, and the mailbox. */
struct found {
	struct mbox_note_head h;
	const char *first;
	const char *sums, *items;
	int fd;
	uint64_t size; /* of the mailbox as it is */
	char *chunk;   /* CHUNK bytes */
};

/* is_sane - can a note of len bytes, for a mailbox with that inode, have this head? */
static bool is_sane(const struct mbox_note_head *h, size_t len, uint64_t inode)
{
	return h->first_len <= NOTE_GRAIN && h->sums_len <= NOTE_MAX && h->items_len <= NOTE_MAX &&
		sizeof(*h) + h->first_len + h->sums_len + h->items_len <= len &&
		h->inode == inode && h->start < h->end && h->end <= INT64_MAX / 4 &&
		h->grain >= NOTE_GRAIN && h->grain <= NOTE_PART_MAX &&
		h->sums_len / sizeof(uint32_t) == (h->end - 1) / h->grain - h->start / h->grain + 1;
}

/* parse_note - false: torn, or not of this file; data: len bytes, its sum is taken out */
static bool parse_note(struct found *f, char *data, size_t len, const struct stat *st)
{
	struct mbox_note_head *h = &f->h;
	uint64_t none = 0;

	if (len < sizeof(*h)) {
		return false;
	}
	memcpy(h, data, sizeof(*h));
	/* An older, longer note may have left bytes behind it. */
	if (!is_sane(h, len, (uint64_t)st->st_ino)) {
		return false;
	}
	memcpy(data + offsetof(struct mbox_note_head, sum), &none, sizeof(none));
	f->first = data + sizeof(*h);
	f->sums = f->first + h->first_len;
	f->items = f->sums + h->sums_len;
	return mbox_sum(MBOX_SUM_INIT, data, (size_t)(f->items + h->items_len - data)) == h->sum;
}

/* is_zero - len bytes that were never written? */
static bool is_zero(const char *data, size_t len)
{
	return len == 0 || (data[0] == '\0' && memcmp(data, data + 1, len - 1) == 0);
}

/*
 * whole_until - from the append's beginning on, where the first part is that is neither as noted
 * nor zero, or not all there; *zeros_r: some were zero. -1: it cannot be read
 */
static int64_t whole_until(const struct found *f, bool *zeros_r)
{
	uint64_t at = f->h.start, part = 0;

	*zeros_r = false;
	while (at < f->h.end) {
		uint64_t end = (at / f->h.grain + 1) * f->h.grain;
		size_t len = (size_t)((end < f->h.end ? end : f->h.end) - at);
		uint64_t sum;
		uint32_t want;
		ssize_t n = pread(f->fd, f->chunk, len, (off_t)at);

		if (n < 0) {
			return -1;
		}
		if ((size_t)n < len) {
			return (int64_t)at;
		}
		memcpy(&want, f->sums + part++ * sizeof(want), sizeof(want));
		sum = mbox_sum(MBOX_SUM_INIT, f->chunk, len);
		if ((uint32_t)(sum ^ sum >> 32) != want) {
			if (!is_zero(f->chunk, len)) {
				return (int64_t)at;
			}
			*zeros_r = true;
		}
		at += len;
	}
	return (int64_t)at;
}

/*
 * begins_ours - are the first bytes ours, up to the end of the piece, as far as they are there and
 * not zero? Others end it with an empty line before they append.
 */
static bool begins_ours(const struct found *f, uint64_t end)
{
	size_t len = (size_t)f->h.first_len, i = 0;

	if (end - f->h.start < len) {
		len = (size_t)(end - f->h.start);
	}
	if (pread(f->fd, f->chunk, len, (off_t)f->h.start) != (ssize_t)len) {
		return false;
	}
	while (i < len && (f->chunk[i] == f->first[i] || f->chunk[i] == '\0')) {
		i++;
	}
	for (int ends = 0; ends < 2 && end - f->h.start == len && i < len; ends++) {
		i += f->chunk[i] == '\n';
	}
	return i == len;
}

/*
 * is_ours - is the From_ line at place `at', with which the n bytes at line begin, one that we
 * wrote, or a piece of one?
 */
static bool is_ours(const struct found *f, uint64_t at, const char *line, size_t n)
{
	size_t count = (size_t)f->h.items_len / sizeof(struct mbox_note_item);
	const char *end = memchr(line, '\n', n);
	size_t len = end != NULL ? (size_t)(end - line) : n;
	struct mbox_note_item it;

	for (size_t i = 0; i < count; i++) {
		memcpy(&it, f->items + i * sizeof(it), sizeof(it));
		if (it.start == at) {
			len = len < it.len ? len : (size_t)it.len;
			return it.len <= sizeof(it.from) && memcmp(line, it.from, len) == 0;
		}
	}
	return false;
}

/*
 * next_from - where what others appended begins, in the part at `at' or at its end: a From_ line,
 * or the end of the file, where that is as near; 0: there is neither, so it is something else
 */
static uint64_t next_from(const struct found *f, uint64_t at)
{
	uint64_t last = at + f->h.grain;
	size_t back = at > f->h.start ? 1 : 0;
	time_t when;
	ssize_t n = pread(f->fd, f->chunk, (size_t)f->h.grain + FROM_ROOM, (off_t)(at - back));

	for (ssize_t i = 1; i < n && at - back + (uint64_t)i <= last; i++) {
		uint64_t place = at - back + (uint64_t)i;
		const char *line = f->chunk + i;

		if ((line[-1] == '\n' || line[-1] == '\0') &&
			mbox_is_from(line, (size_t)(n - i), &when) &&
			!is_ours(f, place, line, (size_t)(n - i))) {
			return place;
		}
	}
	return n >= 0 && f->size <= last ? f->size : 0;
}

/*
 * piece_end - where the piece ends that is there; 0: there is none (nothing, all of it, or
 * something else). -1: it cannot be read
 */
static int64_t piece_end(const struct found *f)
{
	bool zeros;
	int64_t whole = whole_until(f, &zeros);
	uint64_t end;

	if (whole < 0) {
		return -1;
	}
	if ((uint64_t)whole == f->h.end) {
		end = zeros ? f->h.end : 0;
	} else {
		end = next_from(f, (uint64_t)whole);
		end = end < f->h.end ? end : 0;
	}
	return end > f->h.start && begins_ours(f, end) ? (int64_t)end : 0;
}

/* take_out - from..to goes, and what is behind it stays; durably. 0 or -1 */
static int take_out(struct mailbox *mb, uint64_t from, uint64_t to, uint64_t size)
{
	struct mbox_install in;

	if (to >= size) {
		return ftruncate(mbox_box(mb)->fd, (off_t)from) == 0 &&
				fdatasync(mbox_box(mb)->fd) == 0
			? 0
			: store_fail_sys(mb->ms, mb->path, "cut", "read and write");
	}
	if (mbox_install_begin(&in, mb, from, false) != 0) {
		return -1;
	}
	if (mbox_install_copy(&in, to, size - to) != 0) {
		return mbox_install_abort(&in);
	}
	return mbox_install_end(&in);
}

/* recover - 1, 0 or -1 as mbox_torn_recover() */
static int recover(struct mailbox *mb, struct found *f)
{
	int64_t end = f->size > f->h.start ? piece_end(f) : 0;

	if (end < 0) {
		return store_fail_sys(mb->ms, mb->path, "read", "read");
	}
	if (end == 0) {
		return 0;
	}
	if (take_out(mb, f->h.start, (uint64_t)end, f->size) != 0) {
		return -1;
	}
	log_info("%s: %lld bytes of an append that was interrupted are taken out", mb->path,
		(long long)(end - (int64_t)f->h.start));
	return 1;
}

int mbox_torn_recover(struct mailbox *mb)
{
	struct found f = { .fd = mbox_box(mb)->fd };
	char *data;
	struct stat st;
	size_t len = 0;
	int rc = 0;

	if (!mbox_box(mb)->fd_writable || f.fd < 0 || !mbox_note_left(mb) ||
		fstat(f.fd, &st) != 0) {
		return 0;
	}
	f.size = (uint64_t)st.st_size;
	f.chunk = mem_alloc(CHUNK);
	data = mbox_note_read(mb, &len);
	if (data != NULL && parse_note(&f, data, len, &st)) {
		rc = recover(mb, &f);
	}
	if (rc >= 0) {
		mbox_note_end(mb);
	}
	mem_free(f.chunk);
	mem_free(data);
	return rc;
}
