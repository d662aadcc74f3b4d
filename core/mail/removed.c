/*
 * removed - what was taken out of a mailbox soon after it came
 *
 * A delivery agent that is killed between the mailbox's sync and its answer leaves a message that
 * is delivered, and that the queue manager will give out again. The next agent looks for it in the
 * mailbox (deliver/deliver_find.c), but by then the user may have moved or removed it. So who
 * removes a message of ours that came lately writes down, before it goes, who it was: 24 bytes in
 *
 *	HOME/.pillarbox/removed		struct removed_entry, one behind the other
 *	HOME/.pillarbox/removed.old	those before, when the first one had got long or old
 *
 * In the home, because that is what the delivery agent knows of a user without a look at where
 * indexes are, which imapd, pop3d and mail each have elsewhere. All are the user's own processes.
 *
 * The content's size is part of it: the beginning of a message that a killed agent left can be
 * taken out, too, and then the whole of it still has to come. The size and not a sum: the index
 * knows it, and to read 200 MB that a client deletes took ten times as long as to remove them.
 *
 * How long: a message comes again as long as it is in the queue, five days as it is
 * installed (maximal_queue_lifetime). So a message that is older than REMOVED_DAYS is not written
 * down, and each of the files goes when the other one has become as old. How much: two files of
 * half a MiB, 21,845 messages each.
 *
 * Nothing is synced by itself: kill -9 leaves what was written, and a power cut too, where the
 * removal is on the disk (file_order()). What is not written down is delivered;
 * and what then stays in the mailbox, as the removal fails, is taken back, as it may be on no disk.
 */
#include "mail/removed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"

enum { FILE_MAX = 512 * 1024 };

static const char NAME[] = "removed";
static const char OLD_NAME[] = "removed.old";

/* put_key - a text and its end into a sum */
static uint64_t put_key(uint64_t sum, struct slice s)
{
	for (size_t i = 0; i <= s.len; i++) {
		sum = (sum ^ (i < s.len ? (unsigned char)s.ptr[i] : 0)) * 1099511628211u;
	}
	return sum;
}

uint64_t removed_key(
	const char *mailbox, const char *id, struct slice original, struct slice recipient)
{
	uint64_t sum = put_key(14695981039346656037u, slice_of(mailbox));

	return put_key(put_key(put_key(sum, slice_of(id)), original), recipient);
}

uint64_t removed_back(uint64_t key)
{
	return ~key;
}

bool removed_has(const struct buf *all, uint64_t key, uint64_t size)
{
	const struct removed_entry *e = (const struct removed_entry *)all->data;
	int balance = 0; /* of both, as a file may have been read twice */

	for (size_t i = 0; i < all->len / sizeof(*e); i++) {
		if (e[i].size == size) {
			balance += e[i].key == key;
			balance -= e[i].key == removed_back(key);
		}
	}
	return balance > 0;
}

/* open_dir - HOME/.pillarbox, made when it is to be; -1: there is none */
static int open_dir(const char *home, bool make)
{
	struct buf path = BUF_INIT;
	int fd;

	if (home[0] != '/') {
		return -1;
	}
	buf_addf(&path, "%s/.pillarbox", home);
	if (make) {
		(void)mkdir(buf_str(&path), 0700);
	}
	fd = open(buf_str(&path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	buf_free(&path);
	return fd;
}

/* is_over - is this file as long, or its first entry as old, as may be, or is its last one torn? */
static bool is_over(int fd, const struct stat *st)
{
	struct removed_entry first;

	return st->st_size >= FILE_MAX || st->st_size % (off_t)sizeof(first) != 0 ||
		(pread(fd, &first, sizeof(first), 0) == (ssize_t)sizeof(first) &&
			time(NULL) - first.time > REMOVED_SECONDS);
}

/* put_aside - the file that is open and locked gets the name of the old one; who has it open
 * without a lock goes on writing to it there, where it is read as well */
static void put_aside(int dir, int fd)
{
	struct stat st, named;

	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 &&
		fstatat(dir, NAME, &named, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino == named.st_ino &&
		st.st_dev == named.st_dev) {
		(void)renameat(dir, NAME, dir, OLD_NAME);
	}
}

void removed_add(
	const char *home, const char *mailbox, const struct removed_entry *entries, size_t count)
{
	const int flags = O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	int dir = open_dir(home, true);
	int fd = dir >= 0 ? openat(dir, NAME, flags, 0600) : -1;
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && is_over(fd, &st)) {
		put_aside(dir, fd);
		close(fd);
		fd = openat(dir, NAME, flags, 0600);
	}
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		/* One write: entries of several processes stand whole behind each other. */
		(void)fd_write_all(fd, entries, count * sizeof(*entries));
		/* Before the removal is on the disk, or the mail could come again behind it. */
		(void)file_order(fd, mailbox);
	}
	if (fd >= 0) {
		close(fd);
	}
	if (dir >= 0) {
		close(dir);
	}
}

/* read_file - whole entries of one file, behind what is in out */
static void read_file(int dir, const char *name, struct buf *out)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	size_t begin = out->len;
	struct stat st;
	ssize_t n = 1;

	if (fd < 0) {
		return;
	}
	/* What one writer put behind a full file at once is there as well. */
	while (n > 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
		out->len - begin < 4 * (size_t)FILE_MAX) {
		n = read(fd, buf_reserve(out, FILE_MAX), FILE_MAX);
		if (n > 0) {
			buf_added(out, (size_t)n);
		}
	}
	buf_truncate(out, out->len - (out->len - begin) % sizeof(struct removed_entry));
	close(fd);
}

void removed_read(const char *home, struct buf *out)
{
	int dir = open_dir(home, false);

	if (dir >= 0) {
		/* In this order: it may become the old one meanwhile, and is read twice then. */
		read_file(dir, NAME, out);
		read_file(dir, OLD_NAME, out);
		close(dir);
	}
}
