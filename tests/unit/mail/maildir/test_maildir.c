/*
 * test_maildir - the maildir driver: what is read, followed, written
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "mail/maildir/maildir_driver.h"
#include "store_util.h"
#include "unit.h"

static void make_dirs(const char *name)
{
	static const char *const parts[] = { "", "/tmp", "/new", "/cur" };
	char path[512];

	for (size_t i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s%s", name, parts[i]);
		mkdir(store_path(path), 0700);
	}
}

static void check_list(struct mailbox_view *v, const char *want)
{
	char *got = store_list(v);

	CHECK_STR(got, want);
	mem_free(got);
}

static void move(const char *from, const char *to)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s", store_path(from));
	REQUIRE(rename(path, store_path(to)) == 0);
}

TEST(maildir, follows)
{
	struct mailstore *ms = store_open("maildir");
	struct mailbox_view *v;

	make_dirs("Maildir");
	store_write("Maildir/cur/100.a.h:2,FS", "Subject: a\n\n1\n", 14);
	store_write("Maildir/new/200.b.h", "Subject: b\r\n\r\n2\r\n", 17);
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL);
	check_list(v, "1:a 2:b ");
	CHECK_INT(mailbox_info(v, 1)->flags, MAIL_SEEN | MAIL_FLAGGED);
	CHECK_INT(mailbox_info(v, 1)->size, 17);
	CHECK_INT(mailbox_info(v, 2)->size, 17);
	CHECK(mailbox_recent(v, 2));
	move("Maildir/new/200.b.h", "Maildir/cur/200.b.h:2,R");
	move("Maildir/cur/100.a.h:2,FS", "Maildir/cur/100.a.h:2,S");
	CHECK_INT(mailbox_view_sync(v, true, NULL), 0);
	check_list(v, "1:a 2:b ");
	CHECK_INT(mailbox_info(v, 1)->flags, MAIL_SEEN);
	CHECK_INT(mailbox_info(v, 2)->flags, MAIL_ANSWERED);
	store_write("Maildir/new/150.c.h", "Subject: c\n\n3\n", 14);
	unlink(store_path("Maildir/cur/100.a.h:2,S"));
	CHECK_INT(mailbox_view_sync(v, true, NULL), 0);
	check_list(v, "2:b 3:c ");
	mailbox_close(v);
	mailstore_close(ms);
}

TEST(maildir, flags_and_keywords)
{
	struct mailstore *ms = store_open("maildir");
	struct mailbox_view *v;
	uint32_t uid = 1;
	char *text;

	make_dirs("Maildir");
	store_write("Maildir/new/100.a.h", "Subject: a\n\n1\n", 14);
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL);
	CHECK_INT(mailbox_keyword_bit(v, "$Label1", true), 0);
	CHECK_INT(mailbox_store(
			  v, &uid, 1, FLAGS_SET, MAIL_SEEN | MAIL_DRAFT, 1, UINT64_MAX, NULL, NULL),
		0);
	CHECK_INT(access(store_path("Maildir/cur/100.a.h:2,DSa"), F_OK), 0);
	text = store_read("Maildir/dovecot-keywords", NULL);
	CHECK_STR(text, "0 $Label1\n");
	mem_free(text);
	move("Maildir/cur/100.a.h:2,DSa", "Maildir/cur/100.a.h:2,Pa");
	CHECK_INT(mailbox_view_sync(v, true, NULL), 0);
	CHECK_INT(mailbox_info(v, 1)->flags, 0);
	CHECK_INT(mailbox_info(v, 1)->keywords, 1);
	CHECK_INT(mailbox_store(v, &uid, 1, FLAGS_ADD, MAIL_SEEN, 0, UINT64_MAX, NULL, NULL), 0);
	CHECK_INT(access(store_path("Maildir/cur/100.a.h:2,PSa"), F_OK), 0);
	mailbox_close(v);
	mailstore_close(ms);
}

TEST(maildir, imports_uidlist)
{
	static const char list[] = "3 V1275660208 N50 Gabcdef\n40 W17 :200.b.h\n41 :100.a.h:2,S\n"
				   "42 :gone\n";
	struct mailstore *ms = store_open("maildir");
	struct mailbox_view *v;

	make_dirs("Maildir");
	store_write("Maildir/dovecot-uidlist", list, strlen(list));
	store_write("Maildir/cur/100.a.h:2,S", "Subject: a\n\n1\n", 14);
	store_write("Maildir/cur/200.b.h:2,", "Subject: b\n\n1\n", 14);
	store_write("Maildir/new/300.c.h", "Subject: c\n\n1\n", 14);
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL);
	CHECK_INT(mailbox_uid_validity(v), 1275660208);
	check_list(v, "40:b 41:a 50:c ");
	mailbox_close(v);
	mailstore_close(ms);
}

/* What the name says of sizes is believed where it can be right, and put right by reading. */
TEST(maildir, sizes_in_names)
{
	static const struct {
		const char *name;
		uint64_t size;
	} rows[] = {
		{ "1.a.host,S=5,W=9:2,", 8 },  /* another size */
		{ "2.b.host,S=6,W=99:2,", 8 }, /* more line ends than bytes */
		{ "3.c.host,W=9:2,", 8 }, { "4.d.host,S=6,W=8:2,", 8 },
		{ "5.e.host,S=6,W=9:2,", 9 }, /* could be, and is not */
	};
	struct mailstore *ms = store_open("maildir");
	struct mailbox_view *v;
	char name[200];

	make_dirs("Maildir");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		snprintf(name, sizeof(name), "Maildir/cur/%s", rows[i].name);
		store_write(name, "a: b\n\n", 6);
	}
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL && mailbox_count(v) == ARRAY_LEN(rows));
	for (uint32_t seq = 1; seq <= ARRAY_LEN(rows); seq++) {
		CHECK_ROW(rows[seq - 1].name);
		CHECK_INT(mailbox_info(v, seq)->size, rows[seq - 1].size);
	}
	CHECK_ROW(NULL);
	CHECK_INT(mailbox_correct_size(v, mailbox_info(v, 5)->uid, 8), 0);
	mailbox_close(v);
	v = mailbox_open(ms, "INBOX", false);
	CHECK_INT(mailbox_info(v, 5)->size, 8);
	/* CR CR LF is kept as CR LF. */
	CHECK(store_put(ms, "INBOX", "a: b\r\r\n\r\nx", 0) != 0);
	mailbox_view_sync(v, true, NULL);
	CHECK_INT(mailbox_info(v, 6)->size, 9);
	mailbox_close(v);
	mailstore_close(ms);
}

