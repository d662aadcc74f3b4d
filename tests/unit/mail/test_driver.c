/*
 * test_driver - what all drivers share, on one that has only what it has to have
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "mail/mailbox_view.h"
#include "memory_driver.h"
#include "store_util.h"
#include "unit.h"

enum { MANY = 300 };

/* put_many - messages that say which they are */
static void put_many(struct mailstore *ms)
{
	for (uint32_t i = 1; i <= MANY; i++) {
		char text[64];

		snprintf(text, sizeof(text), "Subject: %u\n\nbody %u\n", i, i);
		REQUIRE(store_put(ms, "INBOX", text, i % 3 == 0 ? MAIL_SEEN : 0) == i);
	}
}

static void check_text(struct mailbox_view *v, uint32_t seq, uint32_t number)
{
	char want[64], *text = store_text(v, seq, NULL);

	snprintf(want, sizeof(want), "Subject: %u\n\nbody %u\n", number, number);
	CHECK_STR(text, want);
	mem_free(text);
}

/* other_store - the same mail in a store of its own, as another process has it */
static struct mailstore *other_store(void)
{
	struct mail_user user = { .name = "other",
		.home = store_path("home"),
		.uid = getuid(),
		.gid = getgid(),
		.driver = &memory_driver };
	char location[4200], *error = NULL;

	snprintf(location, sizeof(location), "memory:%s/memory", unit_tmpdir());
	user.mail_location = location;
	return mailstore_open(&user, &error);
}

/* Three pages of the index, read by who has never seen the folder. */
TEST(driver, index_keeps_all)
{
	struct mailstore *ms = store_open("memory"), *other;
	struct mailbox_view *v, *w;
	uint32_t uids[] = { 7, 130, 131, 290 };
	char name[64];
	int bit;

	put_many(ms);
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL);
	bit = mailbox_keyword_bit(v, "work", true);
	REQUIRE(bit >= 0);
	CHECK_INT(mailbox_store(v, uids, 4, FLAGS_ADD, MAIL_FLAGGED, (uint64_t)1 << bit, UINT64_MAX,
			  NULL, NULL),
		0);
	CHECK_INT(mailbox_expunge(v, uids + 1, 1, true), 0);
	CHECK_INT(mailbox_view_sync(v, true, NULL), 0);
	other = other_store();
	REQUIRE(other != NULL);
	w = mailbox_open(other, "INBOX", true);
	REQUIRE(w != NULL);
	REQUIRE(mailbox_count(w) == MANY - 1 && mailbox_count(v) == MANY - 1);
	for (uint32_t seq = 1; seq < MANY; seq++) {
		const struct mail_info *a = mailbox_info(v, seq), *b = mailbox_info(w, seq);

		CHECK_INT(b->uid, seq < 130 ? seq : seq + 1);
		CHECK(a->uid == b->uid && a->flags == b->flags && a->keywords == b->keywords);
		CHECK(a->modseq == b->modseq && a->size == b->size && a->received == b->received);
		check_text(w, seq, b->uid);
	}
	CHECK_INT(mailbox_info(w, 7)->flags, MAIL_FLAGGED);
	CHECK_INT(mailbox_info(w, 9)->flags, MAIL_SEEN);
	CHECK_STR(mailbox_keyword(w, mailbox_keyword_bit(w, "work", false)), "work");
	CHECK_INT(mailbox_info(w, 7)->keywords, (uint64_t)1 << bit);
	mailbox_message_name(w, 131, name, sizeof(name));
	CHECK_STR(name, "note-132");
	mailbox_close(w);
	mailstore_close(other);
	mailbox_close(v);
	mailstore_close(ms);
}

static void say_flags(void *arg, uint32_t seq)
{
	buf_addf(arg, "f%u ", seq);
}

static void say_expunged(void *arg, uint32_t seq, uint32_t uid)
{
	buf_addf(arg, "-%u(%u) ", seq, uid);
}

