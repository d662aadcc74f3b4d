/*
 * mbox_journal - what a change of a mailbox file in its place leaves for the next one after a crash
 *
 *	rewrite-INODE.tmp written -> head written, synced -> renamed to rewrite-INODE, durably
 *	-> bytes copied over the mailbox, synced -> mailbox cut to its new length, synced -> removed
 *
 *	0	head, or the one before the last
 *	16 K	the other; whichever is whole (sum) and has the higher number counts
 *	32 K	the new end of the mailbox
 *
 * Where the disk has no room for that, messages are taken out by moving what is kept a piece at a
 * time (mbox_slide.c): the journal then holds one piece, its place, and from where on nothing was
 * moved yet; the head before the last keeps the other of two pieces. After a crash all that was not
 * moved yet is kept and moved.
 *
 * A kill leaves these steps done up to one of them. A power cut also leaves each block of the
 * mailbox as it was or as the journal makes it, and, once the cut was begun, the bytes behind
 * the new end as they were or zero: the kernel clears the rest of the last block on the
 * disk before it commits the new size. What the mailbox was before is on the disk before the
 * journal has its name, so its size is never less than both lengths unless it was cut.
 * Meanwhile others, who know nothing of journals, may have appended mail: that is
 * kept. First it goes into the journal, then the head that counts it beside the old one, so
 * that there is a whole head whenever the power fails.
 *
 * The name is the inode's number, as a mailbox may have several names; device numbers change
 * from one start of the system to the next, so that of another device is ours if the path is.
 */
#include "mail/mbox/mbox_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

enum { LOOK_SIZE = 4096, SLOT_SIZE = JOURNAL_CONTENT / 2, SECTOR = 512 };

static const char MAGIC[8] = "PBXMBOX3";

/* Bytes of the old content. */
struct look {
	uint64_t len;
	char data[LOOK_SIZE];
};

struct head {
	char magic[8];
	uint64_t sum;            /* of the head, with 0 here */
	uint64_t number;         /* of the head: 1, 2 ... */
	uint64_t device, path;   /* of the mailbox; the path's sum */
	uint64_t start, length;  /* of the new end, or of the piece */
	uint64_t content;        /* where it is in the journal */
	uint64_t rest;           /* a piece: all from here on was not moved yet; 0 else */
	uint64_t room;           /* for pieces in the journal */
	uint64_t old_size;       /* of the mailbox before */
	struct look behind;      /* the new end: they tell whether the mailbox was cut already */
	struct look first, last; /* from start (rest) on, and up to old_size: they tell whether it
				  * still is the mailbox that the journal is for */
};

_Static_assert(sizeof(struct head) <= SLOT_SIZE, "a head fits its slot");

/* A journal that was found, and the mailbox. */
struct found {
	int fd, mailbox;
	struct head h;
	uint64_t size; /* of the mailbox as it is */
	char *chunk;
};

uint64_t mbox_sum(uint64_t sum, const void *data, size_t len)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i++) {
		sum = (sum ^ p[i]) * 0x100000001b3u;
	}
	return sum;
}

static uint64_t head_sum(const struct head *h)
{
	struct head copy = *h;

	copy.sum = 0;
	return mbox_sum(MBOX_SUM_INIT, &copy, sizeof(copy));
}

void mbox_directory(struct buf *out, const char *path)
{
	const char *slash = strrchr(path, '/');

	buf_reset(out);
	if (slash == NULL) {
		buf_addc(out, '.');
	} else {
		buf_add(out, path, slash == path ? 1 : (size_t)(slash - path));
	}
}

char *mbox_journal_path(const struct mailbox *mb, const struct stat *st)
{
	const char *index = index_path(mb->store->index);
	struct buf b = BUF_INIT;

	if (index != NULL) {
		mbox_directory(&b, index);
	} else {
		buf_addf(&b, "/var/tmp/pillarbox-%ld", (long)geteuid());
	}
	buf_addf(&b, "%crewrite-%llx", index != NULL ? '/' : '-', (unsigned long long)st->st_ino);
	return buf_steal(&b);
}

