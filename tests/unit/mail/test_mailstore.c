/*
 * test_mailstore - folders, and the numbers that sessions know messages by
 */
#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "memory_driver.h"
#include "store_util.h"
#include "unit.h"

#define FROM "From a@b.example Tue Aug  9 14:21:58 2011\n"
#define MSG(subject, body) FROM "Subject: " subject "\n\n" body "\n"

static const char *const kinds[] = { "mbox", "maildir", "memory" };

/* ---- Folders ---- */

static int add_folder(void *arg, const struct folder_info *f)
{
	buf_addf(arg, "%s%s%s%s%s ", f->name, f->selectable ? "" : "!", f->has_children ? "+" : "",
		f->no_inferiors ? "-" : "", f->subscribed ? "*" : "");
	return 0;
}

static void check_folders(struct mailstore *ms, const char *want)
{
	struct buf b = BUF_INIT;

	CHECK_INT(mailstore_list(ms, add_folder, &b), 0);
	CHECK_STR(buf_str(&b), want);
	buf_free(&b);
}

static int add_name(void *arg, const char *name)
{
	buf_addf(arg, "%s ", name);
	return 0;
}

TEST(mailstore, mbox_folders)
{
	struct mailstore *ms = store_open("mbox");
	struct buf b = BUF_INIT;

	check_folders(ms, "INBOX ");
	CHECK_INT(mailstore_create(ms, "Work"), 0);
	CHECK_INT(mailstore_create(ms, "Work"), -1);
	CHECK_INT(mailstore_errno(ms), MAIL_E_EXISTS);
	CHECK_INT(mailstore_create(ms, "Lists/One"), 0);
	CHECK_INT(mailstore_create(ms, "Lists/Two/"), 0);
	CHECK_INT(mailstore_create(ms, "Work/Sub"), -1);
	CHECK_INT(mailstore_create(ms, "Entw\xc3\xbcrfe"), 0);
	CHECK_INT(access(store_path("home/mail/Entw&APw-rfe"), F_OK), 0);
	store_write("home/mail/\xe5\x8f\xb0", MSG("raw", "x\n"), strlen(MSG("raw", "x\n")));
	store_write("home/mail/.hidden", "x", 1);
	store_write("home/mail/Work.lock", "", 0);
	check_folders(
		ms, "INBOX Entw\xc3\xbcrfe- Lists!+ Lists/One- Lists/Two! Work- \xe5\x8f\xb0- ");
	CHECK_INT(mailstore_subscribe(ms, "Work", true), 0);
	CHECK_INT(mailstore_subscribe(ms, "inbox", true), 0);
	CHECK_INT(mailstore_subscribe(ms, "gone", true), 0);
	CHECK_INT(mailstore_subscribe(ms, "Work", true), 0);
	CHECK_INT(mailstore_subscriptions(ms, add_name, &b), 0);
	CHECK_STR(buf_str(&b), "Work INBOX gone ");
	CHECK_INT(mailstore_subscribe(ms, "gone", false), 0);
	CHECK_INT(mailstore_rename(ms, "Lists", "Old/Lists"), 0);
	CHECK_INT(mailstore_rename(ms, "Work", "Lists/Work"), 0);
	CHECK_INT(mailstore_rename(ms, "nowhere", "x"), -1);
	CHECK_INT(mailstore_rename(ms, "Old", "Old/Older"), -1);
	CHECK_INT(mailstore_rename(ms, "Lists/Work", "INBOX"), -1);
	check_folders(ms,
		"INBOX* Entw\xc3\xbcrfe- Lists!+ Lists/Work- Old!+ Old/Lists!+ Old/Lists/One- "
		"Old/Lists/Two! \xe5\x8f\xb0- ");
	CHECK_INT(mailstore_delete(ms, "Old"), -1);
	CHECK_INT(mailstore_delete(ms, "Old/Lists/One"), 0);
	CHECK_INT(mailstore_delete(ms, "Old/Lists/Two"), 0);
	CHECK_INT(mailstore_delete(ms, "Old/Lists"), 0);
	CHECK_INT(mailstore_delete(ms, "INBOX"), -1);
	CHECK_INT(mailstore_delete(ms, "nowhere"), -1);
	CHECK_INT(mailstore_errno(ms), MAIL_E_NOT_FOUND);
	check_folders(ms, "INBOX* Entw\xc3\xbcrfe- Lists!+ Lists/Work- Old! \xe5\x8f\xb0- ");
	buf_free(&b);
	mailstore_close(ms);
}

