/*
 * quit - what leaving a folder does to its file
 *
 * Flags are written, deleted and saved messages are removed, and with `unset hold` read ones move
 * to ~/mbox first (they are removed only after mbox has them on disk).
 */
#include "applets/read/mail/quit.h"

#include <stdio.h>

#include "base/mem.h"
#include "mail/mailbox.h"
#include "applets/read/mail/folder.h"
#include "applets/read/mail/path.h"
#include "applets/read/mail/save.h"
#include "applets/read/mail/state.h"
#include "applets/read/mail/vars.h"

/* goes - does quitting take the message out of the folder? */
static bool goes(struct mail_state *mail, unsigned n)
{
	unsigned marks = mail->messages[n].marks;

	if (marks & MARK_DELETED) {
		return true;
	}
	if ((marks & MARK_HELD) || !mail->system_box) {
		return false;
	}
	return (marks & MARK_SAVED) && !var_on(mail, "keepsave");
}

/* goes_to_mbox - without hold what was read moves to ~/mbox */
static bool goes_to_mbox(struct mail_state *mail, unsigned n)
{
	unsigned marks = mail->messages[n].marks;

	if (!mail->system_box || goes(mail, n) || (marks & MARK_HELD)) {
		return false;
	}
	return (marks & MARK_MBOX) ||
		(!var_on(mail, "hold") && (marks & MARK_READ) && !(marks & MARK_UNREAD));
}

/* store_seen - MAIL_SEEN of all messages whose marks say so, in one change */
static void store_seen(struct mail_state *mail, bool seen, uint32_t *uids)
{
	size_t count = 0;

	for (unsigned n = 1; n <= mail->count; n++) {
		const struct mail_info *info = mailbox_info(mail->view, n);

		if ((mail->messages[n].marks & (MARK_READ | MARK_UNREAD)) &&
			folder_unread(mail, n) != seen &&
			seen != ((info->flags & MAIL_SEEN) != 0)) {
			uids[count++] = info->uid;
		}
	}
	if (count > 0) {
		(void)mailbox_store(mail->view, uids, count, seen ? FLAGS_ADD : FLAGS_REMOVE,
			MAIL_SEEN, 0, ~(uint64_t)0, NULL, NULL);
	}
}

/* write_flags - seen and unseen, as marked; what was new is listed now */
static void write_flags(struct mail_state *mail)
{
	uint32_t *uids = mem_calloc(mail->count + 1, sizeof(*uids));
	size_t count = 0;

	for (unsigned n = 1; n <= mail->count; n++) {
		if (folder_new(mail, n)) {
			uids[count++] = mailbox_info(mail->view, n)->uid;
		}
	}
	if (count > 0) {
		(void)mailbox_listed(mail->view, uids, count);
	}
	store_seen(mail, true, uids);
	store_seen(mail, false, uids);
	mem_free(uids);
}

/* remove_messages - expunge those that go; how many, or -1 */
static int remove_messages(
	struct mail_state *mail, bool (*test)(struct mail_state *mail, unsigned n))
{
	uint32_t *uids = mem_calloc(mail->count + 1, sizeof(*uids));
	size_t count = 0;
	int result = 0;

	for (unsigned n = 1; n <= mail->count; n++) {
		if (test(mail, n)) {
			uids[count++] = mailbox_info(mail->view, n)->uid;
		}
	}
	if (count > 0) {
		result = mailbox_expunge(mail->view, uids, count, true);
		if (result < 0) {
			fprintf(stderr, "%s: %s\n", mail->folder_path,
				mailstore_error(mail->store));
			mail->exit_status = 1;
		}
	}
	mem_free(uids);
	return result < 0 ? -1 : (int)count;
}

static bool leaves(struct mail_state *mail, unsigned n)
{
	return goes(mail, n) || goes_to_mbox(mail, n);
}

/* move_to_mbox - append what goes there; false: nothing may be removed */
static bool move_to_mbox(struct mail_state *mail, unsigned *moved_r)
{
	unsigned *list = mem_calloc(mail->count + 1, sizeof(*list));
	unsigned count = 0;
	bool ok = true;

	for (unsigned n = 1; n <= mail->count; n++) {
		if (goes_to_mbox(mail, n)) {
			list[count++] = n;
		}
	}
	if (count > 0) {
		char *path = path_of_file(mail, "&");

		ok = path != NULL && save_messages(mail, path, list, true, true);
		if (ok) {
			printf("Saved %u message%s in %s\n", count, count == 1 ? "" : "s", path);
		}
		mem_free(path);
	}
	mem_free(list);
	*moved_r = count;
	return ok;
}

/* folder_quit - flags first, then copies to ~/mbox, then removals */
void folder_quit(struct mail_state *mail, bool keep_all)
{
	unsigned moved = 0;
	int removed;

	if (mail->view == NULL || keep_all || mail->read_only) {
		return;
	}
	if (folder_follow(mail) > 0) {
		printf("New mail has arrived.\n");
	}
	write_flags(mail);
	removed = remove_messages(mail, move_to_mbox(mail, &moved) ? leaves : goes);
	if (removed > 0 && !mail->system_box) {
		printf("\"%s\" complete\n", mail->folder_path);
	}
	if (removed >= 0 && mail->system_box) {
		unsigned held = mail->count - (unsigned)removed;

		if (held > 0) {
			printf("Held %u message%s in %s\n", held, held == 1 ? "" : "s",
				mail->folder_path);
		}
	}
}

bool folder_switch(struct mail_state *mail, const char *path)
{
	if (!folder_can_open(mail, path)) {
		return false;
	}
	folder_quit(mail, false);
	return folder_open(mail, path, NULL, false) == 0;
}