/* ---- Writing ---- */

/* take_look - up to LOOK_SIZE bytes of the mailbox from at to end; 0 or -1 with errno */
static int take_look(struct look *l, int mailbox, uint64_t at, uint64_t end)
{
	size_t want = at >= end ? 0 : end - at < LOOK_SIZE ? (size_t)(end - at) : LOOK_SIZE;
	ssize_t n = want > 0 ? pread(mailbox, l->data, want, (off_t)at) : 0;

	if (n < 0) {
		return -1;
	}
	l->len = (uint64_t)n;
	return 0;
}

/* last_at - where the last bytes begin that are looked at */
static uint64_t last_at(const struct head *h)
{
	return h->old_size - h->start > LOOK_SIZE ? h->old_size - LOOK_SIZE : h->start;
}

/*
 * write_head - the journal is whole as h has number, start, length and old_size: the rest of h,
 * and into its slot. The mailbox goes to the disk first: what it is compared with must be
 * there. 0 or -1 with errno
 */
static int write_head(int fd, int mailbox, struct head *h)
{
	memcpy(h->magic, MAGIC, sizeof(h->magic));
	if (fdatasync(mailbox) != 0 ||
		take_look(&h->behind, mailbox, h->start + h->length, h->old_size) != 0 ||
		take_look(&h->first, mailbox, h->rest > 0 ? h->rest : h->start, h->old_size) != 0 ||
		take_look(&h->last, mailbox, last_at(h), h->old_size) != 0) {
		return -1;
	}
	h->sum = head_sum(h);
	/* The bytes first: a head that is whole says that they are. */
	if (fdatasync(fd) != 0 ||
		pwrite(fd, h, sizeof(*h), (off_t)((h->number + 1) % 2 * SLOT_SIZE)) !=
			(ssize_t)sizeof(*h)) {
		return -1;
	}
	return fdatasync(fd);
}

int mbox_journal_commit(const struct mailbox *mb, int fd, const char *temporary, const char *path,
	uint64_t start, uint64_t length)
{
	struct head h = {
		.number = 1, .start = start, .length = length, .content = JOURNAL_CONTENT
	};
	struct stat st;

	if (fstat(mbox_box(mb)->fd, &st) != 0) {
		return -1;
	}
	h.device = (uint64_t)st.st_dev;
	h.path = mbox_sum(MBOX_SUM_INIT, mb->path, strlen(mb->path));
	h.old_size = (uint64_t)st.st_size;
	/* One that is there is of a mailbox on another device: ours was looked for. */
	if (access(path, F_OK) == 0) {
		errno = EEXIST;
		return -1;
	}
	if (write_head(fd, mbox_box(mb)->fd, &h) != 0 || rename(temporary, path) != 0) {
		return -1;
	}
	if (file_sync_name(path, fd) == 0) {
		return 0;
	}
	(void)unlink(path);
	return -1;
}

int mbox_journal_apply(int fd, int mailbox, uint64_t start, uint64_t length, char *chunk)
{
	struct stat st;
	uint64_t done = 0;

	/* First to its full length, so that what others append after a crash is behind it. */
	if (fstat(mailbox, &st) != 0 ||
		((uint64_t)st.st_size < start + length &&
			ftruncate(mailbox, (off_t)(start + length)) != 0)) {
		return -1;
	}
	while (done < length) {
		size_t want =
			length - done < JOURNAL_CHUNK ? (size_t)(length - done) : JOURNAL_CHUNK;
		ssize_t n = pread(fd, chunk, want, (off_t)(JOURNAL_CONTENT + done));

		if (n > 0) {
			n = pwrite(mailbox, chunk, (size_t)n, (off_t)(start + done));
		}
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			errno = n == 0 ? EIO : errno;
			return -1;
		}
		done += (uint64_t)n;
	}
	/* The bytes before the length: cut first, a power failure would leave neither. */
	if (fdatasync(mailbox) != 0 || ftruncate(mailbox, (off_t)(start + length)) != 0) {
		return -1;
	}
	return fdatasync(mailbox);
}

