/*
 * mailbox_remove - messages leave
 *
 * Out of the files first and then out of the index, so a crash in between leaves nothing that the
 * next sync does not see.
 */
#include <string.h>

#include "base/mem.h"
#include "mail/mail_driver.h"
#include "mail/mailbox_change.h"
#include "mail/mailbox_removed.h"
#include "mail/mailbox_view.h"

/* mark_leaving - one byte a message; how many are marked */
static uint32_t mark_leaving(
	const struct mailbox *mb, const uint32_t *uids, size_t count, bool force, uint8_t *marks)
{
	uint32_t n = 0;

	if (uids == NULL) {
		for (uint32_t i = 0; i < mb->count; i++) {
			n += marks[i] = (mailbox_msg(mb, i)->info.flags & MAIL_DELETED) != 0;
		}
		return n;
	}
	for (size_t k = 0; k < count; k++) {
		int64_t i = mailbox_find(mb, uids[k]);

		if (i >= 0 && !marks[i] &&
			(force || (mailbox_msg(mb, i)->info.flags & MAIL_DELETED))) {
			n += marks[i] = 1;
		}
	}
	return n;
}

/* remove_marked - within a change, locked; 0 or -1 */
static int remove_marked(struct mailbox *mb, const uint32_t *uids, size_t count, bool force)
{
	uint8_t *marks = mem_alloc((size_t)mb->count + 1);
	int rc = 0;

	if (mark_leaving(mb, uids, count, force, marks) == 0) {
		mem_free(marks);
		mailbox_rollback(mb);
		return 0;
	}
	rc = mb->store->driver->expunge(mb, marks);
	if (rc == 0) {
		rc = mailbox_drop(mb, marks);
	}
	if (rc == 0) {
		rc = mb->store->driver->settle(mb);
	}
	mem_free(marks);
	if (rc == 0) {
		return mailbox_commit(mb);
	}
	mb->changed = true;
	mailbox_rollback(mb);
	return -1;
}

/* leaving_uids - of the messages that would leave, as far as is known now; how many */
static size_t leaving_uids(
	const struct mailbox *mb, const uint32_t *uids, size_t count, bool force, uint32_t **out_r)
{
	uint8_t *marks = mem_alloc((size_t)mb->count + 1);
	uint32_t *out = NULL, n = mark_leaving(mb, uids, count, force, marks);

	if (n > 0) {
		out = mem_calloc(n, sizeof(*out));
		n = 0;
		for (uint32_t i = 0; i < mb->count; i++) {
			if (marks[i]) {
				out[n++] = mailbox_msg(mb, i)->info.uid;
			}
		}
	}
	mem_free(marks);
	*out_r = out;
	return n;
}

/* remove_noted - those that were written down; what was marked since stays for the next time */
static int remove_noted(struct mailbox *mb, const uint32_t *uids, size_t count, bool force)
{
	int rc = mb->store->driver->lock(mb);

	if (rc == 0) {
		rc = mailbox_begin(mb, true);
		if (rc == 0) {
			rc = remove_marked(mb, uids, count, force);
		}
		mb->store->driver->unlock(mb);
	}
	return rc;
}

int mailbox_expunge(struct mailbox_view *v, const uint32_t *uids, size_t count, bool force)
{
	struct mailbox *mb = v->mb;
	uint32_t *leaving;
	int rc;

	if (mailbox_writable(v) != 0 || mailbox_refresh(mb) != 0) {
		return -1;
	}
	count = leaving_uids(mb, uids, count, force, &leaving);
	if (count == 0) {
		return 0;
	}
	/* Before they go: a delivery that looks in between finds them there, or written down. */
	mailbox_note_removed(mb, leaving, count);
	rc = remove_noted(mb, leaving, count, force);
	if (rc == 0) {
		index_keep_room(mb->store->index);
	} else {
		mailbox_note_kept(mb, leaving, count);
	}
	mem_free(leaving);
	return rc;
}