TEST(mailstore, maildir_folders)
{
	struct mailstore *ms = store_open("maildir");

	check_folders(ms, "INBOX ");
	CHECK_INT(mailstore_create(ms, "Work"), 0);
	CHECK_INT(mailstore_create(ms, "Lists.One"), 0);
	CHECK_INT(mailstore_create(ms, "Lists.One.Deep"), 0);
	CHECK_INT(mailstore_create(ms, "Work"), -1);
	CHECK_INT(access(store_path("Maildir/.Lists.One.Deep/maildirfolder"), F_OK), 0);
	CHECK_INT(store_put(ms, "Lists.One", "Subject: a\n\nx\n", 0), 1);
	CHECK_INT(mailstore_subscribe(ms, "Lists.One", true), 0);
	check_folders(ms, "INBOX Lists!+ Lists.One+* Lists.One.Deep Work ");
	CHECK_INT(mailstore_rename(ms, "Lists", "Old"), 0);
	check_folders(ms, "INBOX Old!+ Old.One+ Old.One.Deep Work ");
	/* It is the same folder: its UIDs go on. */
	CHECK_INT(store_put(ms, "Old.One", "Subject: b\n\nx\n", 0), 2);
	CHECK_INT(mailstore_delete(ms, "Old.One"), 0);
	check_folders(ms, "INBOX Old!+ Old.One!+ Old.One.Deep Work ");
	CHECK_INT(store_put(ms, "Old.One", "x", 0), 0);
	/* Made again it is another. */
	CHECK_INT(mailstore_create(ms, "Old.One"), 0);
	CHECK_INT(store_put(ms, "Old.One", "Subject: c\n\nx\n", 0), 1);
	mailstore_close(ms);
}

TEST(mailstore, validity_grows)
{
	struct mailstore *ms = store_open("mbox");
	struct mailbox_status one, two;

	CHECK_INT(mailstore_create(ms, "x"), 0);
	CHECK_INT(mailstore_status(ms, "x", &one), 0);
	CHECK_INT(mailstore_delete(ms, "x"), 0);
	CHECK_INT(mailstore_create(ms, "x"), 0);
	CHECK_INT(mailstore_status(ms, "x", &two), 0);
	CHECK(two.uid_validity > one.uid_validity);
	mailstore_close(ms);
}

TEST(mailstore, bad_names)
{
	static const char *const rows[] = { "", "..", ".", "../x", "a/../b", "/etc/passwd", "~root",
		"~/x", "a/~b", "a//b", "a/", "/", ".hidden", "a/.b", "a\nb", "a\x7f", "\xff\xfe",
		"a.lock", "dovecot.index", ".pillarbox/index.db" };
	static const char *const flat[] = { "", ".", "..", "a..b", ".a", "a.", "a/b", "/x", "~x",
		"a.~b" };
	struct buf b = BUF_INIT;

	for (int kind = 0; kind < 3; kind++) {
		struct mailstore *ms = store_open(kinds[kind]);
		size_t count =
			kind == 0 ? sizeof(rows) / sizeof(rows[0]) : sizeof(flat) / sizeof(flat[0]);

		for (size_t i = 0; i < count; i++) {
			const char *name = kind == 0 ? rows[i] : flat[i];

			CHECK_ROW(name);
			CHECK(mailbox_open(ms, name, false) == NULL);
			CHECK_INT(mailstore_errno(ms), MAIL_E_INVALID);
			CHECK(mailstore_rename(ms, "INBOX", name) != 0);
			CHECK(mailstore_delete(ms, name) != 0);
			CHECK(mail_append_begin(ms, name) == NULL);
			if (strcmp(name, "a/") != 0 && strcmp(name, "a.") != 0) {
				CHECK(mailstore_create(ms, name) != 0);
			}
		}
		buf_reset(&b);
		for (int i = 0; i < 300; i++) {
			buf_addc(&b, 'x');
		}
		CHECK(mailstore_create(ms, buf_str(&b)) != 0);
		buf_reset(&b);
		for (int i = 0; i < 40; i++) {
			buf_addf(&b, "x%s", kind == 0 ? "/" : ".");
		}
		buf_adds(&b, "x");
		CHECK(mailstore_create(ms, buf_str(&b)) != 0);
		CHECK(mailbox_open(ms, "nowhere", false) == NULL);
		CHECK_INT(mailstore_errno(ms), MAIL_E_NOT_FOUND);
		mailstore_close(ms);
	}
	buf_free(&b);
}

