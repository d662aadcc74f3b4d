/*
 * mailbox_change - flags, expunge, copy and move
 *
 * Flags are durable in the index when a call returns. Removing takes the
 * message out of the file first and then out of the index, so a crash in between
 * leaves nothing that the next sync does not see; moving copies, durably, before
 * it removes.
 */
#include "mail/mailbox_change.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "mail/mail_driver.h"
#include "mail/mailbox_move.h"

enum { STORE_LOW = 256 };

static int check_writable(struct mailbox_view *v)
{
	v->mb->ms = v->ms;
	v->ms->code = MAIL_E_NONE;
	return v->read_only ? store_fail(v->ms, MAIL_E_PERM, "Mailbox is read-only") : 0;
}

/* ---- Flags ---- */

/* apply_op - true when anything changed */
static bool apply_op(struct mail_info *info, enum flag_op op, unsigned flags, uint64_t keywords)
{
	unsigned old_flags = info->flags;
	uint64_t old_keywords = info->keywords;

	flags &= ~(unsigned)MAIL_RECENT;
	switch (op) {
	case FLAGS_SET:
		info->flags = flags;
		info->keywords = keywords;
		break;
	case FLAGS_ADD:
		info->flags |= flags;
		info->keywords |= keywords;
		break;
	case FLAGS_REMOVE:
		info->flags &= ~flags;
		info->keywords &= ~keywords;
		break;
	}
	return info->flags != old_flags || info->keywords != old_keywords;
}

/* write_marked - within a change: write what changed of those with a mark (frees marks); 0 or -1 */
static int write_marked(struct mailbox *mb, uint8_t *marks, bool any,
	int (*write)(struct mailbox *mb, const uint8_t *marks))
{
	int rc = any ? write(mb, marks) : 0;

	mem_free(marks);
	if (rc == 0 && any) {
		return mailbox_commit(mb);
	}
	mailbox_rollback(mb);
	return rc;
}

/* One change of flags. */
struct flag_change {
	enum flag_op op;
	unsigned flags;
	uint64_t keywords, unchanged_since;
	uint32_t *failed; /* NULL: not asked for */
	size_t *failed_count;
};

/* store_some - in one transaction; 0 or -1 */
static int store_some(
	struct mailbox *mb, const uint32_t *uids, size_t count, const struct flag_change *c)
{
	bool any = false;
	uint8_t *marks;

	if (mailbox_begin(mb, true) != 0) {
		return -1;
	}
	marks = mem_alloc((size_t)mb->count + 1);
	for (size_t k = 0; k < count; k++) {
		int64_t i = mailbox_find(mb, uids[k]);

		if (i < 0) {
			continue;
		}
		if (mailbox_msg(mb, i)->info.modseq > c->unchanged_since) {
			if (c->failed != NULL && c->failed_count != NULL) {
				c->failed[(*c->failed_count)++] = uids[k];
			}
			continue;
		}
		marks[i] = apply_op(&mailbox_msg(mb, i)->info, c->op, c->flags, c->keywords);
		if (marks[i]) {
			mailbox_touch(mb, (uint32_t)i, true);
			any = true;
		}
	}
	return write_marked(mb, marks, any, mb->store->driver->write_flags);
}

int mailbox_store(struct mailbox_view *v, const uint32_t *uids, size_t count, enum flag_op op,
	unsigned flags, uint64_t keywords, uint64_t unchanged_since, uint32_t *failed,
	size_t *failed_count_r)
{
	struct index *ix = v->mb->store->index;
	struct flag_change c = { op, flags, keywords, unchanged_since, failed, failed_count_r };
	bool low = index_is_low(ix);
	size_t n, before;

	if (failed_count_r != NULL) {
		*failed_count_r = 0;
	}
	if (check_writable(v) != 0) {
		return -1;
	}
	/* On a full disk a few at a time, and from the beginning of the log each time. */
	for (size_t at = 0; at < count; at += n) {
		n = low && count - at > STORE_LOW ? STORE_LOW : count - at;
		before = failed_count_r != NULL ? *failed_count_r : 0;
		if (store_some(v->mb, uids + at, n, &c) == 0) {
			continue;
		}
		if (v->ms->code != MAIL_E_NOSPACE || (low && !index_make_room(ix))) {
			return -1;
		}
		low = true;
		(void)index_make_room(ix);
		v->ms->code = MAIL_E_NONE;
		if (failed_count_r != NULL) {
			*failed_count_r = before;
		}
		n = 0;
	}
	return 0;
}

