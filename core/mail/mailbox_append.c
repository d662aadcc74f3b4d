/*
 * mailbox_append - new messages into a folder
 *
 * A client may take minutes for its 40 MB, so nothing is locked while the
 * bytes come in: they are collected in memory, and in a nameless file once they
 * are many. mail_append_end() locks, writes all of them, syncs once, and gives UIDs.
 */
#include "mail/mailbox_append.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "mail/mail_driver.h"

enum { SPOOL_MEMORY = 256 * 1024 };

struct mail_append *mail_append_begin(struct mailstore *ms, const char *folder)
{
	struct mailbox *mb;
	struct mail_append *a;

	ms->code = MAIL_E_NONE;
	mb = mailbox_get(ms, folder);
	if (mb == NULL) {
		return NULL;
	}
	a = mem_alloc(sizeof(*a));
	a->ms = ms;
	a->mb = mb;
	a->fd = -1;
	return a;
}

/* spool_add - 0 or -1 */
static int spool_add(struct mail_append *a, const char *data, size_t len)
{
	buf_add(&a->memory, data, len);
	a->items[a->count - 1].len += len;
	if (a->memory.len < SPOOL_MEMORY) {
		return 0;
	}
	if (a->fd < 0) {
		char name[] = "/tmp/pillarbox-XXXXXX";

		a->fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		if (a->fd < 0) {
			a->fd = mkostemp(name, O_CLOEXEC);
			if (a->fd >= 0) {
				unlink(name);
			}
		}
		if (a->fd < 0) {
			return store_fail_sys(a->ms, "/tmp", "make a temporary file in", "write");
		}
	}
	if (fd_write_all(a->fd, a->memory.data, a->memory.len) != 0) {
		return store_fail_sys(a->ms, "/tmp", "write a temporary file in", "write");
	}
	a->spooled += a->memory.len;
	buf_reset(&a->memory);
	return 0;
}

/* end_item - a CR that was held back was the last byte */
static int end_item(struct mail_append *a)
{
	bool cr = a->last_cr;

	a->last_cr = false;
	return cr ? spool_add(a, "\r", 1) : 0;
}

int mail_append_next(struct mail_append *a, unsigned flags, const char *const *keywords,
	size_t keyword_count, time_t received, const char *envelope_sender)
{
	struct append_item *it;
	struct buf names = BUF_INIT;

	if (a->count > 0 && end_item(a) != 0) {
		return -1;
	}
	if (a->count == a->cap) {
		a->cap = a->cap * 2 + 4;
		a->items = mem_realloc(a->items, a->cap * sizeof(*a->items));
	}
	for (size_t i = 0; i < keyword_count; i++) {
		buf_addf(&names, "%s%s", i > 0 ? " " : "", keywords[i]);
	}
	it = &a->items[a->count];
	memset(it, 0, sizeof(*it));
	it->offset = a->spooled + a->memory.len;
	it->flags = flags & ~(unsigned)MAIL_RECENT;
	it->keywords = keyword_count > 0 ? buf_steal(&names) : NULL;
	it->received = received != MAIL_NOW ? received : time(NULL);
	it->sender = mem_strdup(envelope_sender);
	a->count++;
	return 0;
}

int mail_append_write(struct mail_append *a, const void *data, size_t len)
{
	const char *p = data, *end = p + len;

	while (p < end) {
		const char *cr;

		if (a->last_cr) {
			a->last_cr = false;
			if (*p != '\n' && spool_add(a, "\r", 1) != 0) {
				return -1;
			}
		}
		cr = memchr(p, '\r', (size_t)(end - p));
		if (cr == NULL) {
			return spool_add(a, p, (size_t)(end - p));
		}
		if (cr > p && spool_add(a, p, (size_t)(cr - p)) != 0) {
			return -1;
		}
		a->last_cr = true;
		p = cr + 1;
	}
	return 0;
}

int64_t append_read(struct mail_append *a, uint64_t offset, void *data, size_t len)
{
	ssize_t n;

	if (offset < a->spooled) {
		if (a->spooled - offset < len) {
			len = (size_t)(a->spooled - offset);
		}
		do {
			n = pread(a->fd, data, len, (off_t)offset);
		} while (n < 0 && errno == EINTR);
		if (n <= 0) {
			store_fail_sys(a->ms, "/tmp", "read a temporary file in", "read");
		}
		return n;
	}
	offset -= a->spooled;
	if (offset > a->memory.len) {
		return 0;
	}
	if (a->memory.len - offset < len) {
		len = (size_t)(a->memory.len - offset);
	}
	memcpy(data, a->memory.data + offset, len);
	return (int64_t)len;
}

void mail_append_abort(struct mail_append *a)
{
	if (a == NULL) {
		return;
	}
	a->mb->ms = a->ms;
	mailbox_put(a->mb);
	for (size_t i = 0; i < a->count; i++) {
		mem_free(a->items[i].keywords);
		mem_free(a->items[i].sender);
	}
	mem_free(a->items);
	buf_free(&a->memory);
	if (a->fd >= 0) {
		close(a->fd);
	}
	mem_free(a);
}

/* append_all - locked; the UIDs are those of the last messages then. 0 or -1 */
static int append_all(struct mail_append *a)
{
	struct mailbox *mb = a->mb;
	const struct mail_driver *driver = mb->store->driver;
	int rc;

	/*
	 * The files are synced, and the next sync would find the same: the index may follow later.
	 */
	if (mailbox_begin(mb, false) != 0) {
		return -1;
	}
	rc = driver->append(mb, a);
	if (rc == 0) {
		rc = driver->settle(mb);
	}
	if (rc == 0) {
		return mailbox_commit(mb);
	}
	mb->changed = true;
	mailbox_rollback(mb);
	return -1;
}

int mail_append_end(
	struct mail_append *a, uint32_t **uids_r, size_t *count_r, uint32_t *uid_validity_r)
{
	struct mailbox *mb = a->mb;
	int rc = a->count > 0 ? end_item(a) : 0;

	mb->ms = a->ms;
	a->ms->code = MAIL_E_NONE;
	if (rc == 0 && a->count > 0) {
		rc = mb->store->driver->lock(mb);
		if (rc == 0) {
			rc = append_all(a);
			mb->store->driver->unlock(mb);
		}
	}
	if (rc == 0 && uids_r != NULL) {
		*uids_r = mem_calloc(a->count + 1, sizeof(**uids_r));
		for (size_t i = 0; i < a->count; i++) {
			(*uids_r)[i] = mailbox_msg(mb, mb->count - a->count + i)->info.uid;
		}
	}
	if (count_r != NULL) {
		*count_r = rc == 0 ? a->count : 0;
	}
	if (uid_validity_r != NULL) {
		*uid_validity_r = mb->f.uid_validity;
	}
	mail_append_abort(a);
	return rc;
}
