/*
 * test_mbox_powercut - what a power cut may leave of a mailbox that is changed in its place
 *
 * A change is made with its journal left behind, as if killed before that is removed. Then the
 * mailbox is put together again as the disk might have it: each changed block old or new, the
 * old or the new size, zeros where the cut was begun; torn sectors; mail that others appended
 * before anybody looked. Whoever opens it must find every message whole and once, and no zeros.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "deliver/deliver.h"
#include "store_util.h"
#include "unit.h"

enum { BLOCK = 4096, SECTOR = 512, BLOCKS_MAX = 64, ALL_STATES = 14 /* tried one by one */ };

#define FROM "From a@b.example Tue Aug  9 14:21:58 2011\n"
#define NEWS FROM "Subject: new\n\nIt came in between.\n\n"

/* Body lines of each message: most lie across blocks, some share one. */
static const unsigned lines[] = { 20, 130, 3, 2, 90, 40, 160, 10 };

enum append { NOTHING, FOREIGN, OURS };

/* The same mailbox before and after a change, and the journal that the change left. */
struct change {
	const char *what;
	struct buf before, after, journal;
	char name[300]; /* of the journal, below the test's directory */
	char *want;     /* messages afterwards, as store_list() has them but for UIDs */
};

static void message(struct buf *b, unsigned number)
{
	buf_addf(b, FROM "Subject: %u\n\n", number);
	for (unsigned i = 0; i < lines[number]; i++) {
		buf_addf(b, "%u line %u: From here to there, and more to fill it\n", number, i);
	}
	buf_addc(b, '\n');
}

/* ---- A change, and its journal ---- */

static void remove_uids(struct mailbox_view *v, uint32_t first, uint32_t last)
{
	uint32_t uids[ARRAY_LEN(lines)];
	size_t n = 0;

	for (uint32_t uid = first; uid <= last; uid++) {
		uids[n++] = uid;
	}
	if (mailbox_expunge(v, uids, n, true) != 0) {
		_exit(2);
	}
}

static void remove_second(struct mailbox_view *v)
{
	remove_uids(v, 2, 2);
}

static void remove_small(struct mailbox_view *v)
{
	remove_uids(v, 3, 3);
}

static void remove_end(struct mailbox_view *v)
{
	remove_uids(v, 6, 8);
}

static void remove_all(struct mailbox_view *v)
{
	remove_uids(v, 1, 8);
}

static void flag_all(struct mailbox_view *v)
{
	uint32_t uids[] = { 2, 3, 4, 5, 8 };

	if (mailbox_store(v, uids, ARRAY_LEN(uids), FLAGS_ADD, MAIL_FLAGGED, 0, UINT64_MAX, NULL,
		    NULL) != 0) {
		_exit(2);
	}
}

/* in_child - open the folder, do it, close it; unlink(2) refused: the journal stays */
static void in_child(void (*fn)(struct mailbox_view *v))
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		struct mailstore *ms = store_open("mbox");
		struct mailbox_view *v = ms != NULL ? mailbox_open(ms, "INBOX", false) : NULL;

		if (v == NULL) {
			_exit(1);
		}
		refuse_unlink();
		fn(v);
		mailbox_close(v);
		_exit(0);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid && status == 0);
}

/* find_journal - the name of the one that is there */
static void find_journal(char *out, size_t size)
{
	DIR *d = opendir(store_path("home/mail/.pillarbox"));
	struct dirent *e;

	out[0] = '\0';
	REQUIRE(d != NULL);
	while ((e = readdir(d)) != NULL) {
		if (strncmp(e->d_name, "rewrite-", 8) == 0 && strchr(e->d_name, '.') == NULL) {
			snprintf(out, size, "home/mail/.pillarbox/%s", e->d_name);
		}
	}
	closedir(d);
}

/* subjects - of all messages, each followed by a blank; caller frees */
static char *subjects(struct mailbox_view *v)
{
	char *list = store_list(v), *p = list;
	struct buf b = BUF_INIT;

	while (p != NULL && *p != '\0') {
		size_t len = strcspn(p, " ");
		const char *colon = memchr(p, ':', len);

		REQUIRE(colon != NULL);
		buf_add(&b, colon + 1, len - (size_t)(colon + 1 - p));
		buf_addc(&b, ' ');
		p += len + (p[len] == ' ');
	}
	mem_free(list);
	return buf_steal(&b);
}

