/*
 * test_deliver_removed - a delivery whose answer was lost, and a reader that took the mail out
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "mail/removed.h"
#include "deliver/deliver.h"
#include "store_util.h"
#include "trace.h"
#include "unit.h"

static const char content[] =
	"Received: from c (c [10.0.0.1])\n\tby mx (Postfix) with ESMTP id %s\n"
	"\tfor <u1>; Tue, 1 Jan 2030\nSubject: %s\nStatus: RO\n\nbody\n"
	">From here\nFrom there\n\nof %s\n\n";

static const char *kind;

/* place - where mail is delivered to */
static const char *place(void)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", unit_tmpdir(),
		strcmp(kind, "mbox") == 0 ? "inbox" : "Maildir/");
	return path;
}

static const char *home(void)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/home", unit_tmpdir());
	return path;
}

/* put - one mail with this content; suspect: nobody heard what became of it the first time */
static enum deliver_status put(
	const char *id, const char *recipient, struct slice text, bool suspect)
{
	struct deliver_how how = { .lock_ms = 0, .home = home() };
	struct deliver_item it = { .queue_id = id,
		.sender = "a@x.example",
		.recipient = recipient,
		.original = "list@test.example",
		.suspect = suspect,
		.read = slice_read,
		.read_arg = &text };

	CHECK_INT(deliver_to_mailbox(place(), &how, &it, 1), 0);
	return it.status;
}

/* deliver - the same with a content of its own for each id */
static enum deliver_status deliver(const char *id, const char *recipient, bool suspect)
{
	char text[1024];

	snprintf(text, sizeof(text), content, id, id, recipient);
	return put(id, recipient, slice_of(text), suspect);
}

enum how { BY_EXPUNGE, BY_MOVE, BY_DELETED };

/* take_out - the first message of INBOX */
static void take_out(enum how how)
{
	struct mailstore *ms = store_open(kind);
	struct mailbox_view *v;
	uint32_t uid, *given, validity;

	REQUIRE(ms != NULL);
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL && mailbox_count(v) > 0);
	uid = mailbox_info(v, 1)->uid;
	if (how == BY_MOVE) {
		REQUIRE(mailstore_create(ms, "Saved") == 0);
		REQUIRE(mailbox_copy(v, &uid, 1, "Saved", MAIL_MOVE, &given, &validity) == 0);
		mem_free(given);
	} else if (how == BY_EXPUNGE) {
		REQUIRE(mailbox_expunge(v, &uid, 1, true) == 0);
	} else {
		REQUIRE(mailbox_store(v, &uid, 1, FLAGS_ADD, MAIL_DELETED, 0, UINT64_MAX, NULL,
				NULL) == 0);
		REQUIRE(mailbox_expunge(v, NULL, 0, false) == 0);
	}
	mailbox_close(v);
	mailstore_close(ms);
}

static void check_inbox(const char *want)
{
	struct mailstore *ms = store_open(kind);

	store_check(ms, "INBOX", true, want);
	mailstore_close(ms);
}

static void with_each(void (*test)(void))
{
	static const char *const kinds[] = { "mbox", "maildir" };

	mkdir(home(), 0700);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		kind = kinds[i];
		CHECK_ROW(kind);
		test();
	}
	CHECK_ROW(NULL);
}

static void once(void)
{
	static const char *const ids[] = { "4A1B2C3D4E", "4A1B2C3D50", "4A1B2C3D60" };

	for (int how = BY_EXPUNGE; how <= BY_DELETED; how++) {
		CHECK_INT(deliver(ids[how], "u1@test.example", false), DELIVER_OK);
		take_out(how);
		CHECK_INT(deliver(ids[how], "u1@test.example", true), DELIVER_DUPLICATE);
	}
	check_inbox("");
	/* To somebody else, and another mail, it comes. */
	CHECK_INT(deliver(ids[0], "u2@test.example", true), DELIVER_OK);
	CHECK_INT(deliver("4A1B2C3D61", "u1@test.example", true), DELIVER_OK);
	check_inbox("4:4A1B2C3D4E 5:4A1B2C3D61 ");
}

