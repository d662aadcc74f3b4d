/*
 * mailbox_move - a MOVE that a crash cut short is finished by who opens the folder next
 *
 * A move copies, durably, and then removes. In between a message is in both folders, and a
 * client that finds it in the first moves it again: then it is twice in the second. So before
 * the copy a note is made beside the index, durably, of what is to go where:
 *
 *	INDEX.move-ID   (ID: the folder's number in the index)
 *	one message of base/wire.h: MOVE_FORM, uid_validity of the folder, name and uid_validity
 *	of the other one, the UID from which on its copies are, count, count UIDs of this folder
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
 * the same do so one after the other, and the second finds nothing. One that ends is made empty
 * and not synced: what an old note says is true of messages that are here no longer, and UIDs are
 * never given twice.
 * RFC 6851 section 3.3 (a message is in one folder or in the other).
 */
#include "mail/mailbox_move.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wire.h"

enum {
	MOVE_FORM = 1,
	NOTE_MAX = 16 << 20,
	PAUSE_MS = 10,
	WAIT_MS = 10000 /* for another process that moves from the same folder */
};

/* note_path - NULL: the index is in memory, and there is no place for notes. Caller frees. */
static char *note_path(const struct mailbox *mb)
{
	const char *index = index_path(mb->store->index);
	struct buf path = BUF_INIT;

	if (index == NULL) {
		return NULL;
	}
	buf_addf(&path, "%s.move-%lld", index, (long long)mb->f.id);
	return buf_steal(&path);
}

/* note_lock - 0; -1: somebody else moved for all of that time */
static int note_lock(int fd, int wait_ms)
{
	const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };

	for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; waited += PAUSE_MS) {
		if (waited >= wait_ms) {
			return -1;
		}
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* note_open - the note, locked; -1: there is none (flags without O_CREAT), or somebody moves */
static int note_open(const char *path, int flags, int wait_ms)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);

	if (fd >= 0 && note_lock(fd, wait_ms) != 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* put_note - what is to be moved */
static void put_note(struct buf *b, const struct mailbox *mb, const struct mailbox *to,
	const struct mail_moved *moved)
{
	size_t mark = wire_begin(b);

	wire_put_int(b, MOVE_FORM);
	wire_put_int(b, mb->f.uid_validity);
	wire_put_str(b, to->name);
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
	struct buf b = BUF_INIT;

	if (note->fd < 0 || mailbox_refresh(to) != 0) {
		return;
	}
	put_note(&b, v->mb, to, moved);
	if (fd_write_all(note->fd, b.data, b.len) != 0 || fsync(note->fd) != 0 ||
		(note->made && file_sync_name(note->path, note->fd) != 0)) {
		/* Without a note it is moved as well, only not against a crash. */
		log_warn("%s: no note of a move: %s", note->path, strerror(errno));
	}
	buf_free(&b);
}

void move_note_end(struct move_note *note)
{
	if (note->fd >= 0) {
		if (!note->open && ftruncate(note->fd, 0) != 0) {
			log_warn("%s: the note of a move stays: %s", note->path, strerror(errno));
		}
		close(note->fd);
	}
	mem_free(note->path);
	*note = (struct move_note){ .fd = -1 };
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
	const char *to;
	size_t count;
	struct wire uids;
};

/* read_note - from the text of one; false: torn, of another form, or empty */
static bool read_note(const struct buf *b, struct note *n)
{
	struct wire w, all;
	size_t size;

	if (wire_next(b, &w, &size) != 1 || wire_get_int(&w) != MOVE_FORM) {
		return false;
	}
	n->uid_validity = (uint32_t)wire_get_int(&w);
	n->to = wire_get_str(&w);
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

		/* The copies stand in the order of the UIDs; other mail may be between them. */
		for (uint32_t copy = first; seq != 0 && copy <= mailbox_count(to); copy++) {
			if (same_message(v, seq, to, copy)) {
				gone[count++] = uid;
				first = copy + 1;
				break;
			}
		}
	}
	if (count > 0) {
		rc = mailbox_expunge(v, gone, count, true);
	}
	if (count > 0 && rc == 0) {
		log_info("%s: %zu messages were moved to %s when it was interrupted: finished",
			v->mb->name, count, n->to);
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

/* finish - a note that somebody left: 0, or -1 when it has to wait for the next one */
static int finish(struct mailstore *ms, struct mailbox *mb, const struct note *n)
{
	struct mailbox_view *v = NULL, *to;
	int rc = 0;

	if (n->uid_validity != mb->f.uid_validity) {
		return 0;
	}
	ms->finishing = true;
	to = mailbox_open(ms, n->to, true);
	if (to != NULL && mailbox_uid_validity(to) == n->to_validity) {
		/* Read-only, or it would take \Recent from who opens the folder. */
		v = mailbox_open(ms, mb->name, true);
		rc = v == NULL ? can_wait(ms) : 0;
	} else if (to == NULL) {
		rc = can_wait(ms);
	}
	if (v != NULL) {
		v->read_only = false;
		rc = remove_copied(v, to, n) == 0 ? 0 : can_wait(ms);
		mailbox_close(v);
	}
	if (to != NULL) {
		mailbox_close(to);
	}
	ms->finishing = false;
	return rc;
}

/* finish_note - the note in a file that is locked; then it is empty, unless it has to wait: -1 */
static int finish_note(struct mailstore *ms, struct mailbox *mb, int fd, const char *path)
{
	size_t len = 0;
	char *text = file_read(path, NOTE_MAX, &len);
	struct buf b = BUF_INIT;
	struct note n;
	int rc = 0;

	if (text != NULL) {
		buf_add(&b, text, len);
	}
	if (read_note(&b, &n)) {
		rc = finish(ms, mb, &n);
	}
	mem_free(text);
	buf_free(&b);
	mb->ms = ms;
	return rc == 0 ? ftruncate(fd, 0) : -1;
}

int move_note_begin(struct mailbox_view *v, struct move_note *note)
{
	struct stat st;
	int rc = 0;

	*note = (struct move_note){ .fd = -1, .path = note_path(v->mb) };
	if (note->path == NULL) {
		return 0;
	}
	note->made = lstat(note->path, &st) != 0;
	note->fd = note_open(note->path, O_CREAT, WAIT_MS);
	if (note->fd >= 0 && fstat(note->fd, &st) == 0 && st.st_size > 0) {
		rc = finish_note(v->ms, v->mb, note->fd, note->path);
	}
	if (rc != 0) {
		/* It stays as it is: the next one finishes it. */
		close(note->fd);
		mem_free(note->path);
		*note = (struct move_note){ .fd = -1 };
		return store_fail(
			v->ms, MAIL_E_BUSY, "A move that was interrupted is not finished");
	}
	v->ms->code = MAIL_E_NONE;
	if (mailbox_refresh(v->mb) != 0) {
		move_note_end(note);
		return -1;
	}
	return 0;
}

void move_finish(struct mailstore *ms, struct mailbox *mb)
{
	char *path = note_path(mb);
	struct stat st;
	int fd = -1;

	if (path != NULL && !ms->finishing && lstat(path, &st) == 0 && st.st_size > 0) {
		fd = note_open(path, 0, 0);
	}
	if (fd >= 0) {
		(void)finish_note(ms, mb, fd, path);
		close(fd);
		ms->code = MAIL_E_NONE;
	}
	mem_free(path);
}