void mbox_journal_drop(const char *path)
{
	if (unlink(path) == 0) {
		(void)file_sync_name(path, -1);
	}
}

/* ---- After a crash ---- */

bool mbox_journal_left(struct mailbox *mb)
{
	struct stat st;
	char *path;
	bool there;

	if (stat(mb->path, &st) != 0) {
		return false;
	}
	path = mbox_journal_path(mb, &st);
	/* In /var/tmp somebody else may have made a file of that name. */
	there = lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid();
	mem_free(path);
	return there;
}

/* is_whole - is this a head, and does a journal of that size hold what it says? */
static bool is_whole(const struct head *h, off_t size)
{
	return memcmp(h->magic, MAGIC, sizeof(MAGIC)) == 0 && head_sum(h) == h->sum &&
		h->content <= INT64_MAX / 4 && h->length <= INT64_MAX / 4 &&
		(h->length == 0 || h->content + h->length <= (uint64_t)size) &&
		h->start <= h->old_size && h->old_size <= INT64_MAX / 4 && h->rest <= h->old_size &&
		h->behind.len <= LOOK_SIZE && h->first.len <= LOOK_SIZE && h->last.len <= LOOK_SIZE;
}

/* read_head - the one that counts; false: there is none */
static bool read_head(int fd, struct head *out)
{
	struct head h;
	struct stat st;

	out->number = 0;
	if (fstat(fd, &st) != 0 || st.st_uid != geteuid()) {
		return false;
	}
	for (off_t slot = 0; slot < 2; slot++) {
		if (pread(fd, &h, sizeof(h), slot * SLOT_SIZE) == (ssize_t)sizeof(h) &&
			is_whole(&h, st.st_size) && h.number > out->number) {
			*out = h;
		}
	}
	return out->number > 0;
}

/* same_as_new - of n bytes of the mailbox from at on, how many are the journal's, or still zero */
static size_t same_as_new(const struct found *f, uint64_t at, size_t n)
{
	char *have = f->chunk, *want = f->chunk + JOURNAL_CHUNK / 2;
	size_t same = 0;

	if (pread(f->mailbox, have, n, (off_t)at) != (ssize_t)n ||
		pread(f->fd, want, n, (off_t)(f->h.content + at - f->h.start)) != (ssize_t)n) {
		return 0;
	}
	while (same < n && (have[same] == want[same] || have[same] == '\0')) {
		same++;
	}
	return same;
}

/* from_line - the beginning of the line of the mailbox that at is in, if that is a From_ line */
static uint64_t from_line(const struct found *f, uint64_t lowest, uint64_t at)
{
	char look[1024];
	size_t back = at - lowest < sizeof(look) / 2 ? (size_t)(at - lowest) : sizeof(look) / 2;
	ssize_t n = pread(f->mailbox, look, back + 5, (off_t)(at - back));

	for (size_t i = back + 1; n == (ssize_t)back + 5 && i-- > 0;) {
		if (i < back && look[i] == '\n') {
			break;
		}
		if (memcmp(look + i, "From ", 5) == 0 && (i == 0 || look[i - 1] == '\n')) {
			return at - back + i;
		}
	}
	return at;
}

/*
 * grown_from - the mailbox was to become longer: what others appended begins at its old end if
 * it was not extended yet, else at its new one; or in between, where zeros at the end were cut off
 */
static uint64_t grown_from(const struct found *f)
{
	uint64_t end = f->h.start + f->h.length, at = f->h.old_size;
	uint64_t stop = f->size < end ? f->size : end;

	while (at < stop) {
		size_t n = stop - at < JOURNAL_CHUNK / 2 ? (size_t)(stop - at) : JOURNAL_CHUNK / 2;
		size_t same = same_as_new(f, at, n);

		at += same;
		if (same < n) {
			return from_line(f, f->h.old_size, at);
		}
	}
	return at;
}

