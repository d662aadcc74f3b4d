/*
 * test_mbox_end - the message at the end of an mbox, and what comes behind it
 *
 * Whoever appends puts the missing line ends there. The message before it is the same one then: its
 * UID, its flags, its text.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "deliver/deliver.h"
#include "store_util.h"
#include "unit.h"

static void deliver_one(void)
{
	struct deliver_how how = { .lock_ms = 0 };
	struct slice text = slice_of("Received: by mx id 4A1B2C3D4E;\nSubject: x\n\nbody\n");
	struct deliver_item it = { .queue_id = "4A1B2C3D4E",
		.sender = "a@x.example",
		.recipient = "u1@test.example",
		.original = "",
		.read = slice_read,
		.read_arg = &text };

	CHECK_INT(deliver_to_mailbox(store_path("inbox"), &how, &it, 1), 0);
	CHECK_INT(it.status, DELIVER_OK);
}

/* stays - the message of this header and body, with another one behind it */
static void stays(const char *rest, bool delivered)
{
	struct mailstore *ms = store_open("mbox");
	struct mailbox_view *v;
	char *before, *after;
	uint32_t uid;
	uint64_t size;

	store_write("inbox", "", 0);
	store_append("inbox", "From a@x.example  Tue Jan  1 00:00:01 2030\nSubject: m\n");
	store_append("inbox", rest);
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL && mailbox_count(v) == 1);
	uid = mailbox_info(v, 1)->uid;
	size = mailbox_info(v, 1)->size;
	before = store_text(v, 1, NULL);
	CHECK_INT(mailbox_store(v, &uid, 1, FLAGS_ADD, MAIL_FLAGGED, 0, UINT64_MAX, NULL, NULL), 0);
	if (delivered) {
		deliver_one();
	} else {
		CHECK(store_put(ms, "INBOX", "Subject: two\n\nx\n", 0) != 0);
	}
	CHECK_INT(mailbox_view_sync(v, true, NULL), 0);
	CHECK_INT(mailbox_count(v), 2);
	CHECK_INT(mailbox_info(v, 1)->uid, uid);
	CHECK_INT(mailbox_info(v, 1)->flags & MAIL_FLAGGED, MAIL_FLAGGED);
	mailbox_close(v);
	/* And as it is read anew. */
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL && mailbox_count(v) == 2);
	CHECK_INT(mailbox_info(v, 1)->uid, uid);
	CHECK_INT(mailbox_info(v, 1)->size, size);
	after = store_text(v, 1, NULL);
	CHECK_STR(after, before);
	mem_free(before);
	mem_free(after);
	mailbox_close(v);
	mailstore_close(ms);
}

TEST(mbox_end, the_last_message_stays_what_it_is)
{
	static const char *const rests[] = {
		"\na\n>From b\nc\n",
		"\na\n>From b\nc\n\n",
		"Content-Length: 12\n\na\n>From b\nc\n",
		"Content-Length: 12\n\na\n>From b\nc\n\n",
		"Content-Length: 12\n\na\n>From b\nc\n\n\n",
		"Content-Length: 11\n\na\n>From b\nc",
		"Content-Length: 13\n\na\n>From b\nc\n\n",
		"Content-Length: 11\n\na\nFrom b\nc\n",
		"Content-Length: 10\n\na\nFrom b\nc",
		"Content-Length: 15\n\na\r\n>From b\r\nc\r\n",
		"Content-Length: 0\n\n",
		"Content-Length: 0\n\n\n",
		"Content-Length: 1\n\n\n",
		"Content-Length: 1\n\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(rests); i++) {
		CHECK_ROW(rests[i]);
		stays(rests[i], false);
		stays(rests[i], true);
	}
}
