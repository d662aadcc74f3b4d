/*
 * test_mailbox_move - what a MOVE that was interrupted left behind, and how it is finished
 *
 * Killed at every point: test_killpoints. Here: what stands in the note, when it has to be on the
 * disk, and every way in which a note may not be true (any more).
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "mail/mailbox_move.h"
#include "store_util.h"
#include "trace.h"
#include "unit.h"

static const char *kind;
static const uint32_t uids[2] = { 1, 3 };

/* prepare - three messages in INBOX, an older one in Saved */
static struct mailstore *prepare(void)
{
	struct mailstore *ms = store_open(kind);

	REQUIRE(ms != NULL && mailstore_create(ms, "Saved") == 0);
	REQUIRE(store_put(ms, "INBOX", "Subject: one\n\nfirst\n", MAIL_SEEN) == 1);
	REQUIRE(store_put(ms, "INBOX", "Subject: two\n\nsecond\n", 0) == 2);
	REQUIRE(store_put(ms, "INBOX", "Subject: three\n\nthird\n", 0) == 3);
	REQUIRE(store_put(ms, "Saved", "Subject: one\n\nfirst\n", 0) == 1);
	return ms;
}

/* copy - of both to Saved, which stay where they are */
static void copy(struct mailbox_view *v)
{
	uint32_t *given, validity;

	REQUIRE(mailbox_copy(v, uids, 2, "Saved", MAIL_COPY_ALL, &given, &validity) == 0);
	mem_free(given);
}

/*
 * interrupt - as a MOVE that ended after the note, or after the copies: it is not ended. The note's
 * descriptor, which holds its lock as another process would.
 */
static int interrupt(struct mailstore *ms, bool copied)
{
	struct mail_moved moved = { uids, 2 };
	struct mailbox_view *v = mailbox_open(ms, "INBOX", false);
	struct mailbox *to = mailbox_get(ms, "Saved");
	struct move_note note;
	int fd;

	REQUIRE(v != NULL && to != NULL);
	REQUIRE(move_note_begin(v, &note) == 0 && v->mb->note >= 0);
	move_note_write(&note, v, to, &moved);
	mailbox_put(to);
	fd = dup(v->mb->note);
	REQUIRE(fd >= 0);
	mailbox_drop_note(v->mb);
	mem_free(note.path);
	if (copied) {
		copy(v);
	}
	mailbox_close(v);
	return fd;
}

/* killed - the process is no more: nobody has the note open */
static void killed(int note)
{
	close(note);
}

static void check_folder(struct mailstore *ms, const char *folder, const char *want)
{
	store_check(ms, folder, false, want);
}

/* at_both - the test with an mbox and with a maildir */
static void at_both(void (*test)(struct mailstore *ms))
{
	static const char *const kinds[] = { "mbox", "maildir" };

	CHECK_ROW(kind);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct mailstore *ms;

		kind = kinds[i];
		ms = prepare();
		test(ms);
		mailstore_close(ms);
	}
	CHECK_ROW(NULL);
}

static void finished(struct mailstore *ms)
{
	killed(interrupt(ms, true));
	check_folder(ms, "INBOX", "2:two ");
	check_folder(ms, "Saved", "1:one 2:one 3:three ");
	/* Once: the note has ended. */
	REQUIRE(store_put(ms, "INBOX", "Subject: three\n\nthird\n", 0) == 4);
	check_folder(ms, "INBOX", "2:two 4:three ");
}

TEST(mailbox_move, finished_by_the_next)
{
	at_both(finished);
}

/* Who only looks must not see both either: EXAMINE, RFC 6851 3.3. */
static void only_looked_at(struct mailstore *ms)
{
	killed(interrupt(ms, true));
	store_check(ms, "INBOX", true, "2:two ");
}

TEST(mailbox_move, finished_for_who_only_looks)
{
	at_both(only_looked_at);
}

static void not_copied(struct mailstore *ms)
{
	killed(interrupt(ms, false));
	/* Saved has one of the same text, but from before. */
	check_folder(ms, "INBOX", "1:one 2:two 3:three ");
	/* And what is copied later is not what the note meant. */
	REQUIRE(store_put(ms, "Saved", "Subject: one\n\nfirst\n", 0) == 2);
	check_folder(ms, "INBOX", "1:one 2:two 3:three ");
}

TEST(mailbox_move, not_copied_stays)
{
	at_both(not_copied);
}

static void altered(struct mailstore *ms)
{
	killed(interrupt(ms, false));
	REQUIRE(store_put(ms, "Saved", "Subject: one\n\nfirsT\n", 0) == 2);
	REQUIRE(store_put(ms, "Saved", "Subject: three\n\nthird\nand more\n", 0) == 3);
	REQUIRE(store_put(ms, "Saved", "Subject: three\n\nthird", 0) == 4);
	check_folder(ms, "INBOX", "1:one 2:two 3:three ");
}

