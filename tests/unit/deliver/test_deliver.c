/*
 * test_deliver - mailboxes after deliveries, crashes, power cuts and mail readers
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "mail/lock/lock.h"
#include "deliver/deliver.h"
#include "store_util.h"
#include "unit.h"

static const struct deliver_how plain_how = { .lock_ms = 0 };

/* The messages of most tests; each has its own id, B looks like an mbox inside. */
static const struct mail {
	const char *id, *sender, *recipient, *original, *content;
} mails[] = {
	{ "4A1B2C3D4E", "a@x.example", "u1@test.example", "list@test.example",
		"Received: from c (c [10.0.0.1])\n\tby mx (Postfix) with ESMTP id 4A1B2C3D4E\n"
		"\tfor <u1>; Tue, 1 Jan 2030\nSubject: A\n\none\n\ntwo\n" },
	{ "4A1B2C3D50", "", "u1@test.example", "u1@test.example",
		"Received: by mx (Postfix, from userid 0)\n\tid 4A1B2C3D50; Tue\nSubject: B\n\n"
		"From here on\n>From there\n\nFrom \nFromage\n\n"
		"From a@x.example  Tue Jan  1 00:00:00 2030\nReturn-Path: <a@x.example>\nno end" },
	{ "4A1B2C3D60", "c@x.example", "u1@test.example", "u1@test.example",
		"Received: from c by mx with SMTP id 4A1B2C3D60; Tue\nSubject: C\nX: y\n" },
};

enum { MAILS = ARRAY_LEN(mails) };

static const char older[] = "From z  Tue Jan  1 00:00:00 2030\nSubject: older\n\nhello\n\n";

/* set_item - item i of mails */
static void set_item(struct deliver_item *it, struct slice *t, size_t i, bool suspect)
{
	*it = (struct deliver_item){ .queue_id = mails[i].id,
		.sender = mails[i].sender,
		.recipient = mails[i].recipient,
		.original = mails[i].original,
		.suspect = suspect,
		.read = slice_read,
		.read_arg = t };
	*t = (struct slice){ mails[i].content, strlen(mails[i].content) };
}

static const char *box(void)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/box", unit_tmpdir());
	return path;
}

static void put_file(const char *path, const char *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	REQUIRE(fd >= 0 && fd_write_all(fd, data, len) == 0);
	close(fd);
}

/* get_file - the mbox with the dates of From_ lines blotted out */
static struct buf get_file(const char *path)
{
	struct buf b = BUF_INIT;
	size_t len;
	char *data = file_read(path, 1 << 24, &len);

	REQUIRE(data != NULL);
	buf_add(&b, data, len);
	mem_free(data);
	for (char *p = b.data; b.len > 0 && p != NULL; p = strstr(p + 1, "\nFrom ")) {
		char *nl = strchr(p + 1, '\n');

		if (nl != NULL && nl - p > 24) {
			memset(nl - 24, '#', 24);
		}
	}
	return b;
}

/* deliver_all - the items of mails as one batch */
static void deliver_all(const char *path, bool suspect, struct deliver_item items[MAILS])
{
	struct slice texts[MAILS];

	for (size_t i = 0; i < MAILS; i++) {
		set_item(&items[i], &texts[i], i, suspect);
	}
	deliver_to_mailbox(path, &plain_how, items, MAILS);
}

/* whole_box - what a mailbox with `older' and the mails looks like */
static struct buf whole_box(void)
{
	struct deliver_item items[MAILS];

	put_file(box(), older, strlen(older));
	deliver_all(box(), false, items);
	for (size_t i = 0; i < MAILS; i++) {
		CHECK_INT(items[i].status, DELIVER_OK);
		CHECK_STR(items[i].text, "delivered to mailbox");
	}
	return get_file(box());
}