/* ---- Views ---- */

static void say_expunged(void *arg, uint32_t seq, uint32_t uid)
{
	buf_addf(arg, "-%u(%u) ", seq, uid);
}

static void say_flags(void *arg, uint32_t seq)
{
	buf_addf(arg, "f%u ", seq);
}

static void say_exists(void *arg, uint32_t count, uint32_t recent)
{
	buf_addf(arg, "=%u/%u ", count, recent);
}

/* check_sync - what a view is told */
static void check_sync(struct mailbox_view *v, bool expunges, const char *want)
{
	struct buf b = BUF_INIT;
	struct mailbox_changes c = { say_expunged, say_flags, say_exists, &b };

	CHECK_ROW(want);
	CHECK_INT(mailbox_view_sync(v, expunges, &c), 0);
	CHECK_STR(buf_str(&b), want);
	buf_free(&b);
}

TEST(mailstore, two_sessions)
{
	for (int kind = 0; kind < 3; kind++) {
		struct mailstore *a = store_open(kinds[kind]), *b = store_open(kinds[kind]);
		struct mailbox_view *va, *vb;
		uint32_t uids[] = { 2, 4 }, five = 5, failed[1];
		size_t failed_count;

		for (int i = 0; i < 5; i++) {
			CHECK_INT(store_put(a, "INBOX", "Subject: x\n\nx\n", 0), i + 1);
		}
		va = mailbox_open(a, "INBOX", false);
		vb = mailbox_open(b, "INBOX", false);
		REQUIRE(va != NULL && vb != NULL);
		CHECK(mailbox_recent(va, 5) && !mailbox_recent(vb, 5));
		CHECK_INT(mailbox_expunge(va, uids, 2, true), 0);
		CHECK_INT(mailbox_store(
				  va, &five, 1, FLAGS_ADD, MAIL_SEEN, 0, UINT64_MAX, NULL, NULL),
			0);
		/* Nothing changes for a session before it is told. */
		CHECK_INT(mailbox_count(vb), 5);
		CHECK_INT(mailbox_info(vb, 2)->uid, 2);
		CHECK_INT(mailbox_seq(vb, 4, false), 4);
		CHECK(mail_open(vb, 2) == NULL);
		CHECK_INT(mailstore_errno(b), MAIL_E_NOT_FOUND);
		check_sync(va, true, "-4(4) -2(2) f3 =3/3 ");
		check_sync(va, true, "");
		/* During FETCH: flags and new mail, but numbers stay. */
		CHECK_INT(store_put(a, "INBOX", "Subject: y\n\nx\n", MAIL_FLAGGED), 6);
		check_sync(vb, false, "f5 =6/1 ");
		CHECK_INT(mailbox_info(vb, 4)->uid, 4);
		CHECK_INT(mailbox_info(vb, 6)->uid, 6);
		CHECK_INT(mailbox_seq(vb, 5, true), 5);
		check_sync(vb, true, "-4(4) -2(2) ");
		CHECK_INT(mailbox_count(vb), 4);
		CHECK_INT(mailbox_info(vb, 4)->uid, 6);
		CHECK_INT(mailbox_seq(vb, 2, false), 0);
		CHECK_INT(mailbox_seq(vb, 2, true), 2);
		CHECK_INT(mailbox_seq(vb, 7, true), 5);
		check_sync(va, true, "=4/3 ");
		/* Unchanged since (RFC 7162). */
		CHECK_INT(
			mailbox_store(vb, &five, 1, FLAGS_SET, 0, 0, 1, failed, &failed_count), 0);
		CHECK_INT(failed_count, 1);
		CHECK_INT(mailbox_info(vb, 3)->flags, MAIL_SEEN);
		mailbox_close(va);
		mailbox_close(vb);
		mailstore_close(a);
		mailstore_close(b);
	}
}

