/*
 * cmd_copy - COPY MOVE EXPUNGE and their UID forms
 *
 * RFC 3501 6.4.3, 6.4.7; RFC 4315 (UIDPLUS), RFC 6851 (MOVE)
 */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "applets/read/imapd/commands.h"
#include "applets/read/imapd/reply.h"
#include "applets/read/imapd/selected.h"
#include "applets/read/imapd/status.h"

enum { MOVE_PAUSE_MS = 20, MOVE_WAIT_MS = 10000 };

/* put_copyuid - "[COPYUID validity from to] " of those that were copied; nothing when none was */
static void put_copyuid(
	struct buf *out, uint32_t validity, uint32_t *from, uint32_t *to, size_t count)
{
	size_t i, n = 0;

	for (i = 0; i < count; i++) {
		if (to[i] != 0) {
			from[n] = from[i];
			to[n++] = to[i];
		}
	}
	if (n == 0) {
		return;
	}
	buf_addf(out, "[COPYUID %u ", validity);
	imap_set_put(out, from, n);
	buf_addc(out, ' ');
	imap_set_put(out, to, n);
	buf_adds(out, "] ");
}

/* all_copied - none of them was gone already */
static bool all_copied(const uint32_t *to, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (to[i] == 0) {
			return false;
		}
	}
	return true;
}

/* A COPY or MOVE. */
struct transfer {
	const char *name;
	uint32_t *uids;
	size_t count;
	enum mail_copy how;
	int64_t until; /* of clock_ms(): so long for others that move from the same folder */
};

/* tell - the reply about what was copied, new_uids as of mailbox_copy() */
static void tell(struct imapd *s, const struct transfer *t, uint32_t *new_uids, uint32_t validity,
	struct buf *out)
{
	bool all = all_copied(new_uids, t->count);
	struct buf code = BUF_INIT;

	put_copyuid(&code, validity, t->uids, new_uids, t->count);
	if (t->how == MAIL_MOVE) {
		/* RFC 6851 4.3: COPYUID comes before the EXPUNGEs, so in an untagged OK. */
		if (code.len > 0) {
			buf_addf(out, "* OK %sMoved UIDs.\r\n", buf_str(&code));
		}
		s->expunged += t->count;
		cmd_ok(s, "Move completed.");
	} else if (!all && t->how == MAIL_COPY_ALL) {
		cmd_no(s, "[EXPUNGEISSUED] Some of the requested messages no longer exist.");
	} else if (code.len == 0) {
		cmd_ok(s, "No messages found.");
	} else {
		cmd_ok(s, "%sCopy completed.", buf_str(&code));
	}
	buf_free(&code);
}

/* transfer_on - now, or soon again where another process is moving from this folder */
static enum cmd_result transfer_on(struct imapd *s, struct buf *in, struct buf *out)
{
	struct transfer *t = s->state;
	uint32_t *new_uids = NULL, validity = 0;
	int rc = mailbox_copy(s->view, t->uids, t->count, t->name, t->how, &new_uids, &validity);

	(void)in;
	if (rc > 0 && s->io->loop != NULL && clock_ms() < t->until) {
		s->go_on = transfer_on;
		return imapd_wait(s, MOVE_PAUSE_MS);
	}
	if (rc != 0) {
		mem_free(new_uids);
		return cmd_store_error(s, true);
	}
	tell(s, t, new_uids, validity, out);
	mem_free(new_uids);
	return CMD_DONE;
}

/* transfer - COPY and MOVE */
static enum cmd_result transfer(struct imapd *s, struct imap_args *a, struct buf *out, bool move)
{
	struct transfer *t = arena_alloc(&s->arena, sizeof(*t));
	struct imap_set set;

	if (!imap_args_space(a) || !imap_args_set(a, &set) || !imap_args_space(a)) {
		return cmd_args_error(s, a);
	}
	t->name = imapd_mailbox_arg(s, a);
	if (t->name == NULL) {
		return CMD_DONE;
	}
	if (!imap_args_end(a)) {
		return cmd_args_error(s, a);
	}
	if (move && mailbox_read_only(s->view)) {
		return cmd_no(s, "[READ-ONLY] Mailbox is read-only.");
	}
	if (!imapd_uids(s, &set, &t->uids, &t->count)) {
		return CMD_DONE;
	}
	if (t->count == 0) {
		return cmd_ok(s, "No messages found.");
	}
	imapd_auto_create(s);
	t->how = move ? MAIL_MOVE : s->uid ? MAIL_COPY_PRESENT : MAIL_COPY_ALL;
	t->until = clock_ms() + MOVE_WAIT_MS;
	s->state = t;
	return transfer_on(s, NULL, out);
}

enum cmd_result cmd_copy(struct imapd *s, struct imap_args *a, struct buf *out)
{
	return transfer(s, a, out, false);
}

enum cmd_result cmd_move(struct imapd *s, struct imap_args *a, struct buf *out)
{
	return transfer(s, a, out, true);
}

/* count_deleted - how many messages are to be expunged, for the log */
static size_t count_deleted(const struct mailbox_view *v)
{
	uint32_t seq, count = mailbox_count(v);
	size_t n = 0;

	for (seq = 1; seq <= count; seq++) {
		n += (mailbox_info(v, seq)->flags & MAIL_DELETED) != 0;
	}
	return n;
}

enum cmd_result cmd_expunge(struct imapd *s, struct imap_args *a, struct buf *out)
{
	struct imap_set set;
	uint32_t *uids = NULL;
	size_t count = 0;
	int rc;

	(void)out;
	if (s->uid && (!imap_args_space(a) || !imap_args_set(a, &set))) {
		return cmd_args_error(s, a);
	}
	if (!imap_args_end(a)) {
		return cmd_args_error(s, a);
	}
	if (mailbox_read_only(s->view)) {
		return cmd_no(s, "[READ-ONLY] Mailbox is read-only.");
	}
	if (s->uid && !imapd_uids(s, &set, &uids, &count)) {
		return CMD_DONE;
	}
	if (s->uid) {
		rc = count > 0 ? mailbox_expunge(s->view, uids, count, false) : 0;
	} else {
		s->expunged += count_deleted(s->view);
		rc = mailbox_expunge(s->view, NULL, 0, false);
	}
	return rc < 0 ? cmd_store_error(s, false) : cmd_ok(s, "Expunge completed.");
}