TEST(mailbox_move, another_text_is_no_copy)
{
	/* An mbox ends its last line, so there the last of these would be one. */
	kind = "maildir";
	struct mailstore *ms = prepare();

	altered(ms);
	mailstore_close(ms);
}

static void one_copied(struct mailstore *ms)
{
	killed(interrupt(ms, false));
	REQUIRE(store_put(ms, "Saved", "Subject: other\n\nbetween\n", 0) == 2);
	REQUIRE(store_put(ms, "Saved", "Subject: three\n\nthird\n", 0) == 3);
	check_folder(ms, "INBOX", "1:one 2:two ");
}

TEST(mailbox_move, some_were_copied)
{
	at_both(one_copied);
}

static void under_way(struct mailstore *ms)
{
	int note = interrupt(ms, true);
	struct mailbox_view *v;
	uint32_t *given, validity;

	/* Whoever moves holds the note: others do not touch what it is about, nor wait. */
	check_folder(ms, "INBOX", "1:one 2:two 3:three ");
	v = mailbox_open(ms, "INBOX", false);
	CHECK_INT(mailbox_copy(v, uids, 2, "Saved", MAIL_MOVE, &given, &validity), 1);
	CHECK_INT(mailstore_errno(ms), MAIL_E_BUSY);
	mailbox_close(v);
	REQUIRE(ftruncate(note, 0) == 0);
	close(note);
	check_folder(ms, "INBOX", "1:one 2:two 3:three ");
}

TEST(mailbox_move, somebody_is_moving)
{
	at_both(under_way);
}

/* A session that has INBOX open while another one is killed, and moves the same then. */
static void moved_again(struct mailstore *ms)
{
	struct mailbox_view *v = mailbox_open(ms, "INBOX", false);
	uint32_t *given, validity;

	killed(interrupt(ms, true));
	REQUIRE(mailbox_copy(v, uids, 2, "Saved", MAIL_MOVE, &given, &validity) == 0);
	CHECK(given[0] == 0 && given[1] == 0);
	mem_free(given);
	mailbox_close(v);
	check_folder(ms, "INBOX", "2:two ");
	check_folder(ms, "Saved", "1:one 2:one 3:three ");
}

TEST(mailbox_move, moved_again_by_another)
{
	at_both(moved_again);
}

static void folder_replaced(struct mailstore *ms)
{
	killed(interrupt(ms, true));
	REQUIRE(mailstore_delete(ms, "Saved") == 0);
	REQUIRE(mailstore_create(ms, "Saved") == 0);
	REQUIRE(store_put(ms, "Saved", "Subject: one\n\nfirst\n", 0) == 1);
	REQUIRE(store_put(ms, "Saved", "Subject: one\n\nfirst\n", 0) == 2);
	check_folder(ms, "INBOX", "1:one 2:two 3:three ");
}

TEST(mailbox_move, another_folder_of_the_name)
{
	at_both(folder_replaced);
}

/* note_name - the file's, of INBOX */
static void note_name(struct mailstore *ms, char *out, size_t size)
{
	struct mailbox *mb = mailbox_get(ms, "INBOX");

	snprintf(out, size, "%s.move-%lld", index_path(mb->store->index), (long long)mb->f.id);
	mailbox_put(mb);
}

static void torn(struct mailstore *ms)
{
	char name[512];
	struct stat st;

	for (int cut = 1;; cut++) {
		int note = interrupt(ms, cut == 1);
		bool whole;

		note_name(ms, name, sizeof(name));
		REQUIRE(fstat(note, &st) == 0);
		whole = cut > st.st_size;
		REQUIRE(ftruncate(note, whole ? st.st_size : st.st_size - cut) == 0);
		killed(note);
		check_folder(ms, "INBOX", "1:one 2:two 3:three ");
		CHECK(stat(name, &st) == 0 && st.st_size == 0);
		if (whole) {
			break;
		}
	}
}

TEST(mailbox_move, torn_note)
{
	at_both(torn);
}

/* Other names do not keep it from being finished; a folder that goes takes its note along. */
static void renamed(struct mailstore *ms)
{
	struct mailbox_view *v;
	char name[512];
	uint32_t *given, validity;

	killed(interrupt(ms, true));
	REQUIRE(mailstore_rename(ms, "Saved", "Kept") == 0);
	check_folder(ms, "INBOX", "2:two ");
	check_folder(ms, "Kept", "1:one 2:one 3:three ");
	v = mailbox_open(ms, "Kept", false);
	REQUIRE(v != NULL && mailbox_copy(v, uids, 1, "INBOX", MAIL_MOVE, &given, &validity) == 0);
	snprintf(name, sizeof(name), "%s.move-%lld", index_path(v->mb->store->index),
		(long long)v->mb->f.id);
	mem_free(given);
	mailbox_close(v);
	CHECK(access(name, F_OK) == 0);
	REQUIRE(mailstore_delete(ms, "Kept") == 0);
	CHECK(access(name, F_OK) != 0);
}