TEST(deliver, mbox_form)
{
	struct buf got = whole_box();

	CHECK_STR(buf_str(&got),
		"From z  ########################\nSubject: older\n\nhello\n\n"
		"From a@x.example  ########################\nReturn-Path: <a@x.example>\n"
		"X-Original-To: list@test.example\nDelivered-To: u1@test.example\n"
		"Received: from c (c [10.0.0.1])\n\tby mx (Postfix) with ESMTP id 4A1B2C3D4E\n"
		"\tfor <u1>; Tue, 1 Jan 2030\nSubject: A\n\none\n\ntwo\n\n"
		"From MAILER-DAEMON  ########################\nReturn-Path: <>\n"
		"X-Original-To: u1@test.example\nDelivered-To: u1@test.example\n"
		"Received: by mx (Postfix, from userid 0)\n\tid 4A1B2C3D50; Tue\nSubject: B\n\n"
		">From here on\n>>From there\n\n>From \nFromage\n\n"
		">From a@x.example  Tue Jan  1 00:00:00 2030\n"
		"Return-Path: <a@x.example>\nno end\n\n"
		"From c@x.example  ########################\nReturn-Path: <c@x.example>\n"
		"X-Original-To: u1@test.example\nDelivered-To: u1@test.example\n"
		"Received: from c by mx with SMTP id 4A1B2C3D60; Tue\nSubject: C\nX: y\n\n");
	buf_free(&got);
}

TEST(deliver, mbox_new_file)
{
	struct deliver_item items[MAILS];
	struct stat st;
	char lock[300];

	deliver_all(box(), false, items);
	CHECK_INT(items[0].status, DELIVER_OK);
	REQUIRE(stat(box(), &st) == 0);
	CHECK_INT(st.st_mode & 07777, 0600);
	snprintf(lock, sizeof(lock), "%s.lock", box());
	CHECK(access(lock, F_OK) != 0);
}

TEST(deliver, mbox_separates)
{
	static const struct {
		const char *before, *after;
	} rows[] = {
		{ "", "" },
		{ "From z\nx\n\n", "From z\nx\n\n" },
		{ "From z\nx\n", "From z\nx\n\n" },
		{ "From z\nx", "From z\nx\n\n" },
		{ "From z\r\nx\r\n\r\n", "From z\r\nx\r\n\r\n" },
		{ "From z\r\nx\r\n", "From z\r\nx\r\n\n" },
		{ "\n", "\n" },
		{ "\r\n", "\r\n" },
		{ "x", "x\n\n" },
	};
	struct deliver_item items[MAILS];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf got;

		CHECK_ROW(rows[i].before);
		put_file(box(), rows[i].before, strlen(rows[i].before));
		deliver_all(box(), false, items);
		got = get_file(box());
		CHECK(str_starts(buf_str(&got), rows[i].after));
		CHECK(str_starts(buf_str(&got) + strlen(rows[i].after), "From a@x"));
		buf_free(&got);
	}
}

/* "From " at every place around the edge of the pieces the content comes in */
TEST(deliver, quoting_at_edges)
{
	enum { EDGE = 64 * 1024 };

	for (size_t at = EDGE - 12; at < EDGE + 4; at++) {
		struct buf content = BUF_INIT, got;
		struct slice t;
		struct deliver_item it;
		const char *body;

		buf_adds(&content, "S: x\n\n");
		while (content.len < at - 1) {
			buf_addc(&content, 'x');
		}
		buf_adds(&content, "\nFrom y\nFro\nFrom z\nFrom");
		t = (struct slice){ buf_str(&content), content.len };
		it = (struct deliver_item){ .queue_id = "1",
			.sender = "s",
			.recipient = "r",
			.original = "",
			.read = slice_read,
			.read_arg = &t };
		unlink(box());
		deliver_to_mailbox(box(), &plain_how, &it, 1);
		CHECK_INT(it.status, DELIVER_OK);
		got = get_file(box());
		body = strchr(buf_str(&got), '\n');
		body = strstr(body != NULL ? body : "", "xxx");
		body = body != NULL ? body + strspn(body, "x") : NULL;
		CHECK_STR(body, "\n>From y\nFro\n>From z\nFrom\n\n");
		buf_free(&got);
		buf_free(&content);
	}
}

