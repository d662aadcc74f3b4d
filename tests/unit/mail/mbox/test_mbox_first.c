/*
 * test_mbox_first - the first message of an mbox, which may be other programs' data
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "store_util.h"
#include "unit.h"

#define FROM "From a@b.example Tue Aug  9 14:21:58 2011\n"
#define MSG(subject, body) FROM "Subject: " subject "\n\n" body "\n"
#define INTERNAL FROM "X-IMAP: 1275660208 0000000050 work\nStatus: RO\nSubject: "

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

/* forget_index - as if it had been lost; the store is opened again */
static struct mailstore *forget_index(struct mailstore *ms)
{
	struct mailstore *other;

	mailstore_close(ms);
	/* Opening another user's lets go of it. */
	other = store_open("maildir");
	REQUIRE(other != NULL);
	mailstore_close(other);
	REQUIRE(unlink(store_path("home/mail/.pillarbox/index.db")) == 0);
	return store_open("mbox");
}

/* What was listed once is not taken for other programs' data when it becomes the first. */
TEST(mbox, becomes_first)
{
	static const char text[] = MSG("a", "1\n") INTERNAL "b\n\n2\n\n" INTERNAL "c\n\n3\n\n";
	static const char mine[] = FROM "X-IMAP: 1275660208 50\nX-UID: 7\nSubject: d\n\n4\n\n";
	struct mailstore *ms = store_open("mbox");
	struct mailbox_view *v;
	uint32_t uid = 51;

	store_write("inbox", text, strlen(text));
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL);
	check_list(v, "51:a 52:b 53:c ");
	CHECK_INT(mailbox_expunge(v, &uid, 1, true), 0);
	mailbox_close(v);
	/* Removed here: nobody needs to remember. */
	ms = forget_index(ms);
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL);
	CHECK_INT(mailbox_count(v), 2);
	check_text(v, 1, "Subject: b\n\n2\n");
	mailbox_close(v);
	/* By another program: the index remembers. */
	ms = forget_index(ms);
	store_write("inbox", text, strlen(text));
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL);
	check_list(v, "51:a 52:b 53:c ");
	store_write("inbox", strstr(text, INTERNAL), strlen(strstr(text, INTERNAL)));
	CHECK_INT(mailbox_view_sync(v, true, NULL), 0);
	check_list(v, "52:b 53:c ");
	mailbox_close(v);
	mailstore_close(ms);
	ms = store_open("mbox");
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL);
	check_list(v, "52:b 53:c ");
	check_text(v, 1, "Subject: b\n\n2\n");
	mailbox_close(v);
	/* Nobody does: the one that is still the first is theirs, one with a UID is a message. */
	ms = forget_index(ms);
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL);
	CHECK_INT(mailbox_count(v), 1);
	check_text(v, 1, "Subject: c\n\n3\n");
	mailbox_close(v);
	ms = forget_index(ms);
	store_write("inbox", mine, strlen(mine));
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL);
	check_list(v, "7:d ");
	mailbox_close(v);
	mailstore_close(ms);
}

/* keep_keyword - a session sets one, and it is in the file */
static void keep_keyword(const char *name)
{
	struct mailstore *ms = store_open("mbox");
	struct mailbox_view *v = mailbox_open(ms, "INBOX", false);
	uint32_t uid = mailbox_info(v, 1)->uid;
	int bit = mailbox_keyword_bit(v, name, true);

	REQUIRE(bit >= 0);
	CHECK_INT(
		mailbox_store(v, &uid, 1, FLAGS_ADD, 0, (uint64_t)1 << bit, UINT64_MAX, NULL, NULL),
		0);
	mailbox_close(v);
	mailstore_close(ms);
}

/* mail(1) has the mailbox open, and others set keywords: what it writes has them. */
TEST(mbox, keywords_of_others)
{
	static const char text[] = MSG("a", "1\n") MSG("b", "2\n"), more[] = MSG("c", "3\n");
	char location[4200];
	struct mailstore *ms;
	struct mailbox_view *v;
	struct buf b = BUF_INIT;
	uint32_t uid;

	store_write("inbox", text, strlen(text));
	keep_keyword("one");
	snprintf(location, sizeof(location), "mbox:~/mail:INBOX=%s:INDEX=MEMORY",
		store_path("inbox"));
	ms = store_open(location);
	mailstore_status_only(ms);
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL);
	uid = mailbox_info(v, 1)->uid;
	keep_keyword("two");
	store_append("inbox", more);
	CHECK_INT(mailbox_view_sync(v, false, NULL), 0);
	CHECK_INT(mailbox_listed(v, &uid, 1), 0);
	CHECK_INT(mailbox_store(v, &uid, 1, FLAGS_ADD, MAIL_SEEN, 0, UINT64_MAX, NULL, NULL), 0);
	mailbox_close(v);
	mailstore_close(ms);
	store_take(&b, "inbox");
	CHECK(strstr(buf_str(&b), "Status: RO") != NULL);
	CHECK(strstr(buf_str(&b), "X-Keywords: one two") != NULL);
	buf_free(&b);
}
