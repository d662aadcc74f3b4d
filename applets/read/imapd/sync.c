/*
 * sync - tell the client what happened to the mailbox it has open
 *
 * Called after every command that may be followed by untagged responses, and while
 * the client idles. Numbers change only here.
 *
 * RFC 3501 5.2, 7.3, 7.4; RFC 7162 3.1.2 (MODSEQ with flags)
 */
#include "applets/read/imapd/sync.h"

#include <string.h>

#include "base/log.h"
#include "applets/read/imapd/reply.h"

struct teller {
	struct imapd *s;
	struct buf *out;
	uint32_t known; /* messages, as the client counts them */
};

/* known_keywords - bits of the keywords that the mailbox has */
static uint64_t known_keywords(struct imapd *s)
{
	uint64_t bits = 0;
	int i;

	for (i = 0; i < 64; i++) {
		if (mailbox_keyword(s->view, i) != NULL) {
			bits |= (uint64_t)1 << i;
		}
	}
	return bits;
}

void tell_keywords(struct imapd *s, struct buf *out, bool force)
{
	const unsigned all = IMAP_SEEN | IMAP_ANSWERED | IMAP_FLAGGED | IMAP_DELETED | IMAP_DRAFT;
	uint64_t keywords = known_keywords(s);

	if (!force && keywords == s->keywords_told) {
		return;
	}
	s->keywords_told = keywords;
	buf_adds(out, "* FLAGS ");
	put_flags(s, out, all, keywords);
	buf_adds(out, "\r\n* OK [PERMANENTFLAGS ");
	if (mailbox_read_only(s->view)) {
		buf_adds(out, "()] Read-only mailbox.\r\n");
		return;
	}
	put_flags(s, out, all, keywords);
	buf_truncate(out, out->len - 1);
	buf_adds(out, " \\*)] Flags permitted.\r\n");
}

/* is_quiet - the flags of this message were told, or the client does not want to hear */
static bool is_quiet(const struct imapd *s, uint32_t uid)
{
	size_t low = 0, high = s->quiet_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->quiet[mid] < uid) {
			low = mid + 1;
		} else {
			high = mid;
		}
	}
	return low < s->quiet_count && s->quiet[low] == uid;
}

void imapd_condstore(struct imapd *s, struct buf *out)
{
	if (!s->condstore && s->view != NULL) {
		buf_addf(out, "* OK [HIGHESTMODSEQ %llu] Highest\r\n",
			(unsigned long long)mailbox_highest_modseq(s->view));
	}
	s->condstore = true;
}

void tell_flags_of(struct imapd *s, struct buf *out, uint32_t seq)
{
	const struct mail_info *info = mailbox_info(s->view, seq);
	unsigned flags = info->flags & ~(unsigned)IMAP_RECENT;

	if (info->keywords & ~s->keywords_told) {
		tell_keywords(s, out, false);
	}
	if (mailbox_recent(s->view, seq)) {
		flags |= IMAP_RECENT;
	}
	buf_addf(out, "* %u FETCH (", seq);
	if (s->uid_with_flags) {
		buf_addf(out, "UID %u ", info->uid);
	}
	if (s->condstore) {
		buf_addf(out, "MODSEQ (%llu) ", (unsigned long long)info->modseq);
	}
	buf_adds(out, "FLAGS ");
	put_flags(s, out, flags, info->keywords);
	buf_adds(out, ")\r\n");
}

static void on_expunged(void *arg, uint32_t seq, uint32_t uid)
{
	struct teller *t = arg;

	(void)uid;
	buf_addf(t->out, "* %u EXPUNGE\r\n", seq);
	t->known--;
}

static void on_flags(void *arg, uint32_t seq)
{
	struct teller *t = arg;
	const struct mail_info *info = mailbox_info(t->s->view, seq);

	if (!is_quiet(t->s, info->uid)) {
		tell_flags_of(t->s, t->out, seq);
	} else if (t->s->condstore && !t->s->quiet_follows) {
		/* RFC 7162 3.1.3: .SILENT hides flags, not the new mod-sequence */
		buf_addf(t->out, "* %u FETCH (", seq);
		if (t->s->uid_with_flags) {
			buf_addf(t->out, "UID %u ", info->uid);
		}
		buf_addf(t->out, "MODSEQ (%llu))\r\n", (unsigned long long)info->modseq);
	}
}

static void on_exists(void *arg, uint32_t count, uint32_t recent)
{
	struct teller *t = arg;

	if (count != t->known) {
		buf_addf(t->out, "* %u EXISTS\r\n", count);
	}
	buf_addf(t->out, "* %u RECENT\r\n", recent);
}

void imapd_sync(struct imapd *s, struct buf *out, bool expunges)
{
	struct teller t = { s, out, s->view != NULL ? mailbox_count(s->view) : 0 };
	struct mailbox_changes changes = { on_expunged, on_flags, on_exists, &t };

	if (s->view == NULL) {
		return;
	}
	if (mailbox_view_sync(s->view, expunges, &changes) != 0 &&
		mailstore_errno(s->store) != MAIL_E_BUSY) {
		log_error("imap(%s): %s: %s", s->user, mailbox_name(s->view),
			mailstore_error(s->store));
		if (mailstore_errno(s->store) == MAIL_E_NOT_FOUND) {
			buf_adds(out, "* BYE Mailbox was deleted under us\r\n");
			s->why = "Mailbox was deleted";
			s->closing = true;
		}
	}
	s->quiet = NULL;
	s->quiet_count = 0;
	s->quiet_follows = false;
}
