/*
 * status - STATUS, for itself and for LIST, and the mailboxes that dovecot.conf wants made
 *
 * RFC 3501 6.3.10, 7162 3.1.7, 8438 (SIZE)
 */
#include "applets/read/imapd/status.h"

#include <string.h>

#include "base/str.h"
#include "conf/dovecot/dovecot_conf.h"
#include "proto/imap_mailbox.h"
#include "applets/read/imapd/commands.h"
#include "applets/read/imapd/reply.h"
#include "applets/read/imapd/selected.h"
#include "applets/read/imapd/sync.h"

void imapd_auto_create(struct imapd *s)
{
	const struct conf_node *ns = NULL, *box;

	if (s->auto_made) {
		return;
	}
	s->auto_made = true;
	while ((ns = conf_next_section(dovecot_conf_root(), "namespace", ns)) != NULL) {
		for (box = NULL; (box = conf_next_section(ns, "mailbox", box)) != NULL;) {
			const char *how = conf_setting(box, "auto", "no");

			if (box->name == NULL || str_ieq(how, "no")) {
				continue;
			}
			/* It is there already more often than not; then nothing happens. */
			if (mailstore_create(s->store, box->name) == 0 &&
				str_ieq(how, "subscribe")) {
				(void)mailstore_subscribe(s->store, box->name, true);
			}
		}
	}
}

enum { HIGHESTMODSEQ = 32 }; /* bit of its place in the list below */

static const char *const status_names[] = { "MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY",
	"UNSEEN", "HIGHESTMODSEQ", "SIZE" };

bool status_items(struct imap_args *a, unsigned *items_r)
{
	size_t i;

	*items_r = 0;
	if (!imap_args_char(a, '(')) {
		return imap_args_fail(a, "Status items must be a list");
	}
	do {
		for (i = 0; i < ARRAY_LEN(status_names); i++) {
			if (imap_args_word(a, status_names[i])) {
				break;
			}
		}
		if (i == ARRAY_LEN(status_names)) {
			return imap_args_fail(a, "Invalid status item");
		}
		*items_r |= 1u << i;
	} while (imap_args_char(a, ' '));
	return imap_args_char(a, ')') || imap_args_fail(a, "Missing ')'");
}

int put_status(struct imapd *s, struct buf *out, const char *name, unsigned items)
{
	struct mailbox_status st;
	uint64_t values[ARRAY_LEN(status_names)];
	bool any = false;
	size_t i;

	if (mailstore_status(s->store, name, &st) != 0) {
		return -1;
	}
	values[0] = st.messages;
	values[1] = st.recent;
	values[2] = st.uid_next;
	values[3] = st.uid_validity;
	values[4] = st.unseen;
	values[5] = st.highest_modseq;
	values[6] = st.size;
	buf_adds(out, "* STATUS ");
	imap_put_mailbox(out, name);
	buf_adds(out, " (");
	for (i = 0; i < ARRAY_LEN(values); i++) {
		if (items & 1u << i) {
			buf_addf(out, "%s%s %llu", any ? " " : "", status_names[i],
				(unsigned long long)values[i]);
			any = true;
		}
	}
	buf_adds(out, ")\r\n");
	return 0;
}

enum cmd_result cmd_status(struct imapd *s, struct imap_args *a, struct buf *out)
{
	const char *name;
	unsigned items;

	if (!imap_args_space(a)) {
		return cmd_args_error(s, a);
	}
	name = imapd_mailbox_arg(s, a);
	if (name == NULL) {
		return CMD_DONE;
	}
	if (!imap_args_space(a) || !status_items(a, &items) || !imap_args_end(a)) {
		return cmd_args_error(s, a);
	}
	if (items & HIGHESTMODSEQ) {
		imapd_condstore(s, out);
	}
	imapd_auto_create(s);
	if (put_status(s, out, name, items) != 0) {
		return cmd_store_error(s, false);
	}
	return cmd_ok(s, "Status completed.");
}
