/*
 * mbox_rewrite - write flags into an mbox, and take messages out of it
 *
 * Bookkeeping lines are written with room to spare, so most flag changes later
 * overwrite a few bytes in their place. When lengths change, all from the first such
 * message on is built anew in a file of its own first (mbox_install.c puts it in
 * place), so whatever happens meanwhile, the mailbox is as it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "mail/mbox/mbox_driver.h"
#include "mail/mbox/mbox_install.h"

enum { META_ROOM = 24 };

enum action { KEEP, DROP, PATCH /* new bookkeeping in the place of the old */, RESIZE };

struct plan {
	uint32_t i; /* index of the message */
	enum action action;
	uint32_t stays;        /* bytes at the end of a DROP that stay: keep_blank() */
	uint32_t more;         /* and here: they are its end now */
	struct mbox_msg after; /* as it will be */
};

/* ---- Bookkeeping ---- */

static void put_letters(struct buf *out, unsigned flags)
{
	static const struct {
		unsigned flag;
		char letter;
	} letters[] = { { MAIL_ANSWERED, 'A' }, { MAIL_FLAGGED, 'F' }, { MAIL_DRAFT, 'T' },
		{ MAIL_DELETED, 'D' } };

	for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++) {
		if (flags & letters[i].flag) {
			buf_addc(out, letters[i].letter);
		}
	}
}

/* bare_meta - what a mail program writes that knows of no UIDs: Status, X-Status when it says
 * more */
static void bare_meta(struct buf *out, const struct mbox_msg *m)
{
	buf_addf(out, "Status: %sO\n", m->msg.info.flags & MAIL_SEEN ? "R" : "");
	if (m->msg.info.flags & ~(unsigned)(MAIL_SEEN | MAIL_RECENT)) {
		buf_adds(out, "X-Status: ");
		put_letters(out, m->msg.info.flags);
		buf_addc(out, '\n');
	}
}

void mbox_meta(struct buf *out, const struct mailbox *mb, const struct mbox_msg *m, bool first)
{
	if (first) {
		buf_addf(out, "X-IMAPbase: %010u %010u", mb->f.uid_validity, mb->f.uid_next - 1);
		for (int bit = 0; bit < 64 && mb->keywords[bit] != NULL; bit++) {
			buf_addf(out, " %s", mb->keywords[bit]);
		}
		buf_addc(out, '\n');
	}
	if (m->msg.info.uid != 0) {
		buf_addf(out, "X-UID: %u\n", m->msg.info.uid);
	}
	buf_addf(out, "Status: %sO\n", m->msg.info.flags & MAIL_SEEN ? "R" : "");
	buf_adds(out, "X-Status: ");
	put_letters(out, m->msg.info.flags);
	/* Last, because it is filled up with blanks. */
	buf_adds(out, "\nX-Keywords:");
	for (int bit = 0; bit < 64; bit++) {
		if ((m->msg.info.keywords >> bit & 1) && mb->keywords[bit] != NULL) {
			buf_addf(out, " %s", mb->keywords[bit]);
		}
	}
	buf_addc(out, '\n');
}

/* pad - blanks at the end of the last line */
static void pad(struct buf *meta, size_t n)
{
	buf_truncate(meta, meta->len - 1);
	while (n-- > 0) {
		buf_addc(meta, ' ');
	}
	buf_addc(meta, '\n');
}

/* replaced - lines that the new bookkeeping takes the place of */
static bool replaced(bool bare, enum mbox_line_kind kind)
{
	if (bare) {
		return kind == MBOX_STATUS || kind == MBOX_X_STATUS;
	}
	return kind != MBOX_FENCE_LINE && kind != MBOX_LENGTH;
}

/*
 * one_place - where the old lines stand when they follow each other; false: they do not, or there
 * are none
 */
