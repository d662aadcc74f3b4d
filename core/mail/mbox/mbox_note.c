/*
 * mbox_note - what is about to be appended to a mailbox file, noted before
 *
 * The note has to be on the disk before any of what it is of. A sync of its own would be half of
 * what an append costs, so it is put in order alone (file_order()): the bytes appended count when
 * the file's new length is on the disk. One that has not been as long before is synced.
 */
#include "mail/mbox/mbox_note.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "mail/mbox/mbox_journal.h"

enum { SUMS_MAX = 64 * 1024, NOTE_UNIT = 4096 };

static const char MAGIC[8] = "PBXAPND1";

/* note_path - NULL: the index is in memory, and there is no place for notes. Caller frees. */
static char *note_path(const struct mailbox *mb)
{
	const char *index = index_path(mb->store->index);
	struct buf path = BUF_INIT;

	if (index == NULL) {
		return NULL;
	}
	buf_addf(&path, "%s.append-%lld", index, (long long)mb->f.id);
	return buf_steal(&path);
}

/* open_note - the descriptor, or -1 with errno */
static int open_note(const char *path, int flags)
{
	struct stat st;
	int fd = open(path, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);

	if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid())) {
		close(fd);
		errno = EINVAL;
		return -1;
	}
	return fd;
}

void mbox_note_begin(struct mbox_note *n, uint64_t start, uint64_t size)
{
	*n = (struct mbox_note){ .start = start, .at = start, .grain = NOTE_GRAIN };
	while (size / n->grain > SUMS_MAX && n->grain < NOTE_PART_MAX) {
		n->grain *= 2;
	}
	n->sum = MBOX_SUM_INIT;
}

/* end_part - the sum of a part is complete */
static void end_part(struct mbox_note *n)
{
	uint32_t sum = (uint32_t)(n->sum ^ n->sum >> 32);

	buf_add(&n->sums, &sum, sizeof(sum));
	n->sum = MBOX_SUM_INIT;
}

void mbox_note_item(struct mbox_note *n)
{
	struct mbox_note_item it = { .start = n->at };

	buf_add(&n->items, &it, sizeof(it));
	n->in_from = true;
}

/* add_from - bytes that may belong to the From_ line of the last message */
static void add_from(struct mbox_note *n, const char *data, size_t len)
{
	struct mbox_note_item it;
	char *last;

	if (!n->in_from || n->items.len < sizeof(it)) {
		return;
	}
	last = n->items.data + n->items.len - sizeof(it);
	memcpy(&it, last, sizeof(it));
	for (size_t i = 0; i < len && n->in_from; i++) {
		it.from[it.len++] = data[i];
		n->in_from = data[i] != '\n' && it.len < sizeof(it.from);
	}
	memcpy(last, &it, sizeof(it));
}

void mbox_note_add(struct mbox_note *n, const char *data, size_t len)
{
	size_t want = n->first.len < NOTE_GRAIN ? NOTE_GRAIN - n->first.len : 0;

	add_from(n, data, len);
	buf_add(&n->first, data, len < want ? len : want);
	while (len > 0) {
		size_t rest = n->grain - (size_t)(n->at % n->grain);
		size_t take = len < rest ? len : rest;

		n->sum = mbox_sum(n->sum, data, take);
		n->at += take;
		data += take;
		len -= take;
		if (n->at % n->grain == 0) {
			end_part(n);
		}
	}
}

/* put_note - the bytes of the note to out; false: this is no mailbox */
static bool put_note(struct mbox_note *n, const struct mailbox *mb, struct buf *out)
{
	struct mbox_note_head h = { .start = n->start, .end = n->at, .grain = n->grain };
	struct stat st;

	if (fstat(mbox_box(mb)->fd, &st) != 0) {
		return false;
	}
	if (n->at % n->grain != 0) {
		end_part(n);
	}
	memcpy(h.magic, MAGIC, sizeof(h.magic));
	h.inode = (uint64_t)st.st_ino;
	h.first_len = n->first.len;
	h.sums_len = n->sums.len;
	h.items_len = n->items.len;
	buf_reserve(out, sizeof(h) + n->first.len + n->sums.len + n->items.len + NOTE_UNIT);
	buf_add(out, &h, sizeof(h));
	buf_add(out, n->first.data, n->first.len);
	buf_add(out, n->sums.data, n->sums.len);
	buf_add(out, n->items.data, n->items.len);
	h.sum = mbox_sum(MBOX_SUM_INIT, out->data, out->len);
	memcpy(out->data, &h, sizeof(h));
	return true;
}

