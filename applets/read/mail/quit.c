/*
 * quit - what leaving a folder does to its file
 *
 * Flags are written, deleted and saved messages are removed, and with `unset hold` read ones move
 * to ~/mbox first (they are removed only after mbox has them on disk).
 */
#include <string.h>

#include "base/mem.h"
#include "applets/read/mail/mail.h"

/* goes - does quitting take the message out of the folder? */
static bool goes(unsigned n)
{
	unsigned marks = G.messages[n].marks;

	if (marks & MARK_DELETED) {
		return true;
	}
	if ((marks & MARK_HELD) || !G.system_box) {
		return false;
	}
	return (marks & MARK_SAVED) && !var_on("keepsave");
}

/* goes_to_mbox - without hold what was read moves to ~/mbox */
static bool goes_to_mbox(unsigned n)
{
	unsigned marks = G.messages[n].marks;

	if (!G.system_box || goes(n) || (marks & MARK_HELD)) {
		return false;
	}
	return (marks & MARK_MBOX) ||
		(!var_on("hold") && (marks & MARK_READ) && !(marks & MARK_UNREAD));
}

/* store_seen - MAIL_SEEN of all messages whose marks say so, in one change */
static void store_seen(bool seen, uint32_t *uids)
{
	size_t count = 0;

	for (unsigned n = 1; n <= G.count; n++) {
		const struct mail_info *info = mailbox_info(G.view, n);

		if ((G.messages[n].marks & (MARK_READ | MARK_UNREAD)) && folder_unread(n) != seen &&
			seen != ((info->flags & MAIL_SEEN) != 0)) {
			uids[count++] = info->uid;
		}
	}
	if (count > 0) {
		(void)mailbox_store(G.view, uids, count, seen ? FLAGS_ADD : FLAGS_REMOVE, MAIL_SEEN,
			0, ~(uint64_t)0, NULL, NULL);
	}
}

/* write_flags - seen and unseen, as marked; what was new is listed now */
static void write_flags(void)
{
	uint32_t *uids = mem_calloc(G.count + 1, sizeof(*uids));
	size_t count = 0;

	for (unsigned n = 1; n <= G.count; n++) {
		if (folder_new(n)) {
			uids[count++] = mailbox_info(G.view, n)->uid;
		}
	}
	if (count > 0) {
		(void)mailbox_listed(G.view, uids, count);
	}
	store_seen(true, uids);
	store_seen(false, uids);
	mem_free(uids);
}

/* remove_messages - expunge those that go; how many, or -1 */
static int remove_messages(bool (*test)(unsigned n))
{
	uint32_t *uids = mem_calloc(G.count + 1, sizeof(*uids));
	size_t count = 0;
	int result = 0;

	for (unsigned n = 1; n <= G.count; n++) {
		if (test(n)) {
			uids[count++] = mailbox_info(G.view, n)->uid;
		}
	}
	if (count > 0) {
		result = mailbox_expunge(G.view, uids, count, true);
		if (result < 0) {
			fprintf(stderr, "%s: %s\n", G.folder_path, mailstore_error(G.store));
			G.exit_status = 1;
		}
	}
	mem_free(uids);
	return result < 0 ? -1 : (int)count;
}

static bool leaves(unsigned n)
{
	return goes(n) || goes_to_mbox(n);
}

/* move_to_mbox - append what goes there; false: nothing may be removed */
static bool move_to_mbox(unsigned *moved_r)
{
	unsigned *list = mem_calloc(G.count + 1, sizeof(*list));
	unsigned count = 0;
	bool ok = true;

	for (unsigned n = 1; n <= G.count; n++) {
		if (goes_to_mbox(n)) {
			list[count++] = n;
		}
	}
	if (count > 0) {
		char *path = path_expand("&");

		ok = save_messages(path, list, true, true);
		if (ok) {
			printf("Saved %u message%s in %s\n", count, count == 1 ? "" : "s", path);
		}
		mem_free(path);
	}
	mem_free(list);
	*moved_r = count;
	return ok;
}

void folder_quit(bool keep_all)
{
	unsigned moved = 0;
	int removed;

	if (G.view == NULL || keep_all || G.read_only) {
		return;
	}
	if (folder_follow() > 0) {
		printf("New mail has arrived.\n");
	}
	write_flags();
	removed = remove_messages(move_to_mbox(&moved) ? leaves : goes);
	if (removed > 0 && !G.system_box) {
		printf("\"%s\" complete\n", G.folder_path);
	}
	if (removed >= 0 && G.system_box) {
		unsigned held = G.count - (unsigned)removed;

		if (held > 0) {
			printf("Held %u message%s in %s\n", held, held == 1 ? "" : "s",
				G.folder_path);
		}
	}
}

bool folder_switch(const char *path)
{
	if (!folder_can_open(path)) {
		return false;
	}
	folder_quit(false);
	return folder_open(path, NULL, false) == 0;
}
