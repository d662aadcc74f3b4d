/*
 * test_mbox - the mbox driver: what is read, followed, written
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "mail/mbox/mbox_scan.h"
#include "store_util.h"
#include "unit.h"

#define FROM "From a@b.example Tue Aug  9 14:21:58 2011\n"
#define MSG(subject, body) FROM "Subject: " subject "\n\n" body "\n"

static void check_list(struct mailbox_view *v, const char *want)
{
	char *got = store_list(v);

	CHECK_STR(got, want);
	mem_free(got);
}

static void check_text(struct mailbox_view *v, uint32_t seq, const char *want)
{
	size_t len = 0;
	char *got = store_text(v, seq, &len);

	CHECK_STR(got, want);
	if (got != NULL) {
		CHECK_INT(len, strlen(want));
	}
	mem_free(got);
}

TEST(mbox, from_lines)
{
	static const struct {
		const char *line;
		int want;
	} rows[] = {
		{ "From a@b.example Tue Aug  9 14:21:58 2011\n", 1 },
		{ "From a@b.example Tue Aug 09 14:21:58 2011", 1 },
		{ "From a@b.example Tue Aug  9 14:21:58 2011 +0800\r\n", 1 },
		{ "From a@b.example Tue Aug  9 14:21:58 CST 2011\n", 1 },
		{ "From a@b.example Tue, 09 Aug 2011 14:21:58 +0800\n", 1 },
		{ "From a@b.example Tue, 9 Aug 2011 14:21:58 +0800 (CST)\n", 1 },
		{ "From a@b.example tue aug  9 14:21:58 2011\n", 1 },
		{ "From a@b.example Die Aug  9 14:21:58 2011\n", 1 },
		{ "From a@b.example\tTue Aug  9 14:21:58 2011\n", 1 },
		{ "From a@b.example\n", 0 },
		{ "From b@x  Fri Nov 25 16: 18:08 2016\n", 0 },
		{ "From \"a b\"@c.example  Tue Aug  9 14:21 2011\n", 1 },
		{ "From MAILER-DAEMON Fri Jul  8 12:08:34 2011\n", 1 },
		{ "From Tue to Fri we are closed.\n", 0 },
		{ "From here on nothing\n", 0 },
		{ "From \n", 0 },
		{ "From a21l\n\nFrom a@b.example Tue Aug  9 14:21:58 2011\n", 0 },
		{ ">From a@b.example Tue Aug  9 14:21:58 2011\n", 0 },
		{ "from a@b.example Tue Aug  9 14:21:58 2011\n", 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		time_t when;

		CHECK_ROW(rows[i].line);
		CHECK_INT(mbox_is_from(rows[i].line, strlen(rows[i].line), &when), rows[i].want);
	}
}

static int put(void *arg, const char *data, size_t len)
{
	buf_add(arg, data, len);
	return 0;
}

TEST(mbox, writer)
{
	static const struct {
		const char *in, *meta, *want;
	} rows[] = {
		{ "Subject: a\n\nFrom me\n>From you\n>>From\nFrom\nx From \n", "",
			"Subject: a\n\n>From me\n>>From you\n>>From\nFrom\nx From \n\n" },
		{ "Subject: a\n\nno end", "", "Subject: a\n\nno end\n\n" },
		{ "Status: RO\nSubject: a\n\nb\n", "",
			"Status: RO\nSubject: a\nX-Pillarbox-Bookkeeping: below\n\nb\n\n" },
		{ "Subject: a\n\nStatus: b\n", "Status: RO\n",
			"Subject: a\nStatus: RO\n\nStatus: b\n\n" },
		{ "content-LENGTH: 1\n\nb", "X: y\n",
			"content-LENGTH: 1\nX-Pillarbox-Bookkeeping: below\nX: y\n\nb\n\n" },
		{ "", "", "\n" },
		{ "\n", "X: y\n", "X: y\n\n\n" },
		{ "a", "X: y\n", "a\nX: y\n\n" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t piece = 1; piece < 50; piece += piece < 8 ? 1 : 41) {
			struct buf b = BUF_INIT;
			struct mbox_writer w;
			size_t len = strlen(rows[i].in);

			mbox_writer_init(&w, rows[i].meta, put, &b);
			for (size_t at = 0; at < len; at += piece) {
				mbox_writer_add(
					&w, rows[i].in + at, len - at < piece ? len - at : piece);
			}
			mbox_writer_end(&w);
			CHECK_ROW(rows[i].in);
			CHECK_STR(buf_str(&b), rows[i].want);
			buf_free(&b);
		}
	}
}

TEST(mbox, reads)
{
	static const char text[] = MSG("one", "body\n") MSG("two", ">From x\n>>From y\n> From z\n")
		FROM "Status: RO\nSubject: three\nX-Status: AF\nX-Keywords: work  home\nX-UID: "
		     "7\n\nb\n\n" FROM "Subject: four\nContent-Length: 50\n\n" FROM
		     "\nzzzzzzz\n" FROM "Subject: five\r\n\r\nx\r\n\r\n"
		     "\n" FROM "Subject: six\n\ntorn";
	struct mailstore *ms = store_open("mbox");
	struct mailbox_view *v;

	REQUIRE(ms != NULL);
	store_write("inbox", text, strlen(text));
	v = mailbox_open(ms, "inBox", false);
	REQUIRE(v != NULL);
	CHECK_INT(mailbox_count(v), 6);
	check_text(v, 1, "Subject: one\n\nbody\n");
	CHECK_INT(mailbox_info(v, 1)->size, 22);
	check_text(v, 2, "Subject: two\n\nFrom x\n>From y\n> From z\n");
	CHECK_INT(mailbox_info(v, 2)->size, 43);
	check_text(v, 3, "Subject: three\n\nb\n");
	CHECK_INT(mailbox_info(v, 3)->flags, MAIL_SEEN | MAIL_ANSWERED | MAIL_FLAGGED);
	CHECK_INT(mailbox_keyword_bit(v, "home", false), 1);
	CHECK_INT(mailbox_info(v, 3)->keywords, 3);
	check_text(v, 4, "Subject: four\n\n" FROM "\nzzzzzzz");
	check_text(v, 5, "Subject: five\r\n\r\nx\r\n\r\n");
	CHECK_INT(mailbox_info(v, 5)->size, 22);
	check_text(v, 6, "Subject: six\n\ntorn");
	CHECK_INT(mailbox_info(v, 6)->received, mailbox_info(v, 1)->received);
	CHECK(mailbox_recent(v, 6));
	mailbox_close(v);
	mailstore_close(ms);
}

TEST(mbox, follows_appends)
{
	struct mailstore *ms = store_open("mbox");
	struct mailbox_view *v = mailbox_open(ms, "INBOX", false);

	REQUIRE(v != NULL);
	CHECK_INT(mailbox_count(v), 0);
	store_append("inbox", MSG("one", "1\n"));
	CHECK_INT(mailbox_view_sync(v, true, NULL), 0);
	check_list(v, "1:one ");
	store_append("inbox", MSG("two", "2\n") MSG("three", "3\n"));
	CHECK_INT(mailbox_view_sync(v, true, NULL), 0);
	check_list(v, "1:one 2:two 3:three ");
	/* A message that is not whole, and then it is. */
	store_append("inbox", FROM "Subject: four\n\nhal");
	CHECK_INT(mailbox_view_sync(v, true, NULL), 0);
	check_list(v, "1:one 2:two 3:three 4:four ");
	store_append("inbox", "f\n\n" MSG("five", "5\n"));
	CHECK_INT(mailbox_view_sync(v, true, NULL), 0);
	check_list(v, "1:one 2:two 3:three 5:four 6:five ");
	mailbox_close(v);
	mailstore_close(ms);
}

