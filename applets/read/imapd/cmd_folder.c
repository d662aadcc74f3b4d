/*
 * cmd_folder - CREATE DELETE RENAME SUBSCRIBE UNSUBSCRIBE
 *
 * RFC 3501 6.3.3 to 6.3.7
 */
#include <string.h>

#include "applets/read/imapd/commands.h"
#include "applets/read/imapd/reply.h"
#include "applets/read/imapd/selected.h"

/* one_mailbox - the only argument; NULL: the reply is set */
static const char *one_mailbox(struct imapd *s, struct imap_args *a)
{
	const char *name;

	if (!imap_args_space(a)) {
		cmd_args_error(s, a);
		return NULL;
	}
	name = imapd_mailbox_arg(s, a);
	if (name != NULL && !imap_args_end(a)) {
		cmd_args_error(s, a);
		return NULL;
	}
	return name;
}

enum cmd_result cmd_create(struct imapd *s, struct imap_args *a, struct buf *out)
{
	const char *name = one_mailbox(s, a);

	(void)out;
	if (name == NULL) {
		return CMD_DONE;
	}
	return mailstore_create(s->store, name) == 0 ? cmd_ok(s, "Create completed.")
						     : cmd_store_error(s, false);
}

/* leave - stop using a mailbox that is about to go */
static void leave(struct imapd *s, const char *name)
{
	if (s->view != NULL && strcmp(mailbox_name(s->view), name) == 0) {
		imapd_unselect(s);
	}
}

enum cmd_result cmd_delete(struct imapd *s, struct imap_args *a, struct buf *out)
{
	const char *name = one_mailbox(s, a);

	(void)out;
	if (name == NULL) {
		return CMD_DONE;
	}
	if (str_ieq(name, "INBOX")) {
		return cmd_no(s, "[CANNOT] INBOX can't be deleted.");
	}
	leave(s, name);
	return mailstore_delete(s->store, name) == 0 ? cmd_ok(s, "Delete completed.")
						     : cmd_store_error(s, false);
}

enum cmd_result cmd_rename(struct imapd *s, struct imap_args *a, struct buf *out)
{
	const char *from, *to;

	(void)out;
	if (!imap_args_space(a)) {
		return cmd_args_error(s, a);
	}
	from = imapd_mailbox_arg(s, a);
	if (from == NULL) {
		return CMD_DONE;
	}
	to = one_mailbox(s, a);
	if (to == NULL) {
		return CMD_DONE;
	}
	if (!str_ieq(from, "INBOX")) {
		leave(s, from);
	}
	return mailstore_rename(s->store, from, to) == 0 ? cmd_ok(s, "Rename completed.")
							 : cmd_store_error(s, false);
}

/* subscribe - on or off */
static enum cmd_result subscribe(struct imapd *s, struct imap_args *a, bool on)
{
	const char *name = one_mailbox(s, a);

	if (name == NULL) {
		return CMD_DONE;
	}
	if (mailstore_subscribe(s->store, name, on) != 0) {
		return cmd_store_error(s, false);
	}
	return cmd_ok(s, "%s completed.", on ? "Subscribe" : "Unsubscribe");
}

enum cmd_result cmd_subscribe(struct imapd *s, struct imap_args *a, struct buf *out)
{
	(void)out;
	return subscribe(s, a, true);
}

enum cmd_result cmd_unsubscribe(struct imapd *s, struct imap_args *a, struct buf *out)
{
	(void)out;
	return subscribe(s, a, false);
}
