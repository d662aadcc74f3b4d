/*
 * test_mailbox_crash - kill -9 while messages are appended, flagged and removed
 *
 * A child works on a mailbox of some megabytes and says what it is about to do and what is
 * done; it is killed at a random moment. Whatever was done must be there (or gone) afterwards,
 * every message whole and once; what was under way may have happened or not. Meanwhile, before the
 * mailbox is opened again, "somebody else" delivers a message.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "store_util.h"
#include "unit.h"

enum { FIRST = 150, BODY = 20000, ROUNDS = 25, ALL = 4000 };

#define FROM "From a@b.example Tue Aug  9 14:21:58 2011\n"

/* What the child says, and the parent knows of a message. */
enum word { ADDING = 1, ADDED, REMOVING, REMOVED };
enum state { ABSENT, PRESENT, BEGUN /* an append: whole, torn or nothing */, LEAVING };

struct note {
	uint32_t word, number;
};

static void message(struct buf *b, unsigned number)
{
	buf_addf(b, "Message-ID: <%u@x>\nSubject: %u\n\n", number, number);
	for (size_t i = 0; i < BODY / 60 + number % 7; i++) {
		buf_addf(b, "%u line %zu From here to there, and some more of it to fill it up\n",
			number, i);
	}
}

static void say(int fd, enum word word, uint32_t number)
{
	struct note n = { (uint32_t)word, number };

	if (fd_write_all(fd, &n, sizeof(n)) != 0) {
		_exit(1);
	}
}

static uint32_t number_of(struct mailbox_view *v, uint32_t seq)
{
	struct mail_text *t = mail_open(v, seq);
	size_t len;
	const char *data = t != NULL ? mail_bytes(t, 0, &len) : NULL;
	uint32_t number = data != NULL && strncmp(data, "Message-ID: <", 13) == 0
		? (uint32_t)strtoul(data + 13, NULL, 10)
		: UINT32_MAX;

	mail_close(t);
	return number;
}

/* work - the child's part: until it is killed */
static void work(const char *kind, int fd, uint32_t number, unsigned seed)
{
	struct mailstore *ms = store_open(kind);
	struct mailbox_view *v = mailbox_open(ms, "INBOX", false);

	if (v == NULL) {
		_exit(1);
	}
	for (srand(seed);; number++) {
		struct buf b = BUF_INIT;
		uint32_t uid, gone;

		message(&b, number);
		say(fd, ADDING, number);
		if (store_put(ms, "INBOX", buf_str(&b), 0) == 0) {
			_exit(1);
		}
		say(fd, ADDED, number);
		buf_free(&b);
		mailbox_view_sync(v, true, NULL);
		for (int i = 0; i < 2; i++) {
			uint32_t seq = 1 + (uint32_t)rand() % mailbox_count(v);

			uid = mailbox_info(v, seq)->uid;
			gone = number_of(v, seq);
			if (i == 0) {
				mailbox_store(v, &uid, 1, FLAGS_ADD, MAIL_SEEN, 0, UINT64_MAX, NULL,
					NULL);
				continue;
			}
			say(fd, REMOVING, gone);
			if (mailbox_expunge(v, &uid, 1, true) != 0) {
				_exit(1);
			}
			say(fd, REMOVED, gone);
			mailbox_view_sync(v, true, NULL);
		}
		if (number % 4 == 0) {
			mailbox_close(v);
			v = mailbox_open(ms, "INBOX", false);
			if (v == NULL) {
				_exit(1);
			}
		}
	}
}

/* listen - what the child said before it was killed */
static uint32_t listen_to(int fd, uint8_t *states)
{
	struct note n;
	uint32_t last = 0;

	while (read(fd, &n, sizeof(n)) == (ssize_t)sizeof(n)) {
		if (n.number >= ALL) {
			continue;
		}
		states[n.number] = n.word == ADDED ? PRESENT
			: n.word == REMOVED        ? ABSENT
			: n.word == ADDING         ? BEGUN
						   : LEAVING;
		last = n.number > last ? n.number : last;
	}
	return last;
}

/* check_one - 1: whole and wanted; 0: a torn append, to be removed */
static bool check_one(struct mailbox_view *v, uint32_t seq, uint8_t *states, uint8_t *seen)
{
	uint32_t number = number_of(v, seq);
	struct buf want = BUF_INIT;
	size_t len = 0;
	char *text = store_text(v, seq, &len);
	bool whole, begun;

	REQUIRE(text != NULL);
	message(&want, number);
	whole = len == want.len && memcmp(text, want.data, len) == 0;
	buf_free(&want);
	mem_free(text);
	begun = number >= ALL || states[number] == BEGUN;
	/* Only an append that was under way may have left a part, and only behind all others. */
	if (!whole && begun && seq + 1 >= mailbox_count(v)) {
		return false;
	}
	CHECK(whole);
	if (number >= ALL) {
		return true;
	}
	CHECK(states[number] != ABSENT);
	CHECK_INT(seen[number], 0);
	seen[number] = 1;
	states[number] = PRESENT;
	return true;
}