TEST(deliver_removed, taken_out_is_not_delivered_again)
{
	with_each(once);
}

/* What is written down is on the disk no later than the removal. */
struct order {
	bool written, down, synced, early;
};

static bool follow(void *arg, const struct trace_call *c)
{
	struct order *o = arg;
	char link[64], path[512] = "";
	bool removed;

	if (!c->entry) {
		return true;
	}
	snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)c->pid, (int)c->args[0]);
	if (readlink(link, path, sizeof(path) - 1) < 0) {
		path[0] = '\0';
	}
	removed = str_ends(path, "/.pillarbox/removed");
	switch (c->nr) {
	case SYS_write:
	case SYS_writev:
		o->written = o->written || removed;
		break;
#ifdef SYS_sync_file_range
	case SYS_sync_file_range:
#else
	case SYS_sync_file_range2:
#endif
	case SYS_fdatasync:
		o->down = o->down || (removed && o->written);
		/* fall through */
	case SYS_fsync:
	case SYS_syncfs:
		o->synced = o->synced || (o->written && !removed);
		o->early = o->early || (o->written && !o->down);
		break;
	}
	return true;
}

static void take_one(void)
{
	take_out(BY_EXPUNGE);
}

static void in_order(void)
{
	struct order o = { .written = false };

	CHECK_INT(deliver("4A1B2C3D4E", "u1@test.example", false), DELIVER_OK);
	CHECK(trace_run(take_one, follow, &o));
	CHECK(o.written && o.down && o.synced);
	CHECK(!o.early);
}

TEST(deliver_removed, on_the_disk_before_the_removal)
{
	with_each(in_order);
}

/* A file whose last entry a power cut tore is put aside: what comes behind it could not be read. */
TEST(deliver_removed, torn_entry)
{
	char *file;
	size_t len;

	mkdir(home(), 0700);
	kind = "mbox";
	CHECK_INT(deliver("4A1B2C3D4E", "u1@test.example", false), DELIVER_OK);
	take_out(BY_EXPUNGE);
	file = store_read("home/.pillarbox/removed", &len);
	REQUIRE(file != NULL && len == sizeof(struct removed_entry));
	store_append("home/.pillarbox/removed", "torn");
	mem_free(file);
	CHECK_INT(deliver("4A1B2C3D50", "u1@test.example", false), DELIVER_OK);
	take_out(BY_EXPUNGE);
	CHECK_INT(deliver("4A1B2C3D4E", "u1@test.example", true), DELIVER_DUPLICATE);
	CHECK_INT(deliver("4A1B2C3D50", "u1@test.example", true), DELIVER_DUPLICATE);
}

/* What could not be removed may be on no disk yet: when it is not there any more, it comes. */
TEST(deliver_removed, not_removed_after_all)
{
	char command[1200];
	pid_t pid;
	int status;

	mkdir(home(), 0700);
	kind = "maildir";
	CHECK_INT(deliver("4A1B2C3D4E", "u1@test.example", false), DELIVER_OK);
	pid = fork();
	if (pid == 0) {
		struct mailstore *ms = store_open(kind);
		struct mailbox_view *v = ms != NULL ? mailbox_open(ms, "INBOX", false) : NULL;
		uint32_t uid = v != NULL && mailbox_count(v) == 1 ? mailbox_info(v, 1)->uid : 0;

		refuse_unlink();
		_exit(uid != 0 && mailbox_expunge(v, &uid, 1, true) != 0 ? 0 : 1);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid && status == 0);
	check_inbox("1:4A1B2C3D4E ");
	snprintf(command, sizeof(command), "rm -f '%s'/Maildir/*/*", unit_tmpdir());
	CHECK_INT(system(command), 0);
	CHECK_INT(deliver("4A1B2C3D4E", "u1@test.example", true), DELIVER_OK);
	/* And what was removed after all is not. */
	take_out(BY_EXPUNGE);
	CHECK_INT(deliver("4A1B2C3D4E", "u1@test.example", true), DELIVER_DUPLICATE);
}

