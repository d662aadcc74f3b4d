/*
 * cmd_any - commands that need no mailbox: CAPABILITY NOOP LOGOUT ID ENABLE NAMESPACE CHECK
 *
 * RFC 3501 6.1, 6.4.1; RFC 2971 (ID), RFC 5161 (ENABLE), RFC 2342 (NAMESPACE)
 */
#include <string.h>

#include "conf/dovecot/dovecot_conf.h"
#include "applets/read/imapd/commands.h"
#include "applets/read/imapd/reply.h"
#include "applets/read/imapd/sync.h"

enum cmd_result cmd_capability(struct imapd *s, struct imap_args *a, struct buf *out)
{
	if (!imap_args_end(a)) {
		return cmd_args_error(s, a);
	}
	buf_adds(out, "* CAPABILITY ");
	put_capabilities(out);
	buf_adds(out, "\r\n");
	return cmd_ok(s, "Capability completed.");
}

enum cmd_result cmd_noop(struct imapd *s, struct imap_args *a, struct buf *out)
{
	(void)out;
	return imap_args_end(a) ? cmd_ok(s, "NOOP completed.") : cmd_args_error(s, a);
}

enum cmd_result cmd_check(struct imapd *s, struct imap_args *a, struct buf *out)
{
	(void)out;
	return imap_args_end(a) ? cmd_ok(s, "Check completed.") : cmd_args_error(s, a);
}

enum cmd_result cmd_logout(struct imapd *s, struct imap_args *a, struct buf *out)
{
	if (!imap_args_end(a)) {
		return cmd_args_error(s, a);
	}
	buf_adds(out, "* BYE Logging out\r\n");
	s->why = "Logged out";
	cmd_ok(s, "Logout completed.");
	return CMD_CLOSE;
}

enum cmd_result cmd_id(struct imapd *s, struct imap_args *a, struct buf *out)
{
	(void)a;
	id_put(out);
	return cmd_ok(s, "ID completed.");
}

enum cmd_result cmd_enable(struct imapd *s, struct imap_args *a, struct buf *out)
{
	struct slice name;
	bool condstore = false;

	do {
		if (!imap_args_space(a) || !imap_args_atom(a, &name)) {
			return cmd_args_error(s, a);
		}
		condstore = condstore || slice_ieq(name, "CONDSTORE");
	} while (imap_args_peek(a, ' '));
	if (!imap_args_end(a)) {
		return cmd_args_error(s, a);
	}
	if (condstore) {
		imapd_condstore(s, out);
	}
	buf_addf(out, "* ENABLED%s\r\n", condstore ? " CONDSTORE" : "");
	return cmd_ok(s, "Enabled.");
}

enum cmd_result cmd_namespace(struct imapd *s, struct imap_args *a, struct buf *out)
{
	if (!imap_args_end(a)) {
		return cmd_args_error(s, a);
	}
	buf_addf(out, "* NAMESPACE ((\"\" \"%c\")) NIL NIL\r\n", mailstore_separator(s->store));
	return cmd_ok(s, "Namespace completed.");
}