TEST(mbox, follows_rewrites)
{
	static const struct {
		const char *text, *want;
	} steps[] = {
		{ MSG("a", "1\n") MSG("b", "2\n") MSG("c", "3\n") MSG("d", "4\n"),
			"1:a 2:b 3:c 4:d " },
		{ MSG("a", "1\n") MSG("c", "3\n") MSG("d", "4\n"), "1:a 3:c 4:d " },
		{ MSG("d", "4\n") MSG("c", "3\n") MSG("e", "5\n"), "3:c 4:d 5:e " },
		{ MSG("f", "6\n") MSG("c", "3\n") MSG("c", "3\n"), "3:c 6:f 7:c " },
		{ MSG("c", "X\n"), "8:c " },
		{ "", "" },
		{ MSG("c", "X\n"), "9:c " },
	};
	struct mailstore *ms = store_open("mbox");
	struct mailbox_view *v = mailbox_open(ms, "INBOX", false);
	uint32_t validity;

	REQUIRE(v != NULL);
	validity = mailbox_uid_validity(v);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		store_write("inbox", steps[i].text, strlen(steps[i].text));
		CHECK_INT(mailbox_view_sync(v, true, NULL), 0);
		check_list(v, steps[i].want);
	}
	CHECK_INT(mailbox_uid_validity(v), validity);
	mailbox_close(v);
	mailstore_close(ms);
}