static void make_change(struct change *c, void (*fn)(struct mailbox_view *v), const char *want)
{
	char target[4096];

	log_open("unit", LOG_TO_STDERR);
	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
	memset(c, 0, sizeof(*c));
	for (unsigned i = 0; i < ARRAY_LEN(lines); i++) {
		message(&c->before, i);
	}
	snprintf(target, sizeof(target), "%s", store_path("real"));
	store_write("real", c->before.data, c->before.len);
	/* By a symbolic link the file may not be replaced: its bytes are, by journal. */
	REQUIRE(symlink(target, store_path("inbox")) == 0);
	in_child(fn);
	find_journal(c->name, sizeof(c->name));
	REQUIRE(c->name[0] != '\0');
	store_take(&c->after, "real");
	store_take(&c->journal, c->name);
	CHECK(c->after.len != c->before.len);
	c->want = mem_strdup(want);
}

static void free_change(struct change *c)
{
	buf_free(&c->before);
	buf_free(&c->after);
	buf_free(&c->journal);
	mem_free(c->want);
}

/* ---- What the disk has ---- */

/* byte_at - of b, zero behind its end */
static char byte_at(const struct buf *b, size_t at)
{
	return at < b->len ? b->data[at] : '\0';
}

/*
 * compose - the mailbox of size bytes: unit n (of that many bytes) is as before where bit n of
 * mask is 0. Behind the old end it is zero until it is written.
 */
static void compose(
	const struct change *c, size_t size, size_t unit, const uint8_t *mask, struct buf *out)
{
	buf_reset(out);
	for (size_t at = 0; at < size; at++) {
		bool new = at < c->after.len && (mask[at / unit / 8] >> (at / unit % 8) & 1);

		buf_addc(out, byte_at(new ? &c->after : &c->before, at));
	}
}

/* append_foreign - as a program does that knows neither journals nor power cuts */
static void append_foreign(void)
{
	size_t len;
	char *file = store_read("real", &len);
	bool whole = len == 0 || (len > 1 && memcmp(file + len - 2, "\n\n", 2) == 0);

	store_append("real", whole ? NEWS : "\n\n" NEWS);
	mem_free(file);
}

static void append_ours(void)
{
	struct slice text = slice_of("Subject: new\n\nIt came in between.\n");
	struct deliver_item it = { .queue_id = "3x",
		.sender = "a@b.example",
		.recipient = "",
		.original = "",
		.read = slice_read,
		.read_arg = &text };
	struct deliver_how how = { .lock_ms = 1000 };

	CHECK_INT(deliver_to_mailbox(store_path("real"), &how, &it, 1), 0);
	CHECK_INT(it.status, DELIVER_OK);
}

/* look - everything must be there, once and whole, and the file must say the same without us */
static void look(const struct change *c, enum append append)
{
	struct mailstore *ms = store_open("mbox");
	struct mailbox_view *v = mailbox_open(ms, "INBOX", false);
	struct buf want = BUF_INIT;
	char journal[300], *list;
	size_t len;

	REQUIRE(v != NULL);
	buf_addf(&want, "%s%s", c->want, append != NOTHING ? "new " : "");
	list = subjects(v);
	CHECK_STR(list, buf_str(&want));
	mem_free(list);
	mailbox_close(v);
	mailstore_close(ms);
	list = store_read("real", &len);
	REQUIRE(list != NULL);
	CHECK(memchr(list, '\0', len) == NULL);
	CHECK(len >= c->after.len &&
		(c->after.len == 0 || memcmp(list, c->after.data, c->after.len) == 0));
	CHECK(append != NOTHING || len == c->after.len);
	CHECK(append != FOREIGN ||
		(len == c->after.len + sizeof(NEWS) - 1 &&
			memcmp(list + c->after.len, NEWS, sizeof(NEWS) - 1) == 0));
	mem_free(list);
	find_journal(journal, sizeof(journal));
	CHECK_STR(journal, "");
	buf_free(&want);
}

/* restore - the mailbox, with its number, and the journal */
static void restore(const struct change *c, const struct buf *mailbox)
{
	store_write("real", mailbox->data, mailbox->len);
	store_write(c->name, c->journal.data, c->journal.len);
}

static void try_state(const struct change *c, const struct buf *mailbox)
{
	for (enum append a = NOTHING; a <= OURS && unit_failures() == 0; a++) {
		restore(c, mailbox);
		if (a == FOREIGN) {
			append_foreign();
		} else if (a == OURS) {
			append_ours();
		}
		look(c, a);
	}
}

/* same_unit - is that part of the file the same before and after? */
static bool same_unit(const struct change *c, size_t unit, size_t n, size_t end)
{
	for (size_t at = n * unit; at < (n + 1) * unit && at < end; at++) {
		if (byte_at(&c->before, at) != byte_at(&c->after, at)) {
			return false;
		}
	}
	return true;
}