/* Pages in the middle and at the end of a folder that is loaded, as others wrote them. */
TEST(driver, pages_of_others)
{
	struct mailstore *ms = store_open("memory"), *other;
	struct mailbox_view *v, *w;
	struct buf told = BUF_INIT;
	struct mailbox_changes c = { .expunged = say_expunged, .flags = say_flags, .arg = &told };
	uint32_t gone[] = { 3, 4, 140 }, flagged[] = { 5, 200 };

	put_many(ms);
	v = mailbox_open(ms, "INBOX", false);
	other = other_store();
	REQUIRE(v != NULL && other != NULL);
	w = mailbox_open(other, "INBOX", false);
	REQUIRE(w != NULL);
	CHECK_INT(mailbox_expunge(w, gone, 3, true), 0);
	CHECK_INT(mailbox_store(w, flagged, 2, FLAGS_ADD, MAIL_FLAGGED, 0, UINT64_MAX, NULL, NULL),
		0);
	CHECK_INT(store_put(other, "INBOX", "Subject: 301\n\nbody 301\n", 0), MANY + 1);
	/* The numbers stay, and what is gone is still told of. */
	CHECK_INT(mailbox_view_sync(v, false, NULL), 0);
	CHECK_INT(mailbox_count(v), MANY + 1);
	CHECK_INT(mailbox_info(v, 3)->uid, 3);
	CHECK(mail_open(v, 3) == NULL);
	CHECK_INT(mailstore_errno(ms), MAIL_E_NOT_FOUND);
	CHECK_INT(mailbox_info(v, 200)->flags, MAIL_FLAGGED);
	check_text(v, 5, 5);
	CHECK_INT(mailbox_store(w, flagged, 1, FLAGS_SET, 0, 0, UINT64_MAX, NULL, NULL), 0);
	CHECK_INT(mailbox_view_sync(v, true, &c), 0);
	CHECK_STR(buf_str(&told), "-140(140) -4(4) -3(3) f3 ");
	CHECK_INT(mailbox_count(v), MANY - 2);
	check_text(v, 3, 5);
	check_text(v, MANY - 2, MANY + 1);
	buf_free(&told);
	mailbox_close(w);
	mailstore_close(other);
	mailbox_close(v);
	mailstore_close(ms);
}

/* What a driver has not got is nothing, and no error. */
TEST(driver, may_lack)
{
	struct mailstore *ms = store_open("memory");
	struct mailbox_view *v;
	uint32_t one = 1;
	char data[16];

	CHECK_INT(store_put(ms, "INBOX", "Subject: 1\n\nbody 1\n", 0), 1);
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL);
	CHECK_INT(mailbox_stored(v, 1, 0, data, sizeof(data)), 0);
	CHECK_INT(mailbox_listed(v, &one, 1), 0);
	CHECK_INT(mailbox_correct_size(v, 1, 99), 0);
	CHECK_INT(mailbox_info(v, 1)->size, 22);
	CHECK(mailbox_notify_fd(v) >= 0);
	mailbox_close(v);
	mailstore_close(ms);
}

/* A page that ends early, or says more than it has, is damaged; none is read beyond its end. */
TEST(driver, damaged_pages)
{
	struct mailstore *ms = store_open("memory");
	struct memory_room {
		char bytes[256];
	} room[1 << INDEX_PAGE_SHIFT];
	struct mailbox_view *v;
	struct buf page = BUF_INIT;

	REQUIRE(memory_driver.msg_size <= sizeof(room[0]));
	put_many(ms);
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL);
	page_pack(&page, v->mb, 127, 137);
	CHECK_INT(page_unpack(v->mb, 1, page.data, page.len, room), 10);
	CHECK_INT(((struct msg *)(void *)room)->info.uid, 128);
	for (size_t len = 0; len < page.len; len++) {
		char *copy = mem_alloc(len + 1);

		/* Its own memory: the sanitizer sees a read behind it. */
		memcpy(copy, page.data, len);
		CHECK_INT(page_unpack(v->mb, 1, copy, len, room), -1);
		mem_free(copy);
	}
	/* A UID of the page behind, more messages than there are or a page may have,
	 * another form. */
	page.data[2] = 0x7f;
	CHECK_INT(page_unpack(v->mb, 1, page.data, page.len, room), -1);
	page.data[2] = 0;
	CHECK_INT(page_unpack(v->mb, 1, page.data, page.len, room), 10);
	page.data[1] = 11;
	CHECK_INT(page_unpack(v->mb, 1, page.data, page.len, room), -1);
	page.data[1] = (char)0xff;
	CHECK_INT(page_unpack(v->mb, 1, page.data, page.len, room), -1);
	page.data[0] = 2;
	CHECK_INT(page_unpack(v->mb, 1, page.data, page.len, room), -1);
	buf_free(&page);
	mailbox_close(v);
	mailstore_close(ms);
}

TEST(driver, folders)
{
	struct mailstore *ms = store_open("memory");
	struct mailbox_status st;

	CHECK_INT(mailstore_create(ms, "Lists.One"), 0);
	CHECK_INT(mailstore_create(ms, "Lists.One"), -1);
	CHECK_INT(mailstore_errno(ms), MAIL_E_EXISTS);
	CHECK_INT(store_put(ms, "Lists.One", "Subject: 1\n\nx\n", 0), 1);
	CHECK_INT(mailstore_rename(ms, "Lists", "Old"), 0);
	CHECK_INT(store_put(ms, "Old.One", "Subject: 2\n\nx\n", 0), 2);
	CHECK_INT(mailstore_status(ms, "Old.One", &st), 0);
	CHECK(st.messages == 2 && st.uid_next == 3);
	CHECK_INT(mailstore_delete(ms, "Old.One"), 0);
	CHECK_INT(mailstore_status(ms, "Old.One", &st), -1);
	CHECK_INT(mailstore_errno(ms), MAIL_E_NOT_FOUND);
	mailstore_close(ms);
}