TEST(mailbox_move, folders_renamed_and_deleted)
{
	at_both(renamed);
}

/* What is in the note's place may be anything. */
static void no_note(struct mailstore *ms)
{
	struct mailbox_view *v;
	uint32_t *given, validity;
	char name[512];
	struct stat st;

	note_name(ms, name, sizeof(name));
	REQUIRE(mkfifo(name, 0600) == 0);
	check_folder(ms, "INBOX", "1:one 2:two 3:three ");
	REQUIRE(unlink(name) == 0 && symlink("/etc/passwd", name) == 0);
	check_folder(ms, "INBOX", "1:one 2:two 3:three ");
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(mailbox_copy(v, uids, 1, "Saved", MAIL_MOVE, &given, &validity) == 0);
	mem_free(given);
	mailbox_close(v);
	REQUIRE(unlink(name) == 0);
	/* Longer than any note. */
	killed(interrupt(ms, false));
	REQUIRE(truncate(name, (off_t)1 << 40) == 0);
	check_folder(ms, "INBOX", "2:two 3:three ");
	CHECK(stat(name, &st) == 0 && st.st_size == 0);
}

TEST(mailbox_move, something_else_in_its_place)
{
	at_both(no_note);
}

/* short_of_memory - a session whose move fails at its n-th allocation: 0 it failed, 1 it did not */
static int short_of_memory(unsigned long n, const char *name)
{
	struct mailstore *ms = store_open(kind);
	struct mailbox_view *v = mailbox_open(ms, "INBOX", false);
	uint32_t *given, validity;
	struct mem_guard g;
	volatile int whole = 0;
	int fd;

	if (mem_guard_enter(&g) == 0) {
		mem_fail_at(n);
		(void)mailbox_copy(v, uids, 1, "Saved", MAIL_MOVE, &given, &validity);
		whole = 1;
	}
	mem_fail_at(0);
	mem_guard_leave(&g);
	mailbox_close(v);
	mailstore_close(ms);
	/* The process lives on, and holds nobody up. */
	fd = open(name, O_RDWR | O_CREAT, 0600);
	return fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0 ? 2 : whole;
}

/* Memory that runs out anywhere in a move costs the session, not all moves from the folder. */
static void no_memory(struct mailstore *ms)
{
	char name[512];
	int status = 0;

	note_name(ms, name, sizeof(name));
	for (unsigned long n = 1; n < 200 && status == 0; n++) {
		pid_t pid = fork();

		REQUIRE(pid >= 0);
		if (pid == 0) {
			_exit(short_of_memory(n, name));
		}
		REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
		status = WEXITSTATUS(status);
		CHECK(status < 2);
	}
	CHECK_INT(status, 1);
}

TEST(mailbox_move, out_of_memory)
{
	at_both(no_memory);
}

/* A note that is not on the disk before the copies begin is none. */
struct order {
	bool written, synced, named, copied, early;
};

static bool follow(void *arg, const struct trace_call *c)
{
	struct order *o = arg;
	char link[64], path[512] = "";
	ssize_t n;

	if (!c->entry) {
		return true;
	}
	snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)c->pid, (int)c->args[0]);
	n = readlink(link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	switch (c->nr) {
	case SYS_fsync:
	case SYS_fdatasync:
	case SYS_syncfs:
		o->synced = o->synced || strstr(path, ".move-") != NULL;
		o->named = o->named || (o->written && strstr(path, ".move-") == NULL);
		break;
	case SYS_write:
	case SYS_writev:
	case SYS_pwrite64:
		o->written = o->written || strstr(path, ".move-") != NULL;
		if (strstr(path, "Saved") != NULL) {
			o->early = o->early || !(o->written && o->synced && o->named);
			o->copied = true;
		}
		break;
	}
	return true;
}

static void move(void)
{
	struct mailstore *ms = store_open(kind);
	struct mailbox_view *v = mailbox_open(ms, "INBOX", false);
	uint32_t *given, validity;

	if (v == NULL || mailbox_copy(v, uids, 2, "Saved", MAIL_MOVE, &given, &validity) != 0) {
		_exit(1);
	}
	mem_free(given);
	mailbox_close(v);
	mailstore_close(ms);
}

static void ordered(struct mailstore *ms)
{
	struct order o = { .written = false };

	(void)ms;
	CHECK(trace_run(move, follow, &o));
	CHECK(o.copied && o.written && o.synced && o.named);
	CHECK(!o.early);
}

TEST(mailbox_move, noted_before_it_is_copied)
{
	at_both(ordered);
}