/* check_refused - nothing is delivered and the reason is as expected */
static void check_refused(const char *path, const char *text)
{
	struct deliver_item items[MAILS];

	deliver_all(path, false, items);
	for (size_t i = 0; i < MAILS; i++) {
		CHECK_INT(items[i].status, DELIVER_DEFER);
		CHECK(strstr(items[i].text, text) != NULL);
	}
}

TEST(deliver, unsafe_files)
{
	char other[256];
	struct stat st;

	snprintf(other, sizeof(other), "%s/other", unit_tmpdir());
	put_file(other, "", 0);
	REQUIRE(symlink(other, box()) == 0);
	CHECK_ROW("symbolic link");
	check_refused(box(), "not a regular file");
	unlink(box());
	REQUIRE(link(other, box()) == 0);
	CHECK_ROW("hard link");
	check_refused(box(), "has hard links");
	unlink(box());
	REQUIRE(mkfifo(box(), 0600) == 0);
	CHECK_ROW("fifo");
	check_refused(box(), "not a regular file");
	unlink(box());
	REQUIRE(mkdir(box(), 0700) == 0);
	CHECK_ROW("directory");
	check_refused(box(), "not a regular file");
	CHECK_ROW("device");
	check_refused("/dev/null", "not a regular file");
	CHECK_ROW("no directory");
	check_refused("/nowhere/at/all", "No such file");
	REQUIRE(stat(other, &st) == 0);
	CHECK_INT(st.st_size, 0);
}

TEST(deliver, wrong_owner)
{
	struct deliver_item items[MAILS];
	struct deliver_how how = { .any_owner = true };
	struct slice texts[MAILS];

	if (geteuid() != 0) {
		unit_skip("only root can make a file of somebody else");
	}
	put_file(box(), "", 0);
	REQUIRE(chown(box(), 65534, 65534) == 0);
	check_refused(box(), "not owned");
	for (size_t i = 0; i < MAILS; i++) {
		set_item(&items[i], &texts[i], i, false);
	}
	deliver_to_mailbox(box(), &how, items, MAILS);
	CHECK_INT(items[0].status, DELIVER_OK);
}

TEST(deliver, size_limit)
{
	struct deliver_item items[MAILS];
	struct slice texts[MAILS];
	struct deliver_how how = { .size_limit = 700 };
	struct buf got;

	for (size_t i = 0; i < MAILS; i++) {
		set_item(&items[i], &texts[i], i, false);
	}
	deliver_to_mailbox(box(), &how, items, MAILS);
	/* A and B fit, C would pass the limit. */
	CHECK_INT(items[0].status, DELIVER_OK);
	CHECK_INT(items[1].status, DELIVER_OK);
	CHECK_INT(items[2].status, DELIVER_FAIL);
	CHECK_STR(items[2].dsn, "5.2.2");
	CHECK(strstr(items[2].text, "size limit exceeded") != NULL);
	got = get_file(box());
	CHECK(got.len <= 700 && str_ends(buf_str(&got), "no end\n\n"));
	buf_free(&got);
}

/* The disk refuses in the middle of the batch: whole messages stay, the rest is cut off. */
TEST(deliver, write_fails)
{
	struct deliver_item items[MAILS];
	struct rlimit old, lim;
	struct buf all = whole_box(), got;
	char *second = strstr(buf_str(&all), "From MAILER"),
	     *third = strstr(buf_str(&all), "From c@x");
	size_t b = (size_t)(second - buf_str(&all)), c = (size_t)(third - buf_str(&all));

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	for (size_t max = strlen(older); max <= all.len; max += 7) {
		size_t whole = max >= all.len ? all.len
			: max >= c            ? c
			: max >= b            ? b
					      : strlen(older);

		put_file(box(), older, strlen(older));
		lim = (struct rlimit){ max, old.rlim_max };
		setrlimit(RLIMIT_FSIZE, &lim);
		deliver_all(box(), false, items);
		setrlimit(RLIMIT_FSIZE, &old);
		got = get_file(box());
		CHECK_INT(got.len, whole);
		CHECK_MEM(got.data, got.len, all.data, whole);
		CHECK_INT(items[0].status, max >= b ? DELIVER_OK : DELIVER_FAIL);
		CHECK_INT(items[2].status, max >= all.len ? DELIVER_OK : DELIVER_FAIL);
		if (max < all.len) {
			CHECK_STR(items[2].dsn, "5.2.2");
		}
		buf_free(&got);
	}
	buf_free(&all);
}