TEST(mbox, flags_reach_the_file)
{
	static const char text[] = MSG("a", "1\n") MSG("b", "2\n") MSG("c", "3\n");
	struct mailstore *ms = store_open("mbox");
	struct mailbox_view *v;
	uint32_t uids[] = { 2, 3 };
	char *file;

	store_write("inbox", text, strlen(text));
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL);
	CHECK_INT(mailbox_keyword_bit(v, "$Forwarded", true), 0);
	CHECK_INT(mailbox_store(v, uids, 2, FLAGS_ADD, MAIL_SEEN, 1, UINT64_MAX, NULL, NULL), 0);
	CHECK_INT(mailbox_store(v, uids, 1, FLAGS_ADD, MAIL_FLAGGED, 0, UINT64_MAX, NULL, NULL), 0);
	mailbox_close(v);
	file = store_read("inbox", NULL);
	CHECK(strstr(file,
		      FROM
		      "Subject: a\n\n1\n\n" FROM
		      "Subject: b\nX-UID: 2\nStatus: RO\nX-Status: F\nX-Keywords: $Forwarded") !=
		NULL);
	mem_free(file);
	v = mailbox_open(ms, "INBOX", false);
	check_text(v, 2, "Subject: b\n\n2\n");
	check_list(v, "1:a 2:b 3:c ");
	CHECK_INT(mailbox_info(v, 2)->flags, MAIL_SEEN | MAIL_FLAGGED);
	CHECK_INT(mailbox_store(v, uids, 1, FLAGS_SET, MAIL_DELETED, 0, UINT64_MAX, NULL, NULL), 0);
	CHECK_INT(mailbox_expunge(v, NULL, 0, false), 0);
	CHECK_INT(mailbox_view_sync(v, true, NULL), 0);
	check_list(v, "1:a 3:c ");
	mailbox_close(v);
	file = store_read("inbox", NULL);
	CHECK(strstr(file, "Subject: b") == NULL);
	mem_free(file);
	mailstore_close(ms);
}