int mailbox_correct_size(struct mailbox_view *v, uint32_t uid, uint64_t size)
{
	struct mailbox *mb = v->mb;
	int64_t i = mailbox_find(mb, uid);

	mb->ms = v->ms;
	if (!mb->store->driver->size_of_name || i < 0 || mailbox_msg(mb, i)->info.size == size) {
		return 0;
	}
	log_warn("%s: message %u has %llu bytes, its name said %llu", mb->path, uid,
		(unsigned long long)size, (unsigned long long)mailbox_msg(mb, i)->info.size);
	if (mailbox_begin(mb, false) != 0) {
		return -1;
	}
	i = mailbox_find(mb, uid);
	if (i >= 0) {
		mailbox_msg(mb, i)->info.size = size;
		mailbox_touch(mb, (uint32_t)i, false);
	}
	return mailbox_commit(mb);
}

int mailbox_listed(struct mailbox_view *v, const uint32_t *uids, size_t count)
{
	struct mailbox *mb = v->mb;
	bool any = false;
	uint8_t *marks;

	if (mb->store->driver->listed == NULL) {
		return 0;
	}
	if (check_writable(v) != 0 || mailbox_begin(mb, false) != 0) {
		return -1;
	}
	marks = mem_alloc((size_t)mb->count + 1);
	for (size_t k = 0; k < count; k++) {
		int64_t i = mailbox_find(mb, uids[k]);

		if (i >= 0) {
			marks[i] = 1;
			mailbox_touch(mb, (uint32_t)i, false);
			any = true;
		}
	}
	return write_marked(mb, marks, any, mb->store->driver->listed);
}

/* ---- Removing ---- */

/* mark_leaving - one byte a message; how many are marked */
static uint32_t mark_leaving(
	const struct mailbox *mb, const uint32_t *uids, size_t count, bool force, uint8_t *marks)
{
	uint32_t n = 0;

	if (uids == NULL) {
		for (uint32_t i = 0; i < mb->count; i++) {
			n += marks[i] = (mailbox_msg(mb, i)->info.flags & MAIL_DELETED) != 0;
		}
		return n;
	}
	for (size_t k = 0; k < count; k++) {
		int64_t i = mailbox_find(mb, uids[k]);

		if (i >= 0 && !marks[i] &&
			(force || (mailbox_msg(mb, i)->info.flags & MAIL_DELETED))) {
			n += marks[i] = 1;
		}
	}
	return n;
}

/* remove_marked - within a change, locked; 0 or -1 */
static int remove_marked(struct mailbox *mb, const uint32_t *uids, size_t count, bool force)
{
	uint8_t *marks = mem_alloc((size_t)mb->count + 1);
	int rc = 0;

	if (mark_leaving(mb, uids, count, force, marks) == 0) {
		mem_free(marks);
		mailbox_rollback(mb);
		return 0;
	}
	rc = mb->store->driver->expunge(mb, marks);
	if (rc == 0) {
		rc = mailbox_drop(mb, marks);
	}
	if (rc == 0) {
		rc = mb->store->driver->settle(mb);
	}
	mem_free(marks);
	if (rc == 0) {
		return mailbox_commit(mb);
	}
	mb->changed = true;
	mailbox_rollback(mb);
	return -1;
}

/* any_leaving - is it worth locking? */
static bool any_leaving(const struct mailbox *mb, const uint32_t *uids, size_t count, bool force)
{
	uint8_t *marks = mem_alloc((size_t)mb->count + 1);
	bool any = mark_leaving(mb, uids, count, force, marks) > 0;

	mem_free(marks);
	return any;
}

int mailbox_expunge(struct mailbox_view *v, const uint32_t *uids, size_t count, bool force)
{
	struct mailbox *mb = v->mb;
	int rc;

	if (check_writable(v) != 0 || mailbox_refresh(mb) != 0) {
		return -1;
	}
	if (!any_leaving(mb, uids, count, force)) {
		return 0;
	}
	if (mb->store->driver->lock(mb) != 0) {
		return -1;
	}
	rc = mailbox_begin(mb, true);
	if (rc == 0) {
		rc = remove_marked(mb, uids, count, force);
	}
	mb->store->driver->unlock(mb);
	if (rc == 0) {
		index_keep_room(mb->store->index);
	}
	return rc;
}

/* ---- Copying ---- */

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
	c.note.fd = -1;
	if (how == MAIL_MOVE && (check_writable(v) != 0 || move_note_begin(v, &c.note) != 0)) {
		return -1;
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
