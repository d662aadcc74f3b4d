/*
 * test_durable - what is promised is on the disk when it is promised
 *
 * A child works under ptrace, and what it writes, names and syncs is followed. At its end, which
 * stands for the answer (250, OK, "delivered"):
 *
 *	- no file has bytes that were not synced after they were written
 *	- no name was made or moved without a sync of its directory after that
 *
 * and on the way there:
 *
 *	- nothing gets its name (rename, link) before its bytes are on the disk
 *	- what takes the place of a locked file is locked itself
 *	- nothing that got its name by rename goes again before the name was on the disk: such a
 *	  journal would have been there for nothing
 *
 * What is not promised is left out: index.db and its reserve (but for flags and expunges, which are
 * tested by their own), SQLite's shared memory, locks and temporary files that are gone at the end.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/params.h"
#include "queue/queue_internal.h"
#include "queue/queue_repair.h"
#include "queue/queue_write.h"
#include "mail/mailstore.h"
#include "deliver/deliver.h"
#include "message/submit.h"
#include "store_util.h"
#include "trace.h"
#include "unit.h"

enum { TRACKED_MAX = 400, PATH_SIZE = 4096 };

struct tracked {
	ino_t ino;    /* the file's, or for a name its directory's */
	bool renamed; /* a name: by rename */
	char path[512];
};

struct disk {
	struct tracked dirty[TRACKED_MAX], names[TRACKED_MAX];
	size_t dirty_count, name_count;
	char from[PATH_SIZE], to[PATH_SIZE]; /* of the call under way */
	bool was_there;
	unsigned calls;
	char broken[PATH_SIZE]; /* the first promise that was not kept, or "" */
};

/* is_outside - what promises nothing, or is not in the test's directory */
static bool is_outside(const char *path)
{
	const char *base = strrchr(path, '/');

	return strncmp(path, unit_tmpdir(), strlen(unit_tmpdir())) != 0 || base == NULL ||
		str_ends(path, "/.pillarbox") || strncmp(base, "/index.", 7) == 0 ||
		str_ends(path, "-shm") || str_ends(path, ".lock") ||
		str_ends(path, "/queue.reserve");
}

static void broken(struct disk *d, const char *what, const char *path)
{
	if (d->broken[0] == '\0') {
		snprintf(d->broken, sizeof(d->broken), "%s: %.1000s", what,
			path + strlen(unit_tmpdir()));
	}
}

/* find - in a list, by inode and (for names) path; -1: not there */
static int find(const struct tracked *list, size_t count, ino_t ino, const char *path)
{
	for (size_t i = 0; i < count; i++) {
		if (list[i].ino == ino && (path == NULL || strcmp(list[i].path, path) == 0)) {
			return (int)i;
		}
	}
	return -1;
}

static void add(struct tracked *list, size_t *count, ino_t ino, const char *path, bool renamed)
{
	REQUIRE(*count < TRACKED_MAX && strlen(path) < sizeof(list->path));
	list[*count] = (struct tracked){ .ino = ino, .renamed = renamed };
	snprintf(list[(*count)++].path, sizeof(list->path), "%s", path);
}

/* drop - those of an inode; with a path, that name alone */
static void drop(struct tracked *list, size_t *count, ino_t ino, const char *path)
{
	int at;

	while ((at = find(list, *count, ino, path)) >= 0) {
		list[at] = list[--*count];
	}
}

static ino_t directory_of(const char *path)
{
	char dir[PATH_SIZE];
	struct stat st;

	snprintf(dir, sizeof(dir), "%s", path);
	*strrchr(dir, '/') = '\0';
	return stat(dir, &st) == 0 ? st.st_ino : 0;
}

/* link_target - of /proc/PID/WHAT, "" when there is none */
static void link_target(pid_t pid, const char *what, char *out)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, what);
	n = readlink(path, out, PATH_SIZE - 1);
	out[n > 0 ? n : 0] = '\0';
}

/* fd_path - what a descriptor of the child is open on */
static void fd_path(const struct trace_call *c, uint64_t fd, char *out)
{
	char what[32];

	snprintf(what, sizeof(what), "fd/%d", (int)fd);
	link_target(c->pid, what, out);
}

static ino_t fd_ino(const struct trace_call *c, uint64_t fd)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)c->pid, (int)fd);
	return stat(path, &st) == 0 ? st.st_ino : 0;
}