/* fits - is every byte, of those before from, as it was, as the journal makes it, or cut off? */
static bool fits(const struct found *f, const struct look *l, uint64_t at, uint64_t from)
{
	char have[LOOK_SIZE], will[LOOK_SIZE];
	uint64_t done = at - f->h.start;
	size_t n = at + l->len <= from ? (size_t)l->len : at < from ? (size_t)(from - at) : 0;
	size_t known = 0;

	if (pread(f->mailbox, have, n, (off_t)at) != (ssize_t)n) {
		return false;
	}
	if (done < f->h.length) {
		known = f->h.length - done < n ? (size_t)(f->h.length - done) : n;
	}
	if (pread(f->fd, will, known, (off_t)(f->h.content + done)) != (ssize_t)known) {
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		char other = i < known ? will[i] : '\0';

		if (have[i] != l->data[i] && have[i] != other) {
			return false;
		}
	}
	return true;
}

/*
 * cut_at - where mail begins that came when zeros from the middle of the cut on had been cut off,
 * if at is within its first line: sectors are zeroed whole. UINT64_MAX: nowhere
 */
static uint64_t cut_at(const struct found *f, uint64_t end, uint64_t at)
{
	char look[8] = "";
	size_t skip = 0;

	at = from_line(f, end, at);
	for (int back = 0; back <= 2 && at > end; back++, at--) {
		if (at % SECTOR != 0) {
			continue;
		}
		if (pread(f->mailbox, look, sizeof(look) - 1, (off_t)at) > 0) {
			skip = strspn(look, "\n");
		}
		return strncmp(look + skip, "From ", 5) == 0 ? at : UINT64_MAX;
	}
	return UINT64_MAX;
}

/*
 * shrunk_from - the mailbox was to become shorter: where what others appended begins. Behind the
 * new end there is what was there, or zero (the cut was begun), or nothing or mail (it was made:
 * UINT64_MAX). Zeros at the end may have been cut off before mail came.
 */
static uint64_t shrunk_from(const struct found *f)
{
	uint64_t end = f->h.start + f->h.length, left = f->size > end ? f->size - end : 0, at;
	size_t n = left < f->h.behind.len ? (size_t)left : (size_t)f->h.behind.len, same = 0;
	char look[LOOK_SIZE];

	if (pread(f->mailbox, look, n, (off_t)end) != (ssize_t)n) {
		return UINT64_MAX;
	}
	while (same < n && (look[same] == f->h.behind.data[same] || look[same] == '\0')) {
		same++;
	}
	if (same == 0) {
		return UINT64_MAX;
	}
	if (same < n) {
		return cut_at(f, end, end + same);
	}
	if (f->size < f->h.old_size) {
		return end + same;
	}
	if (fits(f, &f->h.last, last_at(&f->h), f->h.old_size)) {
		return f->h.old_size;
	}
	at = cut_at(f, end, end + same);
	return at != UINT64_MAX ? at : f->h.old_size;
}

/*
 * appended_from - where begins what others appended since? UINT64_MAX: the change was
 * complete, only the journal had not gone yet
 */
static uint64_t appended_from(const struct found *f)
{
	if (f->h.start + f->h.length < f->h.old_size) {
		return shrunk_from(f);
	}
	return f->size < f->h.old_size ? UINT64_MAX : grown_from(f);
}

/* put_aside - a journal that is not for this mailbox (any more); 0 or -1 with errno */
static int put_aside(const struct mailbox *mb, const char *path, const char *why)
{
	struct buf to = BUF_INIT;
	int rc;

	buf_addf(&to, "%s.unused", path);
	rc = rename(path, buf_str(&to));
	if (rc == 0) {
		log_warn("%s: %s: the change that was interrupted is not finished, %s has it",
			mb->path, why, buf_str(&to));
	}
	buf_free(&to);
	return rc;
}

/* separated - will the mailbox end in an empty line, or be empty, without what was appended? */
static bool separated(const struct found *f)
{
	char end[2] = "\n\n";
	uint64_t length = f->h.length < 2 ? f->h.length : 2, rest = 2 - length;

	if (rest > f->h.start) {
		rest = f->h.start;
	}
	return pread(f->mailbox, end, rest, (off_t)(f->h.start - rest)) == (ssize_t)rest &&
		pread(f->fd, end + 2 - length, length,
			(off_t)(f->h.content + f->h.length - length)) == (ssize_t)length &&
		memcmp(end, "\n\n", 2) == 0;
}