static bool is_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

TEST(mailstore, wakes_sessions)
{
	for (int kind = 0; kind < 3; kind++) {
		struct mailstore *a = store_open(kinds[kind]), *b = store_open(kinds[kind]);
		struct mailbox_view *va, *vb;
		uint32_t one = 1;

		CHECK_ROW(kinds[kind]);
		CHECK_INT(store_put(a, "INBOX", "Subject: x\n\nx\n", 0), 1);
		va = mailbox_open(a, "INBOX", false);
		vb = mailbox_open(b, "INBOX", false);
		REQUIRE(va != NULL && vb != NULL);
		REQUIRE(mailbox_notify_fd(va) >= 0 && mailbox_notify_fd(vb) >= 0);
		CHECK(!is_readable(mailbox_notify_fd(vb)));
		/* Another session of ours changes flags. */
		CHECK_INT(
			mailbox_store(va, &one, 1, FLAGS_ADD, MAIL_SEEN, 0, UINT64_MAX, NULL, NULL),
			0);
		CHECK(is_readable(mailbox_notify_fd(vb)));
		check_sync(vb, true, "f1 ");
		check_sync(va, true, "f1 ");
		check_sync(vb, true, "");
		CHECK(!is_readable(mailbox_notify_fd(vb)));
		/* Another program delivers; who hears of it first does not keep it from the other.
		 */
		if (kind == 0) {
			store_append("inbox", MSG("new", "x\n"));
		} else if (kind == 1) {
			store_write("Maildir/new/9.x.y", "Subject: new\n\nx\n", 16);
		} else {
			memory_deliver(store_path("memory/INBOX"), "Subject: new\n\nx\n");
		}
		/* Memory has no files to be watched. */
		CHECK_INT(is_readable(mailbox_notify_fd(va)), kind != 2);
		CHECK_INT(is_readable(mailbox_notify_fd(vb)), kind != 2);
		check_sync(va, true, "=2/2 ");
		CHECK(is_readable(mailbox_notify_fd(vb)));
		check_sync(vb, true, "=2/0 ");
		mailbox_close(va);
		mailbox_close(vb);
		mailstore_close(a);
		mailstore_close(b);
	}
}

/* other_process - fn in a child with a store of its own; it must end well */
static void other_process(const char *kind, void (*fn)(struct mailstore *ms))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct mailstore *ms = store_open(kind);

		fn(ms);
		mailstore_close(ms);
		_exit(0);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid);
	CHECK_INT(status, 0);
}

static void other_changes(struct mailstore *ms)
{
	struct mailbox_view *v = mailbox_open(ms, "INBOX", false);
	uint32_t one = 1, two = 2;

	if (v == NULL ||
		mailbox_store(v, &one, 1, FLAGS_SET, MAIL_ANSWERED, 0, UINT64_MAX, NULL, NULL) !=
			0 ||
		mailbox_expunge(v, &two, 1, true) != 0 ||
		store_put(ms, "INBOX", "Subject: three\n\nx\n", MAIL_SEEN) != 3) {
		_exit(1);
	}
	mailbox_close(v);
}

TEST(mailstore, two_processes)
{
	for (int kind = 0; kind < 3; kind++) {
		struct mailstore *ms = store_open(kinds[kind]);
		struct mailbox_view *v;
		char *list;

		CHECK_INT(store_put(ms, "INBOX", "Subject: one\n\nx\n", 0), 1);
		CHECK_INT(store_put(ms, "INBOX", "Subject: two\n\nx\n", 0), 2);
		v = mailbox_open(ms, "INBOX", false);
		REQUIRE(v != NULL);
		mailbox_notify_fd(v);
		other_process(kinds[kind], other_changes);
		CHECK(is_readable(mailbox_notify_fd(v)));
		check_sync(v, true, "-2(2) f1 =2/2 ");
		CHECK_INT(mailbox_info(v, 1)->flags, MAIL_ANSWERED);
		CHECK_INT(mailbox_info(v, 2)->flags, MAIL_SEEN);
		list = store_list(v);
		CHECK_STR(list, "1:one 3:three ");
		mem_free(list);
		mailbox_close(v);
		mailstore_close(ms);
	}
}

/* ---- Copies ---- */