/* name_at - the path of a call's argument, whole */
static void name_at(const struct trace_call *c, int dirfd, uint64_t address, char *out)
{
	char text[PATH_SIZE] = "", base[PATH_SIZE];
	struct iovec here = { text, sizeof(text) - 1 }, there = { (void *)(uintptr_t)address, 0 };
	ssize_t n = 0;

	/* To the end of a page, then the next one: behind the text there may be nothing. */
	for (size_t len = 0; len < sizeof(text) - 1 && memchr(text, '\0', len) == NULL;
		len += (size_t)n) {
		there.iov_base = (void *)(uintptr_t)(address + len);
		there.iov_len = 4096 - (address + len) % 4096;
		here.iov_base = text + len;
		here.iov_len = sizeof(text) - 1 - len;
		n = process_vm_readv(c->pid, &here, 1, &there, 1, 0);
		if (n <= 0) {
			break;
		}
	}
	if (text[0] == '/') {
		memcpy(out, text, PATH_SIZE);
		return;
	}
	if (dirfd == AT_FDCWD) {
		link_target(c->pid, "cwd", base);
	} else {
		fd_path(c, (uint64_t)dirfd, base);
	}
	snprintf(out, PATH_SIZE, "%.2000s/%.2000s", base, text);
}

/* names_of - the one or two paths of a call, into from and to */
static void names_of(struct disk *d, const struct trace_call *c)
{
	d->from[0] = d->to[0] = '\0';
	switch (c->nr) {
#ifdef SYS_open
	case SYS_open:
	case SYS_mkdir:
	case SYS_unlink:
		name_at(c, AT_FDCWD, c->args[0], d->to);
		break;
	case SYS_rename:
	case SYS_link:
		name_at(c, AT_FDCWD, c->args[0], d->from);
		name_at(c, AT_FDCWD, c->args[1], d->to);
		break;
#endif
	case SYS_openat:
	case SYS_mkdirat:
	case SYS_unlinkat:
		name_at(c, (int)c->args[0], c->args[1], d->to);
		break;
	case SYS_renameat2:
#ifdef SYS_renameat
	case SYS_renameat:
#endif
	case SYS_linkat:
		name_at(c, (int)c->args[0], c->args[1], d->from);
		name_at(c, (int)c->args[2], c->args[3], d->to);
		break;
	default:
		return;
	}
	d->was_there = d->to[0] != '\0' && access(d->to, F_OK) == 0;
}

static void wrote(struct disk *d, const struct trace_call *c)
{
	char path[PATH_SIZE];
	ino_t ino = fd_ino(c, c->args[0]);

	fd_path(c, c->args[0], path);
	if (is_outside(path) || find(d->dirty, d->dirty_count, ino, NULL) >= 0) {
		return;
	}
	add(d->dirty, &d->dirty_count, ino, path, false);
	d->calls++;
}

static void named(struct disk *d, const char *path, bool renamed)
{
	if (!is_outside(path)) {
		add(d->names, &d->name_count, directory_of(path), path, renamed);
	}
	d->calls++;
}

/* moved - rename or link: the bytes come first */
static void moved(struct disk *d, bool renamed)
{
	struct stat st;
	int at = stat(d->to, &st) == 0 ? find(d->dirty, d->dirty_count, st.st_ino, NULL) : -1;

	if (is_outside(d->to)) {
		return;
	}
	if (at >= 0) {
		broken(d, "has its name before its bytes are on the disk", d->to);
	}
	if (renamed) {
		drop(d->names, &d->name_count, directory_of(d->from), d->from);
	}
	if (at >= 0) {
		snprintf(d->dirty[at].path, sizeof(d->dirty[at].path), "%.500s", d->to);
	}
	named(d, d->to, renamed);
}

static void removed(struct disk *d)
{
	ino_t dir = directory_of(d->to);
	int at = find(d->names, d->name_count, dir, d->to);

	if (at >= 0 && d->names[at].renamed) {
		broken(d, "goes before its name was on the disk", d->to);
	}
	drop(d->names, &d->name_count, dir, d->to);
}

static void synced(struct disk *d, const struct trace_call *c)
{
	ino_t ino = fd_ino(c, c->args[0]);

	drop(d->dirty, &d->dirty_count, ino, NULL);
	drop(d->names, &d->name_count, ino, NULL);
}

/* succeeded - a call was made: what that means for the disk */
static void succeeded(struct disk *d, const struct trace_call *c)
{
	switch (c->nr) {
	case SYS_write:
	case SYS_writev:
	case SYS_pwrite64:
	case SYS_pwritev:
	case SYS_ftruncate:
	case SYS_fallocate:
		wrote(d, c);
		break;
	case SYS_fsync:
	case SYS_fdatasync:
		synced(d, c);
		break;
	case SYS_syncfs:
		d->dirty_count = d->name_count = 0;
		break;
#ifdef SYS_open
	case SYS_open:
	case SYS_mkdir:
#endif
	case SYS_openat:
	case SYS_mkdirat:
		if (!d->was_there && access(d->to, F_OK) == 0) {
			named(d, d->to, false);
		}
		break;
#ifdef SYS_open
	case SYS_rename:
	case SYS_link:
#endif
#ifdef SYS_renameat
	case SYS_renameat:
#endif
	case SYS_renameat2:
	case SYS_linkat:
#ifdef SYS_open
		moved(d, c->nr != SYS_link && c->nr != SYS_linkat);
#else
		moved(d, c->nr != SYS_linkat);
#endif
		break;
#ifdef SYS_open
	case SYS_unlink:
#endif
	case SYS_unlinkat:
		removed(d);
		break;
	}
}

