/*
 * test_mbox_torn - what a crash leaves of an append to a mailbox file
 *
 * Two messages are appended. Then the file is put together again as a kill or a power cut might
 * leave it, with the note as it was before its end: cut anywhere, parts of it zero, and mail of
 * others behind. Whoever opens it must find all or nothing of what was appended, and all else.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "mail/mbox/mbox_note.h"
#include "store_util.h"
#include "unit.h"

#define FROM "From a@b.example Tue Aug  9 14:21:58 2011\n"
#define OLD FROM "Subject: old\n\nIt was there before.\n\n"
#define NEWS FROM "Subject: news\n\nIt came after the crash.\n\n"

enum { SECTOR = NOTE_GRAIN };

/* The mailbox before and after an append, and the note of it. */
struct appended {
	struct buf before, after, note;
	char name[300]; /* of the note, below the test's directory */
};

/* find_note - the name of the one that is there, "" none */
static void find_note(char *out, size_t size)
{
	DIR *d = opendir(store_path("home/mail/.pillarbox"));
	struct dirent *e;

	out[0] = '\0';
	REQUIRE(d != NULL);
	while ((e = readdir(d)) != NULL) {
		if (strstr(e->d_name, ".append-") != NULL) {
			snprintf(out, size, "home/mail/.pillarbox/%s", e->d_name);
		}
	}
	closedir(d);
}

/* put_message - number of so many lines, some of which look like the beginning of another one */
static void put_message(struct mail_append *a, int number, int lines)
{
	struct buf text = BUF_INIT;

	buf_addf(&text, "Subject: %d\n\n", number);
	for (int i = 0; i < lines; i++) {
		buf_addf(&text, "From a@b.example Tue Aug  9 14:21:58 2011 is line %d\n\n", i);
	}
	REQUIRE(mail_append_next(a, number == 2 ? MAIL_FLAGGED : 0, NULL, 0, 1312899718, NULL) ==
		0);
	REQUIRE(mail_append_write(a, text.data, text.len) == 0);
	buf_free(&text);
}

/* append_two - messages of so many lines; from then on the note says that this did not end */
static void append_two(struct appended *t, int first, int second)
{
	struct mbox_note_head h;
	struct mailstore *ms;
	struct mail_append *a;

	log_open("unit", LOG_TO_STDERR);
	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
	memset(t, 0, sizeof(*t));
	store_write("inbox", OLD, sizeof(OLD) - 1);
	ms = store_open("mbox");
	a = mail_append_begin(ms, "INBOX");
	REQUIRE(a != NULL);
	store_take(&t->before, "inbox");
	put_message(a, 1, first);
	put_message(a, 2, second);
	REQUIRE(mail_append_end(a, NULL, NULL, NULL) == 0);
	mailstore_close(ms);
	store_take(&t->after, "inbox");
	find_note(t->name, sizeof(t->name));
	REQUIRE(t->name[0] != '\0');
	store_take(&t->note, t->name);
	REQUIRE(memcmp(t->note.data, "\0\0\0\0\0\0\0", 8) == 0);
	memcpy(t->note.data, "PBXAPND1", 8);
	/* What is behind it is room for a longer one. */
	memcpy(&h, t->note.data, sizeof(h));
	t->note.len = sizeof(h) + h.first_len + h.sums_len + h.items_len;
}

static void free_appended(struct appended *t)
{
	buf_free(&t->before);
	buf_free(&t->after);
	buf_free(&t->note);
}

/* found - the subjects in the mailbox of these bytes, with the note; caller frees */
static char *found(const struct appended *t, const char *data, size_t len)
{
	struct mailstore *ms;
	struct mailbox_view *v;
	struct buf b = BUF_INIT;
	char *list, *p;

	store_write("inbox", data, len);
	store_write(t->name, t->note.data, t->note.len);
	ms = store_open("mbox");
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL);
	list = store_list(v);
	for (p = list; *p != '\0'; p += strcspn(p, " ") + 1) {
		p += strcspn(p, ":") + 1;
		buf_add(&b, p, strcspn(p, " ") + 1);
	}
	mem_free(list);
	mailbox_close(v);
	mailstore_close(ms);
	return buf_steal(&b);
}

/* expect - the subjects that have to be found, and the note has to have ended */
static void expect(const struct appended *t, const struct buf *file, const char *want)
{
	char *list = found(t, file->data, file->len), *note;
	size_t len;

	CHECK_STR(list, want);
	mem_free(list);
	/* What stays is as it was, and nothing is between. */
	list = store_read("inbox", &len);
	CHECK(list != NULL && memchr(list, '\0', len) == NULL);
	if (strncmp(want, "old news", 8) == 0) {
		CHECK(strncmp(list, OLD NEWS, sizeof(OLD NEWS) - 1) == 0);
	} else if (strcmp(want, "old ") == 0) {
		CHECK_STR(list, OLD);
	}
	mem_free(list);
	note = store_read(t->name, &len);
	CHECK(note != NULL && note[0] == '\0');
	mem_free(note);
}