static int64_t bad_read(void *arg, int64_t offset, void *data, size_t len)
{
	(void)arg;
	memset(data, 'x', len < 40 ? len : 40);
	return offset > 100 ? -1 : (int64_t)(len < 40 ? len : 40);
}

TEST(deliver, unreadable_content)
{
	struct deliver_item items[MAILS];
	struct slice texts[MAILS];
	struct buf got;

	for (size_t i = 0; i < MAILS; i++) {
		set_item(&items[i], &texts[i], i, false);
	}
	items[1].read = bad_read;
	deliver_to_mailbox(box(), &plain_how, items, MAILS);
	CHECK_INT(items[0].status, DELIVER_OK);
	CHECK_INT(items[1].status, DELIVER_DEFER);
	CHECK_INT(items[2].status, DELIVER_OK);
	got = get_file(box());
	CHECK(strstr(buf_str(&got), "MAILER-DAEMON") == NULL &&
		str_ends(buf_str(&got), "X: y\n\n"));
	buf_free(&got);
}

/*
 * repeat_after - a mailbox with these bytes, then the batch as suspects: everything is
 * there once
 */
static void repeat_after(const char *data, size_t len, const struct buf *want)
{
	struct deliver_item items[MAILS];
	struct buf got;

	put_file(box(), data, len);
	deliver_all(box(), true, items);
	got = get_file(box());
	CHECK_MEM(got.data, got.len, want->data, want->len);
	buf_free(&got);
	for (size_t i = 0; i < MAILS; i++) {
		CHECK(items[i].status == DELIVER_OK || items[i].status == DELIVER_DUPLICATE);
	}
}

/* kill -9 at any byte of the write */
TEST(deliver, torn_at_every_byte)
{
	struct buf all = whole_box();

	for (size_t len = strlen(older); len <= all.len; len++) {
		repeat_after(all.data, len, &all);
	}
	buf_free(&all);
}

/* What a killed process had written and not synced is not delivered while no sync succeeds. */
TEST(deliver, found_but_not_synced)
{
	struct deliver_item items[MAILS];
	struct slice texts[MAILS];

	put_file(box(), older, strlen(older));
	set_item(&items[0], &texts[0], 0, false);
	deliver_to_mailbox(box(), &plain_how, items, 1);
	CHECK_INT(items[0].status, DELIVER_OK);
	refuse_call(SYS_fdatasync);
	for (size_t count = 1; count <= 2; count++) {
		for (size_t i = 0; i < count; i++) {
			set_item(&items[i], &texts[i], i, true);
		}
		deliver_to_mailbox(box(), &plain_how, items, count);
		for (size_t i = 0; i < count; i++) {
			CHECK_INT(items[i].status, DELIVER_DEFER);
		}
	}
}

/* The name of a mailbox that somebody else made (empty) has to be on the disk, too. */
TEST(deliver, name_not_synced)
{
	struct deliver_item items[MAILS];

	put_file(box(), "", 0);
	refuse_call(SYS_fsync);
	deliver_all(box(), false, items);
	CHECK_INT(items[0].status, DELIVER_DEFER);
	put_file(box(), older, strlen(older));
	deliver_all(box(), false, items);
	CHECK_INT(items[0].status, DELIVER_OK);
}

/* the same into a new mailbox */
TEST(deliver, torn_first_message)
{
	struct deliver_item items[MAILS];
	struct buf all;

	deliver_all(box(), false, items);
	all = get_file(box());
	for (size_t len = 0; len <= all.len; len++) {
		repeat_after(all.data, len, &all);
	}
	buf_free(&all);
}