TEST(mailstore, copies_and_moves)
{
	static const char *const words[] = { "work", "$Forwarded" };
	for (int kind = 0; kind < 3; kind++) {
		struct mailstore *ms = store_open(kinds[kind]);
		struct mail_append *a;
		struct mailbox_view *v, *w;
		uint32_t uids[] = { 1, 3, 9 }, *given, validity, to;
		char *list;

		CHECK_INT(mailstore_create(ms, "To"), 0);
		a = mail_append_begin(ms, "INBOX");
		REQUIRE(a != NULL);
		for (int i = 0; i < 3; i++) {
			char text[64];

			snprintf(
				text, sizeof(text), "Subject: %d\r\n\r\nFrom %d\r\n", i + 1, i + 1);
			CHECK_INT(mail_append_next(a, MAIL_FLAGGED, words, (size_t)i % 3,
					  1312895000 + i, NULL),
				0);
			CHECK_INT(mail_append_write(a, text, strlen(text)), 0);
		}
		CHECK_INT(mail_append_end(a, NULL, NULL, NULL), 0);
		v = mailbox_open(ms, "INBOX", false);
		REQUIRE(v != NULL);
		CHECK_INT(mailbox_copy(v, uids, 3, "To", MAIL_COPY_ALL, &given, &to), 0);
		CHECK(given[0] == 0 && given[1] == 0 && given[2] == 0);
		mem_free(given);
		CHECK_INT(mailbox_copy(v, uids, 3, "To", MAIL_COPY_PRESENT, &given, &to), 0);
		CHECK(given[0] == 1 && given[1] == 2 && given[2] == 0);
		mem_free(given);
		CHECK_INT(mailbox_copy(v, uids, 1, "To", MAIL_MOVE, &given, &validity), 0);
		CHECK_INT(given[0], 3);
		mem_free(given);
		CHECK_INT(mailbox_copy(v, uids, 1, "nowhere", MAIL_MOVE, &given, &validity), -1);
		CHECK_INT(mailstore_errno(ms), MAIL_E_NOT_FOUND);
		/* Into itself. */
		CHECK_INT(
			mailbox_copy(v, uids + 1, 1, "INBOX", MAIL_COPY_ALL, &given, &validity), 0);
		CHECK_INT(given[0], 4);
		mem_free(given);
		check_sync(v, true, "-1(1) =3/3 ");
		w = mailbox_open(ms, "To", true);
		REQUIRE(w != NULL);
		CHECK_INT(mailbox_uid_validity(w), to);
		list = store_list(w);
		CHECK_STR(list, "1:1 2:3 3:1 ");
		mem_free(list);
		CHECK_INT(mailbox_info(w, 2)->flags, MAIL_FLAGGED);
		CHECK_INT(mailbox_info(w, 2)->received, 1312895002);
		CHECK_INT(__builtin_popcountll(mailbox_info(w, 2)->keywords), 2);
		CHECK_STR(mailbox_keyword(w, mailbox_keyword_bit(w, "$forwarded", false)),
			"$Forwarded");
		CHECK_INT(mailbox_store(w, uids, 1, FLAGS_SET, 0, 0, UINT64_MAX, NULL, NULL), -1);
		CHECK_INT(mailstore_errno(ms), MAIL_E_PERM);
		mailbox_close(w);
		mailbox_close(v);
		CHECK_INT(mailstore_rename(ms, "INBOX", "Moved"), 0);
		w = mailbox_open(ms, "Moved", true);
		REQUIRE(w != NULL);
		list = store_list(w);
		CHECK_STR(list, "1:2 2:3 3:3 ");
		mem_free(list);
		mailbox_close(w);
		mailstore_close(ms);
	}
}

