/*
 * deliver_maildir - put a batch into a maildir
 *
 *	tmp/NAME written -> all files synced -> renamed to new/NAME -> new/ synced
 *
 * NAME is SECONDS.MmicrosecondsQidRhash.HOST: the queue id and a hash of
 * the addresses tell a repeated delivery from a new one, wherever a mail
 * reader has moved the file since (new/, or cur/ with flags).
 * A crash leaves files in tmp/, which count for nothing.
 *
 * A maildir needs no lock, but for this: who looks for what may have been delivered before has to
 * see what a delivery of ours that is under way will have put there. So deliveries share a lock of
 * the directory, and a look for suspects has it alone (flock(2); where there is none, as before).
 *
 * The format: https://cr.yp.to/proto/maildir.html
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "deliver/deliver_impl.h"

enum { OPEN_FILES = 64, FILE_BUFFER = 64 * 1024, NAME_SIZE = 200, LOCK_PAUSE_MS = 10 };

struct maildir {
	int dir, tmp, new; /* descriptors */
	char host[100];
};

/* host_part - the host's name with '/' and ':' written as maildir wants */
static void host_part(char *out, size_t size)
{
	struct utsname u;
	struct buf b = BUF_INIT;

	if (uname(&u) != 0) {
		snprintf(u.nodename, sizeof(u.nodename), "localhost");
	}
	for (const char *p = u.nodename; *p != '\0' && b.len + 5 < size; p++) {
		if (*p == '/' || *p == ':') {
			buf_addf(&b, "\\%03o", *p);
		} else {
			buf_addc(&b, *p);
		}
	}
	snprintf(out, size, "%s", buf_str(&b));
	buf_free(&b);
}

/* token - the part of the name that a repeated delivery has too: "QidRhash." */
static void token(char out[64], const struct deliver_item *it)
{
	uint32_t sum = 2166136261u; /* FNV-1a */

	for (const char *p = it->recipient; *p != '\0'; p++) {
		sum = (sum ^ (unsigned char)*p) * 16777619u;
	}
	sum = (sum ^ '\n') * 16777619u;
	for (const char *p = it->original; *p != '\0'; p++) {
		sum = (sum ^ (unsigned char)*p) * 16777619u;
	}
	snprintf(out, 64, "Q%.24sR%08x.", it->queue_id, (unsigned)sum);
}

/* make_dirs - PATH, tmp, new, cur; 0 or -1 */
static int make_dirs(const char *path)
{
	static const char *const subs[] = { "tmp", "new", "cur" };
	struct buf b = BUF_INIT;
	int rc = 0;

	for (size_t i = 0; i < 3 && rc == 0; i++) {
		buf_reset(&b);
		buf_addf(&b, "%s%s", path, subs[i]);
		rc = dir_make(buf_str(&b), 0700);
	}
	buf_free(&b);
	return rc;
}

