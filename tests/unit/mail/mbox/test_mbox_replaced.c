/*
 * test_mbox_replaced - others put a new file in a mailbox's place, or write to it, at any moment
 *
 * A child works on a mailbox under ptrace; at one of its system calls, and then at the next, for
 * all of them, it stands still while somebody else is at the mailbox. Mail that it says to be
 * delivered or appended is in the mailbox afterwards, once; and so is all that was there.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "mail/lock/lock.h"
#include "mail/lock/lock_owner.h"
#include "deliver/deliver.h"
#include "store_util.h"
#include "trace.h"
#include "unit.h"

enum { STOPS_MAX = 4000, WAITS = 40 };

/* Every call is tried by the plain build; with sanitizers, which take long, some. */
#ifdef __SANITIZE_ADDRESS__
enum { STRIDE = 7 };
#else
enum { STRIDE = 1 };
#endif

#define FROM "From a@x.example Tue Aug  9 14:21:58 2011\n"

static const char first[] = FROM "Subject: first\n\nx\n\n";
static const char second[] = FROM "Subject: second\n\ny\n\n";
static const char theirs[] = FROM "Subject: theirs\n\nz\n\n";
static const char ours[] = "Received: from c by mx with SMTP id 4A1B2C3D60; Tue\n"
			   "Subject: ours\n\nbody\n";

/* Somebody else, and when. */
struct other {
	void (*act)(struct other *o);
	int at, count;
	bool done;
	bool synced, locked; /* the child: by what it did just before */
	struct mailbox_lock *lock;
	int fd;
	struct buf old;
};

static const char *box(void)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/inbox", unit_tmpdir());
	return path;
}

/* write_new - a file with these bytes, not in its place yet; its descriptor */
static int write_new(const struct buf *b)
{
	int fd = open(store_path("inbox.theirs"), O_RDWR | O_CREAT | O_TRUNC, 0600);

	REQUIRE(fd >= 0 && fd_write_all(fd, b->data, b->len) == 0);
	return fd;
}

static void put_new(void)
{
	char from[4096];

	snprintf(from, sizeof(from), "%s", store_path("inbox.theirs"));
	REQUIRE(rename(from, box()) == 0);
}

/* replace - by a copy of what is there, without a lock */
static void replace(struct other *o)
{
	store_take(&o->old, "inbox");
	close(write_new(&o->old));
	put_new();
	o->done = true;
}

/* replace_stale - by a copy of what was there in the beginning, when all is on the disk */
static void replace_stale(struct other *o)
{
	if (o->synced) {
		close(write_new(&o->old));
		put_new();
		o->done = true;
	}
}

/* replace_locked - as mail programs do it: the new one is locked before it has its name */
static void replace_locked(struct other *o)
{
	int fd = write_new(&o->old);

	REQUIRE(mailbox_lock_move(o->lock, fd) == 0);
	put_new();
	/* The child has a copy of this descriptor. */
	REQUIRE(lock_fcntl(o->fd, F_UNLCK) == 0);
	mailbox_unlock(o->lock);
	close(o->fd);
	close(fd);
	o->done = true;
}

/* add - mail without a lock; not between a last look at the file and the new one in its place */
static void add(struct other *o)
{
	if (!o->locked) {
		store_append("inbox", theirs);
		o->done = true;
	}
}

/* watch - what the child did last */
static void watch(struct other *o, const struct trace_call *call)
{
	if (!call->entry) {
		o->synced = call->nr == SYS_fdatasync;
	} else if (o->synced && call->nr == SYS_fcntl) {
		o->locked = true;
	}
	if (!call->entry && call->nr != SYS_fcntl && call->nr != SYS_fstat &&
		call->nr != SYS_newfstatat
#ifdef SYS_stat
		&& call->nr != SYS_stat
#endif
	) {
		o->locked = false;
	}
}

static bool at_call(void *arg, const struct trace_call *call)
{
	struct other *o = arg;

	watch(o, call);
	/* Before a call is behind the one before. */
	if (!o->done && call->entry && ++o->count >= o->at) {
		o->act(o);
	}
	return true;
}

/* times - how often is text in the mailbox? */
static int times(const char *text)
{
	struct buf b = BUF_INIT;
	int n = 0;

	store_take(&b, "inbox");
	for (const char *p = buf_str(&b); (p = strstr(p, text)) != NULL; p++) {
		n++;
	}
	buf_free(&b);
	return n;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)type;
	(void)f;
	return remove(path);
}

static void begin(struct other *o)
{
	(void)nftw(store_path("home"), remove_one, 16, FTW_DEPTH | FTW_PHYS);
	(void)unlink(store_path("refused"));
	store_write("inbox", first, strlen(first));
	store_append("inbox", second);
	store_take(&o->old, "inbox");
}

/* refused - the child was told "not now", and says so */
static void refused(void)
{
	store_write("refused", "", 0);
}

static bool was_refused(void)
{
	return access(store_path("refused"), F_OK) == 0;
}

/* deliver_ours - the child's work */
static void deliver_ours(void)
{
	struct deliver_how how = { .lock_ms = 5000 };
	struct slice text = slice_of(ours);
	struct deliver_item it = { .queue_id = "4A1B2C3D60",
		.sender = "a@x.example",
		.recipient = "u1@test.example",
		.original = "",
		.read = slice_read,
		.read_arg = &text };

	CHECK_INT(deliver_to_mailbox(box(), &how, &it, 1), 0);
	CHECK(it.status == DELIVER_OK || it.status == DELIVER_DUPLICATE);
	_exit(unit_failures() > 0);
}