static void keep_structures(const char *kind)
{
	struct mailstore *ms = store_open(kind);
	struct mailbox_view *v;
	struct buf b = BUF_INIT;
	uint32_t uid = 3;

	for (int i = 0; i < 300; i++) {
		CHECK_INT(store_put(ms, "INBOX", "Subject: x\n\nx\n", 0), i + 1);
	}
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL);
	for (uint32_t i = 1; i <= 300; i++) {
		char text[32];

		CHECK_INT(mailbox_cache_get(v, i, 'E', &b), 0);
		mailbox_cache_put(
			v, i, 'E', text, (size_t)snprintf(text, sizeof(text), "env %u", i));
		if (i % 2) {
			mailbox_cache_put(v, i, 'B', text,
				(size_t)snprintf(text, sizeof(text), "body %u", i));
		}
	}
	CHECK_INT(mailbox_expunge(v, &uid, 1, true), 0);
	CHECK_INT(mailbox_view_sync(v, true, NULL), 0);
	for (uint32_t i = 1; i <= 300; i++) {
		char want[32];

		buf_reset(&b);
		CHECK_INT(mailbox_cache_get(v, i, 'E', &b), i != 3);
		snprintf(want, sizeof(want), "env %u", i);
		CHECK_STR(buf_str(&b), i != 3 ? want : "");
		buf_reset(&b);
		CHECK_INT(mailbox_cache_get(v, i, 'B', &b), i != 3 && i % 2);
		CHECK_INT(mailbox_cache_get(v, i, 'H', &b), 0);
	}
	buf_free(&b);
	mailbox_close(v);
	mailstore_close(ms);
}

TEST(mailstore, keeps_structures)
{
	for (int kind = 0; kind < 3; kind++) {
		CHECK_ROW(kinds[kind]);
		keep_structures(kinds[kind]);
	}
}

/* ---- What goes wrong ---- */

TEST(mailstore, damaged_index)
{
	static const char junk[] = "this is no database, it is a text that somebody put here";
	struct mailstore *ms;
	struct mailbox_view *v;
	struct dirent *e;
	char *list, *found;
	int kept = 0;
	DIR *d;

	mkdir(store_path("home"), 0700);
	mkdir(store_path("home/mail"), 0700);
	mkdir(store_path("home/mail/.pillarbox"), 0700);
	store_write("home/mail/.pillarbox/index.db", junk, strlen(junk));
	store_write("inbox", MSG("a", "x\n"), strlen(MSG("a", "x\n")));
	ms = store_open("mbox");
	REQUIRE(ms != NULL);
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL);
	list = store_list(v);
	CHECK_STR(list, "1:a ");
	mem_free(list);
	mailbox_close(v);
	mailstore_close(ms);
	found = store_read("home/mail/.pillarbox/index.db", NULL);
	CHECK(found != NULL && strcmp(found, junk) != 0);
	mem_free(found);
	/* Kept under another name. */
	d = opendir(store_path("home/mail/.pillarbox"));
	REQUIRE(d != NULL);
	while ((e = readdir(d)) != NULL) {
		char name[400];

		if (strncmp(e->d_name, "index.db.corrupt-", 17) != 0) {
			continue;
		}
		snprintf(name, sizeof(name), "home/mail/.pillarbox/%s", e->d_name);
		found = store_read(name, NULL);
		CHECK_STR(found, junk);
		mem_free(found);
		kept++;
	}
	closedir(d);
	CHECK_INT(kept, 1);
}

TEST(mailstore, permissions)
{
	static const mode_t modes[] = { 0600, 0660, 0666, 0644 };
	struct mailstore *ms = store_open("mbox");
	struct mailbox_view *v;

	for (size_t i = 0; i < 4; i++) {
		store_write("inbox", MSG("a", "x\n"), strlen(MSG("a", "x\n")));
		chmod(store_path("inbox"), modes[i]);
		v = mailbox_open(ms, "INBOX", false);
		CHECK(v != NULL);
		mailbox_close(v);
	}
	/* Looked at by a process that has never seen it. */
	mailstore_close(ms);
	mailstore_close(store_open("maildir"));
	ms = store_open("mbox");
	store_append("inbox", MSG("b", "x\n"));
	chmod(store_path("inbox"), 0);
	if (geteuid() != 0) {
		CHECK(mailbox_open(ms, "INBOX", false) == NULL);
		CHECK_INT(mailstore_errno(ms), MAIL_E_PERM);
		CHECK(strstr(mailstore_error(ms), "/inbox") != NULL);
		CHECK(strstr(mailstore_error(ms), "mode 0000") != NULL);
		CHECK(strstr(mailstore_error(ms), "0600") != NULL);
	}
	unlink(store_path("inbox"));
	mkdir(store_path("inbox"), 0700);
	CHECK(mailbox_open(ms, "INBOX", false) == NULL);
	rmdir(store_path("inbox"));
	mkfifo(store_path("inbox"), 0600);
	CHECK(mailbox_open(ms, "INBOX", false) == NULL);
	mailstore_close(ms);
}

