/*
 * selected - what commands need of the mailbox that is selected, and when they step back
 */
#include "applets/read/imapd/selected.h"

#include <string.h>

#include "proto/utf7.h"
#include "applets/read/imapd/fetch_text.h"
#include "applets/read/imapd/reply.h"

/* ---- Turns ---- */

bool imapd_pause(struct imapd *s, const struct buf *out, int64_t started)
{
	/* Without a loop (a test) nobody else is waiting. */
	return buf_unread(out) > s->io->out_high ||
		(s->io->loop != NULL && clock_ms() - started >= IMAPD_SLICE_MS);
}

static void on_turn(struct timer *t)
{
	struct imapd *s = t->owner;

	s->io->resume(s->io);
}

enum cmd_result imapd_yield(struct imapd *s, const struct buf *out)
{
	/* Above out_high the driver tells when it has drained. */
	if (buf_unread(out) <= s->io->out_high && s->io->loop != NULL) {
		loop_timer(s->io->loop, &s->turn, 0, on_turn, s);
	}
	return CMD_MORE;
}

enum cmd_result imapd_wait(struct imapd *s, int ms)
{
	loop_timer(s->io->loop, &s->turn, ms, on_turn, s);
	return CMD_MORE;
}

/* ---- Arguments that several commands take ---- */

bool imapd_resolve(struct imapd *s, struct imap_set *set)
{
	uint32_t count = mailbox_count(s->view);

	if (s->uid) {
		imap_set_resolve(set, count > 0 ? mailbox_info(s->view, count)->uid : 0);
		return true;
	}
	imap_set_resolve(set, count);
	if (imap_set_max(set) > count) {
		cmd_bad(s, "Invalid messageset");
		return false;
	}
	return true;
}

uint32_t imapd_next_seq(struct imapd *s, const struct imap_set *set, uint32_t seq)
{
	uint32_t count = mailbox_count(s->view), uid, next;

	seq++;
	if (!s->uid) {
		seq = imap_set_next(set, seq);
		return seq <= count ? seq : 0;
	}
	/* Each round skips a gap of the set or ends; both move forward. */
	while (seq <= count) {
		uid = mailbox_info(s->view, seq)->uid;
		next = imap_set_next(set, uid);
		if (next == 0) {
			return 0;
		}
		if (next == uid) {
			return seq;
		}
		seq = mailbox_seq(s->view, next, true);
	}
	return 0;
}

bool imapd_uids(struct imapd *s, struct imap_set *set, uint32_t **uids_r, size_t *count_r)
{
	uint32_t seq, *uids;
	size_t count = 0;

	if (!imapd_resolve(s, set)) {
		return false;
	}
	for (seq = 0; (seq = imapd_next_seq(s, set, seq)) != 0;) {
		count++;
	}
	uids = arena_alloc(&s->arena, (count + 1) * sizeof(*uids));
	for (count = 0, seq = 0; (seq = imapd_next_seq(s, set, seq)) != 0;) {
		uids[count++] = mailbox_info(s->view, seq)->uid;
	}
	*uids_r = uids;
	*count_r = count;
	return true;
}

const char *imapd_mailbox_arg(struct imapd *s, struct imap_args *a)
{
	struct buf utf8 = BUF_INIT;
	const char *text;
	char *name = NULL;

	if (!imap_args_astring(a, &text)) {
		cmd_args_error(s, a);
		return NULL;
	}
	if (!utf7_decode(&utf8, text, strlen(text))) {
		cmd_no(s, "[CANNOT] Invalid mailbox name: Name is not valid mUTF-7");
	} else if (utf8.len == 0) {
		cmd_no(s, "[CANNOT] Invalid mailbox name: Name is empty");
	} else {
		name = arena_strdup(&s->arena, buf_str(&utf8));
		mailstore_inbox_case(s->store, name);
	}
	buf_free(&utf8);
	return name;
}

void imapd_unselect(struct imapd *s)
{
	fetch_place_drop(s);
	if (s->view != NULL) {
		mailbox_close(s->view);
		s->view = NULL;
	}
	s->keywords_told = 0;
}