static bool one_place(bool bare, const struct mbox_head *h, uint32_t *at, uint32_t *len)
{
	*at = *len = 0;
	for (size_t k = 0; k < h->hidden_count; k++) {
		if (!replaced(bare, h->hidden[k].kind)) {
			continue;
		}
		if (*len > 0 && *at + *len != h->hidden[k].at) {
			return false;
		}
		if (*len == 0) {
			*at = h->hidden[k].at;
		}
		*len += h->hidden[k].len;
	}
	return *len > 0;
}

/* ---- The plan ---- */

struct rewrite {
	struct mailbox *mb;
	struct plan *plans; /* in the order of the file */
	uint32_t count;
	uint32_t from; /* first whose bytes move; count: none */
	uint32_t lead; /* bytes more before the first message */
	bool bare;     /* Status and X-Status are all the bookkeeping */
};

static int compare_plans(const void *a, const void *b)
{
	uint64_t x = ((const struct plan *)a)->after.offset,
		 y = ((const struct plan *)b)->after.offset;

	return (x > y) - (x < y);
}

static bool wants_meta(const struct mailbox *mb, const struct mbox_msg *m)
{
	/* Without an index that lasts, UIDs have to be in the file. */
	return (m->msg.bits & MSG_DIRTY) ||
		(index_in_memory(mb->store->index) && !mb->store->status_only &&
			!(m->msg.bits & MSG_SAVED_UID));
}

/*
 * blank_line - where the empty line at the end of m's header is; 0, 1 it has none (was cut off), -1
 */
static int blank_line(struct mailbox *mb, const struct mbox_msg *m, uint64_t *at_r)
{
	char end[3] = "\n\n\n";
	size_t n = m->head_len < 3 ? m->head_len : 3;
	ssize_t got = pread(mbox_box(mb)->fd, end + 3 - n, n,
		(off_t)(m->offset + m->from_len + m->head_len - n));

	if (got != (ssize_t)n) {
		errno = got < 0 ? errno : EIO;
		return store_fail_sys(mb->ms, mb->path, "read", "read");
	}
	*at_r = m->offset + m->from_len + m->head_len;
	if (end[2] != '\n') {
		return 1;
	}
	if (n > 0 && end[1] == '\n') {
		*at_r -= 1;
		return 0;
	}
	if (n > 1 && end[1] == '\r' && end[0] == '\n') {
		*at_r -= 2;
		return 0;
	}
	/* Only a header: the separator does as its end. */
	return m->tail_len > 0 && m->from_len + m->head_len + m->tail_len == m->len ? 0 : 1;
}

/* has_uids - has a server that keeps UIDs in it written to the file? */
static bool has_uids(const struct mailbox *mb)
{
	for (uint32_t i = 0; i < mb->count; i++) {
		if (mbox_msg(mb, i)->msg.bits & MSG_SAVED_UID) {
			return true;
		}
	}
	return false;
}

static void put_meta(const struct rewrite *r, const struct plan *p, bool first, struct buf *out)
{
	if (r->bare) {
		bare_meta(out, &p->after);
	} else {
		mbox_meta(out, r->mb, &p->after, first);
	}
}