/* a power cut: the file has its new length, but from some byte on NULs */
TEST(deliver, nul_tail)
{
	struct buf all = whole_box();

	for (size_t len = strlen(older); len <= all.len; len++) {
		for (size_t fill = 1; fill < 10000; fill = fill * 7 + 2) {
			struct buf b = BUF_INIT;

			buf_add(&b, all.data, len);
			memset(buf_reserve(&b, fill), 0, fill);
			buf_added(&b, fill);
			repeat_after(b.data, b.len, &all);
			buf_free(&b);
		}
	}
	buf_free(&all);
}

/* how often does text occur? */
static int times(const struct buf *b, const char *text)
{
	int n = 0;

	for (const char *p = buf_str(b); (p = strstr(p, text)) != NULL; p++) {
		n++;
	}
	return n;
}

/*
 * After a crash a new message may come before the suspects: the tail is looked
 * at first (deliver_probe, repair), then it must not matter.
 */
TEST(deliver, new_mail_before_suspects)
{
	struct buf all = whole_box();

	for (size_t len = strlen(older); len <= all.len; len++) {
		struct deliver_item items[MAILS], other;
		static const char added[] = "From n  ########################\nReturn-Path: <n>\n"
					    "X-Original-To: u1\nDelivered-To: u1\n\n";
		static const char fresh[] = "Received: x id 77; y\nSubject: N\n\nn\n";
		struct slice texts[MAILS], t = { fresh, strlen(fresh) };
		struct buf got;
		char id[DELIVER_ID_SIZE];
		int rc;

		put_file(box(), all.data, len);
		rc = deliver_probe(box(), &plain_how, id);
		CHECK(rc >= 0);
		for (size_t i = 0; rc == 1 && i < MAILS; i++) {
			if (strcmp(id, mails[i].id) == 0) {
				set_item(&other, &texts[0], i, false);
				other.recipient = other.sender = other.original = "";
				other.repair = true;
				deliver_to_mailbox(box(), &plain_how, &other, 1);
				CHECK_INT(other.status, DELIVER_DUPLICATE);
			}
		}
		other = (struct deliver_item){ .queue_id = "77",
			.sender = "n",
			.recipient = "u1",
			.original = "u1",
			.read = slice_read,
			.read_arg = &t };
		deliver_to_mailbox(box(), &plain_how, &other, 1);
		CHECK_INT(other.status, DELIVER_OK);
		for (size_t i = 0; i < MAILS; i++) {
			set_item(&items[i], &texts[i], i, true);
		}
		deliver_to_mailbox(box(), &plain_how, items, MAILS);
		got = get_file(box());
		CHECK_INT(times(&got, "\nSubject: older"), 1);
		CHECK_INT(times(&got, "\nSubject: A"), 1);
		CHECK_INT(times(&got, "\nSubject: B"), 1);
		CHECK_INT(times(&got, "\nSubject: C"), 1);
		CHECK_INT(times(&got, "\nSubject: N"), 1);
		CHECK_INT(got.len, all.len + strlen(added) + strlen(fresh));
		buf_free(&got);
	}
	buf_free(&all);
}