/* Cut anywhere, with nothing, or with mail of others behind; with zeros that somebody cut off. */
TEST(mbox_torn, cut)
{
	struct appended t;
	struct buf file = BUF_INIT;
	char row[60];

	append_two(&t, 14, 40);
	CHECK_ROW(row);
	for (size_t len = t.before.len; len <= t.after.len && unit_failures() == 0; len++) {
		bool whole = len == t.after.len;

		if (len % SECTOR > 12 && len % 13 != 0 && !whole && len + 40 < t.after.len) {
			continue;
		}
		snprintf(row, sizeof(row), "%zu of %zu bytes", len, t.after.len);
		buf_reset(&file);
		buf_add(&file, t.after.data, len);
		expect(&t, &file, whole ? "old 1 2 " : "old ");
		buf_reset(&file);
		buf_add(&file, t.after.data, len);
		buf_adds(&file, len == t.before.len || whole ? NEWS NEWS : "\n\n" NEWS NEWS);
		/* The empty line may be all that was missing. */
		whole = file.len >= t.after.len &&
			memcmp(file.data, t.after.data, t.after.len) == 0;
		expect(&t, &file, whole ? "old 1 2 news news " : "old news news ");
	}
	buf_free(&file);
	free_appended(&t);
}

/* Parts that are on the disk or not, in all ways, and the whole length. */
TEST(mbox_torn, zeros)
{
	struct appended t;
	struct buf file = BUF_INIT;
	unsigned states;
	char row[60];

	append_two(&t, 20, 40);
	states = 1U << (t.after.len / SECTOR - t.before.len / SECTOR + 1);
	REQUIRE(states <= 256 && states >= 32);
	CHECK_ROW(row);
	for (unsigned there = 0; there < states && unit_failures() == 0; there++) {
		snprintf(row, sizeof(row), "parts %x of %x", there, states - 1);
		buf_reset(&file);
		for (size_t at = 0; at < t.after.len; at++) {
			bool zero = at >= t.before.len &&
				!(there >> (at - t.before.len / SECTOR * SECTOR) / SECTOR & 1);

			buf_addc(&file, zero ? '\0' : t.after.data[at]);
		}
		expect(&t, &file, there == states - 1 ? "old 1 2 " : "old ");
		buf_adds(&file, NEWS);
		expect(&t, &file, there == states - 1 ? "old 1 2 news " : "old news ");
	}
	buf_free(&file);
	free_appended(&t);
}

/* A note that is older than the file: what is there was acknowledged, whatever became of it. */
TEST(mbox_torn, not_a_piece)
{
	struct appended t;
	struct buf file = BUF_INIT;
	char *mark, *list;

	append_two(&t, 3, 9);
	/* Flags that came and went: lines of the header, longer and shorter. */
	for (int i = 0; i < 3; i++) {
		static const char *const lines[] = { "Status: RO\n", "X-Status: A\nX-UID: 7\n",
			"" };

		mark = memmem(t.after.data, t.after.len, "X-Status: F\n", 12);
		REQUIRE(mark != NULL);
		buf_reset(&file);
		buf_add(&file, t.after.data, (size_t)(mark - t.after.data));
		buf_adds(&file, lines[i]);
		buf_add(&file, mark + 12, (size_t)(t.after.data + t.after.len - mark - 12));
		expect(&t, &file, "old 1 2 ");
	}
	/* The note itself is torn, or of another file: nothing of the mailbox is touched. */
	buf_reset(&file);
	buf_add(&file, t.after.data, t.after.len - 10);
	for (size_t at = 8; at < t.note.len; at += 5) {
		t.note.data[at] ^= 0x40;
		list = found(&t, file.data, file.len);
		CHECK_STR(list, "old 1 2 ");
		mem_free(list);
		t.note.data[at] ^= 0x40;
	}
	expect(&t, &file, "old ");
	/* The first one was removed, and something else stands there. */
	buf_reset(&file);
	buf_add(&file, OLD NEWS, sizeof(OLD NEWS) - 1);
	expect(&t, &file, "old news ");
	/* The one before went, and all moved. */
	expect(&t,
		&(struct buf){
			.data = t.after.data + t.before.len, .len = t.after.len - t.before.len },
		"1 2 ");
	buf_free(&file);
	free_appended(&t);
}

/* More than is held in memory is put together twice: as long as before, and the same. */
TEST(mbox_torn, long_one)
{
	struct appended t;
	struct buf file = BUF_INIT;

	append_two(&t, 6000, 3);
	CHECK(t.after.len > 300000);
	buf_add(&file, t.after.data, t.after.len);
	expect(&t, &file, "old 1 2 ");
	for (int i = 1; i < 5; i++) {
		buf_reset(&file);
		buf_add(&file, t.after.data, t.after.len / 5 * (size_t)i);
		buf_adds(&file, "\n\n" NEWS);
		expect(&t, &file, "old news ");
	}
	buf_free(&file);
	free_appended(&t);
}

/* Where no note can be made the mail is appended as well. */
TEST(mbox_torn, no_note)
{
	struct appended t;
	struct mailstore *ms;

	append_two(&t, 1, 1);
	REQUIRE(unlink(store_path(t.name)) == 0 && mkdir(store_path(t.name), 0700) == 0);
	ms = store_open("mbox");
	CHECK(store_put(ms, "INBOX", "Subject: 3\n\nthree\n", 0) != 0);
	mailstore_close(ms);
	free_appended(&t);
}
