/*
 * mailbox_text - read a message's bytes
 *
 * Up to 1 MiB a message is in memory as a whole, larger ones by windows of 64
 * KiB, so that a client that takes its time over 40 MB costs no more than any other.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "mail/mailstore.h"

struct mail_text *mail_open(struct mailbox_view *v, uint32_t seq)
{
	uint32_t uid = mailbox_info(v, seq)->uid;
	struct mailbox *mb = v->mb;
	struct mail_text *t;

	mb->ms = v->ms;
	v->ms->code = MAIL_E_NONE;
	if (mailbox_find(mb, uid) < 0) {
		store_fail(v->ms, MAIL_E_NOT_FOUND, "The message was expunged meanwhile");
		return NULL;
	}
	t = mem_alloc(sizeof(*t));
	t->ms = v->ms;
	t->mb = mb;
	t->uid = uid;
	t->fd = -1;
	if (mb->store->driver->open_text(mb, uid, t) != 0) {
		mail_close(t);
		return NULL;
	}
	return t;
}

uint64_t mail_size(const struct mail_text *t)
{
	return t->size;
}

/* fill_file - a window of a file of its own */
static int fill_file(struct mail_text *t, uint64_t offset)
{
	size_t want = t->size <= TEXT_WHOLE ? (size_t)t->size : TEXT_WINDOW;
	ssize_t n;

	if (t->size - offset < want) {
		want = (size_t)(t->size - offset);
	}
	buf_reset(&t->window);
	t->window_at = offset;
	while (t->window.len < want) {
		n = pread(t->fd, buf_reserve(&t->window, want - t->window.len),
			want - t->window.len, (off_t)(offset + t->window.len));
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

const char *mail_bytes(struct mail_text *t, uint64_t offset, size_t *len_r)
{
	*len_r = 0;
	if (offset >= t->size) {
		t->ms->code = MAIL_E_NONE;
		return NULL;
	}
	if (t->window.len == 0 || offset < t->window_at || offset >= t->window_at + t->window.len) {
		t->mb->ms = t->ms;
		if ((t->fd >= 0 ? fill_file(t, offset) : mbox_text_fill(t, offset)) != 0) {
			buf_reset(&t->window);
			return NULL;
		}
	}
	*len_r = (size_t)(t->window_at + t->window.len - offset);
	return t->window.data + (offset - t->window_at);
}

void mail_close(struct mail_text *t)
{
	if (t == NULL) {
		return;
	}
	if (t->fd >= 0) {
		close(t->fd);
	}
	buf_free(&t->window);
	mem_free(t);
}
