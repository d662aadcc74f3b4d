/*
 * mailbox_move - a MOVE that a crash cut short is finished by who opens the folder next
 *
 * A move copies, durably, and then removes. In between a message is in both folders, and a
 * client that finds it in the first moves it again: then it is twice in the second. So before
 * the copy a note is made beside the index, durably, of what is to go where:
 *
 *	INDEX.move-ID   (ID: the folder's number in the index)
 *	one message of base/wire.h: MOVE_FORM, uid_validity of the folder, number and uid_validity
 *	of the other one, the UID from which on its copies are, count, count UIDs of this folder
 *
 * Both folders may get other names meanwhile; a folder that is deleted takes its note along.
 *
 *	note  copy  removed   what the next one does
 *	-     -     -         nothing
 *	yes   no    no        finds no copy: the messages stay, the note ends
 *	yes   yes   no        finds the copies, byte for byte: removes the messages here
 *	yes   yes   yes       nothing of the note is here: the note ends
 *
 * Where the removal fails (a lock that somebody holds too long) the note stays as well: the client
 * hears NO, and what it moves again is what the note is finished for first.
 *
 * The note is locked (flock) by who moves, from before it reads the first message: two that move
 * the same do so one after the other, and the second finds nothing. Nobody waits for the lock here:
 * the caller has others to serve. One that ends is made empty and not synced: what an old note says
 * is true of messages that are here no longer, and UIDs are never given twice. The descriptor is
 * the folder's (mb->note), where it is found and closed if memory runs out on the way.
 * RFC 6851 section 3.3 (a message is in one folder or in the other).
 */
#include "mail/mailbox_move.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wire.h"
#include "mail/mailbox_change.h"
#include "mail/mailbox.h"

enum { MOVE_FORM = 2, NOTE_MAX = 16 << 20 };

/* note_path - NULL: the index is in memory, and there is no place for notes. Caller frees. */
static char *note_path(const struct index *ix, int64_t folder)
{
	const char *index = index_path(ix);
	struct buf path = BUF_INIT;

	if (index == NULL) {
		return NULL;
	}
	buf_addf(&path, "%s.move-%lld", index, (long long)folder);
	return buf_steal(&path);
}

/*
 * note_open - the note into mb->note, locked: 0; 1 somebody else moves; -1 there is none (or it
 * cannot be opened: errno)
 */
static int note_open(struct mailbox *mb, const char *path, int flags)
{
	struct stat st;

	mailbox_drop_note(mb);
	mb->note = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags, 0600);
	if (mb->note < 0) {
		return -1;
	}
	if (fstat(mb->note, &st) != 0 || !S_ISREG(st.st_mode)) {
		mailbox_drop_note(mb);
		errno = EINVAL;
		return -1;
	}
	/* Where the file system has no flock(2), nobody is kept out. */
	if (flock(mb->note, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
		mailbox_drop_note(mb);
		return 1;
	}
	return 0;
}

/* note_read - all of the note that is open: 1, 0 it is empty, -1 with a log line */
static int note_read(int fd, const char *path, struct buf *out)
{
	struct stat st;
	ssize_t n = 1;

	if (fstat(fd, &st) != 0) {
		log_warn("%s: cannot be read: %m", path);
		return -1;
	}
	if (st.st_size > NOTE_MAX) {
		log_warn("%s: %lld bytes are no note of a move", path, (long long)st.st_size);
		return -1;
	}
	while (n > 0 && (off_t)out->len < st.st_size) {
		size_t want = (size_t)st.st_size - out->len;

		n = pread(fd, buf_reserve(out, want), want, (off_t)out->len);
		if (n < 0 && errno == EINTR) {
			n = 1;
		} else if (n < 0) {
			log_warn("%s: cannot be read: %m", path);
			return -1;
		} else {
			buf_added(out, (size_t)n);
		}
	}
	return out->len > 0;
}