/* What is in one mailbox of a user says nothing about another one. */
static void elsewhere(void)
{
	CHECK_INT(deliver("4A1B2C3D4E", "u1@test.example", false), DELIVER_OK);
	take_out(BY_EXPUNGE);
	kind = strcmp(kind, "mbox") == 0 ? "maildir" : "mbox";
	CHECK_INT(deliver("4A1B2C3D4E", "u1@test.example", true), DELIVER_OK);
}

TEST(deliver_removed, another_mailbox)
{
	mkdir(home(), 0700);
	kind = "mbox";
	elsewhere();
}

/* The beginning of a mail is taken out: that is not the mail. */
TEST(deliver_removed, a_torn_one_still_comes)
{
	struct stat whole;

	mkdir(home(), 0700);
	kind = "mbox";
	CHECK_INT(deliver("4A1B2C3D4E", "u1@test.example", false), DELIVER_OK);
	REQUIRE(stat(place(), &whole) == 0);
	for (off_t cut = 2; cut < 80; cut++) {
		char id[24];

		snprintf(id, sizeof(id), "4A1B2C3D%02X", (unsigned)cut);
		REQUIRE(truncate(place(), 0) == 0);
		CHECK_INT(deliver(id, "u1@test.example", false), DELIVER_OK);
		REQUIRE(truncate(place(), whole.st_size - cut) == 0);
		take_out(BY_EXPUNGE);
		CHECK_INT(deliver(id, "u1@test.example", true), DELIVER_OK);
	}
}

#define RECEIVED "Received: by mx with ESMTP id 4A1B2C3D4E\n\tfor <u1>; Tue, 1 Jan 2030\n"

/* Whatever lines a mail is made of, and whether its last one has an end. */
static void other_line_ends(void)
{
	static const char *const texts[] = {
		RECEIVED "Subject: x\n\nbody\n",
		RECEIVED "Subject: x\r\n\r\nbody\r\nand\nmore\r\n",
		RECEIVED "Subject: x\r\n\r\nbody\r\n\r\n\r\n",
		RECEIVED "Subject: x\n\nno end",
		RECEIVED "Subject: x\n\nno end\r",
		RECEIVED "Subject: x\n\n\rone\rtwo\n\n\n",
		RECEIVED "Subject: x\n\n",
		RECEIVED "Subject: x\n\nFrom me\n>From you\n>>From them\n\nFrom all\n",
		RECEIVED "Subject: x\nContent-Length: 5\nStatus: RO\nX-UID: 3\n\nbody\nmore\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		CHECK_ROW(texts[i]);
		CHECK_INT(put("4A1B2C3D4E", "u1@x", slice_of(texts[i]), false), DELIVER_OK);
		take_out(BY_EXPUNGE);
		CHECK_INT(put("4A1B2C3D4E", "u1@x", slice_of(texts[i]), true), DELIVER_DUPLICATE);
	}
	check_inbox("");
}

TEST(deliver_removed, the_same_with_other_line_ends)
{
	with_each(other_line_ends);
}

