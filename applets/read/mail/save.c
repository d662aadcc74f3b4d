/*
 * save - messages appended to mbox files, given to commands
 *
 * A save locks the file as delivery does and is on disk before it is called done: what s saved
 * disappears from the system mailbox on quit.
 */
#include "applets/read/mail/save.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/file.h"
#include "mail/lock/lock.h"
#include "mail/mbox/mbox_format.h"
#include "applets/read/mail/folder.h"
#include "applets/read/mail/show.h"
#include "applets/read/mail/state.h"

enum { LOCK_WAIT_MS = 30000, OPEN_TRIES = 5 };

static int put(void *arg, const char *data, size_t len)
{
	buf_add(arg, data, len);
	return 0;
}

/* put_mbox - a message as an mbox holds it, with its From_ line and bookkeeping lines (meta) */
static void put_mbox(
	struct buf *out, const char *from_line, const char *meta, const struct buf *text)
{
	struct mbox_writer w;

	buf_addf(out, "%s\n", from_line);
	mbox_writer_init(&w, meta, put, out);
	w.open_end = text->len > 0 && text->data[text->len - 1] != '\n';
	(void)mbox_writer_add(&w, buf_str(text), text->len);
	(void)mbox_writer_end(&w);
}

/* put_message - one message in the form it is saved in; false: it is gone, said */
static bool put_message(struct mail_state *mail, struct buf *out, unsigned n, bool headers)
{
	struct buf text = BUF_INIT;
	struct arena a = ARENA_INIT;
	bool ok;

	buf_reset(out);
	if (!headers) {
		return show_text(mail, out, n);
	}
	ok = message_text(mail, n, &text);
	if (ok) {
		put_mbox(out, message_from_line(mail, &a, n),
			folder_unread(mail, n) ? "Status: O\n" : "Status: RO\n", &text);
	}
	arena_free(&a);
	buf_free(&text);
	return ok;
}

/* A file that is appended to. */
struct target {
	const char *path;
	int fd;
	struct mailbox_lock *lock; /* NULL: a device or pipe */
	off_t size;                /* as it was; -1: not known */
	unsigned long lines;
	uint64_t bytes;
};

static bool failed(const struct target *t)
{
	fprintf(stderr, "%s: %s\n", t->path, strerror(errno));
	return false;
}

/* is_named - is path the file that fd has open? A mail program may have put another in its place */
static bool is_named(const char *path, int fd)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino &&
		a.st_dev == b.st_dev;
}

/* open_locked - the file for appending, and its lock (none for a device); -1 with errno */
static int open_locked(const char *path, struct mailbox_lock **lock_r)
{
	*lock_r = NULL;
	for (int tries = 0; tries < OPEN_TRIES; tries++) {
		int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
		struct stat st;
		int why;

		if (fd < 0 || (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode))) {
			return fd;
		}
		*lock_r = mailbox_lock(path, fd, true, LOCK_WAIT_MS);
		if (*lock_r != NULL && is_named(path, fd)) {
			return fd;
		}
		why = errno;
		if (*lock_r == NULL) {
			tries = OPEN_TRIES;
		} else {
			mailbox_unlock(*lock_r);
			*lock_r = NULL;
			why = EBUSY;
		}
		close(fd);
		errno = why;
	}
	return -1;
}

/*
 * target_open - locked, and with an end that messages can follow: an mbox whose last line or
 * message has none gets one, or ours would belong to it. False: said
 */
static bool target_open(struct target *t, const char *path, bool mbox)
{
	struct stat st;
	int missing;

	*t = (struct target){ .path = path, .size = -1 };
	t->fd = open_locked(path, &t->lock);
	if (t->fd < 0 || fstat(t->fd, &st) != 0) {
		return failed(t);
	}
	t->size = st.st_size;
	missing = mbox ? mbox_separator(t->fd, (uint64_t)t->size) : 0;
	if (missing < 0 || fd_write_all(t->fd, "\n\n", (size_t)missing) != 0) {
		return failed(t);
	}
	return true;
}

/* target_add - what is in out; false: said */
static bool target_add(struct target *t, const struct buf *out)
{
	for (size_t i = 0; i < out->len; i++) {
		t->lines += out->data[i] == '\n';
	}
	t->bytes += out->len;
	return fd_write_all(t->fd, buf_str(out), out->len) == 0 || failed(t);
}

/* target_close - all of it is on the disk (ok), or the file as long as it was; false: said */
static bool target_close(struct target *t, bool ok)
{
	/* EINVAL: a device or pipe. */
	if (ok && fsync(t->fd) != 0 && errno != EINVAL) {
		ok = failed(t);
	}
	/* The messages leave their mailbox: a new file needs its name on the disk too. */
	if (ok && t->lock != NULL && t->size == 0 && file_sync_name(t->path, t->fd) != 0) {
		ok = failed(t);
	}
	if (!ok && t->size >= 0) {
		(void)!ftruncate(t->fd, t->size);
	}
	if (t->lock != NULL) {
		mailbox_unlock(t->lock);
	}
	if (t->fd >= 0) {
		close(t->fd);
	}
	return ok;
}

/* save_messages - all on disk, or the file as long as it was */
bool save_messages(
	struct mail_state *mail, const char *path, const unsigned *list, bool headers, bool quiet)
{
	bool fresh = access(path, F_OK) != 0;
	struct buf out = BUF_INIT;
	struct target t;
	bool ok = target_open(&t, path, headers);

	for (; *list != 0 && ok; list++) {
		ok = put_message(mail, &out, *list, headers) && target_add(&t, &out);
	}
	buf_free(&out);
	ok = target_close(&t, ok);
	if (!ok) {
		mail->exit_status = 1;
	} else if (!quiet) {
		printf("\"%s\" %s %lu/%llu\n", path, fresh ? "[New file]" : "[Appended]", t.lines,
			(unsigned long long)t.bytes);
	}
	return ok;
}

bool save_letter(const char *path, const char *from_line, const struct buf *text)
{
	struct buf out = BUF_INIT;
	struct target t;
	bool ok = target_open(&t, path, true);

	put_mbox(&out, from_line, "", text);
	ok = ok && target_add(&t, &out);
	buf_free(&out);
	return target_close(&t, ok);
}

/* pipe_messages - as they are shown, into one command */
bool pipe_messages(struct mail_state *mail, const char *command, const unsigned *list)
{
	FILE *to;

	fflush(stdout);
	to = popen(command, "w");
	if (to == NULL) {
		perror(command);
		return false;
	}
	for (; *list != 0; list++) {
		show_message(mail, to, *list, 0);
	}
	return pclose(to) == 0;
}
