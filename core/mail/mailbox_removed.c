/*
 * mailbox_removed - read who those messages are that are about to be removed
 */
#include "mail/mailbox_removed.h"

#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "mail/mailbox_text.h"
#include "mail/removed.h"

/* read_head - of a message, as far as DELIVERED_HEAD; false: it cannot be read */
static bool read_head(struct mail_text *t, struct buf *head)
{
	const char *data;
	size_t len;

	while (head->len < DELIVERED_HEAD && head->len < mail_size(t)) {
		data = mail_bytes(t, head->len, &len);
		if (data == NULL) {
			return false;
		}
		buf_add(head, data,
			len < DELIVERED_HEAD - head->len ? len : DELIVERED_HEAD - head->len);
	}
	return true;
}

/* sum_content - of what is from there on; false: it cannot be read */
static bool sum_content(struct mail_text *t, uint64_t at, uint64_t *sum_r)
{
	struct delivered_sum s;
	const char *data;
	size_t len;

	delivered_sum_begin(&s);
	for (; at < mail_size(t); at += len) {
		data = mail_bytes(t, at, &len);
		if (data == NULL) {
			return false;
		}
		delivered_sum_add(&s, data, len);
	}
	*sum_r = delivered_sum_end(&s);
	return true;
}

/* note_text - an entry for each word that may be a message's queue id, to out */
static void note_text(const char *real, struct mail_text *t, struct buf *head, struct buf *out)
{
	struct removed_entry e = { .time = time(NULL) };
	struct delivered_head h;
	char id[DELIVERED_ID_SIZE];
	bool summed = false;

	buf_reset(head);
	if (!read_head(t, head)) {
		return;
	}
	delivered_parse(&h, head->data, head->len, 0);
	while (h.ours && h.received.ptr != NULL && delivered_next_id(&h.received, id)) {
		if (!summed && !sum_content(t, h.content, &e.sum)) {
			return;
		}
		summed = true;
		e.key = removed_key(real, id, h.original, h.recipient);
		buf_add(out, (const char *)&e, sizeof(e));
	}
}

/* collect - entries of those that came lately and can be read, to out */
static void collect(struct mailbox *mb, const uint32_t *uids, size_t count, struct buf *out)
{
	time_t since = time(NULL) - REMOVED_SECONDS;
	struct buf head = BUF_INIT;
	char *real = NULL;

	for (size_t k = 0; k < count && mb->store->home[0] != '\0'; k++) {
		int64_t i = mailbox_find(mb, uids[k]);
		struct mail_text *t;

		if (i < 0 || mailbox_msg(mb, i)->info.received < since) {
			continue;
		}
		real = real != NULL ? real : realpath(mb->path, NULL);
		t = real != NULL ? text_open(mb, uids[k]) : NULL;
		if (t != NULL) {
			note_text(real, t, &head, out);
			mail_close(t);
		}
	}
	buf_free(&head);
	free(real);
}

static void write_down(const struct mailbox *mb, const struct buf *entries)
{
	if (entries->len > 0) {
		removed_add(mb->store->home, (const struct removed_entry *)entries->data,
			entries->len / sizeof(struct removed_entry));
	}
}

void mailbox_note_removed(struct mailbox *mb, const uint32_t *uids, size_t count)
{
	struct buf entries = BUF_INIT;

	collect(mb, uids, count, &entries);
	write_down(mb, &entries);
	mb->ms->code = MAIL_E_NONE;
	buf_free(&entries);
}

void mailbox_note_kept(struct mailbox *mb, const uint32_t *uids, size_t count)
{
	enum mail_error code = mb->ms->code;
	char *why = mem_strdup(buf_str(&mb->ms->error));
	struct buf entries = BUF_INIT;
	struct removed_entry *e;

	collect(mb, uids, count, &entries);
	e = (struct removed_entry *)entries.data;
	for (size_t i = 0; i < entries.len / sizeof(*e); i++) {
		e[i].key = removed_back(e[i].key);
	}
	write_down(mb, &entries);
	(void)store_fail(mb->ms, code, "%s", why);
	buf_free(&entries);
	mem_free(why);
}