/* put_note - what is to be moved */
static void put_note(struct buf *b, const struct mailbox *mb, const struct mailbox *to,
	const struct mail_moved *moved)
{
	size_t mark = wire_begin(b);

	wire_put_int(b, MOVE_FORM);
	wire_put_int(b, mb->f.uid_validity);
	wire_put_int(b, (uint64_t)to->f.id);
	wire_put_int(b, to->f.uid_validity);
	wire_put_int(b, to->f.uid_next);
	wire_put_int(b, moved->count);
	for (size_t i = 0; i < moved->count; i++) {
		wire_put_int(b, moved->uids[i]);
	}
	wire_end(b, mark);
}

void move_note_write(struct move_note *note, const struct mailbox_view *v, struct mailbox *to,
	const struct mail_moved *moved)
{
	int fd = v->mb->note;
	struct buf b = BUF_INIT;

	if (fd < 0 || mailbox_refresh(to) != 0) {
		return;
	}
	put_note(&b, v->mb, to, moved);
	/* The copies make a file longer or a new name: they come behind it. */
	if (fd_write_all(fd, b.data, b.len) != 0 ||
		(note->made ? fdatasync(fd) : file_order(fd, to->path)) != 0 ||
		(note->made && file_sync_name(note->path, fd) != 0)) {
		/* Without a note it is moved as well, only not against a crash. */
		log_warn("%s: no note of a move: %m", note->path);
	}
	buf_free(&b);
}

void move_note_end(struct move_note *note)
{
	struct mailbox *mb = note->mb;

	if (mb != NULL && mb->note >= 0 && !note->open && ftruncate(mb->note, 0) != 0) {
		log_warn("%s: the note of a move stays: %m", note->path);
	}
	if (mb != NULL) {
		mailbox_drop_note(mb);
	}
	mem_free(note->path);
	*note = (struct move_note){ .mb = NULL };
}

void move_note_remove(struct mailstore *ms, int64_t folder)
{
	char *path = note_path(ms->store->index, folder);

	if (path != NULL && unlink(path) != 0 && errno != ENOENT) {
		log_warn("%s: cannot be removed: %m", path);
	}
	mem_free(path);
}

/* ---- Finishing ---- */

/* A message read byte by byte, CR LF as LF: a copy may have other line ends. */
struct letters {
	struct mail_text *text;
	const char *data;
	size_t len, at;
	uint64_t next;
	bool bad; /* could not be read to its end */
};

/* next_raw - the next byte, -1 at the end */
static int next_raw(struct letters *l)
{
	if (l->at == l->len) {
		if (l->bad || l->next >= mail_size(l->text)) {
			return -1;
		}
		l->data = mail_bytes(l->text, l->next, &l->len);
		l->at = 0;
		if (l->data == NULL || l->len == 0) {
			l->bad = true;
			l->len = 0;
			return -1;
		}
		l->next += l->len;
	}
	return (unsigned char)l->data[l->at++];
}

/* next_letter - as next_raw(), without the CR of CR LF */
static int next_letter(struct letters *l)
{
	int c = next_raw(l);

	if (c == '\r') {
		int following = next_raw(l);

		if (following == '\n') {
			return '\n';
		}
		if (following >= 0) {
			l->at--;
		}
	}
	return c;
}

/* true_size - of a message with CR LF line ends, whatever its name says; false: cannot be read */
static bool true_size(struct mailbox_view *v, uint32_t seq, uint64_t *size_r)
{
	struct letters l = { .text = mail_open(v, seq) };
	int c;

	if (l.text == NULL) {
		return false;
	}
	*size_r = 0;
	while ((c = next_letter(&l)) >= 0) {
		*size_r += c == '\n' ? 2 : 1;
	}
	mail_close(l.text);
	return !l.bad;
}