/*
 * skip_separator - behind a file that ended in zeros, half copied, whoever appended put line ends
 * first; what the journal makes has its empty line already: they would belong to its last message
 */
static uint64_t skip_separator(const struct found *f, uint64_t from)
{
	char next;

	for (int i = 0; i < 2 && from < f->size && separated(f); i++) {
		if (pread(f->mailbox, &next, 1, (off_t)from) != 1 || next != '\n') {
			break;
		}
		from++;
	}
	return from;
}

/* keep_appended - put it behind the journal's bytes, durably, before they are copied; 0 or -1 */
static int keep_appended(struct found *f, uint64_t from)
{
	uint64_t length = f->h.length;

	while (from < f->size) {
		size_t want =
			f->size - from < JOURNAL_CHUNK ? (size_t)(f->size - from) : JOURNAL_CHUNK;
		ssize_t n = pread(f->mailbox, f->chunk, want, (off_t)from);

		if (n <= 0) {
			return -1;
		}
		if (pwrite(f->fd, f->chunk, (size_t)n, (off_t)(f->h.content + length)) != n) {
			return -1;
		}
		length += (uint64_t)n;
		from += (uint64_t)n;
	}
	if (length == f->h.length) {
		return 0;
	}
	f->h.number++;
	f->h.length = length;
	f->h.old_size = f->size;
	return write_head(f->fd, f->mailbox, &f->h);
}

/* ---- Pieces ---- */

/* step_head - the head of a piece that is in the journal, durably; the mailbox, too. 0 or -1 */
static int step_head(struct mbox_slide *s, struct head *h)
{
	struct stat st;

	if (fstat(mbox_box(s->mb)->fd, &st) != 0) {
		return -1;
	}
	h->number = s->number + 1;
	h->room = s->room;
	h->device = (uint64_t)st.st_dev;
	h->path = mbox_sum(MBOX_SUM_INIT, s->mb->path, strlen(s->mb->path));
	h->old_size = (uint64_t)st.st_size;
	if (write_head(s->fd, mbox_box(s->mb)->fd, h) != 0) {
		return -1;
	}
	if (s->number == 0 &&
		(access(s->path, F_OK) == 0 || rename(s->temporary, s->path) != 0 ||
			file_sync_name(s->path, s->fd) != 0)) {
		return -1;
	}
	s->number++;
	return 0;
}

int mbox_slide_put(struct mbox_slide *s, const char *data, size_t len, uint64_t rest)
{
	struct head h = { .start = s->at,
		.length = len,
		.rest = rest,
		.content = JOURNAL_CONTENT + (s->number & 1) * s->room };

	if (pwrite(s->fd, data, len, (off_t)h.content) != (ssize_t)len || step_head(s, &h) != 0 ||
		pwrite(mbox_box(s->mb)->fd, data, len, (off_t)s->at) != (ssize_t)len) {
		return -1;
	}
	s->at += len;
	return 0;
}

int mbox_slide_end(struct mbox_slide *s)
{
	struct head h = { .start = s->at, .content = JOURNAL_CONTENT };

	if (step_head(s, &h) != 0 || ftruncate(mbox_box(s->mb)->fd, (off_t)s->at) != 0 ||
		fdatasync(mbox_box(s->mb)->fd) != 0) {
		return -1;
	}
	mbox_journal_drop(s->path);
	return 0;
}