/* is_locked - has the child, or anybody, an fcntl lock on it? */
static bool is_locked(const char *path)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(path, O_RDWR | O_CLOEXEC);
	bool locked = fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;

	if (fd >= 0) {
		close(fd);
	}
	return locked;
}

/* watch_call - from trace_run() */
static bool watch_call(void *arg, const struct trace_call *c)
{
	struct disk *d = arg;

	if (c->entry) {
		names_of(d, c);
		if (d->from[0] != '\0' && !is_outside(d->to) && is_locked(d->to) &&
			!is_locked(d->from)) {
			broken(d, "is not locked as what it replaces", d->from);
		}
	} else if (c->result >= 0) {
		succeeded(d, c);
	}
	return true;
}

/* still_there - is what was written or named part of what is there at the end? */
static bool still_there(const struct tracked *t, bool name)
{
	struct stat st;

	return lstat(t->path, &st) == 0 && (name || st.st_ino == t->ino);
}

/* check_work - the work keeps its promises; it does write something */
static void check_work(void (*work)(void))
{
	struct disk *d = mem_alloc(sizeof(*d));

	memset(d, 0, sizeof(*d));
	(void)unit_tmpdir(); /* made here, not anew in each child */
	CHECK(trace_run(work, watch_call, d));
	for (size_t i = 0; i < d->dirty_count; i++) {
		if (still_there(&d->dirty[i], false)) {
			broken(d, "its bytes are not on the disk at the end", d->dirty[i].path);
		}
	}
	for (size_t i = 0; i < d->name_count; i++) {
		if (still_there(&d->names[i], true)) {
			broken(d, "its name is not on the disk at the end", d->names[i].path);
		}
	}
	CHECK_STR(d->broken, "");
	CHECK(d->calls > 0); /* it was seen at all */
	mem_free(d);
}

/* in_child - before the work; nothing that is open, or cached, must cross a fork */
static void in_child(void (*fn)(void))
{
	const char *dir = unit_tmpdir(); /* made here, not anew in each child */
	pid_t pid = trace_fork();
	int status;

	(void)dir;
	if (pid == 0) {
		log_open("unit", LOG_TO_STDERR);
		log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
		fn();
		fflush(NULL);
		_exit(unit_failures() > 0);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid && status == 0);
}

/* ---- Mailboxes ---- */

static const char *kind = "mbox", *target = "box";

/* old_folder - made and on the disk before */
static void old_folder(void)
{
	struct mailstore *ms = store_open(kind);
	struct mailbox_view *v;
	struct buf b = BUF_INIT;

	buf_adds(&b, "Subject: s\n\n");
	for (int i = 0; i < 3000; i++) {
		buf_addf(&b, "line %d\n", i);
	}
	for (int i = 0; i < 4; i++) {
		REQUIRE(store_put(ms, "INBOX", buf_str(&b), 0) != 0);
	}
	REQUIRE(mailstore_create(ms, "Saved") == 0 || mailstore_error(ms) != NULL);
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL);
	mailbox_close(v);
	mailstore_close(ms);
	buf_free(&b);
}

static void append(void)
{
	struct mailstore *ms = store_open(kind);

	if (store_put(ms, "INBOX", "Subject: new\n\nbody\n", 0) == 0) {
		_exit(1);
	}
	mailstore_close(ms);
}

static void move(void)
{
	static const uint32_t uids[] = { 2, 3 };
	struct mailstore *ms = store_open(kind);
	struct mailbox_view *v = mailbox_open(ms, "INBOX", false);
	uint32_t *new_uids, validity;

	if (v == NULL || mailbox_copy(v, uids, 2, "Saved", MAIL_MOVE, &new_uids, &validity) != 0) {
		_exit(1);
	}
	mailbox_close(v);
	mailstore_close(ms);
}

static void create(void)
{
	struct mailstore *ms = store_open(kind);

	if (mailstore_create(ms, mailstore_separator(ms) == '.' ? "a.b" : "a/b") != 0) {
		_exit(1);
	}
	mailstore_close(ms);
}

static void rename_folder(void)
{
	struct mailstore *ms = store_open(kind);

	if (mailstore_rename(ms, "Saved", "Kept") != 0) {
		_exit(1);
	}
	mailstore_close(ms);
}

/* new_store - what is made once for a user, before the first mail */
static void new_store(void)
{
	mailstore_close(store_open(kind));
}