/* read_so_far - bytes that this process has read from anywhere */
static unsigned long long read_so_far(void)
{
	char text[512], *at;
	int fd = open("/proc/self/io", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

	REQUIRE(n > 0);
	close(fd);
	text[n] = '\0';
	at = strstr(text, "rchar: ");
	REQUIRE(at != NULL);
	return strtoull(at + 7, NULL, 10);
}

/* What is removed is not read for that, but for its beginning. */
static void not_read(void)
{
	enum { SIZE = 900 * 1000, COUNT = 4 };
	char *text = mem_alloc(SIZE);
	int head = snprintf(text, SIZE, "%sSubject: x\n\n", RECEIVED);
	unsigned long long before;
	struct mailstore *ms;
	struct mailbox_view *v;

	memset(text + head, '\n', (size_t)(SIZE - head));
	for (int i = 0; i < COUNT; i++) {
		/* The second half with lines that are quoted in an mbox. */
		memcpy(text + head, i < COUNT / 2 ? "\nTo me\n" : "\nFrom me\n", i < 2 ? 7 : 9);
		CHECK_INT(
			put("4A1B2C3D4E", "u1@x", (struct slice){ text, SIZE }, false), DELIVER_OK);
	}
	ms = store_open(kind);
	v = ms != NULL ? mailbox_open(ms, "INBOX", false) : NULL;
	REQUIRE(v != NULL && mailbox_count(v) == COUNT);
	/* What an mbox grew by is all that was looked at since. */
	CHECK_INT(deliver("4A1B2C3D50", "u1@test.example", false), DELIVER_OK);
	REQUIRE(mailbox_view_sync(v, true, NULL) == 0);
	REQUIRE(mailbox_store(v, (uint32_t[]){ 1, 2, 3, 4 }, COUNT, FLAGS_ADD, MAIL_DELETED, 0,
			UINT64_MAX, NULL, NULL) == 0);
	before = read_so_far();
	CHECK_INT(mailbox_expunge(v, NULL, 0, false), 0);
	CHECK(read_so_far() - before < SIZE / 2);
	mailbox_close(v);
	mailstore_close(ms);
	CHECK_INT(put("4A1B2C3D4E", "u1@x", (struct slice){ text, SIZE }, true), DELIVER_DUPLICATE);
	mem_free(text);
}

TEST(deliver_removed, removed_without_being_read)
{
	with_each(not_read);
}

static bool is_kept(uint64_t key)
{
	struct buf all = BUF_INIT;
	const struct removed_entry *e;
	bool found = false;

	removed_read(home(), &all);
	e = (const struct removed_entry *)all.data;
	for (size_t i = 0; i < all.len / sizeof(*e); i++) {
		found = found || e[i].key == key;
	}
	buf_free(&all);
	return found;
}

/* As much as fits is kept, the newest of it always. */
TEST(deliver_removed, bounded_in_size)
{
	struct removed_entry some[100];
	struct stat st;
	uint64_t n = 0;

	mkdir(home(), 0700);
	for (int round = 0; round < 700; round++) {
		for (size_t i = 0; i < ARRAY_LEN(some); i++) {
			some[i] = (struct removed_entry){ ++n, 0, time(NULL) };
		}
		removed_add(home(), home(), some, ARRAY_LEN(some));
		CHECK(is_kept(n));
	}
	CHECK(is_kept(n - 20000));
	CHECK(!is_kept(1));
	CHECK(stat(store_path("home/.pillarbox/removed"), &st) == 0 && st.st_size <= 530000);
	CHECK(stat(store_path("home/.pillarbox/removed.old"), &st) == 0 && st.st_size <= 530000);
}

/* One that is too old to come again goes, but not before those that came with it. */
TEST(deliver_removed, bounded_in_age)
{
	struct removed_entry e = { 1, 0, time(NULL) - REMOVED_SECONDS - 10 };

	mkdir(home(), 0700);
	removed_add(home(), home(), &e, 1);
	e = (struct removed_entry){ 2, 0, time(NULL) - REMOVED_SECONDS - 5 };
	removed_add(home(), home(), &e, 1);
	CHECK(is_kept(1) && is_kept(2));
	e = (struct removed_entry){ 3, 0, time(NULL) };
	removed_add(home(), home(), &e, 1);
	CHECK(!is_kept(1) && is_kept(2) && is_kept(3));
}

/* No home, one that cannot be written, a link in its place: mail is removed all the same. */
TEST(deliver_removed, no_place_for_it)
{
	struct removed_entry e = { 1, 0, time(NULL) };

	removed_add("", home(), &e, 1);
	removed_add("/nonexistent", home(), &e, 1);
	mkdir(home(), 0700);
	REQUIRE(symlink(unit_tmpdir(), store_path("home/.pillarbox")) == 0);
	removed_add(home(), home(), &e, 1);
	CHECK(access(store_path("removed"), F_OK) != 0);
	CHECK(!is_kept(1));
	kind = "mbox";
	CHECK_INT(deliver("4A1B2C3D4E", "u1@test.example", false), DELIVER_OK);
	take_out(BY_EXPUNGE);
	check_inbox("");
}