/* finish_pieces - the last one again, then all that was not moved; 0 or -1 with errno */
static int finish_pieces(struct mailbox *mb, struct found *f, char *path)
{
	struct mbox_slide s = { .mb = mb,
		.fd = f->fd,
		.path = path,
		.number = f->h.number,
		.at = f->h.start + f->h.length,
		.room = (size_t)f->h.room };
	uint64_t from = f->h.rest;

	if (pread(f->fd, f->chunk, (size_t)f->h.length, (off_t)f->h.content) !=
			(ssize_t)f->h.length ||
		pwrite(mbox_box(mb)->fd, f->chunk, (size_t)f->h.length, (off_t)f->h.start) !=
			(ssize_t)f->h.length) {
		return -1;
	}
	while (from < f->size) {
		size_t want = f->size - from < s.room ? (size_t)(f->size - from) : s.room;
		ssize_t n = pread(mbox_box(mb)->fd, f->chunk, want, (off_t)from);

		if (n <= 0) {
			return -1;
		}
		from += (uint64_t)n;
		if (mbox_slide_put(&s, f->chunk, (size_t)n, from) != 0) {
			return -1;
		}
	}
	return mbox_slide_end(&s);
}

/* is_sliding - is what was not moved yet still there, byte for byte? */
static bool is_sliding(const struct found *f)
{
	struct look now[2] = { { 0 }, { 0 } };
	const struct head *h = &f->h;

	return h->room > 0 && h->room <= JOURNAL_CHUNK && h->length <= h->room &&
		f->size >= h->old_size &&
		take_look(&now[0], f->mailbox, h->rest, h->old_size) == 0 &&
		take_look(&now[1], f->mailbox, last_at(h), h->old_size) == 0 &&
		now[0].len == h->first.len && now[1].len == h->last.len &&
		memcmp(now[0].data, h->first.data, (size_t)h->first.len) == 0;
}

/* finish - do what the journal at path says, if it is for this mailbox as it is; 0 or -1 */
static int finish(struct mailbox *mb, struct found *f, char *path)
{
	uint64_t from;

	if (f->h.rest > 0 && is_sliding(f)) {
		if (finish_pieces(mb, f, path) != 0) {
			return store_fail_sys(mb->ms, mb->path, "repair", "read and write");
		}
		log_info("%s: finished a change that was interrupted", mb->path);
		return 0;
	}
	from = f->h.rest > 0 ? f->h.old_size : appended_from(f);
	if (from == UINT64_MAX) {
		mbox_journal_drop(path);
		return 0;
	}
	if (f->h.rest > 0 || !fits(f, &f->h.first, f->h.start, from) ||
		!fits(f, &f->h.last, last_at(&f->h), from)) {
		return put_aside(mb, path, "changed by another program after a crash") == 0
			? 0
			: store_fail_sys(mb->ms, path, "rename", "write");
	}
	if (keep_appended(f, skip_separator(f, from)) != 0 ||
		mbox_journal_apply(f->fd, f->mailbox, f->h.start, f->h.length, f->chunk) != 0) {
		return store_fail_sys(mb->ms, mb->path, "repair", "read and write");
	}
	log_info("%s: finished a change that was interrupted", mb->path);
	mbox_journal_drop(path);
	return 0;
}

int mbox_journal_recover(struct mailbox *mb)
{
	struct mbox_box *box = mbox_box(mb);
	struct found f = { .mailbox = box->fd };
	struct stat st;
	char *path;
	int rc;

	if (box->fd < 0 || fstat(box->fd, &st) != 0 || !mbox_journal_left(mb)) {
		return 0;
	}
	path = mbox_journal_path(mb, &st);
	f.fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (f.fd < 0) {
		rc = errno == ENOENT ? 0 : store_fail_sys(mb->ms, path, "open", "read and write");
		mem_free(path);
		return rc;
	}
	f.size = (uint64_t)st.st_size;
	f.chunk = mem_alloc(JOURNAL_CHUNK);
	if (!read_head(f.fd, &f.h)) {
		rc = put_aside(mb, path, "its journal is damaged") == 0
			? 1
			: store_fail_sys(mb->ms, path, "rename", "write");
	} else if (f.h.device != (uint64_t)st.st_dev &&
		f.h.path != mbox_sum(MBOX_SUM_INIT, mb->path, strlen(mb->path))) {
		rc = 0;
	} else {
		rc = finish(mb, &f, path) == 0 ? 1 : -1;
	}
	close(f.fd);
	mem_free(f.chunk);
	mem_free(path);
	return rc;
}