/* A tail that is not ours stays, whatever it looks like. */
TEST(deliver, foreign_tails_stay)
{
	static const char *const tails[] = {
		"From z  Tue Jan  1 00:00:00 2030\nSubject: x\n\nbody",
		"From z  Tue Jan  1 00:00:00 2030\nSubject: x",
		"From z  Tue Jan  1 00:00:00 2030\n"
		"Return-Path: <z>\nDelivered-To: u1\nSubject: x\n",
		"From z  Tue Jan  1 00:00:00 2030\n"
		"Return-Path: <z>\nReceived: by h id 123; x\nSubj",
		"From z  Tue Jan  1 00:00:00 2030\nReturn-Path: <z>\nReceived: by h\n\n",
		"From z  Tue Jan  1 00:00:00 2030\nSubject: x\n\nDear all,\nFrom me",
		"From z  Tue Jan  1 00:00:00 2030\nSubject: x\n\nDear all,\nFrom here on\n",
		"From z  Tue Jan  1 00:00:00 2030\nSubject: x\n\nDear all,\n\nFrom here on\n",
		"no mailbox at all\nFrom",
	};
	struct deliver_item items[MAILS];

	for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
		struct buf b = BUF_INIT;
		char id[DELIVER_ID_SIZE], *got;

		CHECK_ROW(tails[i]);
		buf_addf(&b, "%s%s", older, tails[i]);
		put_file(box(), b.data, b.len);
		CHECK(deliver_probe(box(), &plain_how, id) >= 0);
		deliver_all(box(), true, items);
		CHECK_INT(items[0].status, DELIVER_OK);
		got = file_read(box(), 1 << 20, NULL);
		CHECK(got != NULL && str_starts(got, buf_str(&b)));
		mem_free(got);
		buf_free(&b);
	}
}

/* replaced - the mailbox of whole_box() with `from' replaced by `to' */
static void replaced(const struct buf *all, const char *from, const char *to, struct buf *out)
{
	const char *p = strstr(buf_str(all), from);

	REQUIRE(p != NULL);
	buf_add(out, all->data, (size_t)(p - all->data));
	buf_adds(out, to);
	buf_adds(out, p + strlen(from));
}

TEST(deliver, changed_by_a_reader)
{
	static const struct {
		const char *what, *from, *to;
		enum deliver_status want; /* of A */
	} rows[] = {
		{ "Status added", "Subject: A\n", "Subject: A\nStatus: RO\nX-Status: A\n",
			DELIVER_DUPLICATE },
		{ "Status on top", "Received: from c (c", "Status: O\nReceived: from c (c",
			DELIVER_DUPLICATE },
		{ "body changed", "two\n", "twa\n", DELIVER_OK },
		{ "body cut in the middle", "\ntwo\n", "", DELIVER_OK },
		{ "other recipient", "Delivered-To: u1@test", "Delivered-To: u2@test", DELIVER_OK },
		{ "other id", "id 4A1B2C3D4E", "id 4A1B2C3D4F", DELIVER_OK },
		{ "deleted", "Received: from c (c", "Received: from d (c", DELIVER_DUPLICATE },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf all = whole_box(), changed = BUF_INIT;
		struct deliver_item items[MAILS];

		CHECK_ROW(rows[i].what);
		replaced(&all, rows[i].from, rows[i].to, &changed);
		put_file(box(), changed.data, changed.len);
		deliver_all(box(), true, items);
		CHECK_INT(items[0].status, rows[i].want);
		CHECK_INT(items[1].status, DELIVER_DUPLICATE);
		CHECK_INT(items[2].status, DELIVER_DUPLICATE);
		buf_free(&all);
		buf_free(&changed);
	}
}

/* a mailbox larger than the windows it is read in; the suspects are spread over it */
TEST(deliver, suspects_in_large_mailbox)
{
	struct deliver_item items[MAILS];
	struct slice texts[MAILS];
	struct buf got, filler = BUF_INIT;

	for (size_t i = 0; i < 3000; i++) {
		buf_addf(&filler,
			"From q%zu  Tue Jan  1 00:00:00 2030\nReturn-Path: <a@x.example>\nSubject: "
			"%zu\n\n%*s\n\n",
			i, i, (int)(i % 500), "x");
	}
	put_file(box(), filler.data, filler.len);
	for (size_t i = 0; i < MAILS; i++) {
		set_item(&items[i], &texts[i], i, false);
		deliver_to_mailbox(box(), &plain_how, &items[i], 1);
		got = get_file(box());
		buf_add(&got, filler.data, filler.len);
		put_file(box(), got.data, got.len);
		buf_free(&got);
	}
	deliver_all(box(), true, items);
	for (size_t i = 0; i < MAILS; i++) {
		CHECK_INT(items[i].status, DELIVER_DUPLICATE);
	}
	buf_free(&filler);
}

