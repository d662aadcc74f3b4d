/*
 * deliver_mbox - append a batch to an mbox file
 *
 *	open safely -> lock -> (find suspects, cut a torn tail) -> append -> fdatasync -> unlock
 *
 * The file must be a regular one with a single name that belongs to the recipient; it is
 * looked at before and after opening, so that neither a link, a FIFO nor a device
 * put in its place is followed. What cannot be written whole is
 * cut off again; whole messages of the batch before it stay.
 *
 * Mail programs put a new file in a mailbox's place (rename). Who has the lock looks whether the
 * file is the mailbox still, and looks again when all is on the disk: a program that does not
 * wait for locks may have copied the mailbox before, and what went into the file it took
 * away is nobody's. Then the mail is looked for in the new one, and added where it is not.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "mail/mbox/mbox_format.h"
#include "deliver/deliver_impl.h"

enum { WRITE_BUFFER = 256 * 1024, REOPEN_MAX = 5, TOUCH_SECONDS = 30 };

static const char NOT_REGULAR[] = "is not a regular file";
static const char HAS_LINKS[] = "has hard links";
static const char NOT_OWNER[] = "is not owned by the recipient";
static const char CANNOT_OPEN[] = "cannot open";
static const char REPLACED[] = "is being replaced";

/* check_file - may mail be put into this? NULL: yes */
static const char *check_file(const struct stat *st, bool any_owner)
{
	if (!S_ISREG(st->st_mode)) {
		return NOT_REGULAR;
	}
	if (st->st_nlink != 1) {
		return HAS_LINKS;
	}
	if (!any_owner && st->st_uid != geteuid()) {
		return NOT_OWNER;
	}
	return NULL;
}

/* open_existing - the descriptor, or -1 with errno (EBUSY: replaced this moment) and *why_r */
static int open_existing(const char *path, bool any_owner, const char **why_r)
{
	struct stat before, st;
	int fd;

	*why_r = CANNOT_OPEN;
	if (lstat(path, &before) != 0) {
		return -1;
	}
	*why_r = check_file(&before, any_owner);
	if (*why_r != NULL) {
		errno = EPERM;
		return -1;
	}
	*why_r = CANNOT_OPEN;
	fd = open(path, O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0) {
		return -1;
	}
	/* Without a name, or another one: a reader has just put a new file in its place. */
	if (fstat(fd, &st) != 0 || st.st_nlink == 0 || st.st_ino != before.st_ino ||
		st.st_dev != before.st_dev) {
		close(fd);
		*why_r = REPLACED;
		errno = EBUSY;
		return -1;
	}
	*why_r = check_file(&st, any_owner);
	if (*why_r != NULL) {
		close(fd);
		errno = EPERM;
		return -1;
	}
	return fd;
}

/* open_file - existing or new; -1 with errno */
static int open_file(struct deliver_mbox *m, const char *path, const struct deliver_how *how,
	bool create, const char **why_r)
{
	int fd = open_existing(path, how->any_owner, why_r);

	if (fd < 0 && errno == ENOENT && create) {
		fd = open(path,
			O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC,
			0600);
		if (fd >= 0) {
			m->created = true;
		} else if (errno == EEXIST) {
			fd = open_existing(path, how->any_owner, why_r);
		}
	}
	return fd;
}

/* still_there - is path the file that fd has open? */
static bool still_there(const char *path, int fd, off_t *size_r)
{
	struct stat a, b;

	if (fstat(fd, &a) != 0 || lstat(path, &b) != 0) {
		return false;
	}
	*size_r = a.st_size;
	return a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

int deliver_mbox_open(struct deliver_mbox *m, const char *path, const struct deliver_how *how,
	bool create, const char **why_r)
{
	memset(m, 0, sizeof(*m));
	for (int tries = 0; tries < REOPEN_MAX; tries++) {
		int saved;

		m->fd = open_file(m, path, how, create, why_r);
		if (m->fd < 0 && errno == EBUSY) {
			continue;
		}
		if (m->fd < 0) {
			return -1;
		}
		m->lock = mailbox_lock(path, m->fd, true, how->lock_ms);
		if (m->lock != NULL && still_there(path, m->fd, &m->size)) {
			return 0;
		}
		saved = m->lock == NULL ? errno : EBUSY;
		deliver_mbox_close(m);
		if (saved != EBUSY) {
			*why_r = CANNOT_OPEN;
			errno = saved;
			return -1;
		}
	}
	/* By one who is busy with it: as good as locked. */
	*why_r = REPLACED;
	errno = EAGAIN;
	return -1;
}

void deliver_mbox_close(struct deliver_mbox *m)
{
	mailbox_unlock(m->lock);
	m->lock = NULL;
	if (m->fd >= 0) {
		close(m->fd);
		m->fd = -1;
	}
}

/* Bytes on their way into the file. */
struct writer {
	struct deliver_mbox *m;
	char *data; /* WRITE_BUFFER bytes */
	size_t used;
	off_t end;   /* of the file as written so far */
	off_t limit; /* highest end allowed */
	int error;   /* errno of the write that failed */
	time_t touched;
};

/* WRITER_FULL: past the limit; WRITER_FAILED: w->error. */
enum { WRITER_FULL = 1, WRITER_FAILED = 2 };

static int writer_flush(struct writer *w)
{
	size_t done = 0;
	time_t now = time(NULL);

	while (done < w->used) {
		ssize_t n = write(w->m->fd, w->data + done, w->used - done);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			w->error = n < 0 ? errno : EIO;
			w->used = 0;
			return WRITER_FAILED;
		}
		done += (size_t)n;
		w->end += n;
	}
	w->used = 0;
	if (now - w->touched >= TOUCH_SECONDS) {
		mailbox_lock_touch(w->m->lock);
		w->touched = now;
	}
	return 0;
}

