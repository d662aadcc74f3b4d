/*
 * maildir_text - a message's file, read by windows
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "mail/maildir/maildir_driver.h"

enum { OPEN_TRIES = 5 };

int maildir_open_text(struct mailbox *mb, uint32_t uid, struct mail_text *text)
{
	struct maildir_text *t = (struct maildir_text *)text;
	struct stat st;

	t->fd = -1;
	for (int tries = 0; tries < OPEN_TRIES; tries++) {
		int64_t i = mailbox_find(mb, uid);
		char *path;

		if (i < 0) {
			break;
		}
		path = maildir_file(mb, maildir_msg(mb, (uint32_t)i));
		t->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (t->fd >= 0 && fstat(t->fd, &st) == 0) {
			mem_free(path);
			text->size = (uint64_t)st.st_size;
			return 0;
		}
		if (errno != ENOENT) {
			store_fail_sys(mb->ms, path, "read", "read");
			mem_free(path);
			return -1;
		}
		mem_free(path);
		/* It has another name now, or none. */
		mb->f.sig[2] = -1;
		if (maildir_sync(mb, true) != 0) {
			return -1;
		}
	}
	return store_fail(mb->ms, MAIL_E_NOT_FOUND, "The message was expunged meanwhile");
}

int maildir_fill_text(struct mail_text *t, uint64_t offset)
{
	int fd = ((struct maildir_text *)t)->fd;
	size_t want = t->size <= text_whole(t) ? (size_t)t->size : text_window(t);
	ssize_t n;

	if (t->size - offset < want) {
		want = (size_t)(t->size - offset);
	}
	buf_reset(&t->window);
	t->window_at = offset;
	while (t->window.len < want) {
		n = pread(fd, buf_reserve(&t->window, want - t->window.len), want - t->window.len,
			(off_t)(offset + t->window.len));
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			errno = n == 0 ? EIO : errno;
			return store_fail_sys(t->ms, t->mb->path, "read a message of", "read");
		}
		buf_added(&t->window, (size_t)n);
	}
	return 0;
}

void maildir_close_text(struct mail_text *text)
{
	struct maildir_text *t = (struct maildir_text *)text;

	if (t->fd >= 0) {
		close(t->fd);
	}
}