/* write_note - its bytes into the file, at path; 0 or -1 with errno */
static int write_note(int fd, const char *path, const char *mailbox, struct buf *note)
{
	struct stat st;
	size_t rest = note->len % NOTE_UNIT;

	/* The next one should find room enough. */
	if (rest > 0) {
		memset(buf_reserve(note, NOTE_UNIT - rest), 0, NOTE_UNIT - rest);
		buf_added(note, NOTE_UNIT - rest);
	}
	if (fstat(fd, &st) != 0 || pwrite(fd, note->data, note->len, 0) != (ssize_t)note->len ||
		(st.st_size >= (off_t)note->len ? file_order(fd, mailbox) : fdatasync(fd)) != 0) {
		return -1;
	}
	return st.st_size == 0 ? file_sync_name(path, fd) : 0;
}

/*
 * kept_note - the note's descriptor, which stays open behind the first append of a session, or -1.
 * The folder may have been deleted since.
 */
static int kept_note(const struct mailbox *mb)
{
	struct mbox_box *box = mbox_box(mb);
	struct stat st;

	if (box->note_fd >= 0 && (fstat(box->note_fd, &st) != 0 || st.st_nlink == 0)) {
		mbox_note_close(mb);
	}
	return box->note_fd;
}

void mbox_note_close(const struct mailbox *mb)
{
	struct mbox_box *box = mbox_box(mb);

	if (box->note_fd >= 0) {
		close(box->note_fd);
	}
	box->note_fd = -1;
}

/* use_note - a descriptor of the note, kept or opened with flags, or -1; path is for the log */
static int use_note(const struct mailbox *mb, const char *path, int flags)
{
	int fd = kept_note(mb);

	return fd >= 0 || path == NULL ? fd : open_note(path, flags);
}

static void unuse_note(const struct mailbox *mb, int fd)
{
	if (fd >= 0 && fd != mbox_box(mb)->note_fd) {
		close(fd);
	}
}

void mbox_note_write(struct mbox_note *n, struct mailbox *mb)
{
	char *path = note_path(mb);
	struct buf note = BUF_INIT;
	int fd;

	if (path != NULL && put_note(n, mb, &note)) {
		fd = use_note(mb, path, O_RDWR | O_CREAT);
		mbox_box(mb)->note_fd = fd;
		if (fd < 0 || write_note(fd, path, mb->path, &note) != 0) {
			/* Without a note it is appended as well, only not against a crash. */
			log_warn("%s: no note of an append: %m", path);
		}
	}
	buf_free(&note);
	mem_free(path);
}

void mbox_note_free(struct mbox_note *n)
{
	buf_free(&n->sums);
	buf_free(&n->first);
	buf_free(&n->items);
}

void mbox_note_end(const struct mailbox *mb)
{
	char *path = note_path(mb);
	int fd = use_note(mb, path, O_RDWR);

	if (fd >= 0 && pwrite(fd, "\0\0\0\0\0\0\0", sizeof(MAGIC), 0) != sizeof(MAGIC)) {
		log_warn("%s: the note of an append stays: %m", path);
	}
	unuse_note(mb, fd);
	mem_free(path);
}

void mbox_note_settle(const struct mailbox *mb)
{
	char *path = note_path(mb);
	int fd = use_note(mb, path, O_RDWR);

	if (fd >= 0) {
		(void)file_order(fd, mb->path);
	}
	unuse_note(mb, fd);
	mem_free(path);
}

bool mbox_note_left(const struct mailbox *mb)
{
	char *path = note_path(mb), magic[sizeof(MAGIC)];
	int fd = use_note(mb, path, O_RDONLY);
	bool left = fd >= 0 && pread(fd, magic, sizeof(magic), 0) == (ssize_t)sizeof(magic) &&
		memcmp(magic, MAGIC, sizeof(magic)) == 0;

	unuse_note(mb, fd);
	mem_free(path);
	return left;
}

char *mbox_note_read(const struct mailbox *mb, size_t *len_r)
{
	char *path = note_path(mb);
	char *data = path != NULL ? file_read(path, NOTE_MAX, len_r) : NULL;

	if (data == NULL && path != NULL) {
		log_warn("%s: cannot be read: %m", path);
	}
	mem_free(path);
	return data;
}