static int writer_put(void *arg, const char *data, size_t len)
{
	struct writer *w = arg;

	if (w->end + (off_t)w->used + (off_t)len > w->limit) {
		return WRITER_FULL;
	}
	while (len > 0) {
		size_t n = WRITE_BUFFER - w->used < len ? WRITE_BUFFER - w->used : len;
		int rc;

		memcpy(w->data + w->used, data, n);
		w->used += n;
		data += n;
		len -= n;
		rc = w->used == WRITE_BUFFER ? writer_flush(w) : 0;
		if (rc != 0) {
			return rc;
		}
	}
	return 0;
}

/*
 * cut_back - the file ends at `end' by what was written to it, and is cut to `at'; 0 or -1 with
 * errno. Where others write without a lock theirs would go with ours: EBUSY.
 */
static int cut_back(int fd, off_t end, off_t at)
{
	struct stat st;

	if (fstat(fd, &st) != 0) {
		return -1;
	}
	if (st.st_size > end) {
		errno = EBUSY;
		return -1;
	}
	return ftruncate(fd, at);
}

/* writer_back - forget everything behind position at; 0 or -1 */
static int writer_back(struct writer *w, off_t at)
{
	if (at >= w->end) {
		w->used = (size_t)(at - w->end);
		return 0;
	}
	w->used = 0;
	if (cut_back(w->m->fd, w->end, at) != 0) {
		return -1;
	}
	w->end = at;
	return 0;
}

/* separate - a file that does not end in a blank line gets one; 0 or writer_put's */
static int separate(struct writer *w)
{
	int n = mbox_separator(w->m->fd, (uint64_t)w->end);

	if (n < 0) {
		w->error = errno;
		return WRITER_FAILED;
	}
	return n > 0 ? writer_put(w, "\n\n", (size_t)n) : 0;
}

/* write_item - 0, or what stopped it */
static int write_item(struct writer *w, const struct deliver_item *it)
{
	int rc = deliver_put_from(it, time(NULL), writer_put, w);

	if (rc == 0) {
		rc = deliver_put_header(it, writer_put, w);
	}
	return rc != 0 ? rc : deliver_put_content(it, true, writer_put, w);
}

/* over_limit - the item would make the mailbox too large */
static void over_limit(struct deliver_item *it, const char *path)
{
	deliver_set(it, DELIVER_FAIL, "5.2.2", "mailbox %s: size limit exceeded", path);
}

/*
 * write_batch - append the undecided items; ends[i] becomes where item i ends, 0 for those not
 * written. 0, or WRITER_FAILED when the disk refused (w->error)
 */
static int write_batch(
	struct writer *w, const char *path, struct deliver_item *items, size_t count, off_t *ends)
{
	off_t limit = w->limit;
	int rc;

	w->limit = INT64_MAX;
	rc = separate(w);
	w->limit = limit;
	for (size_t i = 0; i < count && rc == 0; i++) {
		off_t start = w->end + (off_t)w->used;

		if (items[i].status != DELIVER_NONE) {
			continue;
		}
		rc = write_item(w, &items[i]);
		if (rc == 0) {
			ends[i] = w->end + (off_t)w->used;
		} else if (rc != WRITER_FAILED) {
			if (rc == WRITER_FULL) {
				over_limit(&items[i], path);
			} else {
				deliver_set(&items[i], DELIVER_DEFER, "4.3.0",
					"cannot read the message from the queue");
			}
			rc = writer_back(w, start);
			if (rc != 0) {
				w->error = errno;
				rc = WRITER_FAILED;
			}
		}
	}
	return rc == 0 ? writer_flush(w) : rc;
}

/* keep_whole - after a write that failed: whole messages on the disk stay, the rest is cut off */
static void keep_whole(struct writer *w, const char *path, off_t before, size_t count, off_t *ends)
{
	off_t keep = before;

	for (size_t i = 0; i < count; i++) {
		if (ends[i] > w->end) {
			ends[i] = 0;
		} else if (ends[i] > keep) {
			keep = ends[i];
		}
	}
	if (cut_back(w->m->fd, w->end, keep) != 0) {
		log_warn("cannot cut mailbox %s back to %lld bytes: %m", path, (long long)keep);
	}
}