/* plan_meta - how p's new bookkeeping goes into the file; 0 or -1 */
static int plan_meta(struct rewrite *r, struct plan *p, bool first)
{
	struct mailbox *mb = r->mb;
	struct buf meta = BUF_INIT;
	struct mbox_head h;
	uint32_t at, len, removed = 0, room = r->bare ? 0 : META_ROOM;
	uint64_t blank;
	int rc = blank_line(mb, &p->after, &blank);

	/* To a header that was cut off nothing can be added: the index alone keeps the flags. */
	if (rc != 0) {
		p->after.msg.bits |= MSG_LATE;
		return rc < 0 ? -1 : 0;
	}
	if (mbox_scan_head(mbox_box(mb)->fd, p->after.offset + p->after.from_len, p->after.head_len,
		    &h) != 0) {
		return store_fail_sys(mb->ms, mb->path, "read", "read");
	}
	put_meta(r, p, first, &meta);
	if (one_place(r->bare, &h, &at, &len) && (r->bare ? meta.len == len : meta.len <= len)) {
		p->action = PATCH;
	} else {
		p->action = RESIZE;
		for (size_t k = 0; k < h.hidden_count; k++) {
			removed += replaced(r->bare, h.hidden[k].kind) ? h.hidden[k].len : 0;
		}
		p->after.len += meta.len + room - removed;
		p->after.head_len += (uint32_t)meta.len + room - removed;
		p->after.cut += (uint32_t)meta.len + room - removed;
	}
	p->after.msg.bits &= ~(uint32_t)(MSG_DIRTY | MSG_LATE);
	p->after.msg.bits |= r->bare ? MSG_HIDDEN : MSG_HIDDEN | MSG_SAVED_UID;
	buf_free(&meta);
	return 0;
}

/*
 * keep_blank - many a From_ line is one because of the empty line before it (mbox_scan.c). last is
 * dropped and the message behind it stays: where before (NULL: what is before the first message)
 * has no empty line at its end and last has, that stays. 0 or -1
 */
static int keep_blank(struct rewrite *r, struct plan *before, struct plan *last)
{
	struct mailbox *mb = r->mb;
	const struct mbox_msg *b = mbox_msg(mb, before != NULL ? before->i : r->plans[0].i);
	const struct mbox_msg *m = mbox_msg(mb, last->i);
	int lacks = mbox_separator(mbox_box(mb)->fd, b->offset + (before != NULL ? b->len : 0));
	int lost = lacks > 0 ? mbox_separator(mbox_box(mb)->fd, m->offset + m->len) : 1;

	if (lacks < 0 || lost < 0) {
		return store_fail_sys(mb->ms, mb->path, "read", "read");
	}
	if (lost > 0) {
		return 0;
	}
	last->stays = 1;
	if (before != NULL) {
		before->more = 1;
		before->after.len++;
		before->after.tail_len++;
	} else {
		r->lead = 1;
	}
	return 0;
}

/* keep_blanks - for all that stay behind some that are dropped; 0 or -1 */
static int keep_blanks(struct rewrite *r)
{
	struct plan *before = NULL;

	r->lead = 0;
	for (uint32_t k = 0; k < r->count; k++) {
		if (r->plans[k].action == DROP) {
			continue;
		}
		if (k > 0 && r->plans[k - 1].action == DROP &&
			keep_blank(r, before, &r->plans[k - 1]) != 0) {
			return -1;
		}
		before = &r->plans[k];
	}
	return 0;
}

/* make_plan - what happens to each message; 0 or -1 */
static int make_plan(struct rewrite *r, const uint8_t *drop, uint64_t limit)
{
	struct mailbox *mb = r->mb;
	bool first = true;
	uint64_t end = 0;

	r->plans = mem_calloc((size_t)mb->count + 1, sizeof(*r->plans));
	r->count = mb->count;
	r->bare = mb->store->status_only && !has_uids(mb);
	for (uint32_t i = 0; i < mb->count; i++) {
		r->plans[i].i = i;
		r->plans[i].after = *mbox_msg(mb, i);
	}
	qsort(r->plans, r->count, sizeof(*r->plans), compare_plans);
	r->from = r->count;
	if (r->count > 0) {
		end = r->plans[r->count - 1].after.offset + r->plans[r->count - 1].after.len;
	}
	for (uint32_t k = 0; k < r->count; k++) {
		struct plan *p = &r->plans[k];

		/* X-IMAPbase moves to the message that is first now. */
		if (drop != NULL && drop[p->i]) {
			p->action = DROP;
		} else if ((wants_meta(mb, &p->after) ||
				   (first && k > 0 && (p->after.msg.bits & MSG_SAVED_UID))) &&
			plan_meta(r, p, first) != 0) {
			return -1;
		}
		first = first && p->action == DROP;
		/* Once something moves, all behind it moves anyway. */
		if (p->action == RESIZE && r->from == r->count && end - p->after.offset > limit) {
			p->action = KEEP;
			p->after = *mbox_msg(mb, p->i);
			p->after.msg.bits |= MSG_LATE;
		}
		if ((p->action == DROP || p->action == RESIZE) && r->from == r->count) {
			r->from = k;
		}
	}
	return keep_blanks(r);
}

