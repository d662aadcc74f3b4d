/*
 * reply - tagged replies, response codes, capabilities, flags
 *
 * A handler sets the reply; the session sends it behind the changes of the mailbox. Texts
 * and codes are those that Dovecot's users know.
 *
 * RFC 3501 7.1, RFC 5530 (response codes)
 */
#include "applets/read/imapd/reply.h"

#include <stdarg.h>
#include <string.h>

#include "conf/dovecot/dovecot_conf.h"
#include "applets/read/imapd/commands.h"

enum cmd_result cmd_ok(struct imapd *s, const char *fmt, ...)
{
	va_list ap;

	buf_reset(&s->reply);
	buf_adds(&s->reply, "OK ");
	va_start(ap, fmt);
	buf_addvf(&s->reply, fmt, ap);
	va_end(ap);
	return CMD_DONE;
}

enum cmd_result cmd_no(struct imapd *s, const char *fmt, ...)
{
	va_list ap;

	buf_reset(&s->reply);
	buf_adds(&s->reply, "NO ");
	va_start(ap, fmt);
	buf_addvf(&s->reply, fmt, ap);
	va_end(ap);
	return CMD_DONE;
}

enum cmd_result cmd_bad(struct imapd *s, const char *why)
{
	buf_reset(&s->reply);
	buf_addf(&s->reply, "BAD Error in IMAP command %s%s: %s.", s->uid ? "UID " : "",
		s->command != NULL ? s->command->name : "received by server", why);
	return CMD_DONE;
}

enum cmd_result cmd_args_error(struct imapd *s, const struct imap_args *a)
{
	return cmd_bad(s, a->error != NULL ? a->error : "Invalid arguments");
}

const char *store_error_text(struct imapd *s, bool create)
{
	const char *text = mailstore_error(s->store), *code = "";

	switch (mailstore_errno(s->store)) {
	case MAIL_E_NOT_FOUND:
		code = create ? "[TRYCREATE] " : "[NONEXISTENT] ";
		break;
	case MAIL_E_EXISTS:
		code = "[ALREADYEXISTS] ";
		break;
	case MAIL_E_PERM:
		code = "[NOPERM] ";
		break;
	case MAIL_E_NOSPACE:
		code = "[OVERQUOTA] ";
		break;
	case MAIL_E_BUSY:
		code = "[INUSE] ";
		break;
	case MAIL_E_INVALID:
		code = "[CANNOT] ";
		break;
	case MAIL_E_NONE:
	case MAIL_E_INTERNAL:
		code = "[SERVERBUG] ";
		break;
	}
	return arena_printf(
		&s->arena, "%s%s", code, text != NULL && *text != '\0' ? text : "Internal error");
}

enum cmd_result cmd_store_error(struct imapd *s, bool create)
{
	return cmd_no(s, "%s", store_error_text(s, create));
}

void put_capabilities(struct buf *out)
{
	const char *set = setting.imap_capability;

	if (*set != '\0' && *set != '+') {
		buf_adds(out, set);
		return;
	}
	buf_adds(out,
		"IMAP4rev1 SASL-IR ID ENABLE IDLE LITERAL+ UNSELECT CHILDREN NAMESPACE UIDPLUS "
		"MOVE SPECIAL-USE LIST-EXTENDED LIST-STATUS STATUS=SIZE ESEARCH WITHIN CONDSTORE "
		"MULTIAPPEND");
	if (*set == '+') {
		buf_addf(out, " %s", set + 1);
	}
}

void put_flags(struct imapd *s, struct buf *out, unsigned flags, uint64_t keywords)
{
	static const unsigned order[] = { IMAP_ANSWERED, IMAP_FLAGGED, IMAP_DELETED, IMAP_SEEN,
		IMAP_DRAFT, IMAP_RECENT };
	bool any = false;
	size_t k;
	int i;

	buf_addc(out, '(');
	for (k = 0; k < ARRAY_LEN(order); k++) {
		if (flags & order[k]) {
			buf_adds(out, any ? " " : "");
			buf_adds(out, imap_flag_name(order[k]));
			any = true;
		}
	}
	for (i = 0; keywords != 0 && i < 64; i++) {
		const char *name = keywords >> i & 1 ? mailbox_keyword(s->view, i) : NULL;

		if (name != NULL) {
			buf_adds(out, any ? " " : "");
			buf_adds(out, name);
			any = true;
		}
	}
	buf_addc(out, ')');
}
