/*
 * maildir_driver - the maildir driver: its table, and what the index keeps of a message
 *
 *	len name-length name
 */
#include "mail/maildir/maildir_driver.h"

#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>

#include "base/mem.h"
#include "mail/drivers.h"

/* place_inbox - the root is the INBOX, too, and the folders are in it */
static void place_inbox(char **root, char **inbox_r)
{
	*inbox_r = mem_strdup(*root);
}

static void pack(struct buf *out, const struct msg *msg)
{
	const struct maildir_msg *m = (const struct maildir_msg *)msg;

	page_put(out, m->len);
	page_put(out, strlen(m->name));
	buf_adds(out, m->name);
}

static void unpack(struct mailbox *mb, struct page_reader *r, struct msg *msg)
{
	struct maildir_msg *m = (struct maildir_msg *)msg;
	const char *name;
	uint64_t len;

	m->len = page_get(r);
	len = page_get(r);
	name = page_get_bytes(r, len);
	m->name = name != NULL ? arena_strndup(&maildir_box(mb)->names, name, (size_t)len) : "";
}

/* unload - the names of the messages go with them */
static void unload(struct mailbox *mb)
{
	arena_reset(&maildir_box(mb)->names);
}

static void message_name(const struct msg *msg, char *out, size_t size)
{
	const struct maildir_msg *m = (const struct maildir_msg *)msg;

	snprintf(out, size, "%.*s", (int)strcspn(m->name, ":,"), m->name);
}

static int flush(struct mailbox *mb)
{
	(void)mb;
	return 0;
}

static void close_maildir(struct mailbox *mb)
{
	maildir_letters_free(mb);
	arena_free(&maildir_box(mb)->names);
}

static int lock(struct mailbox *mb)
{
	bool selectable;

	mailbox_unstick(mb);
	/* Nobody is kept out of a maildir; but it has to be there. */
	if (!maildir_exists(mb->path, &selectable) && maildir_make(mb->ms, mb->path) != 0) {
		return -1;
	}
	if (mailbox_refresh(mb) != 0) {
		return -1;
	}
	maildir_before(mb);
	return 0;
}

static void unlock(struct mailbox *mb)
{
	maildir_box(mb)->clean = false;
}

static int settle(struct mailbox *mb)
{
	maildir_after(mb);
	return 0;
}

static void watch(struct mailbox *mb, int inotify_fd)
{
	static const char *const subdirs[] = { "new", "cur" };
	struct buf path = BUF_INIT;

	for (size_t i = 0; i < 2; i++) {
		buf_reset(&path);
		buf_addf(&path, "%s/%s", mb->path, subdirs[i]);
		if (inotify_add_watch(inotify_fd, buf_str(&path),
			    IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE) < 0) {
			/* The first delivery makes it; then we are called again. */
			inotify_add_watch(inotify_fd, mb->path, IN_CREATE);
		}
	}
	buf_free(&path);
}

const struct mail_driver maildir_driver = {
	.name = "maildir",
	.default_root = "~/Maildir",
	.default_location = "maildir:~/Maildir",
	.index_name = "pillarbox",
	.separator = '.',
	.place_inbox = place_inbox,
	.msg_size = sizeof(struct maildir_msg),
	.mailbox_size = sizeof(struct maildir_box),
	.text_size = sizeof(struct maildir_text),
	.pack = pack,
	.unpack = unpack,
	.unload = unload,
	.message_name = message_name,
	.size_of_name = true,
	.sync = maildir_sync,
	.write_flags = maildir_write_flags,
	.flush = flush,
	.close = close_maildir,
	.lock = lock,
	.unlock = unlock,
	.expunge = maildir_expunge,
	.append = maildir_append,
	.settle = settle,
	.open_text = maildir_open_text,
	.fill_text = maildir_fill_text,
	.close_text = maildir_close_text,
	.watch = watch,
	.exists = maildir_exists,
	.create = maildir_create,
	.remove = maildir_remove,
	.move = maildir_move,
	.list = maildir_list,
};