/* ---- Carrying it out ---- */

/* new_meta - the bookkeeping of p, filled up to len bytes (0: with room to spare) */
static void new_meta(
	struct rewrite *r, const struct plan *p, bool first, size_t len, struct buf *out)
{
	buf_reset(out);
	put_meta(r, p, first, out);
	pad(out, len > 0 ? len - out->len : r->bare ? 0 : META_ROOM);
}

/* patch - overwrite the bookkeeping of p where it stands in the mailbox; 0 or -1 */
static int patch(struct rewrite *r, const struct plan *p, bool first)
{
	struct mailbox *mb = r->mb;
	const struct mbox_msg *m = mbox_msg(mb, p->i);
	struct buf meta = BUF_INIT;
	struct mbox_head h;
	uint32_t at, len;
	int rc = -1;

	if (mbox_scan_head(mbox_box(mb)->fd, p->after.offset + m->from_len, m->head_len, &h) == 0 &&
		one_place(r->bare, &h, &at, &len)) {
		new_meta(r, p, first, len, &meta);
		rc = pwrite(mbox_box(mb)->fd, meta.data, meta.len,
			     (off_t)(p->after.offset + m->from_len + at)) == (ssize_t)meta.len
			? 0
			: -1;
	}
	buf_free(&meta);
	return rc == 0 ? 0 : store_fail_sys(mb->ms, mb->path, "write", "read and write");
}

/* copy_changed - a message with new bookkeeping into the new tail; 0 or -1 */
static int copy_changed(
	struct rewrite *r, const struct plan *p, bool first, struct mbox_install *in)
{
	struct mailbox *mb = r->mb;
	const struct mbox_msg *m = mbox_msg(mb, p->i);
	uint64_t head = m->offset + m->from_len, at = m->offset, blank;
	struct buf meta = BUF_INIT;
	struct mbox_head h;
	uint32_t place, len = 0;
	int rc = 0;

	if (mbox_scan_head(mbox_box(mb)->fd, head, m->head_len, &h) != 0) {
		return store_fail_sys(mb->ms, mb->path, "read", "read");
	}
	if (p->action == PATCH) {
		one_place(r->bare, &h, &place, &len);
	}
	new_meta(r, p, first, len, &meta);
	for (size_t k = 0; k < h.hidden_count && rc == 0; k++) {
		if (!replaced(r->bare, h.hidden[k].kind)) {
			continue;
		}
		rc = mbox_install_copy(in, at, head + h.hidden[k].at - at);
		at = head + h.hidden[k].at + h.hidden[k].len;
	}
	/* Before the empty line. */
	if (blank_line(mb, m, &blank) != 0) {
		rc = -1;
	}
	if (rc == 0) {
		rc = mbox_install_copy(in, at, blank - at);
	}
	if (rc == 0) {
		rc = mbox_install_add(in, meta.data, meta.len);
	}
	if (rc == 0) {
		rc = mbox_install_copy(in, blank, m->offset + m->len - blank);
	}
	buf_free(&meta);
	return rc;
}

