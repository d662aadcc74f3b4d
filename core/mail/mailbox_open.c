/*
 * mailbox_open - a folder as a session opens it
 *
 * A move that a crash cut short is finished before (mailbox_move.c), so that nobody sees a message
 * in both folders.
 */
#include "mail/mailbox_move.h"

struct mailbox_view *mailbox_open(struct mailstore *ms, const char *name, bool read_only)
{
	struct mailbox *mb = mailbox_get(ms, name);
	struct mailbox_view *v;

	if (mb == NULL) {
		return NULL;
	}
	move_finish(ms, mb);
	v = view_open(ms, name, read_only);
	mailbox_put(mb);
	return v;
}
