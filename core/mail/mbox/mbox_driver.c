/*
 * mbox_driver - the mbox driver: its table, and what the index keeps of a message
 *
 *	gap from_len head_len tail_len cut len print
 *
 * Offsets are not kept: they are the sum of the lengths, so removing a message near the front
 * changes one page and not all. The gap is 0 unless another program put the messages in another
 * order.
 */
#include "mail/mbox/mbox_driver.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "mail/drivers.h"
#include "mail/mbox/mbox_journal.h"
#include "mail/mbox/mbox_text.h"

static void place_inbox(char **root, char **inbox_r)
{
	struct stat st;
	struct buf b = BUF_INIT;

	if (stat(*root, &st) == 0 && !S_ISDIR(st.st_mode)) {
		/* mbox:/var/mail/%u: the one file is the INBOX, and there are no folders. */
		*inbox_r = *root;
		buf_addf(&b, "%s.folders", *inbox_r);
		*root = buf_steal(&b);
	} else {
		buf_addf(&b, "%s/inbox", *root);
		*inbox_r = buf_steal(&b);
	}
}

static void setup(struct mailbox *mb)
{
	mbox_box(mb)->fd = -1;
	mbox_box(mb)->note_fd = -1;
}

static void pack(struct buf *out, const struct msg *msg)
{
	const struct mbox_msg *m = (const struct mbox_msg *)msg;

	page_put_signed(out, m->gap);
	page_put(out, m->from_len);
	page_put(out, m->head_len);
	page_put(out, m->tail_len);
	page_put(out, m->cut);
	page_put(out, m->len);
	buf_add(out, &m->print, sizeof(m->print));
}

static void unpack(struct mailbox *mb, struct page_reader *r, struct msg *msg)
{
	struct mbox_msg *m = (struct mbox_msg *)msg;
	const void *print;

	(void)mb;
	m->gap = page_get_signed(r);
	m->from_len = (uint32_t)page_get(r);
	m->head_len = (uint32_t)page_get(r);
	m->tail_len = (uint32_t)page_get(r);
	m->cut = (uint32_t)page_get(r);
	m->len = page_get(r);
	print = page_get_bytes(r, sizeof(m->print));
	if (print != NULL) {
		memcpy(&m->print, print, sizeof(m->print));
	}
}

/* loaded - offsets from gaps and lengths */
static void loaded(struct mailbox *mb)
{
	uint64_t at = mb->f.sig[4] > 0 ? (uint64_t)mb->f.sig[4] : 0;

	for (uint32_t i = 0; i < mb->count; i++) {
		struct mbox_msg *m = mbox_msg(mb, i);

		at += (uint64_t)m->gap;
		m->offset = at;
		at += m->len;
	}
	mbox_box(mb)->layout++;
}

static void message_name(const struct msg *msg, char *out, size_t size)
{
	const struct mbox_msg *m = (const struct mbox_msg *)msg;

	snprintf(out, size, "%016llx", (unsigned long long)m->print);
}

const struct mail_driver mbox_driver = {
	.name = "mbox",
	.default_root = "~/mail",
	.default_location = "mbox:~/mail:INBOX=/var/mail/%u",
	.index_name = ".pillarbox",
	.separator = '/',
	.place_inbox = place_inbox,
	.sweep = mbox_journal_sweep,
	.msg_size = sizeof(struct mbox_msg),
	.mailbox_size = sizeof(struct mbox_box),
	.text_size = sizeof(struct mbox_text),
	.setup = setup,
	.pack = pack,
	.unpack = unpack,
	.loaded = loaded,
	.message_name = message_name,
	.sync = mbox_sync,
	.write_flags = mbox_write_flags,
	.listed = mbox_write_flags,
	.flush = mbox_flush,
	.close = mbox_close,
	.lock = mbox_prepare,
	.unlock = mbox_unlock,
	.expunge = mbox_expunge,
	.append = mbox_append,
	.settle = mbox_settle,
	.open_text = mbox_open_text,
	.fill_text = mbox_fill_text,
	.stored = mbox_stored,
	.watch = mbox_watch,
	.exists = mbox_exists,
	.create = mbox_create,
	.remove = mbox_remove,
	.move = mbox_move,
	.list = mbox_list,
};