/*
 * sync_file - from here on the mail of this batch is safe; 0 or errno. An empty file may have been
 * made just now (by our parent for a user who may not) and have no name on the disk yet.
 */
static int sync_file(struct deliver_mbox *m, const char *path)
{
	if (fdatasync(m->fd) != 0) {
		return errno;
	}
	return (m->created || m->size == 0) && file_sync_name(path, m->fd) != 0 ? errno : 0;
}

/* unsafe - what was found in the file may be in memory alone: it is not delivered yet */
static void unsafe(struct deliver_item *items, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (items[i].status == DELIVER_DUPLICATE) {
			items[i].status = DELIVER_NONE;
		}
	}
}

/* append_batch - write, sync, decide */
static void append_batch(struct deliver_mbox *m, const char *path, const struct deliver_how *how,
	struct deliver_item *items, size_t count)
{
	struct writer w = { .m = m, .end = m->size, .touched = time(NULL) };
	off_t *ends = mem_calloc(count, sizeof(*ends));
	int err;

	w.limit = how->size_limit > 0 ? (off_t)how->size_limit : INT64_MAX;
	w.data = mem_alloc(WRITE_BUFFER);
	if (write_batch(&w, path, items, count, ends) != 0) {
		keep_whole(&w, path, m->size, count, ends);
	}
	err = sync_file(m, path);
	if (err != 0) {
		w.error = err;
		memset(ends, 0, count * sizeof(*ends));
		unsafe(items, count);
		if (cut_back(m->fd, w.end, m->size) != 0) {
			log_warn("cannot cut mailbox %s back to %lld bytes: %m", path,
				(long long)m->size);
		}
	}
	for (size_t i = 0; i < count; i++) {
		if (ends[i] != 0) {
			deliver_set(&items[i], DELIVER_OK, "2.0.0", "delivered to mailbox");
		}
	}
	deliver_set_errno(items, count, "cannot update mailbox", path, w.error);
	mem_free(w.data);
	mem_free(ends);
}

/* any_left - is there something to append? */
static bool any_left(const struct deliver_item *items, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (items[i].status == DELIVER_NONE) {
			return true;
		}
	}
	return false;
}

/* cannot_open - every undecided item; 1: it is worth trying again soon, else 0 */
static int cannot_open(const char *path, const char *why, struct deliver_item *items, size_t count)
{
	int err = errno;

	if (why == CANNOT_OPEN) {
		deliver_set_errno(items, count, "cannot open mailbox", path, err);
	}
	for (size_t i = 0; i < count; i++) {
		if (items[i].status == DELIVER_NONE) {
			deliver_set(
				&items[i], DELIVER_DEFER, "4.2.0", "destination %s %s", path, why);
		}
	}
	return err == EAGAIN;
}

/* put_batch - into the mailbox, which is locked: every item is decided */
static void put_batch(struct deliver_mbox *m, const char *path, const struct deliver_how *how,
	struct deliver_item *items, size_t count)
{
	bool suspect = deliver_any_suspect(items, count);
	int err;

	if ((suspect ? deliver_find(m, items, count) : deliver_cut_zeros(m)) != 0) {
		deliver_set_errno(items, count, "cannot read mailbox", path, errno);
	}
	deliver_find_removed(path, how, items, count);
	if (any_left(items, count)) {
		append_batch(m, path, how, items, count);
	} else if (suspect) {
		/*
		 * Found ones may be in the page cache alone: the process that wrote them
		 * did not sync.
		 */
		err = sync_file(m, path);
		if (err != 0) {
			unsafe(items, count);
			deliver_set_errno(items, count, "cannot update mailbox", path, err);
		}
	}
}

/*
 * taken_away - what is delivered is in a file that has no name any more: true, and it is to be
 * looked for in the one that has taken its place
 */
static bool taken_away(const struct deliver_mbox *m, struct deliver_item *items, size_t count)
{
	struct stat st;
	bool any = false;

	/* Under another name it is somebody's still. */
	if (fstat(m->fd, &st) != 0 || st.st_nlink > 0) {
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		if (items[i].status == DELIVER_OK || items[i].status == DELIVER_DUPLICATE) {
			items[i].status = DELIVER_NONE;
			items[i].suspect = !items[i].repair;
			any = true;
		}
	}
	return any;
}

int deliver_mbox_batch(
	const char *path, const struct deliver_how *how, struct deliver_item *items, size_t count)
{
	struct deliver_mbox m;
	const char *why;
	bool again = true;

	for (int tries = 0; tries < REOPEN_MAX && again; tries++) {
		if (deliver_mbox_open(&m, path, how, true, &why) != 0) {
			return cannot_open(path, why, items, count);
		}
		again = false;
		if (!deliver_unwanted(how, items, count)) {
			put_batch(&m, path, how, items, count);
			again = taken_away(&m, items, count);
		}
		deliver_mbox_close(&m);
	}
	errno = EAGAIN;
	return again ? cannot_open(path, REPLACED, items, count) : 0;
}
