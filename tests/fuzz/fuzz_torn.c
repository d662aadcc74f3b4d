/*
 * fuzz_torn - what a crash left of a change or an append to an mbox, as somebody damaged it
 *
 * The first byte chooses the journal of a rewrite or the note of an append. The input changes the
 * mailbox from where it was changed on, up to "%%", and then the journal or note (fuzz_patch),
 * whose sum is made right again. What is before that place in the mailbox stays as it is.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "mail/mbox/mbox_journal.h"
#include "mail/mbox/mbox_note.h"
#include "mail.h"

#define FROM "From a@b.example Tue Aug  9 14:21:58 2011\n"

/* A journal: its numbers, and the bytes it remembers (each with their length). */
enum { NUMBERS = 11 * 8, LOOK = 8 + 4096, HEAD = NUMBERS + 3 * LOOK, SUM_AT = 8 };

static const char old[] = FROM "Subject: one\nX-UID: 5\n\nfirst body\n\n";
static const char tail[] = FROM "Subject: two\nStatus: RO\n\nsecond body\n>From x\n\n" FROM
				"Subject: three\n\nthird body\n\n";

/* The mailbox, and the file beside the index. */
struct left {
	char *mailbox, *file;
	size_t mailbox_len, file_len;
	char name[100];
};

static struct left journal, note;

/* begin - an empty directory with this mailbox and its index */
static void begin(const char *mailbox, size_t len)
{
	fuzz_clear();
	fuzz_forget();
	fuzz_put("inbox", mailbox, len);
	REQUIRE(mkdir(fuzz_path("mail"), 0700) == 0 &&
		mkdir(fuzz_path("mail/.pillarbox"), 0700) == 0);
}

static void put_int(struct buf *b, uint64_t n)
{
	buf_add(b, &n, sizeof(n));
}

/* put_look - as many bytes of the mailbox as the journal remembers */
static void put_look(struct buf *b, const char *text, size_t len)
{
	char look[LOOK - 8] = "";

	memcpy(look, text, len);
	put_int(b, len);
	buf_add(b, look, sizeof(look));
}

/* make_journal - of a change that makes the tail another one, shorter */
static void make_journal(void)
{
	static const char new[] = FROM "Subject: three\n\nthird body\n\n";
	struct buf b = BUF_INIT, mailbox = BUF_INIT;
	struct stat st;
	char zeros[JOURNAL_CONTENT] = "";

	buf_add(&mailbox, old, sizeof(old) - 1);
	buf_add(&mailbox, tail, sizeof(tail) - 1);
	buf_adds(&b, "PBXMBOX3");
	put_int(&b, 0);
	put_int(&b, 1); /* number, device, path */
	put_int(&b, 0);
	put_int(&b, mbox_sum(MBOX_SUM_INIT, "", 0));
	put_int(&b, sizeof(old) - 1); /* start, length, content, rest, room, old size */
	put_int(&b, sizeof(new) - 1);
	put_int(&b, JOURNAL_CONTENT);
	put_int(&b, 0);
	put_int(&b, 0);
	put_int(&b, mailbox.len);
	put_look(&b, mailbox.data + sizeof(old) + sizeof(new) - 2, sizeof(tail) - sizeof(new));
	put_look(&b, tail, sizeof(tail) - 1);
	put_look(&b, tail, sizeof(tail) - 1);
	REQUIRE(b.len == HEAD);
	buf_add(&b, zeros, JOURNAL_CONTENT - b.len);
	buf_add(&b, new, sizeof(new) - 1);
	begin(mailbox.data, mailbox.len);
	REQUIRE(stat(fuzz_path("inbox"), &st) == 0);
	journal = (struct left){ .mailbox = mailbox.data,
		.mailbox_len = mailbox.len,
		.file = b.data,
		.file_len = b.len };
}