TEST(maildir, appends_and_expunges)
{
	struct mailstore *ms = store_open("maildir");
	struct mailbox_view *v;
	uint32_t uid = 1;

	CHECK_INT(store_put(ms, "INBOX", "Subject: a\r\n\r\nFrom me\r\n", 0), 1);
	CHECK_INT(store_put(ms, "INBOX", "Subject: b\r\n\r\n2\r\n", MAIL_SEEN), 2);
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL);
	check_list(v, "1:a 2:b ");
	CHECK_INT(mailbox_info(v, 1)->size, 23);
	CHECK_INT(mailbox_info(v, 2)->received, 1312895000);
	CHECK_INT(mailbox_expunge(v, &uid, 1, true), 0);
	CHECK_INT(mailbox_view_sync(v, true, NULL), 0);
	check_list(v, "2:b ");
	mailbox_close(v);
	mailstore_close(ms);
}

/* What killed deliveries left goes after a day and a half; what somebody just writes stays. */
TEST(maildir, sweeps_tmp)
{
	static const struct timespec old[2] = { { .tv_sec = 1000000000 },
		{ .tv_sec = 1000000000 } };
	struct maildir_box box = { .swept = false };
	char path[512];

	make_dirs("Maildir");
	store_write("Maildir/tmp/100.killed", "x", 1);
	store_write("Maildir/tmp/.keep", "x", 1);
	store_write("Maildir/new/200.a", "x", 1);
	/* Its times are those of a mail that is copied; what tells is when they were set. */
	REQUIRE(utimensat(AT_FDCWD, store_path("Maildir/tmp/100.killed"), old, 0) == 0);
	mailstore_close(store_open("maildir"));
	snprintf(path, sizeof(path), "%s", store_path("Maildir"));
	box.mb.path = path;
	maildir_sweep(&box.mb, time(NULL) + 35 * 3600);
	CHECK(box.swept && access(store_path("Maildir/tmp/100.killed"), F_OK) == 0);
	maildir_sweep(&box.mb, time(NULL) + 37 * 3600);
	CHECK(access(store_path("Maildir/tmp/100.killed"), F_OK) == 0);
	box.swept = false;
	maildir_sweep(&box.mb, time(NULL) + 37 * 3600);
	CHECK(access(store_path("Maildir/tmp/100.killed"), F_OK) != 0);
	CHECK(access(store_path("Maildir/tmp/.keep"), F_OK) == 0);
	CHECK(access(store_path("Maildir/new/200.a"), F_OK) == 0);
}
