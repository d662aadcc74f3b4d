/*
 * cmd_select - SELECT EXAMINE CLOSE UNSELECT
 *
 * RFC 3501 6.3.1, 6.3.2, 6.4.2; RFC 3691 (UNSELECT); RFC 7162 3.1.8 (CONDSTORE
 * parameter)
 */
#include <string.h>

#include "proto/imap_mailbox.h"
#include "applets/read/imapd/commands.h"
#include "applets/read/imapd/reply.h"
#include "applets/read/imapd/selected.h"
#include "applets/read/imapd/status.h"
#include "applets/read/imapd/sync.h"

/* first_unseen - its sequence number, 0 none */
static uint32_t first_unseen(const struct mailbox_view *v)
{
	uint32_t seq, count = mailbox_count(v);

	for (seq = 1; seq <= count; seq++) {
		if (!(mailbox_info(v, seq)->flags & MAIL_SEEN)) {
			return seq;
		}
	}
	return 0;
}

/* count_recent - for this session */
static uint32_t count_recent(const struct mailbox_view *v)
{
	uint32_t seq, n = 0, count = mailbox_count(v);

	for (seq = 1; seq <= count; seq++) {
		n += mailbox_recent(v, seq);
	}
	return n;
}

/* put_state - what a client learns of the mailbox it has opened */
static void put_state(struct imapd *s, struct buf *out)
{
	uint32_t unseen = first_unseen(s->view);

	tell_keywords(s, out, true);
	buf_addf(out, "* %u EXISTS\r\n* %u RECENT\r\n", mailbox_count(s->view),
		count_recent(s->view));
	if (unseen > 0) {
		buf_addf(out, "* OK [UNSEEN %u] First unseen.\r\n", unseen);
	}
	buf_addf(out, "* OK [UIDVALIDITY %u] UIDs valid\r\n", mailbox_uid_validity(s->view));
	buf_addf(out, "* OK [UIDNEXT %u] Predicted next UID\r\n", mailbox_uid_next(s->view));
	buf_addf(out, "* OK [HIGHESTMODSEQ %llu] Highest\r\n",
		(unsigned long long)mailbox_highest_modseq(s->view));
}

/* open_mailbox - SELECT and EXAMINE */
static enum cmd_result open_mailbox(
	struct imapd *s, struct imap_args *a, struct buf *out, bool read_only)
{
	const char *name;
	bool condstore = false;

	if (!imap_args_space(a)) {
		return cmd_args_error(s, a);
	}
	name = imapd_mailbox_arg(s, a);
	if (name != NULL && imap_args_char(a, ' ')) {
		condstore = imap_args_char(a, '(') && imap_args_word(a, "CONDSTORE") &&
			imap_args_char(a, ')');
		if (!condstore) {
			return cmd_bad(s, "Unknown parameter");
		}
	}
	if (a->error != NULL || (name != NULL && !imap_args_end(a))) {
		return cmd_args_error(s, a);
	}
	/* RFC 3501 6.3.1: the old mailbox is closed even if this fails. */
	if (s->view != NULL) {
		imapd_unselect(s);
		buf_adds(out, "* OK [CLOSED] Previous mailbox closed.\r\n");
	}
	if (name == NULL) {
		return CMD_DONE;
	}
	imapd_auto_create(s);
	s->view = mailbox_open(s->store, name, read_only);
	if (s->view == NULL) {
		return cmd_store_error(s, false);
	}
	/* With what is told here anyway. */
	s->condstore = s->condstore || condstore;
	put_state(s, out);
	read_only = mailbox_read_only(s->view);
	return cmd_ok(s, "[READ-%s] %s completed.", read_only ? "ONLY" : "WRITE",
		s->command->run == cmd_select ? "Select" : "Examine");
}

enum cmd_result cmd_select(struct imapd *s, struct imap_args *a, struct buf *out)
{
	return open_mailbox(s, a, out, false);
}

enum cmd_result cmd_examine(struct imapd *s, struct imap_args *a, struct buf *out)
{
	return open_mailbox(s, a, out, true);
}

/* any_deleted - is there something to expunge? */
static bool any_deleted(const struct mailbox_view *v)
{
	uint32_t seq, count = mailbox_count(v);

	for (seq = 1; seq <= count; seq++) {
		if (mailbox_info(v, seq)->flags & MAIL_DELETED) {
			return true;
		}
	}
	return false;
}

enum cmd_result cmd_close(struct imapd *s, struct imap_args *a, struct buf *out)
{
	int rc = 0;

	(void)out;
	if (!imap_args_end(a)) {
		return cmd_args_error(s, a);
	}
	if (!mailbox_read_only(s->view) && any_deleted(s->view)) {
		rc = mailbox_expunge(s->view, NULL, 0, false);
	}
	if (rc < 0) {
		cmd_store_error(s, false);
	} else {
		cmd_ok(s, "Close completed.");
	}
	imapd_unselect(s);
	return CMD_DONE;
}

enum cmd_result cmd_unselect(struct imapd *s, struct imap_args *a, struct buf *out)
{
	(void)out;
	if (!imap_args_end(a)) {
		return cmd_args_error(s, a);
	}
	imapd_unselect(s);
	return cmd_ok(s, "Unselect completed.");
}