TEST(mbox, appends)
{
	struct mailstore *ms = store_open("mbox");
	struct mailbox_view *v;
	char *file;

	CHECK_INT(store_put(ms, "INBOX", "Subject: a\r\n\r\nFrom me\r\n\r\n", 0), 1);
	CHECK_INT(store_put(ms, "INBOX", "Status: RO\r\nSubject: b\r\n\r\nx\ry\r\n", MAIL_SEEN), 2);
	file = store_read("inbox", NULL);
	CHECK(strncmp(file, "From sender@test.example ", 25) == 0);
	CHECK(strstr(file, "Subject: a\n\n>From me\n\n\nFrom sender@test.example ") != NULL);
	mem_free(file);
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL);
	check_text(v, 1, "Subject: a\n\nFrom me\n\n");
	CHECK_INT(mailbox_info(v, 1)->size, 25);
	check_text(v, 2, "Status: RO\nSubject: b\n\nx\ry\n");
	CHECK_INT(mailbox_info(v, 2)->flags, MAIL_SEEN);
	CHECK_INT(mailbox_info(v, 2)->received, 1312895000);
	mailbox_close(v);
	CHECK_INT(store_put(ms, "nowhere", "x", 0), 0);
	CHECK_INT(mailstore_errno(ms), MAIL_E_NOT_FOUND);
	mailstore_close(ms);
}

/* A separator may be CR LF: the message before it does not grow when another one is appended. */
TEST(mbox, appends_behind_crlf)
{
	static const char there[] = FROM "Subject: a\r\n\r\nx\r\n\r\n";
	struct mailstore *ms;
	struct mailbox_view *v;

	store_write("inbox", there, sizeof(there) - 1);
	ms = store_open("mbox");
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL);
	check_text(v, 1, "Subject: a\r\n\r\nx\r\n");
	CHECK_INT(store_put(ms, "INBOX", "Subject: b\n\ny\n", 0), 2);
	CHECK_INT(mailbox_view_sync(v, true, NULL), 0);
	check_text(v, 1, "Subject: a\r\n\r\nx\r\n");
	check_text(v, 2, "Subject: b\n\ny\n");
	mailbox_close(v);
	mailstore_close(ms);
}

/* What Content-Length means does not change when another message comes behind the last one. */
TEST(mbox, length_of_the_last)
{
	static const struct {
		const char *there, *want;
	} rows[] = {
		{ FROM "Content-Length: 3\n\nx\n\n", "\nx\n" },
		{ FROM "Content-Length: 2\n\nx\n", "\nx\n" },
		{ FROM "Content-Length: 11\n\n>From x\ny\n\n\nFrom z\n",
			"\nFrom x\ny\n\n\nFrom z\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct mailstore *ms;
		struct mailbox_view *v;

		CHECK_ROW(rows[i].there);
		store_write("inbox", rows[i].there, strlen(rows[i].there));
		ms = store_open("mbox");
		v = mailbox_open(ms, "INBOX", false);
		REQUIRE(v != NULL);
		check_text(v, 1, rows[i].want);
		mailbox_close(v);
		CHECK(store_put(ms, "INBOX", "Subject: b\n\ny\n", 0) > 0);
		v = mailbox_open(ms, "INBOX", false);
		REQUIRE(v != NULL);
		CHECK_INT(mailbox_count(v), 2);
		check_text(v, 1, rows[i].want);
		mailbox_close(v);
		mailstore_close(ms);
	}
}

/* large_text - lines of many lengths, some longer than a window, some quoted ones at its edges */
static void large_text(struct buf *b, size_t size, unsigned seed)
{
	buf_adds(b, "Subject: large\nStatus: x\n\n");
	while (b->len < size) {
		unsigned kind = (seed = seed * 1103515245 + 12345) >> 16;

		if (kind % 500 == 0) {
			for (int i = 0; i < 300000; i++) {
				buf_addc(b, (char)('a' + i % 26));
			}
		} else if (kind % 3 == 0) {
			buf_adds(b, kind % 2 ? "From nobody" : ">>From somebody");
		}
		for (unsigned i = kind % 90; i > 0; i--) {
			buf_addc(b, '>');
		}
		buf_addc(b, '\n');
	}
}

TEST(mbox, large_messages)
{
	static const size_t sizes[] = { 1000, 1024 * 1024 - 100, 3000000 };
	struct mailstore *ms = store_open("mbox");
	struct mailbox_view *v;

	for (size_t i = 0; i < 3; i++) {
		struct buf b = BUF_INIT;

		large_text(&b, sizes[i], (unsigned)i + 7);
		CHECK_INT(store_put(ms, "INBOX", buf_str(&b), i == 1 ? MAIL_FLAGGED : 0), i + 1);
		buf_free(&b);
	}
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL && mailbox_count(v) == 3);
	for (uint32_t seq = 1; seq <= 3; seq++) {
		struct buf want = BUF_INIT;
		struct mail_text *t;
		size_t len = 0;
		char *got = store_text(v, seq, &len);

		large_text(&want, sizes[seq - 1], seq - 1 + 7);
		CHECK(got != NULL && len == want.len && memcmp(got, want.data, len) == 0);
		mem_free(got);
		/* From anywhere, also backwards. */
		t = mail_open(v, seq);
		REQUIRE(t != NULL);
		for (size_t at = want.len - 1; at > want.len / 7 + 1; at -= want.len / 7) {
			const char *p = mail_bytes(t, at, &len);

			CHECK(p != NULL && len > 0 && len <= want.len - at &&
				memcmp(p, want.data + at, len) == 0);
		}
		mail_close(t);
		buf_free(&want);
	}
	mailbox_close(v);
	mailstore_close(ms);
}