/* open_ours - an index in memory makes some hundred calls less, and knows as little of others */
static struct mailstore *open_ours(void)
{
	char location[4200];

	snprintf(location, sizeof(location), "mbox:~/mail:INBOX=%s:INDEX=MEMORY", box());
	return store_open(location);
}

/* append_ours - the same by IMAP */
static void append_ours(void)
{
	struct mailstore *ms = open_ours();

	if (store_put(ms, "INBOX", ours, 0) == 0) {
		CHECK_INT(mailstore_errno(ms), MAIL_E_BUSY);
		refused();
	}
	mailstore_close(ms);
	_exit(unit_failures() > 0);
}

/* remove_first - by IMAP, which writes the file anew */
static void remove_first(void)
{
	struct mailstore *ms = open_ours();
	struct mailbox_view *v = mailbox_open(ms, "INBOX", false);
	uint32_t uid = v != NULL ? mailbox_info(v, 1)->uid : 0;

	REQUIRE(v != NULL);
	if (mailbox_expunge(v, &uid, 1, true) != 0) {
		CHECK_INT(mailstore_errno(ms), MAIL_E_BUSY);
		refused();
	}
	mailbox_close(v);
	mailstore_close(ms);
	_exit(unit_failures() > 0);
}

/* check_listed - a new session sees count messages */
static void check_listed(uint32_t count)
{
	struct mailstore *ms = store_open("mbox");
	struct mailbox_view *v = mailbox_open(ms, "INBOX", false);

	REQUIRE(v != NULL);
	CHECK_INT(mailbox_count(v), count);
	mailbox_close(v);
	mailstore_close(ms);
}

/* in_child - nothing that is open, or cached, must cross a fork */
static void in_child(void (*fn)(void))
{
	pid_t pid = trace_fork();
	int status;

	if (pid == 0) {
		fn();
		fflush(NULL);
		_exit(unit_failures() > 0);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid);
	CHECK_INT(status, 0);
}

/* at_each - the work with the other at each of its calls, and what is right after it */
static void at_each(void (*work)(void), void (*act)(struct other *o), void (*look)(void))
{
	struct other o = { .act = act };
	char row[32];
	int at;

	for (at = 1; at < STOPS_MAX; at += STRIDE) {
		o.at = at;
		o.count = 0;
		o.done = o.synced = o.locked = false;
		begin(&o);
		REQUIRE(trace_run(work, at_call, &o));
		if (!o.done) {
			break;
		}
		snprintf(row, sizeof(row), "call %d", at);
		CHECK_ROW(row);
		CHECK_INT(times("Subject: second\n"), 1);
		in_child(look);
	}
	CHECK_ROW(NULL);
	CHECK(at > 20 && at < STOPS_MAX);
	buf_free(&o.old);
}

static void look_delivered(void)
{
	CHECK_INT(times("Subject: first\n"), 1);
	CHECK_INT(times("Subject: ours\n"), 1);
}

static void look_appended(void)
{
	CHECK_INT(times("Subject: first\n"), 1);
	/* One that was refused may be in the copy that was made meanwhile. */
	CHECK(times("Subject: ours\n") == 1 || was_refused());
	CHECK(times("Subject: ours\n") <= 1);
	check_listed((uint32_t)times("Subject: "));
}

static void look_removed(void)
{
	CHECK_INT(times("Subject: theirs\n"), 1);
	CHECK_INT(times("Subject: first\n"), was_refused());
	check_listed((uint32_t)times("Subject: "));
}

TEST(mbox_replaced, while_mail_is_delivered)
{
	at_each(deliver_ours, replace, look_delivered);
}

TEST(mbox_replaced, by_an_old_copy)
{
	struct other o = { .act = replace_stale };

	begin(&o);
	REQUIRE(trace_run(deliver_ours, at_call, &o));
	CHECK(o.done);
	look_delivered();
	buf_free(&o.old);
}

TEST(mbox_replaced, by_who_has_the_lock)
{
	for (int at = 1; at < WAITS; at++) {
		struct other o = { .act = replace_locked, .at = at };

		begin(&o);
		o.fd = open(box(), O_RDWR | O_CLOEXEC);
		o.lock = mailbox_lock(box(), o.fd, true, 0);
		REQUIRE(o.lock != NULL && trace_run(deliver_ours, at_call, &o));
		CHECK(o.done);
		look_delivered();
		buf_free(&o.old);
	}
}

/* Under another name the file is somebody's still, and so is what is in it. */
TEST(mbox_replaced, moved_away)
{
	struct deliver_item it;
	struct slice text = slice_of(ours);
	struct deliver_how how = { .lock_ms = 0 };
	struct other o = { .act = NULL };
	char kept[4096];

	begin(&o);
	snprintf(kept, sizeof(kept), "%s", store_path("kept"));
	REQUIRE(link(box(), kept) == 0 && unlink(box()) == 0);
	it = (struct deliver_item){ .queue_id = "4A1B2C3D60",
		.sender = "",
		.recipient = "u1@test.example",
		.original = "",
		.read = slice_read,
		.read_arg = &text };
	CHECK_INT(deliver_to_mailbox(box(), &how, &it, 1), 0);
	CHECK_INT(it.status, DELIVER_OK);
	CHECK_INT(times("Subject: ours\n"), 1);
	CHECK_INT(times("Subject: first\n"), 0);
	buf_free(&o.old);
}

TEST(mbox_replaced, while_mail_is_appended)
{
	at_each(append_ours, replace, look_appended);
}

TEST(mbox_replaced, mail_comes_while_mail_is_removed)
{
	at_each(remove_first, add, look_removed);
}