/*
 * each_state - of the units from offset from to end: all ways to have them old or new, or many of
 * them; those before are as before, and with all those before as after
 */
static void each_state(const struct change *c, size_t size, size_t unit, size_t from, size_t end)
{
	size_t units[BLOCKS_MAX * 8] = { 0 }, n = 0;
	uint8_t mask[BLOCKS_MAX];
	struct buf mailbox = BUF_INIT;
	char row[120];

	for (size_t u = from / unit; u * unit < end; u++) {
		if (!same_unit(c, unit, u, end)) {
			units[n++] = u;
		}
		REQUIRE(n < ARRAY_LEN(units));
	}
	CHECK_ROW(row);
	for (unsigned state = 0; state < ALL_STATES && (n > 5 || state >> n == 0); state++) {
		snprintf(row, sizeof(row), "%s: size %zu, units of %zu from %zu, state %u", c->what,
			size, unit, from, state);
		/* Behind the new end nothing changes before all in front of it is on the disk. */
		memset(mask, 0, sizeof(mask));
		for (size_t u = 0; from > 0 && u < from / unit; u++) {
			mask[u / 8] |= (uint8_t)(1 << u % 8);
		}
		for (size_t i = 0; i < n; i++) {
			bool new = n <= 5 || state < 2 ? (state >> (n > 5 ? 0 : i) & 1) != 0
						       : rand() % 2 != 0;

			mask[units[i] / 8] |= (uint8_t)(new << units[i] % 8);
		}
		compose(c, size, unit, mask, &mailbox);
		try_state(c, &mailbox);
	}
	CHECK_ROW(NULL);
	buf_free(&mailbox);
}

/*
 * cut_begun - all is copied. The kernel zeroes the rest of the block with the new end before it
 * commits the size: each sector of it as it was or zero; the blocks behind it as they were, or gone
 */
static void cut_begun(const struct change *c)
{
	size_t end = c->after.len, size = c->before.len, first = end / SECTOR;
	size_t block = (end / BLOCK + 1) * BLOCK;
	struct buf mailbox = BUF_INIT;
	char row[120];

	CHECK_ROW(row);
	for (unsigned state = 1; state < 2U << BLOCK / SECTOR; state += state < 6 ? 1 : 31) {
		bool gone = state & 1;
		snprintf(row, sizeof(row), "%s: zeros behind %zu, state %u", c->what, end, state);
		buf_reset(&mailbox);
		for (size_t at = 0; at < size; at++) {
			bool zero = at >= block
				? gone
				: at >= end && (state >> (at / SECTOR - first + 1) & 1) != 0;

			buf_addc(&mailbox,
				at < end       ? c->after.data[at]
					: zero ? '\0'
					       : c->before.data[at]);
		}
		try_state(c, &mailbox);
	}
	CHECK_ROW(NULL);
	buf_free(&mailbox);
}

static void all_states(struct change *c)
{
	size_t before = c->before.len, after = c->after.len;
	size_t common = before < after ? before : after;

	srand(7);
	for (size_t unit = BLOCK; unit >= SECTOR; unit /= BLOCK / SECTOR) {
		if (after > 0) {
			each_state(c, before, unit, 0, common);
		}
		/* The size is set first; behind the old one all is new or still zero. */
		if (after > before) {
			each_state(c, after, unit, 0, after);
		}
	}
	if (after < before) {
		cut_begun(c);
	}
	try_state(c, &c->after);
	free_change(c);
}

TEST(mbox_powercut, remove_from_the_middle)
{
	struct change c;

	make_change(&c, remove_second, "0 2 3 4 5 6 7 ");
	c.what = "second";
	all_states(&c);
}

TEST(mbox_powercut, remove_less_than_a_block)
{
	struct change c;

	make_change(&c, remove_small, "0 1 3 4 5 6 7 ");
	c.what = "small";
	all_states(&c);
}

TEST(mbox_powercut, remove_the_end)
{
	struct change c;

	make_change(&c, remove_end, "0 1 2 3 4 ");
	c.what = "end";
	all_states(&c);
}

TEST(mbox_powercut, remove_all)
{
	struct change c;

	make_change(&c, remove_all, "");
	c.what = "all";
	all_states(&c);
}

TEST(mbox_powercut, grow)
{
	struct change c;

	make_change(&c, flag_all, "0 1 2 3 4 5 6 7 ");
	c.what = "flags";
	all_states(&c);
}

static void only_look(struct mailbox_view *v)
{
	(void)v;
}

/* recover_and_stay - the journal stays although its change is made */
static void recover_and_stay(void)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		refuse_unlink();
		_exit(mailbox_open(store_open("mbox"), "INBOX", false) == NULL);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid && status == 0);
}

