/*
 * mbox_change - the mbox driver: take messages out, write flags
 */
#include <unistd.h>

#include "mail/mbox/mbox_driver.h"

/* Flags alone are not worth moving more than this; the index has them. */
enum { FLUSH_MOVE_MAX = 32 * 1024 * 1024 };

/* ---- Flags ---- */

int mbox_write_flags(struct mailbox *mb, const uint8_t *marks)
{
	for (uint32_t i = 0; i < mb->count; i++) {
		if (marks[i]) {
			mbox_msg(mb, i)->msg.bits =
				(mbox_msg(mb, i)->msg.bits & ~(uint32_t)MSG_LATE) | MSG_DIRTY;
		}
	}
	return 0;
}

/* wants_flush - does the file lack anything that other programs, or a lost index, would want? */
static bool wants_flush(const struct mailbox *mb)
{
	bool memory = index_in_memory(mb->store->index) && !mb->store->status_only;

	for (uint32_t i = 0; i < mb->count; i++) {
		if ((mbox_msg(mb, i)->msg.bits & (MSG_DIRTY | MSG_LATE)) == MSG_DIRTY ||
			(memory && !(mbox_msg(mb, i)->msg.bits & MSG_SAVED_UID))) {
			return true;
		}
	}
	return false;
}

int mbox_flush(struct mailbox *mb)
{
	bool memory = index_in_memory(mb->store->index);
	int rc;

	if (!mb->loaded || !wants_flush(mb) || access(mb->path, W_OK) != 0 ||
		mbox_prepare(mb) != 0) {
		return 0;
	}
	rc = mailbox_begin(mb, false);
	if (rc == 0) {
		rc = mbox_rewrite(mb, NULL, memory ? UINT64_MAX : FLUSH_MOVE_MAX);
		if (rc == 0) {
			rc = mbox_settle(mb);
		}
		if (rc == 0) {
			rc = mailbox_commit(mb);
		} else {
			mb->changed = true;
			mailbox_rollback(mb);
		}
	}
	mbox_unlock(mb);
	return rc;
}

/* ---- Out ---- */

int mbox_expunge(struct mailbox *mb, uint8_t *marks)
{
	return mbox_rewrite(mb, marks, UINT64_MAX);
}

/* messages_end - where in the file the last message ends */
static uint64_t messages_end(const struct mailbox *mb)
{
	const struct mbox_msg *m = mb->count > 0 ? mbox_msg(mb, mbox_last_in_file(mb)) : NULL;

	return m != NULL ? m->offset + m->len : (uint64_t)mb->f.sig[4];
}

int mbox_settle(struct mailbox *mb)
{
	int rc;

	mbox_regap(mb);
	rc = mbox_take_sig(mb);
	/* What came behind them without a lock is still to be read. */
	mb->f.sig[2] = (int64_t)messages_end(mb);
	return rc;
}
