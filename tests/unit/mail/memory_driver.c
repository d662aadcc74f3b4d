/*
 * memory_driver - mailboxes without files, so that tests of what all drivers share name none
 *
 * A folder is a path with a version, a message a note of a folder with a serial number, which is
 * the driver's one column in the index. All of it is in memory that a child process shares.
 */
#include "memory_driver.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"
#include "base/str.h"
#include "unit.h"

enum { NOTES_MAX = 1024, FOLDERS_MAX = 16 };

struct note {
	uint32_t folder, serial; /* serial 0: free */
	unsigned flags;
	time_t received;
	size_t len;
	char text[200];
};

static struct G {
	struct shared {
		uint32_t serial, version;
		struct {
			char path[400]; /* "" free */
			uint32_t version;
		} folders[FOLDERS_MAX];
		struct note notes[NOTES_MAX]; /* of a folder: in the order they came */
	} * shared;
} G;

struct memory_msg {
	struct msg msg;
	uint32_t serial;
};

/* find - the folder at path, made if it is not there and create; -1 */
static int find(const char *path, bool create)
{
	int unused = -1;

	if (G.shared == NULL) {
		G.shared = mmap(NULL, sizeof(*G.shared), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		REQUIRE(G.shared != MAP_FAILED);
	}
	for (int i = 0; i < FOLDERS_MAX; i++) {
		if (path[0] != '\0' && strcmp(G.shared->folders[i].path, path) == 0) {
			return i;
		}
		if (unused < 0 && G.shared->folders[i].path[0] == '\0') {
			unused = i;
		}
	}
	if (!create) {
		return -1;
	}
	REQUIRE(unused >= 0 && str_copy(G.shared->folders[unused].path, 400, path));
	G.shared->folders[unused].version = ++G.shared->version;
	return unused;
}

static uint32_t touch(int folder)
{
	return G.shared->folders[folder].version = ++G.shared->version;
}

/* version - of the folder at path */
static uint32_t version(const char *path)
{
	int folder = find(path, true);

	return G.shared->folders[folder].version;
}

static struct note *add_note(int folder, const char *text, size_t len)
{
	for (struct note *n = G.shared->notes; n < G.shared->notes + NOTES_MAX; n++) {
		if (n->serial == 0 && len <= sizeof(n->text)) {
			*n = (struct note){ .folder = (uint32_t)folder,
				.serial = ++G.shared->serial,
				.received = 1312895000,
				.len = len };
			memcpy(n->text, text, len);
			touch(folder);
			return n;
		}
	}
	return NULL;
}

void memory_deliver(const char *path, const char *text)
{
	REQUIRE(add_note(find(path, true), text, strlen(text)) != NULL);
}

static struct note *note_of(uint32_t serial)
{
	for (struct note *n = G.shared->notes; n < G.shared->notes + NOTES_MAX; n++) {
		if (n->serial == serial) {
			return n;
		}
	}
	return NULL;
}

static struct memory_msg *memory_msg(const struct mailbox *mb, uint32_t i)
{
	return (struct memory_msg *)mailbox_msg(mb, i);
}

/* ---- Messages ---- */

static void pack(struct buf *out, const struct msg *m)
{
	page_put(out, ((const struct memory_msg *)m)->serial);
}

static void unpack(struct mailbox *mb, struct page_reader *r, struct msg *m)
{
	(void)mb;
	((struct memory_msg *)m)->serial = (uint32_t)page_get(r);
}

static void message_name(const struct msg *m, char *out, size_t size)
{
	snprintf(out, size, "note-%u", ((const struct memory_msg *)m)->serial);
}

/* add_msg - a note that mb does not have, at its end */
static void add_msg(struct mailbox *mb, const struct note *n, uint64_t keywords)
{
	struct memory_msg *m = mailbox_room(mb, 1);

	*m = (struct memory_msg){ .serial = n->serial,
		.msg.info.flags = n->flags,
		.msg.info.keywords = keywords,
		.msg.info.received = n->received,
		.msg.info.size = n->len };
	for (size_t i = 0; i < n->len; i++) {
		m->msg.info.size += n->text[i] == '\n' && (i == 0 || n->text[i - 1] != '\r');
	}
	mailbox_added(mb, 1);
}

static int settle(struct mailbox *mb)
{
	mb->f.sig[0] = version(mb->path);
	mb->changed = true;
	return 0;
}

/* follow - within a change: what of the notes mb has, and what it has not */
static int follow(struct mailbox *mb)
{
	uint8_t *gone = mem_alloc((size_t)mb->count + 1);
	uint32_t folder = (uint32_t)find(mb->path, true), last = 0;
	int rc;

	for (uint32_t i = 0; i < mb->count; i++) {
		const struct note *n = note_of(memory_msg(mb, i)->serial);

		last = memory_msg(mb, i)->serial;
		gone[i] = n == NULL || n->folder != folder;
		if (!gone[i] && n->flags != mailbox_msg(mb, i)->info.flags) {
			mailbox_msg(mb, i)->info.flags = n->flags;
			mailbox_touch(mb, i, true);
		}
	}
	rc = mailbox_drop(mb, gone);
	mem_free(gone);
	for (uint32_t serial = last + 1; rc == 0 && serial <= G.shared->serial; serial++) {
		const struct note *n = note_of(serial);

		if (n != NULL && n->folder == folder) {
			add_msg(mb, n, 0);
		}
	}
	return rc == 0 ? settle(mb) : rc;
}

static int sync(struct mailbox *mb, bool full)
{
	(void)full;
	mailbox_unstick(mb);
	if (mailbox_refresh(mb) != 0) {
		return -1;
	}
	if (mb->f.sig[0] == version(mb->path)) {
		return 0;
	}
	if (mailbox_begin(mb, false) != 0) {
		return -1;
	}
	if (follow(mb) == 0) {
		return mailbox_commit(mb);
	}
	mb->changed = true;
	mailbox_rollback(mb);
	return -1;
}

static int write_flags(struct mailbox *mb, const uint8_t *marks)
{
	for (uint32_t i = 0; i < mb->count; i++) {
		if (marks[i]) {
			note_of(memory_msg(mb, i)->serial)->flags = mailbox_msg(mb, i)->info.flags;
		}
	}
	touch(find(mb->path, true));
	return settle(mb);
}

static int nothing(struct mailbox *mb)
{
	(void)mb;
	return 0;
}

static void no_more(struct mailbox *mb)
{
	(void)mb;
}

static int lock(struct mailbox *mb)
{
	return sync(mb, false);
}

static int expunge(struct mailbox *mb, uint8_t *marks)
{
	for (uint32_t i = 0; i < mb->count; i++) {
		if (marks[i]) {
			note_of(memory_msg(mb, i)->serial)->serial = 0;
		}
	}
	touch(find(mb->path, true));
	return 0;
}

static int append(struct mailbox *mb, struct mail_append *a)
{
	for (size_t i = 0; i < a->count; i++) {
		const struct append_item *it = &a->items[i];
		char text[200];
		struct note *n = NULL;

		if (it->len <= sizeof(text) &&
			append_read(a, it->offset, text, (size_t)it->len) == (int64_t)it->len) {
			n = add_note(find(mb->path, true), text, (size_t)it->len);
		}
		if (n == NULL) {
			return store_fail(mb->ms, MAIL_E_NOSPACE, "No room for a note");
		}
		n->flags = it->flags;
		n->received = it->received;
		add_msg(mb, n, keyword_bits(mb, it->keywords));
	}
	return 0;
}

static int open_text(struct mailbox *mb, uint32_t uid, struct mail_text *t)
{
	int64_t i = sync(mb, false) == 0 ? mailbox_find(mb, uid) : -1;

	if (i < 0) {
		return store_fail(mb->ms, MAIL_E_NOT_FOUND, "The message was expunged meanwhile");
	}
	t->size = note_of(memory_msg(mb, (uint32_t)i)->serial)->len;
	return 0;
}

static int fill_text(struct mail_text *t, uint64_t offset)
{
	int64_t i = mailbox_find(t->mb, t->uid);

	if (i < 0) {
		return store_fail(t->ms, MAIL_E_NOT_FOUND, "The message was expunged meanwhile");
	}
	buf_reset(&t->window);
	t->window_at = offset;
	buf_add(&t->window, note_of(memory_msg(t->mb, (uint32_t)i)->serial)->text + offset,
		(size_t)(t->size - offset));
	return 0;
}

/* ---- Folders ---- */

static void place_inbox(char **root, char **inbox_r)
{
	struct buf b = BUF_INIT;

	buf_addf(&b, "%s/INBOX", *root);
	*inbox_r = buf_steal(&b);
}

static bool exists(const char *path, bool *selectable_r)
{
	*selectable_r = true;
	return find(path, false) >= 0;
}

static int create(struct mailstore *ms, const char *path, bool directory)
{
	(void)directory;
	if (find(path, false) >= 0) {
		errno = EEXIST;
		return store_fail_sys(ms, path, "create", "write");
	}
	return find(path, true) >= 0 ? 0 : -1;
}

static int remove_folder(struct mailstore *ms, const char *path)
{
	int folder = find(path, false);

	(void)ms;
	for (size_t i = 0; i < NOTES_MAX; i++) {
		if (G.shared->notes[i].folder == (uint32_t)folder) {
			G.shared->notes[i].serial = 0;
		}
	}
	G.shared->folders[folder].path[0] = '\0';
	return 0;
}

static int move(struct mailstore *ms, const char *from, const char *to)
{
	int folder = find(from, false);

	/* A parent that its children imply is no folder, and they are moved one by one. */
	if (folder >= 0 && !str_copy(G.shared->folders[folder].path, 400, to)) {
		return store_fail(ms, MAIL_E_INVALID, "The name is too long");
	}
	return 0;
}

static int list(struct mailstore *ms, struct folder_list *out)
{
	size_t root = strlen(ms->store->root);

	(void)find("", false);
	for (int i = 0; i < FOLDERS_MAX; i++) {
		const char *path = G.shared->folders[i].path;

		if (strncmp(path, ms->store->root, root) == 0 &&
			strncmp(path + root, "/.", 2) == 0 && strcmp(path, ms->store->inbox) != 0) {
			folder_list_add(out, path + root + 2, true, false);
		}
	}
	return 0;
}

const struct mail_driver memory_driver = {
	.name = "memory",
	.default_root = "~/memory",
	.index_name = "index",
	.separator = '.',
	.place_inbox = place_inbox,
	.msg_size = sizeof(struct memory_msg),
	.mailbox_size = sizeof(struct mailbox),
	.text_size = sizeof(struct mail_text),
	.pack = pack,
	.unpack = unpack,
	.message_name = message_name,
	.sync = sync,
	.write_flags = write_flags,
	.flush = nothing,
	.close = no_more,
	.lock = lock,
	.unlock = no_more,
	.expunge = expunge,
	.append = append,
	.settle = settle,
	.open_text = open_text,
	.fill_text = fill_text,
	.exists = exists,
	.create = create,
	.remove = remove_folder,
	.move = move,
	.list = list,
};