/* The power fails again while the change is finished and new mail is kept behind it. */
TEST(mbox_powercut, cut_again_while_finishing)
{
	struct buf mixed = BUF_INIT, done = BUF_INIT;
	struct change c;

	make_change(&c, remove_second, "0 2 3 4 5 6 7 ");
	restore(&c, &c.before);
	append_foreign();
	store_take(&mixed, "real");
	recover_and_stay();
	store_take(&done, "real");
	store_take(&c.journal, c.name);
	/* Which bytes are copied; whether the second head is whole, torn or not there. */
	for (size_t copied = 0; copied <= done.len; copied += BLOCK) {
		for (size_t head = 0; head <= 16 * 1024; head += 8 * 1024) {
			struct buf file = BUF_INIT, whole = c.journal;

			/* Copying begins when the second head is on the disk. */
			if (head < 16 * 1024 && copied > 0) {
				continue;
			}
			c.journal = (struct buf)BUF_INIT;
			buf_add(&c.journal, whole.data, whole.len);
			memset(c.journal.data + 16 * 1024 + head, 0, 16 * 1024 - head);
			buf_add(&file, done.data, copied);
			buf_add(&file, mixed.data + copied, mixed.len - copied);
			restore(&c, &file);
			look(&c, FOREIGN);
			buf_free(&file);
			buf_free(&c.journal);
			c.journal = whole;
		}
	}
	buf_free(&mixed);
	buf_free(&done);
	free_change(&c);
}

/* What is no whole journal is put aside and said; the mailbox stays as it is. */
TEST(mbox_powercut, damaged_journal)
{
	struct buf name = BUF_INIT;
	struct change c;

	make_change(&c, remove_second, "0 1 2 3 4 5 6 7 ");
	memset(c.journal.data, 'x', 20);
	restore(&c, &c.before);
	in_child(only_look);
	buf_addf(&name, "%s.unused", c.name);
	CHECK(access(store_path(c.name), F_OK) != 0);
	CHECK(access(store_path(buf_str(&name)), F_OK) == 0);
	buf_free(&name);
	free_change(&c);
}

/* What a killed change left before it had begun goes, once it is old; what is written stays. */
TEST(mbox_powercut, leftovers)
{
	static const char *const names[] = { "rewrite-123.tmp", "rewrite-7f.99.tmp",
		"index.db.append-3", "index.db.append-4", "rewrite-456.tmp" };
	struct timespec old[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000000 } };
	char path[300];

	mailstore_close(store_open("mbox"));
	mailstore_close(store_open("maildir"));
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "home/mail/.pillarbox/%s", names[i]);
		/* A note that has ended, and one that has not. */
		store_write(path, i == 2 ? "" : "x", 1);
		if (i < 4) {
			REQUIRE(utimensat(AT_FDCWD, store_path(path), old, 0) == 0);
		}
	}
	mailstore_close(store_open("mbox"));
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "home/mail/.pillarbox/%s", names[i]);
		CHECK((access(store_path(path), F_OK) == 0) == (i >= 3));
	}
}

/* Zeros at the end of a mailbox are nobody's, and nothing comes behind them. */
TEST(mbox_powercut, zeros_at_the_end)
{
	static const char one[] = FROM "Subject: 1\n\none\n\n";
	struct mailstore *ms;
	struct mailbox_view *v;
	char *text, *file;
	size_t len;

	store_write("inbox", one, sizeof(one) - 1);
	REQUIRE(truncate(store_path("inbox"), 5000) == 0);
	ms = store_open("mbox");
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL && mailbox_count(v) == 1);
	text = store_text(v, 1, NULL);
	CHECK_STR(text, "Subject: 1\n\none\n");
	mem_free(text);
	CHECK(store_put(ms, "INBOX", "Subject: 2\n\ntwo\n", 0) != 0);
	mailbox_close(v);
	mailstore_close(ms);
	file = store_read("inbox", &len);
	CHECK(file != NULL && memchr(file, '\0', len) == NULL);
	mem_free(file);
}

/* The same by delivery. */
TEST(mbox_powercut, delivery_behind_zeros)
{
	size_t len;
	char *file;

	store_write("real", FROM "Subject: 1\n\none\n\n", sizeof(FROM) + 16);
	REQUIRE(truncate(store_path("real"), 9000) == 0);
	append_ours();
	file = store_read("real", &len);
	CHECK(file != NULL && memchr(file, '\0', len) == NULL);
	CHECK(file != NULL && strstr(file, "\none\n\nFrom a@b.example ") != NULL);
	mem_free(file);
}
