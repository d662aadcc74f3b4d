/*
 * cmd_append - APPEND, one message or several
 *
 *	a APPEND box (\Seen) "date" {n}		announced: begin, "+ OK"
 *	n bytes					streamed into the store
 *	 (\Flagged) {m}				announced: the next message (MULTIAPPEND)
 *	m bytes
 *						empty line: all become durable at once
 *
 * A message is never held: what the client sends goes straight to the store. If that fails
 * the rest of the bytes is read and thrown away, since the client is in the midst of
 * sending them.
 *
 * RFC 3501 6.3.11; RFC 3502 (MULTIAPPEND), RFC 4315 (APPENDUID), RFC 7888 (LITERAL+)
 */
#include <string.h>

#include "base/mem.h"
#include "applets/read/imapd/commands.h"
#include "applets/read/imapd/reply.h"
#include "applets/read/imapd/selected.h"
#include "applets/read/imapd/status.h"

enum { APPEND_MESSAGES_MAX = 1000 };

struct append {
	struct mail_append *store; /* NULL: failed, the reply is set */
	uint64_t left;             /* of the literal that comes */
	unsigned count;
};

bool append_under_way(const struct imapd *s)
{
	return s->command != NULL && s->command->run == cmd_append && s->state != NULL;
}

/* let_go - nothing is appended */
static void let_go(struct imapd *s)
{
	struct append *ap = s->state;

	if (ap->store != NULL) {
		mail_append_abort(ap->store);
		ap->store = NULL;
	}
}

/* parse_options - " (flags)" and " date-time", then the literal's announcement, which ends the text
 */
static bool parse_options(struct imap_args *a, struct imap_flags *flags, time_t *received)
{
	memset(flags, 0, sizeof(*flags));
	*received = MAIL_NOW;
	if (!imap_args_space(a)) {
		return false;
	}
	if (imap_args_peek(a, '(') && (!imap_args_flags(a, false, flags) || !imap_args_space(a))) {
		return false;
	}
	if (imap_args_peek(a, '"') && (!imap_args_date_time(a, received) || !imap_args_space(a))) {
		return false;
	}
	if (imap_args_peek(a, '~')) {
		return imap_args_fail(a, "BINARY literals are not supported");
	}
	return imap_args_peek(a, '{') || imap_args_fail(a, "Invalid arguments");
}

/* append_data - bytes of the message, from the client to the store */
static enum cmd_result append_data(struct imapd *s, struct buf *in, struct buf *out)
{
	struct append *ap = s->state;
	size_t n = buf_unread(in);

	(void)out;
	if (n > ap->left) {
		n = (size_t)ap->left;
	}
	if (n > 0 && ap->store != NULL && mail_append_write(ap->store, buf_head(in), n) != 0) {
		cmd_store_error(s, true);
		let_go(s);
	}
	buf_consume(in, n);
	ap->left -= n;
	if (ap->left == 0) {
		imap_reader_streamed(&s->reader);
		s->go_on = NULL; /* the rest of the line is next */
	}
	return CMD_WAIT;
}

/* begin - the first message of the command; NULL: the reply is set */
static struct append *begin(struct imapd *s, const char *name)
{
	struct append *ap;
	struct mail_append *store;

	imapd_auto_create(s);
	store = mail_append_begin(s->store, name);
	if (store == NULL) {
		cmd_store_error(s, true);
		return NULL;
	}
	ap = arena_alloc(&s->arena, sizeof(*ap));
	ap->store = store;
	s->abandon = let_go;
	return ap;
}

/* refuse - the literal is not wanted; the reply is set */
static enum cmd_result refuse(struct imapd *s)
{
	imap_reader_refuse(&s->reader);
	if (s->state != NULL) {
		let_go(s);
	}
	return CMD_DONE;
}

/* next_message - tell the store of it; false: the reply is set */
static bool next_message(
	struct imapd *s, struct append *ap, const struct imap_flags *flags, time_t received)
{
	if (ap->store == NULL) {
		return true; /* failed before: its bytes come all the same */
	}
	if (s->reader.size == 0) {
		cmd_no(s, "Can't save a zero byte message.");
		return false;
	}
	if (s->reader.size > IMAPD_APPEND_MAX || ap->count == APPEND_MESSAGES_MAX) {
		cmd_no(s, "[TOOBIG] Message is too large.");
		return false;
	}
	ap->count++;
	if (mail_append_next(ap->store, flags->system, flags->keywords, flags->keyword_count,
		    received, "") != 0) {
		cmd_store_error(s, true);
		return false;
	}
	return true;
}

enum cmd_result append_literal(struct imapd *s, struct buf *in, struct buf *out)
{
	struct append *ap = s->state;
	struct imap_flags flags;
	struct imap_args a;
	struct slice word;
	const char *name = NULL;
	time_t received;

	(void)in;
	imap_args_init(&a, &s->arena, buf_str(&s->reader.text), s->reader.text.len);
	if (ap == NULL) {
		(void)imap_args_tag(&a, &word);
		(void)imap_args_space(&a);
		(void)imap_args_atom(&a, &word);
		if (!imap_args_space(&a)) {
			cmd_args_error(s, &a);
			return refuse(s);
		}
		if (imap_args_peek(&a, '{') && memchr(a.p, '\n', (size_t)(a.end - a.p)) == NULL) {
			return CMD_WAIT; /* it is the mailbox name: collected like any other */
		}
		name = imapd_mailbox_arg(s, &a);
		if (name == NULL) {
			return refuse(s);
		}
	}
	if (!parse_options(&a, &flags, &received)) {
		cmd_args_error(s, &a);
		return refuse(s);
	}
	if (ap == NULL) {
		ap = begin(s, name);
		if (ap == NULL) {
			return refuse(s);
		}
		s->state = ap;
	}
	if (!next_message(s, ap, &flags, received)) {
		return refuse(s);
	}
	ap->left = s->reader.size;
	buf_adds(out, s->reader.sync ? "+ OK\r\n" : "");
	s->go_on = append_data;
	return CMD_WAIT;
}

/* reply_append - with the UIDs */
static enum cmd_result reply_append(
	struct imapd *s, uint32_t validity, const uint32_t *uids, size_t count)
{
	struct buf set = BUF_INIT;

	if (uids == NULL || count == 0) {
		return cmd_ok(s, "Append completed.");
	}
	imap_set_put(&set, uids, count);
	cmd_ok(s, "[APPENDUID %u %s] Append completed.", validity, buf_str(&set));
	buf_free(&set);
	return CMD_DONE;
}

enum cmd_result append_line(struct imapd *s, struct buf *out)
{
	struct append *ap = s->state;
	struct mail_append *store = ap->store;
	uint32_t *uids = NULL, validity = 0;
	size_t count = 0;

	(void)out;
	if (store == NULL) {
		return CMD_DONE; /* it failed before; the reply is set */
	}
	if (s->reader.text.len > 0) {
		let_go(s);
		return cmd_bad(s, "Invalid arguments");
	}
	ap->store = NULL;
	if (mail_append_end(store, &uids, &count, &validity) != 0) {
		return cmd_store_error(s, true);
	}
	reply_append(s, validity, uids, count);
	mem_free(uids);
	return CMD_DONE;
}

enum cmd_result cmd_append(struct imapd *s, struct imap_args *a, struct buf *out)
{
	(void)a;
	(void)out;
	/* A whole command without an announced literal is none (see append_literal()). */
	return cmd_bad(s, "Missing message literal");
}