static int open_dir(int at, const char *path)
{
	return openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void maildir_close(struct maildir *md)
{
	int fds[3] = { md->dir, md->tmp, md->new };

	for (size_t i = 0; i < 3; i++) {
		if (fds[i] >= 0) {
			close(fds[i]);
		}
	}
}

/* sync_made - a new maildir: its directories, and its own name in the directory above, are kept */
static void sync_made(const char *path)
{
	char *name = mem_strdup(path);
	size_t len = strlen(name);

	(void)dir_sync(name, -1);
	while (len > 1 && name[len - 1] == '/') {
		name[--len] = '\0';
	}
	(void)file_sync_name(name, -1);
	mem_free(name);
}

/* maildir_open - 0, or -1 with errno; a missing maildir is made */
static int maildir_open(struct maildir *md, const char *path)
{
	int saved;

	for (int tries = 0; tries < 2; tries++) {
		md->dir = open_dir(AT_FDCWD, path);
		md->tmp = md->dir >= 0 ? open_dir(md->dir, "tmp") : -1;
		md->new = md->tmp >= 0 ? open_dir(md->dir, "new") : -1;
		saved = errno;
		if (md->new >= 0) {
			host_part(md->host, sizeof(md->host));
			return 0;
		}
		maildir_close(md);
		if (saved != ENOENT || tries > 0 || make_dirs(path) != 0) {
			break;
		}
		sync_made(path);
	}
	errno = saved;
	return -1;
}

/* A file being written. */
struct out {
	int fd;
	int error;
	off_t size, limit;
	size_t used;
	char data[FILE_BUFFER];
};

enum { OUT_FAILED = 1, OUT_FULL = 2 };

static int out_flush(struct out *o)
{
	if (o->used > 0 && fd_write_all(o->fd, o->data, o->used) != 0) {
		o->error = errno;
		return OUT_FAILED;
	}
	o->used = 0;
	return 0;
}

static int out_put(void *arg, const char *data, size_t len)
{
	struct out *o = arg;

	o->size += (off_t)len;
	if (o->size > o->limit) {
		return OUT_FULL;
	}
	while (len > 0) {
		size_t n = sizeof(o->data) - o->used < len ? sizeof(o->data) - o->used : len;

		memcpy(o->data + o->used, data, n);
		o->used += n;
		data += n;
		len -= n;
		if (o->used == sizeof(o->data) && out_flush(o) != 0) {
			return OUT_FAILED;
		}
	}
	return 0;
}

/* One message on its way from tmp/ to new/. */
struct pending {
	struct deliver_item *item;
	int fd;
	bool shown; /* it is in new/ */
	char name[NAME_SIZE];
};

/* write_one - into tmp/; 0, or -1 and the item is decided */
static int write_one(struct maildir *md, struct pending *p, struct out *o, const char *path,
	const struct deliver_how *how)
{
	struct timeval now;
	char tok[64];
	int rc;

	gettimeofday(&now, NULL);
	token(tok, p->item);
	snprintf(p->name, sizeof(p->name), "%lld.M%06ld%s%s", (long long)now.tv_sec,
		(long)now.tv_usec, tok, md->host);
	p->fd = openat(
		md->tmp, p->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (p->fd < 0) {
		deliver_set_errno(p->item, 1, "cannot create a file in maildir", path, errno);
		return -1;
	}
	o->fd = p->fd;
	o->size = 0;
	o->used = 0;
	o->limit = how->size_limit > 0 ? (off_t)how->size_limit : INT64_MAX;
	rc = deliver_put_header(p->item, out_put, o);
	if (rc == 0) {
		rc = deliver_put_content(p->item, false, out_put, o);
	}
	if (rc == 0) {
		rc = out_flush(o);
	}
	if (rc == 0) {
		/* A hint: the files of a group are written together, and fsync() waits less. */
		(void)sync_file_range(p->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
		return 0;
	}
	if (rc == OUT_FULL) {
		deliver_set(
			p->item, DELIVER_FAIL, "5.2.2", "maildir %s: size limit exceeded", path);
	} else if (rc == OUT_FAILED) {
		deliver_set_errno(p->item, 1, "cannot write to maildir", path, o->error);
	} else {
		deliver_set(
			p->item, DELIVER_DEFER, "4.3.0", "cannot read the message from the queue");
	}
	unlinkat(md->tmp, p->name, 0);
	close(p->fd);
	return -1;
}

/* finish_group - sync the files of a group and show them in new/ */
static void finish_group(struct maildir *md, struct pending *list, size_t count, const char *path)
{
	int failed[OPEN_FILES];

	/* After the first of them most find their work done: no renames in between. */
	for (size_t i = 0; i < count; i++) {
		failed[i] = fsync(list[i].fd) != 0 ? errno : 0;
	}
	for (size_t i = 0; i < count; i++) {
		struct pending *p = &list[i];
		bool good = failed[i] == 0;

		if (!good) {
			deliver_set_errno(p->item, 1, "cannot write to maildir", path, failed[i]);
		} else if (renameat(md->tmp, p->name, md->new, p->name) != 0) {
			good = false;
			deliver_set_errno(p->item, 1, "cannot move a file in maildir", path, errno);
		}
		if (!good) {
			unlinkat(md->tmp, p->name, 0);
		}
		p->shown = good;
		close(p->fd);
	}
}

/* find_in - decide suspects whose token occurs in a name of this directory */
static int find_in(struct maildir *md, const char *sub, const struct hash *wanted)
{
	int fd = open_dir(md->dir, sub);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	int err;

	if (d == NULL) {
		if (fd >= 0) {
			close(fd);
		}
		return errno == ENOENT ? 0 : -1;
	}
	while (errno = 0, (e = readdir(d)) != NULL) {
		const char *q = strchr(e->d_name, 'Q');
		const char *dot = q != NULL ? strchr(q, '.') : NULL;
		struct deliver_item *it;
		char tok[64];

		if (dot == NULL || dot - q >= (ptrdiff_t)sizeof(tok) - 1) {
			continue;
		}
		memcpy(tok, q, (size_t)(dot - q) + 1);
		tok[dot - q + 1] = '\0';
		it = hash_get(wanted, tok);
		if (it != NULL) {
			deliver_set(it, DELIVER_DUPLICATE, "2.0.0", "delivered to maildir");
		}
	}
	/* Not read to its end: what is behind may be what we look for. */
	err = errno;
	closedir(d);
	errno = err;
	return err != 0 ? -1 : 0;
}

/* find_suspects - one look at new/ and cur/ for all of them; 0 or -1 */
static int find_suspects(struct maildir *md, struct deliver_item *items, size_t count)
{
	struct hash wanted = { NULL, 0, 0 };
	char tok[64];
	int rc;

	for (size_t i = 0; i < count; i++) {
		if (items[i].repair) {
			deliver_set(&items[i], DELIVER_DUPLICATE, "2.0.0", "nothing to repair");
		} else if (items[i].suspect) {
			token(tok, &items[i]);
			hash_set(&wanted, tok, &items[i]);
		}
	}
	/* new first: a reader moves files from there to cur, never back. */
	rc = find_in(md, "new", &wanted) != 0 || find_in(md, "cur", &wanted) != 0 ? -1 : 0;
	hash_free(&wanted, NULL);
	return rc;
}

/* write_all - in groups, so that few files are open at once; how many of list were written */
static size_t write_all(struct maildir *md, const char *path, const struct deliver_how *how,
	struct deliver_item *items, size_t count, struct pending *list)
{
	struct out *o = mem_alloc(sizeof(*o));
	size_t n = 0, done = 0;

	for (size_t i = 0; i < count; i++) {
		if (items[i].status == DELIVER_NONE) {
			list[n].item = &items[i];
			n += write_one(md, &list[n], o, path, how) == 0;
		}
		if (n - done == OPEN_FILES || i + 1 == count) {
			finish_group(md, list + done, n - done, path);
			done = n;
		}
	}
	mem_free(o);
	return n;
}

/*
 * sync_new - the names of what was written, and of what was found, are on the disk; 0 or errno.
 * What is not is taken back, or it would be there once more after each try.
 */
static int sync_new(struct maildir *md, const struct pending *list, size_t count)
{
	int err;

	if (fsync(md->new) == 0 || errno == EINVAL) {
		return 0;
	}
	err = errno;
	for (size_t i = 0; i < count; i++) {
		if (list[i].shown) {
			unlinkat(md->new, list[i].name, 0);
		}
	}
	return err;
}

/* lock_dir - alone or shared, given back by maildir_close(); 0, or -1: another delivery has it */
static int lock_dir(struct maildir *md, bool alone, int lock_ms)
{
	const struct timespec pause = { 0, LOCK_PAUSE_MS * 1000000L };
	int waited = 0;

	while (flock(md->dir, (alone ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK && errno != EINTR) {
			return 0;
		}
		if (waited >= lock_ms) {
			return -1;
		}
		nanosleep(&pause, NULL);
		waited += LOCK_PAUSE_MS;
	}
	return 0;
}

int deliver_maildir_batch(
	const char *path, const struct deliver_how *how, struct deliver_item *items, size_t count)
{
	struct pending *list;
	struct maildir md;
	size_t written;
	int err;

	if (maildir_open(&md, path) != 0) {
		deliver_set_errno(items, count, "cannot open maildir", path, errno);
		return 0;
	}
	if (lock_dir(&md, deliver_any_suspect(items, count), how->lock_ms) != 0) {
		deliver_set_errno(items, count, "cannot open maildir", path, EAGAIN);
		maildir_close(&md);
		return 1;
	}
	if (deliver_unwanted(how, items, count)) {
		maildir_close(&md);
		return 0;
	}
	if (deliver_any_suspect(items, count) && find_suspects(&md, items, count) != 0) {
		deliver_set_errno(items, count, "cannot read maildir", path, errno);
	}
	deliver_find_removed(path, how, items, count);
	list = mem_calloc(count, sizeof(*list));
	written = write_all(&md, path, how, items, count, list);
	err = sync_new(&md, list, written);
	mem_free(list);
	for (size_t i = 0; i < count; i++) {
		if (err != 0 &&
			(items[i].status == DELIVER_NONE || items[i].status == DELIVER_DUPLICATE)) {
			items[i].status = DELIVER_NONE;
		} else if (items[i].status == DELIVER_NONE) {
			deliver_set(&items[i], DELIVER_OK, "2.0.0", "delivered to maildir");
		}
	}
	deliver_set_errno(items, count, "cannot write to maildir", path, err);
	maildir_close(&md);
	return 0;
}
