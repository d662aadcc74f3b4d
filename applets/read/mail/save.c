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
#include "base/str.h"
#include "mail/lock.h"
#include "applets/read/mail/folder.h"
#include "applets/read/mail/show.h"
#include "applets/read/mail/state.h"

enum { LOCK_WAIT_MS = 30000, OPEN_TRIES = 5 };

/* put_mbox - the message as an mbox holds it: From_ line, From-quoting, a blank line behind */
static void put_mbox(struct mail_state *mail, struct buf *out, unsigned n, const struct buf *text)
{
	struct arena a = ARENA_INIT;
	bool header = true;

	buf_addf(out, "%s\n", message_from_line(mail, &a, n));
	for (const char *line = buf_str(text), *end = line + text->len; line < end;) {
		const char *nl = memchr(line, '\n', (size_t)(end - line));
		size_t len = nl != NULL ? (size_t)(nl - line) : (size_t)(end - line);
		size_t marks = strspn(line, ">");

		if (header && len == 0) {
			buf_addf(out, "Status: %s\n", folder_unread(mail, n) ? "O" : "RO");
			header = false;
		}
		if (!(header && (str_istarts(line, "Status:") || str_istarts(line, "X-Status:")))) {
			if (!header && strncmp(line + marks, "From ", 5) == 0) {
				buf_addc(out, '>');
			}
			buf_add(out, line, len);
			buf_addc(out, '\n');
		}
		line += len + (nl != NULL);
	}
	buf_addc(out, '\n');
	arena_free(&a);
}

/* put_message - one message in the form it is saved in; false: it is gone, said */
static bool put_message(struct mail_state *mail, struct buf *out, unsigned n, bool headers)
{
	struct buf text = BUF_INIT;
	bool ok;

	buf_reset(out);
	if (!headers) {
		return show_text(mail, out, n);
	}
	ok = message_text(mail, n, &text);
	if (ok) {
		put_mbox(mail, out, n, &text);
	}
	buf_free(&text);
	return ok;
}

/* end_last - an mbox whose last line or message has no end gets one, or ours would belong to it */
static bool end_last(int fd, off_t size)
{
	char last[2] = "\n\n";
	size_t len = size < 2 ? (size_t)size : 2, missing;

	if (pread(fd, last + 2 - len, len, size - (off_t)len) != (ssize_t)len) {
		return false;
	}
	missing = last[1] != '\n' ? 2 : last[0] != '\n' ? 1 : 0;
	return fd_write_all(fd, "\n\n", missing) == 0;
}

struct saved {
	unsigned long lines;
	uint64_t bytes;
};

/* append_list - the messages of a list at the end of fd and on disk; false: errno, or 0: said */
static bool append_list(struct mail_state *mail, int fd, off_t size, const unsigned *list,
	bool headers, struct saved *s)
{
	struct buf out = BUF_INIT;
	bool ok = !headers || end_last(fd, size);

	for (; *list != 0 && ok; list++) {
		if (!put_message(mail, &out, *list, headers)) {
			errno = 0;
			ok = false;
			break;
		}
		for (size_t i = 0; i < out.len; i++) {
			s->lines += out.data[i] == '\n';
		}
		s->bytes += out.len;
		ok = fd_write_all(fd, buf_str(&out), out.len) == 0;
	}
	buf_free(&out);
	return ok && (fsync(fd) == 0 || errno == EINVAL); /* EINVAL: a device or pipe */
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

/* save_messages - all on disk, or the file as long as it was */
bool save_messages(
	struct mail_state *mail, const char *path, const unsigned *list, bool headers, bool quiet)
{
	struct stat st;
	struct mailbox_lock *lock;
	bool fresh = stat(path, &st) != 0, ok = false;
	int fd = open_locked(path, &lock);
	struct saved saved = { 0 };

	/* Again: mail may have come until the lock was ours. */
	if (fd >= 0 && fstat(fd, &st) == 0) {
		ok = append_list(mail, fd, st.st_size, list, headers, &saved);
		/* The messages leave their mailbox: a new file needs its name on the disk too. */
		if (ok && lock != NULL && st.st_size == 0 && file_sync_name(path, fd) != 0) {
			ok = false;
		}
		if (!ok) {
			int why = errno;

			(void)!ftruncate(fd, st.st_size);
			errno = why;
		}
	}
	if (!ok) {
		if (errno != 0) {
			fprintf(stderr, "%s: %s\n", path, strerror(errno));
		}
		mail->exit_status = 1;
	} else if (!quiet) {
		printf("\"%s\" %s %lu/%llu\n", path, fresh ? "[New file]" : "[Appended]",
			saved.lines, (unsigned long long)saved.bytes);
	}
	if (lock != NULL) {
		mailbox_unlock(lock);
	}
	if (fd >= 0) {
		close(fd);
	}
	return ok;
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
