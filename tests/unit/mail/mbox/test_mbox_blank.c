/*
 * test_mbox_blank - a message that stays is found again without the index, whatever went before it
 */
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "store_util.h"
#include "unit.h"

#define FROM "From a@b.example Tue Aug  9 14:21:58 2011\n"
#define ODD(name) FROM "X-Odd: " name "\n\n" name " text\n\n"
#define MSG(name) FROM "Subject: " name "\n\n" name " text\n\n"
#define OPEN(name) FROM "Subject: " name "\n\n" name " text\n" /* no empty line at its end */

static const struct row {
	const char *name, *text;
	const char *gone;  /* one character a message: x it goes */
	const char *first; /* what stays has this text ... */
	const char *second;
	const char *file; /* NULL: does not matter */
} rows[] = {
	{ "text before the first", "lead\n" MSG("1") ODD("2"), "x.", "X-Odd: 2\n\n2 text\n", NULL,
		"lead\n\n" },
	{ "several go", "lead\n" MSG("1") ODD("2") ODD("3"), "xx.", "X-Odd: 3\n\n3 text\n", NULL,
		"lead\n\n" },
	{ "a message without an empty line", OPEN("1") MSG("2") ODD("3"), ".x.",
		"Subject: 1\n\n1 text\n", "X-Odd: 3\n\n3 text\n", NULL },
	{ "a header alone", FROM "Subject: 1\n" MSG("2") ODD("3"), ".x.", "Subject: 1\n",
		"X-Odd: 3\n\n3 text\n", NULL },
	{ "no date", OPEN("1") MSG("2") "From c\nSubject: 3\n\n3 text\n\n", ".x.",
		"Subject: 1\n\n1 text\n", "Subject: 3\n\n3 text\n", NULL },
	{ "CR LF",
		"lead\r\n" MSG("1") "From a@b.example Tue Aug  9 14:21:58 2011\r\nX-Odd: 2\r\n"
				    "\r\n2\r\n\r\n",
		"x.", "X-Odd: 2\r\n\r\n2\r\n", NULL, NULL },
	{ "none is needed", "lead\n\n" MSG("1") ODD("2"), "x.", "X-Odd: 2\n\n2 text\n", NULL,
		"lead\n\nFrom " },
	{ "none was there", "lead\n" OPEN("1") OPEN("2"), "x.", "Subject: 2\n\n2 text\n", NULL,
		"lead\nFrom " },
	{ "nothing before", MSG("1") ODD("2"), "x.", "X-Odd: 2\n\n2 text\n", NULL, "From " },
};

/* check_stays - what stays of a row, as a session sees it now */
static void check_stays(struct mailstore *ms, const struct row *r)
{
	struct mailbox_view *v = mailbox_open(ms, "INBOX", false);
	const char *want[] = { r->first, r->second };

	REQUIRE(v != NULL);
	CHECK_INT(mailbox_count(v), r->second != NULL ? 2 : 1);
	for (uint32_t seq = 1; seq <= mailbox_count(v) && seq <= 2; seq++) {
		char *text = store_text(v, seq, NULL);

		CHECK_STR(text, want[seq - 1]);
		mem_free(text);
	}
	mailbox_close(v);
}

/* remove_some - what the row says */
static void remove_some(struct mailstore *ms, const struct row *r, unsigned flags)
{
	struct mailbox_view *v = mailbox_open(ms, "INBOX", false);
	uint32_t uids[4], all[4];
	size_t count = 0;

	REQUIRE(v != NULL);
	CHECK_INT(mailbox_count(v), strlen(r->gone));
	for (uint32_t seq = 1; seq <= mailbox_count(v) && seq <= 4; seq++) {
		all[seq - 1] = mailbox_info(v, seq)->uid;
		if (r->gone[seq - 1] == 'x') {
			uids[count++] = mailbox_info(v, seq)->uid;
		}
	}
	/* With flags, lengths change as well. */
	REQUIRE(flags == 0 ||
		mailbox_store(
			v, all, strlen(r->gone), FLAGS_ADD, flags, 0, UINT64_MAX, NULL, NULL) == 0);
	CHECK_INT(mailbox_expunge(v, uids, count, true), 0);
	mailbox_close(v);
}

TEST(mbox, stays_without_what_went_before)
{
	for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i / 2];
		struct mailstore *ms = store_open("mbox"), *other;
		char *file;

		CHECK_ROW(r->name);
		store_write("inbox", r->text, strlen(r->text));
		remove_some(ms, r, i % 2 ? MAIL_FLAGGED : 0);
		check_stays(ms, r);
		file = store_read("inbox", NULL);
		CHECK(r->file == NULL || strncmp(file, r->file, strlen(r->file)) == 0);
		mem_free(file);
		mailstore_close(ms);
		other = store_open("maildir");
		mailstore_close(other);
		(void)unlink(store_path("home/mail/.pillarbox/index.db"));
		ms = store_open("mbox");
		check_stays(ms, r);
		mailstore_close(ms);
		other = store_open("maildir");
		mailstore_close(other);
		(void)unlink(store_path("home/mail/.pillarbox/index.db"));
	}
	CHECK_ROW(NULL);
}