/* check_all - every message whole and once, as it should be; what was open is decided */
static void check_all(const char *kind, uint8_t *states)
{
	struct mailstore *ms = store_open(kind);
	struct mailbox_view *v = mailbox_open(ms, "INBOX", false);
	uint8_t *seen = mem_alloc(ALL);
	uint32_t torn[2];
	size_t torn_count = 0;

	REQUIRE(v != NULL);
	for (uint32_t seq = 1; seq <= mailbox_count(v); seq++) {
		if (!check_one(v, seq, states, seen) && torn_count < 2) {
			torn[torn_count++] = mailbox_info(v, seq)->uid;
		}
	}
	for (uint32_t i = 0; i < ALL; i++) {
		CHECK(states[i] != PRESENT || seen[i]);
		if (!seen[i]) {
			states[i] = ABSENT;
		}
	}
	CHECK_INT(mailbox_expunge(v, torn, torn_count, true), 0);
	mem_free(seen);
	mailbox_close(v);
	mailstore_close(ms);
}

/* deliver - as another program would, in the middle of it all */
static void deliver(uint32_t number)
{
	struct buf b = BUF_INIT, text = BUF_INIT;
	size_t len;
	char *file = store_read("real", &len);
	bool whole = len == 0 || (len > 1 && memcmp(file + len - 2, "\n\n", 2) == 0);

	mem_free(file);
	message(&b, number);
	/* A torn tail gets an end first, as deliver does. */
	buf_addf(&text, "%s%s%s\n", whole ? "" : "\n\n", FROM, buf_str(&b));
	store_append("real", buf_str(&text));
	buf_free(&b);
	buf_free(&text);
}

static void crash(const char *kind, bool mbox, bool by_rename)
{
	uint8_t *states = mem_alloc(ALL);
	uint32_t next = FIRST, last;
	struct buf b = BUF_INIT;
	char target[4096];

	snprintf(target, sizeof(target), "%s", store_path("real"));
	for (uint32_t i = 0; mbox && i < FIRST; i++) {
		buf_adds(&b, FROM);
		message(&b, i);
		buf_addc(&b, '\n');
		states[i] = PRESENT;
	}
	if (mbox) {
		store_write("real", buf_str(&b), b.len);
		/* By a symbolic link the file may not be replaced: its bytes are, by journal. */
		REQUIRE((by_rename ? link : symlink)(target, store_path("inbox")) == 0);
		if (by_rename) {
			unlink(target);
		}
	}
	buf_free(&b);
	for (int round = 0; round < ROUNDS; round++) {
		int fds[2];
		pid_t pid;

		REQUIRE(pipe(fds) == 0);
		pid = fork();
		if (pid == 0) {
			close(fds[0]);
			work(kind, fds[1], next, (unsigned)round);
		}
		close(fds[1]);
		usleep((useconds_t)(rand() % 60000));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		last = listen_to(fds[0], states);
		close(fds[0]);
		next = last + 2 > next ? last + 2 : next;
		if (mbox && !by_rename) {
			deliver(next);
			states[next++] = PRESENT;
		}
		CHECK_ROW(kind);
		check_all(kind, states);
		if (next > ALL - 200) {
			break;
		}
	}
	mem_free(states);
}

TEST(mailbox_crash, mbox_by_rename)
{
	crash("mbox", true, true);
}

TEST(mailbox_crash, mbox_by_journal)
{
	crash("mbox", true, false);
}

TEST(mailbox_crash, maildir)
{
	crash("maildir", false, false);
}

/*
 * Killed when a change was complete but for its journal; then another program, which knows nothing
 * of journals, takes a message out and new mail comes.
 */
TEST(mailbox_crash, changed_before_recovery)
{
	static const char first[] = FROM "Subject: 1\n\nthe first\n\n";
	static const char second[] = FROM "Subject: 2\n\nthe second\n\n";
	static const char third[] = FROM "Subject: 3\n\nthe third\n\n";
	struct buf b = BUF_INIT;
	char target[4096], *file, *list;
	struct mailstore *ms;
	struct mailbox_view *v;
	int status;
	pid_t pid;

	snprintf(target, sizeof(target), "%s", store_path("real"));
	buf_addf(&b, "%s%s%s", first, second, third);
	store_write("real", buf_str(&b), b.len);
	REQUIRE(symlink(target, store_path("inbox")) == 0);
	pid = fork();
	if (pid == 0) {
		uint32_t uid = 1;

		ms = store_open("mbox");
		v = mailbox_open(ms, "INBOX", false);
		/* As if killed before anything that would be removed. */
		refuse_unlink();
		if (v == NULL ||
			mailbox_store(v, &uid, 1, FLAGS_ADD, MAIL_FLAGGED, 0, UINT64_MAX, NULL,
				NULL) != 0) {
			_exit(1);
		}
		mailbox_close(v);
		_exit(0);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid && status == 0);
	file = store_read("real", NULL);
	REQUIRE(file != NULL && strstr(file, "X-Status: F") != NULL);
	mem_free(file);
	buf_reset(&b);
	buf_addf(&b, "%s%s" FROM "Subject: new\n\n", first, third);
	for (int i = 0; i < 100; i++) {
		buf_adds(&b, "a line of it\n");
	}
	buf_addc(&b, '\n');
	store_write("real", buf_str(&b), b.len);
	ms = store_open("mbox");
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL);
	CHECK_INT(mailbox_count(v), 3);
	list = store_list(v);
	CHECK(strstr(list, ":1 ") != NULL && strstr(list, ":3 ") != NULL &&
		strstr(list, ":new ") != NULL);
	mem_free(list);
	file = store_read("real", NULL);
	CHECK(file != NULL && strstr(file, buf_str(&b)) != NULL);
	mem_free(file);
	buf_free(&b);
	mailbox_close(v);
	mailstore_close(ms);
}