/* Without an index on disk UIDs live in the file. */
TEST(mailstore, index_in_memory)
{
	struct mailstore *ms, *other;
	struct mailbox_view *v;
	char location[4300], *list;
	uint32_t validity = 0, uid = 1;

	store_write(
		"inbox", MSG("a", "x\n") MSG("b", "x\n"), strlen(MSG("a", "x\n") MSG("b", "x\n")));
	for (int i = 0; i < 3; i++) {
		snprintf(location, sizeof(location), "mbox:~/mail:INBOX=%s:INDEX=MEMORY",
			store_path("inbox"));
		ms = store_open(location);
		REQUIRE(ms != NULL);
		v = mailbox_open(ms, "INBOX", false);
		REQUIRE(v != NULL);
		CHECK(validity == 0 || validity == mailbox_uid_validity(v));
		validity = mailbox_uid_validity(v);
		list = store_list(v);
		CHECK_STR(list, i == 0 ? "1:a 2:b " : i == 1 ? "2:b " : "2:b 3:c ");
		mem_free(list);
		if (i == 0) {
			CHECK_INT(mailbox_expunge(v, &uid, 1, true), 0);
		}
		if (i == 1) {
			store_append("inbox", MSG("c", "x\n"));
		}
		mailbox_close(v);
		mailstore_close(ms);
		other = store_open("maildir");
		mailstore_close(other);
	}
	CHECK(access(store_path("home/mail/.pillarbox"), F_OK) != 0);
}

TEST(mailstore, bad_locations)
{
	static const char *const rows[] = { "mh:~/Mail", "sqlite:~/x.db", ":", "mbox" };
	struct mail_user user = { .name = "x", .home = "", .uid = getuid(), .gid = getgid() };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *error = NULL;

		user.mail_location = rows[i];
		CHECK_ROW(rows[i]);
		CHECK(mailstore_open(&user, &error) == NULL);
		CHECK(error != NULL && strstr(error, "mail_location") != NULL);
		mem_free(error);
	}
}

#ifdef __SANITIZE_ADDRESS__
void __lsan_disable(void);
#else
static void __lsan_disable(void)
{
}
#endif

/* work - what a session does; memory may run out anywhere in it */
static void work(struct mailstore *ms, bool mbox, unsigned op)
{
	struct mailbox_view *v;
	uint32_t one = 1;

	if (mbox) {
		store_append("inbox", MSG("more", "x\n"));
	}
	v = mailbox_open(ms, "INBOX", false);
	if (v == NULL) {
		return;
	}
	mailbox_store(v, &one, 1, op % 2 ? FLAGS_ADD : FLAGS_REMOVE, MAIL_FLAGGED, 0, UINT64_MAX,
		NULL, NULL);
	mailbox_close(v);
}

static void squeeze(struct mailstore *ms, bool mbox, unsigned long n)
{
	struct mem_guard guard;

	mem_fail_at(n);
	if (mem_guard_enter(&guard) == 0) {
		work(ms, mbox, (unsigned)n);
	}
	mem_guard_leave(&guard);
	mem_fail_at(0);
}

/* Memory that runs out at any moment costs a session, and nothing else. */
TEST(mailstore, survives_lack_of_memory)
{
	/* What the session had is lost; the test is about what the others have. */
	__lsan_disable();
	for (int kind = 0; kind < 3; kind++) {
		struct mailstore *ms = store_open(kinds[kind]);
		struct mailbox_view *v;
		char *list;

		CHECK_INT(store_put(ms, "INBOX", "Subject: one\n\nx\n", 0), 1);
		for (unsigned long n = 1; n < 120; n++) {
			squeeze(ms, kind == 0, n);
		}
		v = mailbox_open(ms, "INBOX", false);
		REQUIRE(v != NULL);
		CHECK_INT(mailbox_count(v), kind == 0 ? 120 : 1);
		list = store_list(v);
		CHECK(strncmp(list, "1:one ", 6) == 0);
		mem_free(list);
		mailbox_close(v);
	}
}
