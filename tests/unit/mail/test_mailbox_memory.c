/*
 * test_mailbox_memory - a session that runs out of memory in the middle of a change
 *
 * It ends, the process and its other sessions live on: no lock and no transaction may stay with
 * them. A neighbour, another process, finds out.
 */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "deliver/deliver.h"
#include "store_util.h"
#include "unit.h"

static const char *kind;
static const uint32_t one = 1;

static void do_append(struct mailstore *ms, struct mailbox_view *v)
{
	(void)v;
	(void)store_put(ms, "INBOX", "Subject: more\n\nFrom here\n", MAIL_SEEN);
}

static void do_expunge(struct mailstore *ms, struct mailbox_view *v)
{
	(void)ms;
	(void)mailbox_expunge(v, &one, 1, true);
}

static void do_copy(struct mailstore *ms, struct mailbox_view *v)
{
	uint32_t *given = NULL, validity;

	(void)ms;
	(void)mailbox_copy(v, &one, 1, "INBOX", MAIL_COPY_ALL, &given, &validity);
	mem_free(given);
}

static void do_flags(struct mailstore *ms, struct mailbox_view *v)
{
	(void)ms;
	(void)mailbox_store(v, &one, 1, FLAGS_ADD, MAIL_FLAGGED, 0, UINT64_MAX, NULL, NULL);
}

static void do_rename(struct mailstore *ms, struct mailbox_view *v)
{
	(void)v;
	(void)mailstore_create(ms, "A");
	(void)mailstore_rename(ms, "A", "B");
	(void)mailstore_delete(ms, "B");
}

static void (*const ops[])(struct mailstore *ms, struct mailbox_view *v) = { do_append, do_expunge,
	do_copy, do_flags, do_rename };

/* session - one that does it with its n-th allocation failing; did it come to the end? */
static bool session(unsigned op, unsigned long n)
{
	struct mailstore *ms = store_open(kind);
	struct mailbox_view *v = mailbox_open(ms, "INBOX", false);
	volatile bool whole = false;
	struct mem_guard g;

	if (mem_guard_enter(&g) == 0) {
		mem_fail_at(n);
		ops[op](ms, v);
		whole = true;
	}
	mem_fail_at(0);
	mem_guard_leave(&g);
	mailbox_close(v);
	mailstore_close(ms);
	return whole;
}

/* is_free - can mail be delivered at once, and the folder be changed? */
static bool is_free(void)
{
	struct deliver_how how = { .lock_ms = 0 };
	struct slice text = slice_of("Received: by mx id 4A1B2C3D4E;\nSubject: x\n\nbody\n");
	struct deliver_item it = { .queue_id = "4A1B2C3D4E",
		.sender = "a@x.example",
		.recipient = "u1@test.example",
		.original = "",
		.read = slice_read,
		.read_arg = &text };
	const char *place = store_path(strcmp(kind, "mbox") == 0 ? "inbox" : "Maildir/");
	struct mailstore *ms;

	if (deliver_to_mailbox(place, &how, &it, 1) != 0 || it.status != DELIVER_OK) {
		return false;
	}
	ms = store_open(kind);
	return ms != NULL && store_put(ms, "INBOX", "Subject: next\n\nx\n", 0) != 0;
}

/* forked - a process of its own: -1 in it, with the ends of a pipe to tell and one to wait at */
static pid_t forked(const int *tell, const int *wait)
{
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	if (pid == 0) {
		close(tell[0]);
		close(wait[1]);
		return -1;
	}
	return pid;
}

/* whole_with - session and neighbour; true: there was enough memory */
static bool whole_with(unsigned op, unsigned long n)
{
	int ended[2], looked[2], status;
	pid_t server, neighbour;
	char c = 0;

	REQUIRE(pipe(ended) == 0 && pipe(looked) == 0);
	server = forked(ended, looked);
	if (server == -1) {
		c = session(op, n) ? 'w' : 'f';
		(void)!write(ended[1], &c, 1);
		(void)!read(looked[0], &c, 1);
		_exit(0);
	}
	close(looked[0]);
	close(ended[1]);
	CHECK(read(ended[0], &c, 1) == 1);
	neighbour = fork();
	REQUIRE(neighbour >= 0);
	if (neighbour == 0) {
		_exit(is_free() ? 0 : 1);
	}
	REQUIRE(waitpid(neighbour, &status, 0) == neighbour);
	close(looked[1]);
	close(ended[0]);
	REQUIRE(waitpid(server, NULL, 0) == server);
	REQUIRE(status == 0);
	return c != 'f';
}

static void hold_nobody_up(unsigned op)
{
	static const char *const kinds[] = { "mbox", "maildir" };
	char row[80];

	/* One for all the processes. */
	(void)unit_tmpdir();

	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		bool whole = false;

		kind = kinds[k];
		if (fork() == 0) {
			_exit(is_free() ? 0 : 1);
		}
		REQUIRE(wait(NULL) > 0);
		for (unsigned long n = 1; n < 300 && !whole; n++) {
			snprintf(row, sizeof(row), "%s, allocation %lu", kind, n);
			CHECK_ROW(row);
			whole = whole_with(op, n);
		}
		CHECK(whole);
	}
	CHECK_ROW(NULL);
}

TEST(mailbox_memory, append)
{
	hold_nobody_up(0);
}

TEST(mailbox_memory, expunge)
{
	hold_nobody_up(1);
}

TEST(mailbox_memory, copy)
{
	hold_nobody_up(2);
}

TEST(mailbox_memory, flags)
{
	hold_nobody_up(3);
}

TEST(mailbox_memory, folders)
{
	hold_nobody_up(4);
}
