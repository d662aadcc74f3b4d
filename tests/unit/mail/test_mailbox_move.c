/*
 * test_mailbox_move - what a MOVE that was interrupted left behind, and how it is finished
 *
 * Killed at every point: test_killpoints. Here: what stands in the note, when it has to be on the
 * disk, and every way in which a note may not be true (any more).
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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

/* interrupt - as a MOVE that ended after the note, or after the copies: it is not ended */
static struct move_note interrupt(struct mailstore *ms, bool copied)
{
	struct mail_moved moved = { uids, 2 };
	struct mailbox_view *v = mailbox_open(ms, "INBOX", false);
	struct mailbox *to = mailbox_get(ms, "Saved");
	struct move_note note;

	REQUIRE(v != NULL && to != NULL);
	REQUIRE(move_note_begin(v, &note) == 0 && note.fd >= 0);
	move_note_write(&note, v, to, &moved);
	mailbox_put(to);
	if (copied) {
		copy(v);
	}
	mailbox_close(v);
	return note;
}

/* killed - the process is no more: nobody has the note open */
static void killed(struct move_note note)
{
	close(note.fd);
	mem_free(note.path);
}

static void check_folder(struct mailstore *ms, const char *folder, const char *want)
{
	struct mailbox_view *v = mailbox_open(ms, folder, false);
	char *list;

	REQUIRE(v != NULL);
	list = store_list(v);
	CHECK_STR(list, want);
	mem_free(list);
	mailbox_close(v);
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
	struct mailbox_view *v;
	char *list;

	killed(interrupt(ms, true));
	v = mailbox_open(ms, "INBOX", true);
	REQUIRE(v != NULL);
	list = store_list(v);
	CHECK_STR(list, "2:two ");
	mem_free(list);
	mailbox_close(v);
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
	struct move_note note = interrupt(ms, true);

	/* Whoever moves holds the note: others wait for what becomes of it. */
	check_folder(ms, "INBOX", "1:one 2:two 3:three ");
	move_note_end(&note);
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
		struct move_note note = interrupt(ms, cut == 1);
		bool whole;

		note_name(ms, name, sizeof(name));
		REQUIRE(fstat(note.fd, &st) == 0);
		whole = cut > st.st_size;
		REQUIRE(ftruncate(note.fd, whole ? st.st_size : st.st_size - cut) == 0);
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
