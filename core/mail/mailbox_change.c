/*
 * mailbox_change - flags
 *
 * They are durable in the index when a call returns.
 */
#include "mail/mailbox_change.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "mail/mail_driver.h"
#include "mail/mailbox_view.h"

enum { STORE_LOW = 256 };

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
	if (mailbox_writable(v) != 0) {
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
	if (mailbox_writable(v) != 0 || mailbox_begin(mb, false) != 0) {
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