/* build_tail - all from r->from on as it will be; 0 or -1 */
static int build_tail(struct rewrite *r, struct mbox_install *in, uint64_t start)
{
	struct mailbox *mb = r->mb;
	uint64_t at = start;
	bool first = true;
	int rc = 0;

	for (uint32_t k = 0; k < r->count && rc == 0; k++) {
		struct plan *p = &r->plans[k];

		if (p->action == DROP) {
			if (p->stays > 0) {
				const struct mbox_msg *m = mbox_msg(mb, p->i);

				rc = mbox_install_copy(in, m->offset + m->len - p->stays, p->stays);
			}
			at += p->stays;
			continue;
		}
		if (k >= r->from) {
			if (p->action == KEEP) {
				rc = mbox_install_copy(
					in, mbox_msg(mb, p->i)->offset, mbox_msg(mb, p->i)->len);
			} else {
				rc = copy_changed(r, p, first, in);
			}
			p->after.offset = at;
			at += p->after.len - p->more;
		}
		first = false;
	}
	return rc;
}

/* settle - the messages as they are in the file now */
static void settle(struct rewrite *r)
{
	struct mailbox *mb = r->mb;

	mb->f.sig[4] += r->lead;
	for (uint32_t k = 0; k < r->count; k++) {
		struct plan *p = &r->plans[k];
		bool late;

		if (p->action == DROP) {
			continue;
		}
		late = p->after.msg.bits != mbox_msg(mb, p->i)->msg.bits;
		*mbox_msg(mb, p->i) = p->after;
		if (p->action != KEEP || late || p->more > 0) {
			mailbox_touch(mb, p->i, false);
		}
	}
}

/* patch_all - those before the new tail; 0 or -1 */
static int patch_all(struct rewrite *r)
{
	bool first = true;
	int rc = 0;

	for (uint32_t k = 0; k < r->from && rc == 0; k++) {
		if (r->plans[k].action == PATCH) {
			rc = patch(r, &r->plans[k], first);
		}
		first = false;
	}
	return rc;
}

/* rewrite - all as it should be; whole: by a new file, where that can be. 0 or -1 */
static int rewrite(struct rewrite *r, const uint8_t *drop, uint64_t limit, bool whole)
{
	struct mailbox *mb = r->mb;
	struct mbox_install in;
	uint64_t start;
	int rc = make_plan(r, drop, limit);

	if (rc == 0) {
		rc = patch_all(r);
	}
	if (rc == 0 && r->from < r->count) {
		start = r->plans[r->from].after.offset;
		rc = mbox_install_begin(&in, mb, start, whole);
		if (rc == 0) {
			/* As it was read: mail that came since, without a lock, would be gone. */
			in.old_size = (uint64_t)mb->f.sig[2];
			rc = build_tail(r, &in, start);
			rc = rc == 0 ? mbox_install_end(&in) : mbox_install_abort(&in);
		}
	} else if (rc == 0) {
		rc = fdatasync(mbox_box(mb)->fd) == 0
			? 0
			: store_fail_sys(mb->ms, mb->path, "write", "read and write");
	}
	return rc;
}

/* is_full - did the last call fail for want of room? */
static bool is_full(const struct mailbox *mb, int rc)
{
	return rc != 0 && mb->ms->code == MAIL_E_NOSPACE;
}