/* Files that are no mailboxes, or were damaged: nothing crashes, nothing is lost. */
/* What begins a message, and what is text, by where it stands and what follows. */
TEST(mbox, finds_messages)
{
#define HEAD "From: a@x.example\nSubject: s\n"
	static const struct {
		const char *file;
		uint32_t count;
	} rows[] = {
		/* No date, or one that cannot be read: where a header follows. */
		{ "From a@x.example\n" HEAD "\nHello\n\nFrom b@x.example\nSubject: two\n\nb\n", 2 },
		{ "From a@x.example\n" HEAD "\nHello\n\nFrom b@x  Fri Nov 25 16: 18:08 2016\n" HEAD
		  "\nbody\n",
			2 },
		{ "From a@x.example 2011-08-09 14:21:58\n" HEAD "X-M: y\n folded\n\nHello\n", 1 },
		{ FROM HEAD "\nHello\n\nFrom here on: nothing\nno field\n\n", 1 },
		{ FROM HEAD "\nHello\n\nFrom him I have:\nX: y\n\nSubject: z\n", 1 },
		{ FROM HEAD "\nHello\nFrom b@x.example\n" HEAD "\nbody\n", 1 },
		/* No empty line between: a date, and a header behind it. */
		{ FROM HEAD "\nHello\n" FROM HEAD "\nbody\n", 2 },
		{ FROM HEAD "\nHello\n" FROM "no header\n\nbody\n", 1 },
		{ FROM HEAD FROM HEAD "\nbody\n", 2 },
		{ FROM FROM HEAD "\nbody\n", 1 },
		/* Content-Length leads over it. */
		{ FROM HEAD "Content-Length: 81\n\nHello\n\n" FROM HEAD "\nx\n\n", 1 },
		{ FROM HEAD "Content-Length: 6\n\nHello\n\nFrom b@x.example\n" HEAD "\nx\n\n", 2 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct mailstore *ms = store_open("mbox");
		struct mailbox_view *v;

		CHECK_ROW(rows[i].file);
		store_write("inbox", rows[i].file, strlen(rows[i].file));
		v = mailbox_open(ms, "INBOX", false);
		REQUIRE(v != NULL);
		CHECK_INT(mailbox_count(v), rows[i].count);
		mailbox_close(v);
		mailstore_close(ms);
	}
	CHECK_ROW(NULL);
#undef HEAD
}

/* The time of a message whose From_ line has none is its Date. */
TEST(mbox, time_without_from_date)
{
	static const char file[] = "From a@x.example\nSubject: s\n"
				   "Date: Tue, 9 Aug 2011 14:21:58 +0000\n\nHello\n";
	struct mailstore *ms = store_open("mbox");
	struct mailbox_view *v;

	store_write("inbox", file, sizeof(file) - 1);
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL);
	CHECK_INT(mailbox_info(v, 1)->received, 1312899718);
	mailbox_close(v);
	mailstore_close(ms);
}