/* same_message - are these two the same, to the last byte? */
static bool same_message(
	struct mailbox_view *a, uint32_t a_seq, struct mailbox_view *b, uint32_t b_seq)
{
	struct letters x = { .text = mail_open(a, a_seq) }, y = { .text = mail_open(b, b_seq) };
	bool same = x.text != NULL && y.text != NULL;
	int c = 0;

	while (same && c >= 0) {
		c = next_letter(&x);
		same = c == next_letter(&y);
	}
	same = same && !x.bad && !y.bad;
	if (x.text != NULL) {
		mail_close(x.text);
	}
	if (y.text != NULL) {
		mail_close(y.text);
	}
	return same;
}

/* What a note says. */
struct note {
	uint32_t uid_validity, to_validity, to_first;
	int64_t to;
	size_t count;
	struct wire uids;
};

/* parse_note - from the text of one; false: torn, or of another form */
static bool parse_note(const struct buf *b, struct note *n)
{
	struct wire w, all;
	size_t size;

	if (wire_next(b, &w, &size) != 1 || wire_get_int(&w) != MOVE_FORM) {
		return false;
	}
	n->uid_validity = (uint32_t)wire_get_int(&w);
	n->to = (int64_t)wire_get_int(&w);
	n->to_validity = (uint32_t)wire_get_int(&w);
	n->to_first = (uint32_t)wire_get_int(&w);
	n->count = (size_t)wire_get_int(&w);
	n->uids = all = w;
	if (n->count > size / 8) {
		return false;
	}
	for (size_t i = 0; i < n->count; i++) {
		wire_get_int(&all);
	}
	return wire_ok(&all);
}

/*
 * find_copy - the number in `to' of the copy of message seq, from first on; 0: there is none.
 * A copy was written by us, so the size that is known of it is its own: few are read.
 */
static uint32_t find_copy(
	struct mailbox_view *v, uint32_t seq, struct mailbox_view *to, uint32_t first)
{
	uint64_t size;

	if (first > mailbox_count(to) || !true_size(v, seq, &size)) {
		return 0;
	}
	for (uint32_t copy = first; copy <= mailbox_count(to); copy++) {
		if (mailbox_info(to, copy)->size == size && same_message(v, seq, to, copy)) {
			return copy;
		}
	}
	return 0;
}

/* remove_copied - those messages of the note that have their copy in the other folder: 0 or -1 */
static int remove_copied(struct mailbox_view *v, struct mailbox_view *to, const struct note *n)
{
	uint32_t *gone = mem_calloc(n->count + 1, sizeof(*gone));
	uint32_t first = mailbox_seq(to, n->to_first, true);
	struct wire uids = n->uids;
	size_t count = 0;
	int rc = 0;

	for (size_t i = 0; i < n->count; i++) {
		uint32_t uid = (uint32_t)wire_get_int(&uids), seq = mailbox_seq(v, uid, false);
		uint32_t copy = seq != 0 ? find_copy(v, seq, to, first) : 0;

		/* The copies stand in the order of the UIDs; other mail may be between them. */
		if (copy != 0) {
			gone[count++] = uid;
			first = copy + 1;
		}
	}
	if (count > 0) {
		rc = mailbox_expunge(v, gone, count, true);
	}
	if (count > 0 && rc == 0) {
		log_info("%s: %zu messages were moved to %s when it was interrupted: finished",
			v->mb->name, count, to->mb->name);
	}
	mem_free(gone);
	return rc;
}

/* can_wait - is it a failure that passes, so that the note is kept? */
static int can_wait(const struct mailstore *ms)
{
	enum mail_error code = mailstore_errno(ms);

	return code == MAIL_E_BUSY || code == MAIL_E_NOSPACE ? -1 : 0;
}

/* open_other - the folder that the note is about, by its number; NULL with a code, or none */
static struct mailbox_view *open_other(struct mailstore *ms, const struct note *n)
{
	struct buf name = BUF_INIT;
	struct mailbox_view *to = NULL;
	int rc = index_folder_name(ms->store->index, n->to, &name);