/* by_link - INBOX may not be replaced: its bytes are, by journal */
static void by_link(void)
{
	char real[PATH_SIZE];

	snprintf(real, sizeof(real), "%s", store_path("real"));
	store_write("real", "", 0);
	REQUIRE(symlink(real, store_path("inbox")) == 0);
	old_folder();
}

TEST(durable, append_mbox)
{
	in_child(new_store);
	check_work(append); /* the first mail makes the file */
	check_work(append);
}

TEST(durable, append_maildir)
{
	kind = "maildir";
	check_work(append);
	check_work(append);
}

TEST(durable, create_and_rename_folder)
{
	in_child(old_folder);
	check_work(create);
	check_work(rename_folder);
}

TEST(durable, create_and_rename_maildir)
{
	kind = "maildir";
	in_child(old_folder);
	check_work(create);
	check_work(rename_folder);
}

TEST(durable, move_mbox_by_rename)
{
	in_child(old_folder);
	check_work(move);
}

TEST(durable, move_mbox_by_journal)
{
	in_child(by_link);
	check_work(move);
}

TEST(durable, move_maildir)
{
	kind = "maildir";
	in_child(old_folder);
	check_work(move);
}

/* ---- Delivery ---- */

static void deliver(void)
{
	static const struct deliver_how how = { .lock_ms = 0 };
	struct slice text = SLICE_LIT("Received: by mx (Postfix)\n\tid 4A1B; Tue\n"
				      "Subject: x\n\nbody\n");
	struct deliver_item item = { .queue_id = "4A1B",
		.sender = "a@x.example",
		.recipient = "u1@test.example",
		.original = "u1@test.example",
		.read = slice_read,
		.read_arg = &text };

	deliver_to_mailbox(store_path(target), &how, &item, 1);
	if (item.status != DELIVER_OK) {
		_exit(1);
	}
}

TEST(durable, deliver_mbox)
{
	check_work(deliver); /* makes it */
	check_work(deliver);
}

TEST(durable, deliver_maildir)
{
	target = "Maildir/";
	check_work(deliver);
	check_work(deliver);
}

/* ---- The queue ---- */

static struct queue *open_queue(void)
{
	char *error = NULL;
	struct queue *q = queue_open(unit_tmpdir(), QUEUE_CREATE, &error);

	REQUIRE(q != NULL);
	return q;
}

static void make_queue(void)
{
	queue_close(open_queue());
}

static void enqueue(void)
{
	static const struct queue_envelope plain = { .sender = "a@example.com", .envid = "" };
	static const struct queue_recipient r = {
		.address = "r@x", .original = "", .orcpt = "", .dsn = "", .reason = ""
	};
	struct queue *q = open_queue();
	struct queue_message *m = queue_begin(q, &plain);

	queue_add_recipient(m, &r);
	if (queue_write(m, "Subject: x\n\nbody\n", 17) != 0) {
		_exit(1);
	}
	queue_end(m, NULL, NULL);
	if (queue_commit(q) != 0) {
		_exit(1);
	}
	_exit(0); /* as smtpd answers: the queue stays open */
}

static void list_rescue(void)
{
	struct queue *q = open_queue();

	queue_rescue_later(q, store_path("queue.db.corrupt-1"));
	_exit(0);
}

TEST(durable, enqueue)
{
	in_child(make_queue);
	check_work(enqueue);
}

TEST(durable, enqueue_makes_the_queue)
{
	check_work(enqueue);
}

TEST(durable, list_of_what_to_rescue)
{
	in_child(make_queue);
	check_work(list_rescue);
}

/* submit_mail - with nobody at the socket and a queue that is not ours */
static void submit_mail(void)
{
	struct submit *s = submit_new();

	submit_envelope(s, "a@example.com", NULL, NULL, 0);
	submit_recipient(s, "r@example.com", 0, NULL);
	if (submit_write(s, "Subject: x\n\nbody\n", 17) != 0 || submit_end(s) != SUBMIT_OK) {
		_exit(1);
	}
	if (submit_id(s)[0] != '\0') {
		_exit(2); /* it did not go into the maildrop */
	}
	submit_free(s);
}

TEST(durable, maildrop)
{
	char *error = NULL;
	char setting[PATH_SIZE];

	snprintf(setting, sizeof(setting), "queue_directory=%s", unit_tmpdir());
	REQUIRE(conf_override(setting) && conf_load("/nonexistent", true, &error) == 0);
	REQUIRE(mkdir(store_path("maildrop"), 0700) == 0);
	REQUIRE(mkdir(store_path("queue"), 0500) == 0);
	REQUIRE(geteuid() != 0 || chown(store_path("queue"), 65534, 65534) == 0);
	check_work(submit_mail);
}
