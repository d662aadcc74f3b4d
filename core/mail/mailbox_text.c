/*
 * mailbox_text - read a message's bytes
 *
 * Up to 1 MiB a message is in memory as a whole, larger ones by windows of 64
 * KiB, so that a client that takes its time over 40 MB costs no more than any other.
 */
#include "mail/mailbox_text.h"

#include "base/mem.h"
#include "mail/mail_driver.h"
#include "mail/mailbox_view.h"

/* open_text - of a message that need not be in any view; NULL: gone, or an error */
static struct mail_text *open_text(struct mailbox *mb, uint32_t uid, bool head)
{
	struct mail_text *t;

	mb->ms->code = MAIL_E_NONE;
	if (mailbox_find(mb, uid) < 0) {
		store_fail(mb->ms, MAIL_E_NOT_FOUND, "The message was expunged meanwhile");
		return NULL;
	}
	t = mem_alloc(mb->store->driver->text_size);
	t->ms = mb->ms;
	t->mb = mb;
	t->uid = uid;
	t->head = head;
	if (mb->store->driver->open_text(mb, uid, t) != 0) {
		mail_close(t);
		return NULL;
	}
	return t;
}

struct mail_text *text_open_head(struct mailbox *mb, uint32_t uid)
{
	return open_text(mb, uid, true);
}

struct mail_text *mail_open(struct mailbox_view *v, uint32_t seq)
{
	v->mb->ms = v->ms;
	return open_text(v->mb, mailbox_info(v, seq)->uid, false);
}

uint64_t mail_size(const struct mail_text *t)
{
	return t->size;
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
		if (t->mb->store->driver->fill_text(t, offset) != 0) {
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
	if (t->mb->store->driver->close_text != NULL) {
		t->mb->store->driver->close_text(t);
	}
	buf_free(&t->window);
	mem_free(t);
}