/* count_files - names in a directory; the last one in name */
static int count_files(const char *dir, char *name, size_t size)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int n = 0;

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (e->d_name[0] != '.') {
			snprintf(name, size, "%s", e->d_name);
			n++;
		}
	}
	if (d != NULL) {
		closedir(d);
	}
	return n;
}

TEST(deliver, maildir)
{
	struct deliver_item items[MAILS];
	char dir[200], sub[256], name[256] = "", from[600], to[600];
	char *got;

	snprintf(dir, sizeof(dir), "%s/a/b/", unit_tmpdir());
	deliver_all(dir, false, items);
	snprintf(sub, sizeof(sub), "%snew", dir);
	CHECK_INT(count_files(sub, name, sizeof(name)), MAILS);
	CHECK_STR(items[2].text, "delivered to maildir");
	/* A reader takes one to cur. */
	snprintf(from, sizeof(from), "%s/%s", sub, name);
	snprintf(to, sizeof(to), "%scur/%s:2,RS", dir, name);
	REQUIRE(rename(from, to) == 0);
	deliver_all(dir, true, items);
	for (size_t i = 0; i < MAILS; i++) {
		CHECK_INT(items[i].status, DELIVER_DUPLICATE);
	}
	/* One is gone: delivered again, without From_ line and quoting. */
	count_files(sub, name, sizeof(name));
	snprintf(from, sizeof(from), "%s/%s", sub, name);
	unlink(from);
	unlink(to);
	deliver_all(dir, true, items);
	CHECK_INT(count_files(sub, name, sizeof(name)), MAILS);
	snprintf(sub, sizeof(sub), "%stmp", dir);
	CHECK_INT(count_files(sub, name, sizeof(name)), 0);
	set_item(&items[1], &(struct slice){ NULL, 0 }, 1, false);
	snprintf(dir, sizeof(dir), "%s/m/", unit_tmpdir());
	items[1].read_arg = &(struct slice){ mails[1].content, strlen(mails[1].content) };
	deliver_to_mailbox(dir, &plain_how, &items[1], 1);
	snprintf(sub, sizeof(sub), "%snew", dir);
	CHECK_INT(count_files(sub, name, sizeof(name)), 1);
	snprintf(from, sizeof(from), "%s/%s", sub, name);
	got = file_read(from, 1 << 20, NULL);
	REQUIRE(got != NULL);
	CHECK(str_starts(got, "Return-Path: <>\nX-Original-To: u1@test.example\nDelivered-To: u1"));
	CHECK(str_ends(got,
		"\n\nFrom here on\n>From there\n\nFrom \nFromage\n\nFrom a@x.example  Tue Jan  1 "
		"00:00:00 2030\nReturn-Path: <a@x.example>\nno end\n"));
	mem_free(got);
}

/* Names that cannot be synced are taken back: nobody gets one more copy with each try. */
TEST(deliver, maildir_name_not_synced)
{
	struct deliver_item items[MAILS];
	char dir[200], sub[256], name[256];
	int next;

	snprintf(dir, sizeof(dir), "%s/m/", unit_tmpdir());
	deliver_all(dir, false, items);
	/* The third directory that is opened. */
	next = dup(STDIN_FILENO);
	close(next);
	refuse_call_on(SYS_fsync, next + 2);
	for (int tries = 0; tries < 2; tries++) {
		deliver_all(dir, false, items);
		for (size_t i = 0; i < MAILS; i++) {
			CHECK_INT(items[i].status, DELIVER_DEFER);
		}
	}
	snprintf(sub, sizeof(sub), "%snew", dir);
	CHECK_INT(count_files(sub, name, sizeof(name)), MAILS);
	snprintf(sub, sizeof(sub), "%stmp", dir);
	CHECK_INT(count_files(sub, name, sizeof(name)), 0);
}

