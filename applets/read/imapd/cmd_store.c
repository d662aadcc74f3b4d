/*
 * cmd_store - STORE, UID STORE
 *
 * All messages change in one transaction. Then every message named is told with its
 * flags, changed or not, unless .SILENT; others that changed meanwhile follow in the sync.
 *
 * RFC 3501 6.4.6; RFC 7162 3.1.3 (UNCHANGEDSINCE)
 */
#include <string.h>

#include "applets/read/imapd/commands.h"
#include "applets/read/imapd/reply.h"
#include "applets/read/imapd/selected.h"
#include "applets/read/imapd/sync.h"

struct store {
	struct imap_set set;
	enum flag_op op;
	bool silent;
	bool conditional;
	uint64_t unchanged_since;
	struct imap_flags flags;
	uint32_t *uids;
	size_t count;
	uint32_t *failed;
	size_t failed_count, failed_at;
	size_t told; /* of uids */
};

/* parse_store - " set [(UNCHANGEDSINCE n)] [+-]FLAGS[.SILENT] flags" */
static bool parse_store(struct imap_args *a, struct store *st)
{
	if (!imap_args_space(a) || !imap_args_set(a, &st->set) || !imap_args_space(a)) {
		return false;
	}
	st->unchanged_since = ~(uint64_t)0;
	if (imap_args_char(a, '(')) {
		st->conditional = true;
		if (!imap_args_word(a, "UNCHANGEDSINCE") || !imap_args_space(a) ||
			!imap_args_number64(a, &st->unchanged_since) || !imap_args_char(a, ')') ||
			!imap_args_space(a)) {
			return imap_args_fail(a, "Invalid STORE modifiers");
		}
	}
	st->op = imap_args_char(a, '+')  ? FLAGS_ADD
		: imap_args_char(a, '-') ? FLAGS_REMOVE
					 : FLAGS_SET;
	st->silent = imap_args_word(a, "FLAGS.SILENT");
	if (!st->silent && !imap_args_word(a, "FLAGS")) {
		return imap_args_fail(a, "Unknown parameter");
	}
	return imap_args_space(a) && imap_args_flags(a, true, &st->flags) && imap_args_end(a);
}

/* keyword_bits - of the names; made where they are new, unless they are to be removed */
static bool keyword_bits(struct imapd *s, const struct store *st, uint64_t *bits)
{
	size_t i;

	*bits = 0;
	for (i = 0; i < st->flags.keyword_count; i++) {
		int bit =
			mailbox_keyword_bit(s->view, st->flags.keywords[i], st->op != FLAGS_REMOVE);

		if (bit >= 0) {
			*bits |= (uint64_t)1 << bit;
		} else if (st->op != FLAGS_REMOVE) {
			cmd_no(s, "[LIMIT] Maximum number of different keywords exceeded.");
			return false;
		}
	}
	return true;
}

/* is_failed - the message had changed since; asked with UIDs going up, as failed does */
static bool is_failed(struct store *st, uint32_t uid)
{
	while (st->failed_at < st->failed_count && st->failed[st->failed_at] < uid) {
		st->failed_at++;
	}
	return st->failed_at < st->failed_count && st->failed[st->failed_at] == uid;
}

/* reply_store - with the messages that were left alone */
static enum cmd_result reply_store(struct imapd *s, struct store *st)
{
	struct buf set = BUF_INIT;
	size_t i;

	if (st->failed_count == 0) {
		return cmd_ok(s, "Store completed.");
	}
	for (i = 0; !s->uid && i < st->failed_count; i++) {
		st->failed[i] = mailbox_seq(s->view, st->failed[i], false);
	}
	imap_set_put(&set, st->failed, st->failed_count);
	cmd_ok(s, "[MODIFIED %s] Conditional store failed.", buf_str(&set));
	buf_free(&set);
	return CMD_DONE;
}

/* tell_on - the flags of the messages named, as many as go out at a time */
static enum cmd_result tell_on(struct imapd *s, struct buf *in, struct buf *out)
{
	struct store *st = s->state;

	(void)in;
	s->uid_with_flags = s->uid;
	for (; st->told < st->count; st->told++) {
		uint32_t seq = mailbox_seq(s->view, st->uids[st->told], false);

		if (buf_unread(out) > s->io->out_high) {
			return imapd_yield(s, out);
		}
		if (seq > 0 && !is_failed(st, st->uids[st->told])) {
			tell_flags_of(s, out, seq);
		}
	}
	return reply_store(s, st);
}

/* store_flags - change them and bring the view up to date; false: the reply is set */
static bool store_flags(struct imapd *s, struct store *st, struct buf *out)
{
	uint64_t keywords, before = s->keywords_told;
	size_t i;

	if (!keyword_bits(s, st, &keywords)) {
		return false;
	}
	if (st->silent) {
		/* What others changed is told even so (RFC 3501 6.4.6), and before ours hides
		 * it. */
		imapd_sync(s, out, false);
	}
	st->failed = arena_alloc(&s->arena, (st->count + 1) * sizeof(*st->failed));
	if (mailbox_store(s->view, st->uids, st->count, st->op, st->flags.system, keywords,
		    st->unchanged_since, st->failed, &st->failed_count) != 0) {
		cmd_store_error(s, false);
		return false;
	}
	if (st->flags.system & IMAP_DELETED) {
		for (i = 0; st->op != FLAGS_REMOVE && i < st->count; i++) {
			s->deleted++;
		}
	}
	if (keywords & ~before) {
		tell_keywords(s, out, false);
	}
	s->quiet = st->uids;
	s->quiet_count = st->count;
	s->uid_with_flags = s->uid;
	/* Not silent: MODSEQ goes with the flags below. */
	s->quiet_follows = !st->silent;
	imapd_sync(s, out, false);
	return true;
}

enum cmd_result cmd_store(struct imapd *s, struct imap_args *a, struct buf *out)
{
	struct store *st = arena_alloc(&s->arena, sizeof(*st));

	if (!parse_store(a, st)) {
		return cmd_args_error(s, a);
	}
	if (mailbox_read_only(s->view)) {
		return cmd_no(s, "[READ-ONLY] Mailbox is read-only.");
	}
	if (st->conditional) {
		imapd_condstore(s, out);
	}
	if (!imapd_uids(s, &st->set, &st->uids, &st->count)) {
		return CMD_DONE;
	}
	if (st->count > 0 && !store_flags(s, st, out)) {
		return CMD_DONE;
	}
	if (st->silent || st->count == 0) {
		return reply_store(s, st);
	}
	s->state = st;
	s->go_on = tell_on;
	return tell_on(s, NULL, out);
}