/* What is there is not hidden: a file without a message cannot be opened, and is not written to. */
TEST(mbox, no_mailbox_at_all)
{
	static const char file[] = "no mailbox at all\n";
	struct mailstore *ms = store_open("mbox");
	char *text;

	store_write("inbox", file, sizeof(file) - 1);
	CHECK(mailbox_open(ms, "INBOX", false) == NULL);
	CHECK_INT(mailstore_errno(ms), MAIL_E_INVALID);
	CHECK_INT(store_put(ms, "INBOX", "Subject: new\n\nx\n", 0), 0);
	text = store_read("inbox", NULL);
	CHECK_STR(text, file);
	mem_free(text);
	mailstore_close(ms);
}

/* Whether a message begins there does not change with the end of the file's last line. */
TEST(mbox, last_line_without_end)
{
	static const char file[] = FROM "Subject: s\n\nHello\n\nFrom z\nSubject: two\nno header";
	struct mailstore *ms = store_open("mbox");
	struct mailbox_view *v;
	char *list;

	store_write("inbox", file, sizeof(file) - 1);
	CHECK(store_put(ms, "INBOX", "Subject: new\n\nx\n", 0) != 0);
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL);
	list = store_list(v);
	CHECK_STR(list, "1:s 2:new ");
	mem_free(list);
	mailbox_close(v);
	mailstore_close(ms);
}

/* Text before the first message was there before, and makes nothing of a mailbox without mail. */
TEST(mbox, emptied_behind_text)
{
	static const char file[] = "text\n\n" FROM "Subject: s\n\nHello\n";
	static const struct timespec times[2] = { { .tv_sec = 1312900000 },
		{ .tv_sec = 1312900000 } };
	struct mailstore *ms = store_open("mbox");
	struct mailbox_view *v;
	uint32_t uid;

	store_write("inbox", file, sizeof(file) - 1);
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL && mailbox_count(v) == 1);
	uid = mailbox_info(v, 1)->uid;
	CHECK_INT(mailbox_expunge(v, &uid, 1, true), 0);
	mailbox_close(v);
	mailstore_close(ms);
	/* Another program has touched it: it is read anew. */
	REQUIRE(utimensat(AT_FDCWD, store_path("inbox"), times, 0) == 0);
	ms = store_open("mbox");
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL);
	CHECK_INT(mailbox_count(v), 0);
	mailbox_close(v);
	mailstore_close(ms);
}

/* The index knows it, but it may not be read (any more). */
TEST(mbox, indexed_but_not_readable)
{
	static const char file[] = FROM "Subject: s\n\nHello\n";
	struct mailstore *ms;
	struct mailbox_view *v;

	if (geteuid() == 0) {
		REQUIRE(chmod(unit_tmpdir(), 0777) == 0 && setegid(65534) == 0 &&
			seteuid(65534) == 0);
	}
	ms = store_open("mbox");
	store_write("inbox", file, sizeof(file) - 1);
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL && mailbox_count(v) == 1);
	mailbox_close(v);
	mailstore_close(ms);
	REQUIRE(chmod(store_path("inbox"), 0) == 0);
	/* The last store that was used is kept, with its files open. */
	mailstore_close(store_open("maildir"));
	ms = store_open("mbox");
	CHECK(mailbox_open(ms, "INBOX", false) == NULL);
	CHECK_INT(mailstore_errno(ms), MAIL_E_PERM);
	mailstore_close(ms);
	REQUIRE(getuid() != 0 || (seteuid(0) == 0 && setegid(0) == 0));
}