/* nobody - deliver_how.wanted of a delivery whose agent has died */
static bool nobody(void *arg)
{
	(void)arg;
	return false;
}

/* By the time the lock is ours another agent may have been asked for the same. */
TEST(deliver, nobody_waits)
{
	const struct deliver_how how = { .wanted = nobody };
	struct deliver_item items[MAILS];
	struct slice texts[MAILS];
	char path[2][280], new[300], name[256];
	struct stat st;

	snprintf(path[0], sizeof(path[0]), "%s/box", unit_tmpdir());
	snprintf(path[1], sizeof(path[1]), "%s/unwanted/", unit_tmpdir());
	put_file(path[0], older, strlen(older));
	for (size_t p = 0; p < 2; p++) {
		for (size_t i = 0; i < MAILS; i++) {
			set_item(&items[i], &texts[i], i, false);
		}
		CHECK_INT(deliver_to_mailbox(path[p], &how, items, MAILS), 0);
		for (size_t i = 0; i < MAILS; i++) {
			CHECK_INT(items[i].status, DELIVER_DEFER);
		}
	}
	CHECK(stat(path[0], &st) == 0 && st.st_size == (off_t)strlen(older));
	snprintf(new, sizeof(new), "%snew", path[1]);
	CHECK_INT(count_files(new, name, sizeof(name)), 0);
}

/* Who looks for what was delivered before waits for a delivery that is under way; others do not. */
TEST(deliver, maildir_under_way)
{
	struct deliver_item items[MAILS];
	struct slice texts[MAILS];
	char path[280];
	int fd;

	snprintf(path, sizeof(path), "%s/shared/", unit_tmpdir());
	deliver_all(path, false, items);
	fd = open(path, O_RDONLY | O_DIRECTORY);
	REQUIRE(fd >= 0 && flock(fd, LOCK_SH) == 0);
	for (size_t i = 0; i < MAILS; i++) {
		set_item(&items[i], &texts[i], i, i == 1);
	}
	CHECK_INT(deliver_to_mailbox(path, &plain_how, items, MAILS), 1);
	CHECK_INT(items[1].status, DELIVER_DEFER);
	deliver_all(path, false, items);
	CHECK_INT(items[1].status, DELIVER_OK);
	REQUIRE(flock(fd, LOCK_EX) == 0);
	set_item(&items[0], &texts[0], 0, false);
	CHECK_INT(deliver_to_mailbox(path, &plain_how, items, 1), 1);
	close(fd);
	deliver_all(path, true, items);
	CHECK_INT(items[1].status, DELIVER_DUPLICATE);
}

/* in another process: hold the lock until told to end */
static pid_t hold_lock(const char *path)
{
	int fds[2];
	char c;
	pid_t pid;

	REQUIRE(pipe(fds) == 0);
	pid = fork();
	if (pid == 0) {
		int fd = open(path, O_RDWR | O_CREAT, 0600);

		if (mailbox_lock(path, fd, true, 0) == NULL) {
			_exit(1);
		}
		(void)!write(fds[1], "x", 1);
		pause();
		_exit(0);
	}
	close(fds[1]);
	REQUIRE(read(fds[0], &c, 1) == 1);
	close(fds[0]);
	return pid;
}

TEST(deliver, locked_mailbox)
{
	struct deliver_item items[MAILS];
	struct slice texts[MAILS];
	pid_t pid = hold_lock(box());

	for (size_t i = 0; i < MAILS; i++) {
		set_item(&items[i], &texts[i], i, false);
	}
	CHECK_INT(deliver_to_mailbox(box(), &plain_how, items, MAILS), 1);
	CHECK_INT(items[0].status, DELIVER_DEFER);
	CHECK_STR(items[0].dsn, "4.2.0");
	CHECK(strstr(items[0].text, "unable to lock") != NULL);
	/* kill -9: its dotlock stays, but it is known to be gone. */
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	CHECK_INT(deliver_to_mailbox(box(), &plain_how, items, MAILS), 0);
	CHECK_INT(items[0].status, DELIVER_OK);
}
