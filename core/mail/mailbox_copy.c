/*
 * mailbox_copy - copy and move
 *
 * Moving copies, durably, before it removes; mailbox_move.c has what a crash in between needs.
 */
#include <string.h>

#include "base/mem.h"
#include "mail/mail_driver.h"
#include "mail/mailbox_change.h"
#include "mail/mailbox_move.h"

/* keyword_names - of the bits; to out, pointers into mb. How many */
static size_t keyword_names(const struct mailbox *mb, uint64_t bits, const char *out[64])
{
	size_t n = 0;

	for (int bit = 0; bit < 64; bit++) {
		if ((bits >> bit & 1) && mb->keywords[bit] != NULL) {
			out[n++] = mb->keywords[bit];
		}
	}
	return n;
}

/* copy_one - message i of the source into the append; 1, 0 it is gone, -1 */
static int copy_one(struct mailbox_view *v, uint32_t uid, struct mail_append *a)
{
	struct mailbox *mb = v->mb;
	uint32_t seq = mailbox_seq(v, uid, false);
	int64_t i = mailbox_find(mb, uid);
	const char *names[64], *data;
	struct mail_text *t;
	size_t len, n;
	int rc;

	if (seq == 0 || i < 0) {
		return 0;
	}
	t = mail_open(v, seq);
	if (t == NULL) {
		return mailstore_errno(v->ms) == MAIL_E_NOT_FOUND ? 0 : -1;
	}
	/* Reading may have synced: the place is another now. */
	i = mailbox_find(mb, uid);
	n = i < 0 ? 0 : keyword_names(mb, mailbox_msg(mb, i)->info.keywords, names);
	rc = i < 0 ? 0
		   : mail_append_next(a, mailbox_msg(mb, i)->info.flags, names, n,
			     mailbox_msg(mb, i)->info.received, NULL);
	for (uint64_t at = 0; rc == 0 && at < mail_size(t); at += len) {
		data = mail_bytes(t, at, &len);
		if (data == NULL || mail_append_write(a, data, len) != 0) {
			rc = -1;
		}
	}
	mail_close(t);
	return rc < 0 ? -1 : i >= 0;
}

/* What a copy is of. */
struct copying {
	struct mailbox_view *v;
	const uint32_t *uids;
	size_t count;
	enum mail_copy how;
	uint32_t *moved; /* UIDs that were there, in the order of uids */
	uint32_t *new_uids;
	size_t found;
	uint32_t *uid_validity;
	struct move_note note;
};

/* read_all - those that are there, into the append. 0, 1 they are not to be copied, -1 */
static int read_all(struct copying *c, struct mail_append *a)
{
	for (size_t k = 0; k < c->count; k++) {
		int rc = copy_one(c->v, c->uids[k], a);

		if (rc < 0) {
			return -1;
		}
		if (rc > 0) {
			c->moved[c->found++] = c->uids[k];
		}
	}
	return c->found < c->count && c->how == MAIL_COPY_ALL;
}

/* note_uids - the UIDs given, to those that they were given to; 0 to the others */
static void note_uids(struct copying *c, const uint32_t *given, size_t count)
{
	size_t next = 0;

	for (size_t k = 0; k < c->count && next < count; k++) {
		if (c->uids[k] == c->moved[next]) {
			c->new_uids[k] = given[next++];
		}
	}
	c->found = next;
}

/* copy_durably - all that was read; moving, what was copied is removed. 0 or -1 */
static int copy_durably(struct copying *c, struct mail_append *a)
{
	struct mail_moved moved = { c->moved, c->found };
	uint32_t *given = NULL;
	size_t count = 0;
	int rc;

	if (c->how == MAIL_MOVE && c->found > 0) {
		move_note_write(&c->note, c->v, a->mb, &moved);
	}
	rc = mail_append_end(a, &given, &count, c->uid_validity);
	if (rc == 0) {
		note_uids(c, given, count);
		if (c->how == MAIL_MOVE) {
			rc = mailbox_expunge(c->v, c->moved, c->found, true);
			c->note.open = rc != 0;
		}
	}
	mem_free(given);
	return rc;
}

int mailbox_copy(struct mailbox_view *v, const uint32_t *uids, size_t count, const char *to,
	enum mail_copy how, uint32_t **new_uids_r, uint32_t *uid_validity_r)
{
	struct copying c = { .v = v, .uids = uids, .count = count, .how = how };
	struct mail_append *a = NULL;
	int rc = 0;

	*new_uids_r = NULL;
	*uid_validity_r = 0;
	c.uid_validity = uid_validity_r;
	if (how == MAIL_MOVE) {
		rc = mailbox_writable(v) != 0 ? -1 : move_note_begin(v, &c.note);
		if (rc != 0) {
			return rc;
		}
	}
	a = mail_append_begin(v->ms, to);
	if (a == NULL) {
		move_note_end(&c.note);
		return -1;
	}
	c.moved = mem_calloc(count + 1, sizeof(*c.moved));
	c.new_uids = mem_calloc(count + 1, sizeof(*c.new_uids));
	rc = read_all(&c, a);
	if (rc == 0) {
		rc = copy_durably(&c, a);
	} else {
		mail_append_abort(a);
		rc = rc < 0 ? -1 : 0;
	}
	move_note_end(&c.note);
	if (rc == 0) {
		*new_uids_r = c.new_uids;
	} else {
		mem_free(c.new_uids);
	}
	mem_free(c.moved);
	return rc;
}