/* only_remove - the disk is full: messages go, and nothing else is written. 0 or -1 */
static int only_remove(struct rewrite *r, const uint8_t *drop)
{
	struct mailbox *mb = r->mb;
	struct mbox_part *kept = mem_calloc((size_t)r->count + 1, sizeof(*kept));
	uint64_t start, at;
	size_t n = 0;
	int rc;

	for (r->from = 0; r->from < r->count && !drop[r->plans[r->from].i]; r->from++) {
		r->plans[r->from].action = KEEP;
	}
	start = at = mbox_msg(mb, r->plans[r->from].i)->offset;
	for (uint32_t k = 0; k < r->count; k++) {
		struct plan *p = &r->plans[k];

		p->after = *mbox_msg(mb, p->i);
		if (p->after.msg.bits & MSG_DIRTY) {
			p->after.msg.bits |= MSG_LATE;
		}
		if (p->action == DROP && p->stays > 0) {
			kept[n++] = (struct mbox_part){ p->after.offset + p->after.len - p->stays,
				p->stays };
			at += p->stays;
		} else if (k >= r->from && p->action != DROP) {
			p->action = KEEP;
			kept[n++] = (struct mbox_part){ p->after.offset, p->after.len };
			p->after.offset = at;
			at += p->after.len;
		}
		p->after.len += p->more;
		p->after.tail_len += p->more;
	}
	rc = mbox_slide(mb, start, kept, n);
	mem_free(kept);
	/*
	 * No room even for a journal, and all behind start goes: without one, a power cut in this
	 * moment may leave zeros and part of what went, but the disk stays full for ever otherwise.
	 */
	if (n == 0 && is_full(mb, rc)) {
		if (ftruncate(mbox_box(mb)->fd, (off_t)start) != 0 ||
			fdatasync(mbox_box(mb)->fd) != 0) {
			return store_fail_sys(mb->ms, mb->path, "write", "read and write");
		}
		mb->ms->code = MAIL_E_NONE;
		rc = 0;
	}
	return rc;
}

/*
 * stays_listed - message m is about to be the first: its X-IMAP, if it has one, would hide it. One
 * byte makes the line say nothing, and does it where there is no room for more. 0 or -1
 */
static int stays_listed(struct mailbox *mb, const struct mbox_msg *m)
{
	uint64_t at = m->offset + m->from_len;
	char name[sizeof(MBOX_PSEUDO) - 1];
	struct mbox_head h;

	if (mbox_scan_head(mbox_box(mb)->fd, at, m->head_len, &h) != 0) {
		return store_fail_sys(mb->ms, mb->path, "read", "read");
	}
	for (size_t k = 0; h.pseudo && k < h.hidden_count; k++) {
		uint64_t line = at + h.hidden[k].at;

		if (h.hidden[k].kind != MBOX_BASE || h.hidden[k].len <= sizeof(name) ||
			pread(mbox_box(mb)->fd, name, sizeof(name), (off_t)line) != sizeof(name) ||
			strncasecmp(name, MBOX_PSEUDO, sizeof(name)) != 0) {
			continue;
		}
		/* "X-IMAP:x1 2": no number. */
		if (pwrite(mbox_box(mb)->fd, "x", 1, (off_t)(line + sizeof(name))) != 1) {
			return store_fail_sys(mb->ms, mb->path, "write", "read and write");
		}
	}
	return 0;
}

/* unhide - the message that will be the first is not taken for the folder's own data; 0 or -1 */
static int unhide(struct mailbox *mb, const uint8_t *drop)
{
	const struct mbox_msg *first = NULL;
	bool moves = false;

	for (uint32_t i = 0; drop != NULL && i < mb->count; i++) {
		if (!drop[i] && (first == NULL || mbox_msg(mb, i)->offset < first->offset)) {
			first = mbox_msg(mb, i);
		}
	}
	for (uint32_t i = 0; first != NULL && i < mb->count && !moves; i++) {
		moves = drop[i] && mbox_msg(mb, i)->offset < first->offset;
	}
	return moves ? stays_listed(mb, first) : 0;
}

int mbox_rewrite(struct mailbox *mb, const uint8_t *drop, uint64_t limit)
{
	struct rewrite r = { .mb = mb };
	int rc;

	if (mbox_box(mb)->fd < 0) {
		return 0;
	}
	rc = unhide(mb, drop);
	if (rc == 0) {
		rc = rewrite(&r, drop, limit, true);
	}
	/* Taking mail out has to be possible when nothing else is. */
	if (drop != NULL && is_full(mb, rc)) {
		mem_free(r.plans);
		(void)index_make_room(mb->store->index);
		rc = rewrite(&r, drop, limit, false);
	}
	if (drop != NULL && is_full(mb, rc)) {
		rc = only_remove(&r, drop);
	}
	if (rc == 0) {
		settle(&r);
	}
	mem_free(r.plans);
	return rc;
}
