/*
 * mailbox_removed - read who those messages are that are about to be removed
 */
#include "mail/mailbox_removed.h"

#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "mime/source.h"
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

/*
 * note_head - an entry for each word that may be a message's queue id, to out; size: of the whole
 * message with CR LF line ends
 */
static void note_head(const char *real, const struct buf *head, uint64_t size, struct buf *out)
{
	struct removed_entry e = { .time = time(NULL) };
	struct delivered_head h;
	char id[DELIVERED_ID_SIZE];
	bool cr = false;

	delivered_parse(&h, head->data, head->len, 0);
	e.size = size - h.content - mime_bare_lfs(head->data, h.content, &cr);
	while (h.ours && h.received.ptr != NULL && delivered_next_id(&h.received, id)) {
		e.key = removed_key(real, id, h.original, h.recipient);
		buf_add(out, (const char *)&e, sizeof(e));
	}
}

/* note_message - the message of that UID, if it can be read */
static void note_message(
	struct mailbox *mb, uint32_t uid, const char *real, struct buf *head, struct buf *out)
{
	struct mail_text *t = text_open_head(mb, uid);
	int64_t i;

	buf_reset(head);
	if (t != NULL && read_head(t, head) && head->len > 0) {
		/* Reading may have synced: the place is another now. */
		i = mailbox_find(mb, uid);
		if (i >= 0) {
			note_head(real, head, mailbox_msg(mb, i)->info.size, out);
		}
	}
	mail_close(t);
}

/* collect - entries of those that came lately and can be read, to out */
static void collect(struct mailbox *mb, const uint32_t *uids, size_t count, struct buf *out)
{
	time_t since = time(NULL) - REMOVED_SECONDS;
	struct buf head = BUF_INIT;
	char *real = NULL;

	for (size_t k = 0; k < count && mb->store->home[0] != '\0'; k++) {
		int64_t i = mailbox_find(mb, uids[k]);

		if (i < 0 || mailbox_msg(mb, i)->info.received < since) {
			continue;
		}
		real = real != NULL ? real : realpath(mb->path, NULL);
		if (real != NULL) {
			note_message(mb, uids[k], real, &head, out);
		}
	}
	buf_free(&head);
	free(real);
}

static void write_down(const struct mailbox *mb, const struct buf *entries)
{
	if (entries->len > 0) {
		removed_add(mb->store->home, mb->path, (const struct removed_entry *)entries->data,
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