TEST(mbox, hostile_files)
{
	static const struct {
		const char *text;
		size_t len;
		uint32_t count;
		const char *first;
	} rows[] = {
#define ROW(text, count, first) { text, sizeof(text) - 1, count, first }
		ROW("", 0, NULL),
		ROW("\n\n\n", 0, NULL),
		ROW("junk\n\n" MSG("a", "1\n"), 1, "Subject: a\n\n1\n"),
		ROW(FROM, 1, ""),
		ROW("From a@b.example Tue Aug  9 14:21:58 2011", 1, ""),
		ROW(FROM "\n", 1, ""),
		ROW(FROM "\n\n", 1, "\n"),
		ROW(FROM "Subject: a", 1, "Subject: a"),
		ROW(FROM "Status: R", 1, ""),
		ROW(FROM "Status: R\n x\n\ny", 1, "\ny"),
		ROW(FROM FROM "\n", 1, FROM),
		ROW(FROM "Subject: a\n\n", 1, "Subject: a\n"),
		ROW(FROM "Subject: a\n\n\n" FROM "another\n\n", 2, "Subject: a\n\n"),
		ROW(FROM "Subject: a\r\n\r\n" FROM "other\n\n", 2, "Subject: a\r\n"),
		ROW(FROM "Content-Length: 99999999999999999999\n\nx\n\n" FROM "\ny\n", 2, "\nx\n"),
		ROW(FROM "Content-Length: -1\n\nx\n", 1, "\nx\n"),
		ROW(FROM "Content-Length: 0\n\nx\n\n" FROM "\ny\n", 2, "\nx\n"),
		ROW(FROM "X-UID: 4294967295\nX-UID: 0\nX-IMAPbase: 1 4294967295\n\nx\n", 1,
			"\nx\n"),
		ROW(FROM "X-IMAPbase: 0 0\nX-Keywords: a b c\n\nx\n", 1, "\nx\n"),
		ROW(FROM "a: \0b\n\n\0\n", 1, "a: "),
		ROW("\0\0\0\0", 0, NULL),
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mailstore *ms = store_open("mbox");
		struct mailbox_view *v;
		char *file, *text;
		size_t len, kept;

		CHECK_ROW(rows[i].text);
		store_write("inbox", rows[i].text, rows[i].len);
		v = mailbox_open(ms, "INBOX", false);
		REQUIRE(v != NULL);
		CHECK_INT(mailbox_count(v), rows[i].count);
		text = rows[i].count > 0 ? store_text(v, 1, NULL) : NULL;
		CHECK_STR(text, rows[i].first);
		mem_free(text);
		mailbox_close(v);
		/* An append leaves what is there alone, but for zeros at the end. */
		CHECK(store_put(ms, "INBOX", "Subject: new\n\nx\n", 0) != 0);
		file = store_read("inbox", &len);
		kept = rows[i].len;
		while (kept > 0 && rows[i].text[kept - 1] == '\0') {
			kept--;
		}
		CHECK(len > kept && memcmp(file, rows[i].text, kept) == 0);
		mem_free(file);
		v = mailbox_open(ms, "INBOX", false);
		REQUIRE(v != NULL);
		CHECK_INT(mailbox_count(v), rows[i].count + 1);
		text = store_text(v, mailbox_count(v), NULL);
		CHECK_STR(text, "Subject: new\n\nx\n");
		mem_free(text);
		mailbox_close(v);
		mailstore_close(ms);
		unlink(store_path("inbox"));
	}
}