	ms->code = MAIL_E_NONE;
	if (rc < 0) {
		store_fail_index(ms);
	} else if (rc > 0) {
		to = view_open(ms, buf_str(&name), true);
	}
	buf_free(&name);
	return to;
}

/* finish - a note that somebody left: 0, or -1 when it has to wait for the next one */
static int finish(struct mailstore *ms, struct mailbox *mb, const struct note *n)
{
	struct mailbox_view *v = NULL, *to = open_other(ms, n);
	int rc = 0;

	if (to != NULL && mailbox_uid_validity(to) == n->to_validity) {
		/* Read-only, or it would take \Recent from who opens the folder. */
		v = view_open(ms, mb->name, true);
		rc = v == NULL ? can_wait(ms) : 0;
	} else if (to == NULL) {
		rc = can_wait(ms);
	}
	if (v != NULL && mailbox_uid_validity(v) == n->uid_validity) {
		v->read_only = false;
		rc = remove_copied(v, to, n) == 0 ? 0 : can_wait(ms);
	}
	mailbox_close(v);
	mailbox_close(to);
	return rc;
}

/* finish_note - what the note that is open says; then it is empty, unless it has to wait: -1 */
static int finish_note(struct mailstore *ms, struct mailbox *mb, const char *path)
{
	struct buf b = BUF_INIT;
	struct note n;
	int rc = note_read(mb->note, path, &b);

	if (rc > 0 && !parse_note(&b, &n)) {
		log_warn("%s: the note of a move is not whole: what it was about stays where it is",
			path);
		rc = -1;
	}
	if (rc > 0 && finish(ms, mb, &n) != 0) {
		mb->ms = ms;
		buf_free(&b);
		return -1;
	}
	mb->ms = ms;
	buf_free(&b);
	if (rc != 0 && ftruncate(mb->note, 0) != 0) {
		log_warn("%s: the note of a move stays: %m", path);
	}
	return 0;
}

/* begin_open - the note, open and free of what an earlier move left: 0, 1, -1 as move_note_begin */
static int begin_open(struct mailbox_view *v, struct move_note *note)
{
	struct stat st;
	int rc;

	note->made = lstat(note->path, &st) != 0;
	rc = note_open(v->mb, note->path, O_CREAT);
	if (rc < 0) {
		/* Without a note it is moved as well, only not against a crash. */
		log_warn("%s: no note of a move: %m", note->path);
		return 0;
	}
	if (rc > 0) {
		store_fail(v->ms, MAIL_E_BUSY, "Messages are being moved by another process");
		return 1;
	}
	if (finish_note(v->ms, v->mb, note->path) != 0) {
		/* It stays as it is: the next one finishes it. */
		mailbox_drop_note(v->mb);
		return store_fail(
			v->ms, MAIL_E_BUSY, "A move that was interrupted is not finished");
	}
	return 0;
}

int move_note_begin(struct mailbox_view *v, struct move_note *note)
{
	char *path = note_path(v->mb->store->index, v->mb->f.id);
	int rc;

	*note = (struct move_note){ .mb = NULL };
	if (path == NULL) {
		return 0;
	}
	note->path = path;
	note->mb = v->mb;
	rc = begin_open(v, note);
	if (rc == 0) {
		v->ms->code = MAIL_E_NONE;
		rc = mailbox_refresh(v->mb);
	}
	if (rc != 0) {
		note->open = true;
		move_note_end(note);
	}
	return rc;
}

void move_finish(struct mailstore *ms, struct mailbox *mb)
{
	char *path = note_path(ms->store->index, mb->f.id);
	struct stat st;

	if (path != NULL && lstat(path, &st) == 0 && st.st_size > 0 &&
		note_open(mb, path, 0) == 0) {
		(void)finish_note(ms, mb, path);
		mailbox_drop_note(mb);
		ms->code = MAIL_E_NONE;
	}
	mem_free(path);
}
