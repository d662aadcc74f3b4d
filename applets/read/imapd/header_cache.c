/*
 * header_cache - fields that lists and searches want, from the index
 *
 * What mutt, Thunderbird, Apple Mail and webmail programs ask for in
 * BODY[HEADER.FIELDS (...)] decides which fields are kept. They are kept as they
 * stand, in the order of the header, so that the answer is the same with and without
 * the cache. Only messages that were asked about are in it.
 */
#include "applets/read/imapd/header_cache.h"

#include "mime/header.h"

enum { KEPT_MAX = 16384 }; /* bytes; larger headers are read from the message each time */

static const char kept[][28] = { "from", "to", "cc", "bcc", "subject", "date", "message-id",
	"in-reply-to", "references", "reply-to", "sender", "content-type", "content-description",
	"content-transfer-encoding", "mime-version", "priority", "x-priority", "importance",
	"newsgroups", "followup-to", "mail-followup-to", "lines", "list-id", "list-post",
	"list-subscribe", "list-unsubscribe", "x-label", "x-original-to", "delivered-to",
	"x-mailer", "user-agent", "x-draft-info", "disposition-notification-to", "x-spam-flag",
	"x-spam-status", "x-spam-level", "auto-submitted", "precedence", "x-mailing-list" };

/* keeps - the same for a slice */
static bool keeps(struct slice field)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(kept); i++) {
		if (slice_ieq(field, kept[i])) {
			return true;
		}
	}
	return false;
}

bool header_cache_keeps(const char *field)
{
	return keeps(slice_of(field));
}

bool header_cache_serves(const struct imap_section *sec)
{
	size_t i;

	if (sec->path_count > 0 || sec->kind != IMAP_SECTION_FIELDS) {
		return false;
	}
	for (i = 0; i < sec->field_count; i++) {
		if (!header_cache_keeps(sec->fields[i])) {
			return false;
		}
	}
	return true;
}

bool header_cache_get(struct mailbox_view *v, uint32_t uid, struct buf *out)
{
	buf_reset(out);
	return mailbox_cache_get(v, uid, 'H', out) == 1;
}

void header_cache_put(struct mailbox_view *v, uint32_t uid, struct slice header)
{
	struct buf b = BUF_INIT;
	struct mime_field f;
	bool cr;

	while (mime_field_next(&header, &f)) {
		if (keeps(f.name)) {
			cr = false;
			mime_to_wire(&b, f.raw.ptr, f.raw.len, &cr);
			if (b.data[b.len - 1] != '\n') {
				buf_adds(&b, "\r\n");
			}
		}
	}
	buf_adds(&b, "\r\n");
	if (b.len <= KEPT_MAX) {
		mailbox_cache_put(v, uid, 'H', b.data, b.len);
	}
	buf_free(&b);
}