TEST(mbox, imports_uids)
{
	static const char text[] =
		FROM "X-IMAPbase: 1275660208 0000000050 work home\nX-UID: 7\nStatus: O\nSubject: "
		     "a\n\n1\n\n" FROM "X-UID: 9\nX-Keywords: home\nSubject: b\n\n1\n\n" FROM
		     "Subject: c\n\n1\n\n";
	static const char gap[] = FROM "X-IMAPbase: 1275660208 50\nSubject: a\n\n1\n\n" FROM
				       "X-UID: 9\nSubject: b\n\n1\n\n";
	struct mailstore *ms = store_open("mbox");
	struct mailbox_view *v;

	store_write("inbox", text, strlen(text));
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL);
	CHECK_INT(mailbox_uid_validity(v), 1275660208);
	check_list(v, "7:a 9:b 51:c ");
	CHECK_STR(mailbox_keyword(v, 1), "home");
	CHECK_INT(mailbox_info(v, 2)->keywords, 2);
	CHECK(!mailbox_recent(v, 1) && mailbox_recent(v, 3));
	mailbox_close(v);
	/* A message without a UID before one that has one: who knows what others knew it by. */
	mkdir(store_path("home/mail"), 0700);
	store_write("home/mail/gap", gap, strlen(gap));
	v = mailbox_open(ms, "gap", false);
	REQUIRE(v != NULL);
	CHECK(mailbox_uid_validity(v) != 1275660208);
	check_list(v, "1:a 2:b ");
	mailbox_close(v);
	mailstore_close(ms);
}

TEST(mbox, index_lost)
{
	static const char text[] = MSG("a", "1\n") MSG("b", "2\n") MSG("c", "3\n");
	struct mailstore *ms = store_open("mbox"), *other;
	struct mailbox_view *v;
	uint32_t uids[] = { 1, 2, 3 }, validity;

	store_write("inbox", text, strlen(text));
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL);
	CHECK_INT(mailbox_expunge(v, uids, 1, true), 0);
	CHECK_INT(
		mailbox_store(v, uids + 1, 2, FLAGS_ADD, MAIL_SEEN, 0, UINT64_MAX, NULL, NULL), 0);
	validity = mailbox_uid_validity(v);
	mailbox_close(v);
	mailstore_close(ms);
	/* Opening another user's lets go of it. */
	other = store_open("maildir");
	REQUIRE(other != NULL);
	mailstore_close(other);
	REQUIRE(unlink(store_path("home/mail/.pillarbox/index.db")) == 0);
	ms = store_open("mbox");
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL);
	CHECK_INT(mailbox_uid_validity(v), validity);
	check_list(v, "2:b 3:c ");
	CHECK_INT(mailbox_info(v, 2)->flags, MAIL_SEEN);
	mailbox_close(v);
	mailstore_close(ms);
}

/* Flags of messages that hardly are any; what clients see of them stays the same. */
TEST(mbox, flags_of_odd_messages)
{
	static const char *const texts[] = { "", "\n", "\n\n", "Subject: a\n", "Subject: a\n\n",
		"Subject: a\n\n\n\n", "Status: b\n", "Status: b\n\n", "\nFrom\nFrom x\n",
		"no header at all\n", " folded\n\n", "Status: a\n\n>From x\nFrom y" };
	struct mailstore *ms = store_open("mbox");
	struct mailbox_view *v;
	uint32_t uids[12];

	for (size_t i = 0; i < 12; i++) {
		uids[i] = store_put(ms, "INBOX", texts[i], 0);
	}
	for (int round = 0; round < 3; round++) {
		v = mailbox_open(ms, "INBOX", false);
		REQUIRE(v != NULL && mailbox_count(v) == 12);
		for (uint32_t seq = 1; seq <= 12; seq++) {
			char *text = store_text(v, seq, NULL);

			CHECK_ROW(texts[seq - 1]);
			CHECK_STR(text, texts[seq - 1]);
			CHECK_INT(mailbox_info(v, seq)->uid, uids[seq - 1]);
			CHECK_INT(mailbox_info(v, seq)->flags, round == 2 ? MAIL_FLAGGED : 0);
			mem_free(text);
		}
		if (round == 1) {
			CHECK_INT(mailbox_store(v, uids, 12, FLAGS_SET, MAIL_FLAGGED, 0, UINT64_MAX,
					  NULL, NULL),
				0);
		}
		mailbox_close(v);
	}
	mailstore_close(ms);
}