/* make_note - of an append of what the tail is of */
static void make_note(void)
{
	struct mailstore *ms;
	struct mail_append *a;

	begin(old, sizeof(old) - 1);
	ms = fuzz_store(FUZZ_INDEX);
	a = mail_append_begin(ms, "INBOX");
	REQUIRE(a != NULL);
	for (int i = 0; i < 2; i++) {
		REQUIRE(mail_append_next(a, i > 0 ? MAIL_SEEN : 0, NULL, 0, 1312899718, NULL) == 0);
		REQUIRE(mail_append_write(a, tail, sizeof(tail) - 1) == 0);
	}
	REQUIRE(mail_append_end(a, NULL, NULL, NULL) == 0);
	mailstore_close(ms);
	note.mailbox = file_read(fuzz_path("inbox"), 1 << 20, &note.mailbox_len);
	snprintf(note.name, sizeof(note.name), "mail/.pillarbox/index.db.append-1");
	note.file = file_read(fuzz_path(note.name), 1 << 20, &note.file_len);
	REQUIRE(note.mailbox != NULL && note.file != NULL && note.file_len > 8);
	memcpy(note.file, "PBXAPND1", 8);
}

/* mend_sum - so that the numbers are looked at */
static void mend_sum(char *file, size_t len)
{
	uint64_t sum = 0;

	if (len < SUM_AT + sizeof(sum)) {
		return;
	}
	memcpy(file + SUM_AT, &sum, sizeof(sum));
	sum = mbox_sum(MBOX_SUM_INIT, file, len);
	memcpy(file + SUM_AT, &sum, sizeof(sum));
}

/* mend - the numbers that are of this run: inode, device; and the sum */
static void mend(const struct left *l, char *file, size_t len, const struct stat *st)
{
	uint64_t inode = (uint64_t)st->st_ino, device = (uint64_t)st->st_dev;

	if (l == &note && len >= 24) {
		memcpy(file + 16, &inode, sizeof(inode));
		mend_sum(file, len);
	} else if (len >= HEAD) {
		memcpy(file + 24, &device, sizeof(device));
		mend_sum(file, HEAD);
	}
}

/* read_all - open it, and read what there is */
static void read_all(void)
{
	struct mailstore *ms = fuzz_store(FUZZ_INDEX);
	struct mailbox_view *v = mailbox_open(ms, "INBOX", false);

	for (uint32_t seq = 1; v != NULL && seq <= mailbox_count(v); seq++) {
		struct buf text = BUF_INIT;

		(void)fuzz_text(v, seq, &text);
		buf_free(&text);
	}
	if (v != NULL) {
		mailbox_close(v);
	}
	mailstore_close(ms);
}

static void look_at(struct left *l, struct slice mailbox, struct slice file)
{
	size_t from = sizeof(old) - 1, rest = l->mailbox_len - from, len = l->file_len;
	char *box = mem_alloc(l->mailbox_len), *beside = mem_alloc(len), *now;
	struct stat st;

	memcpy(box, l->mailbox, l->mailbox_len);
	memcpy(beside, l->file, len);
	rest = fuzz_patch(box + from, rest, mailbox.ptr, mailbox.len);
	len = fuzz_patch(beside, len, file.ptr, file.len);
	begin(box, from + rest);
	REQUIRE(stat(fuzz_path("inbox"), &st) == 0);
	mend(l, beside, len, &st);
	if (l == &journal) {
		snprintf(l->name, sizeof(l->name), "mail/.pillarbox/rewrite-%llx",
			(unsigned long long)st.st_ino);
	} else {
		/* The folder gets its number. */
		read_all();
		fuzz_forget();
	}
	fuzz_put(l->name, beside, len);
	read_all();
	now = file_read(fuzz_path("inbox"), 1 << 24, &len);
	REQUIRE(now != NULL && len < 1 << 20);
	/* Unless the numbers say that more was changed. */
	REQUIRE(file.len > 0 || (len >= from && memcmp(now, old, from) == 0));
	mem_free(now);
	mem_free(box);
	mem_free(beside);
}

void fuzz(const char *data, size_t len)
{
	struct slice rest, mailbox;

	if (note.file == NULL) {
		make_journal();
		make_note();
	}
	if (len == 0) {
		return;
	}
	rest = (struct slice){ data + 1, len - 1 };
	mailbox = fuzz_part(&rest);
	look_at((unsigned char)data[0] % 2 == 0 ? &journal : &note, mailbox, rest);
}
