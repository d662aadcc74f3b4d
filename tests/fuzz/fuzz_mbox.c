/*
 * fuzz_mbox - a hostile mbox: read, flagged, expunged from, appended and delivered to, and what
 * was not deleted is still there as it was
 *
 * The input: eight bytes that choose what is done, the mailbox, "%%", what another program
 * appends meanwhile.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/file.h"
#include "base/mem.h"
#include "deliver/deliver.h"
#include "mail.h"

enum { CHOICES = 8, PER_CHOICE = 8 };

static const char message[] = "Subject: new\n\nFrom here\n";

static bool chosen(const char *choices, uint32_t i)
{
	return i < CHOICES * PER_CHOICE &&
		(unsigned char)choices[i / PER_CHOICE] >> i % PER_CHOICE & 1;
}

/* kept - the text is as it was; its last line got an end if it had none */
static bool kept(const struct buf *was, const struct buf *now)
{
	bool ended = now->len == was->len + 1 && now->data[was->len] == '\n' &&
		(was->len == 0 || was->data[was->len - 1] != '\n');

	return (now->len == was->len || ended) &&
		(was->len == 0 || memcmp(now->data, was->data, was->len) == 0);
}

/* show - a message that changed, for who looks into it */
static void show(const char *when, size_t i, const struct buf *text)
{
	struct buf b = BUF_INIT;

	json_encode(&b, buf_str((struct buf *)text));
	fprintf(stderr, "message %zu %s %zu bytes: %s\n", i + 1, when, text->len, buf_str(&b));
	buf_free(&b);
}

/* same - the texts of before (gone: without those chosen; but the last few), then perhaps others */
static void same(
	struct mailbox_view *v, const struct fuzz_texts *before, const char *gone, size_t but)
{
	uint32_t seq = 1;

	for (size_t i = 0; i + but < before->count; i++) {
		struct buf now = BUF_INIT;

		if (gone != NULL && chosen(gone, (uint32_t)i)) {
			continue;
		}
		REQUIRE(seq <= mailbox_count(v) && fuzz_text(v, seq++, &now));
		if (!kept(&before->texts[i], &now)) {
			show("was", i, &before->texts[i]);
			show("is", i, &now);
			fuzz_failed(__FILE__, __LINE__, "the message is as it was");
		}
		buf_free(&now);
	}
}

static void append_outside(struct slice more)
{
	int fd = open(fuzz_path("inbox"), O_WRONLY | O_APPEND | O_CLOEXEC);

	REQUIRE(fd >= 0 && fd_write_all(fd, more.ptr, more.len) == 0);
	close(fd);
}

/* change - flags for all, then those chosen go; 0, or -1 */
static int change(struct mailbox_view *v, const char *gone)
{
	uint32_t *uids = mem_alloc(((size_t)mailbox_count(v) + 1) * sizeof(*uids));
	size_t count = 0, failed;
	int rc;

	for (uint32_t seq = 1; seq <= mailbox_count(v); seq++) {
		uids[seq - 1] = mailbox_info(v, seq)->uid;
	}
	rc = mailbox_store(v, uids, mailbox_count(v), FLAGS_ADD, MAIL_SEEN | MAIL_FLAGGED, 0,
		UINT64_MAX, NULL, &failed);
	for (uint32_t seq = 1; seq <= mailbox_count(v); seq++) {
		if (chosen(gone, seq - 1)) {
			uids[count++] = mailbox_info(v, seq)->uid;
		}
	}
	if (rc == 0 && count > 0) {
		rc = mailbox_expunge(v, uids, count, true);
	}
	if (rc == 0) {
		rc = mailbox_view_sync(v, true, NULL);
	}
	mem_free(uids);
	return rc;
}

static void append_inside(struct mailstore *ms)
{
	struct mail_append *a = mail_append_begin(ms, "INBOX");
	static const char *const keywords[] = { "$Work" };

	REQUIRE(a != NULL &&
		mail_append_next(a, MAIL_ANSWERED, keywords, 1, 1312889600, "a@b") == 0);
	REQUIRE(mail_append_write(a, message, sizeof(message) - 1) == 0);
	if (mail_append_end(a, NULL, NULL, NULL) != 0) {
		fprintf(stderr, "%s\n", mailstore_error(ms));
		fuzz_failed(__FILE__, __LINE__, "a message can be appended");
	}
}

static int64_t read_message(void *arg, int64_t offset, void *data, size_t len)
{
	size_t left = sizeof(message) - 1 - (size_t)offset;

	(void)arg;
	len = len < left ? len : left;
	memcpy(data, message + offset, len);
	return (int64_t)len;
}

/*
 * deliver - the mail that is there stays; suspect: it may be the beginning of this message, or
 * what a power cut left, and then its end goes
 */
static void deliver(bool suspect)
{
	const struct deliver_how how = { .lock_ms = 0 };
	struct deliver_item item = { .queue_id = "1A2B3C4D5E6F",
		.sender = "a@b.example",
		.recipient = "tester@example",
		.original = "tester",
		.suspect = suspect,
		.read = read_message };
	char id[DELIVER_ID_SIZE];

	if (suspect) {
		(void)deliver_probe(fuzz_path("inbox"), &how, id);
	}
	REQUIRE(deliver_to_mailbox(fuzz_path("inbox"), &how, &item, 1) == 0);
	REQUIRE(item.status == DELIVER_OK || item.status == DELIVER_DUPLICATE || suspect);
}

/*
 * again - open anew, the index knowing nothing or all. NULL: bytes without a message are no
 * mailbox, and that is said
 */
static struct mailbox_view *again(unsigned how, struct mailstore **ms, struct mailbox_view *v)
{
	if (v != NULL) {
		mailbox_close(v);
		mailstore_close(*ms);
		fuzz_forget();
	}
	*ms = fuzz_store(how);
	v = mailbox_open(*ms, "INBOX", false);
	REQUIRE(v != NULL || mailstore_error(*ms)[0] != '\0');
	return v;
}

/* refused - what is no mailbox stays as it is */
static void refused(struct mailstore *ms, struct slice was)
{
	char *now;
	size_t len;

	mailstore_close(ms);
	fuzz_forget();
	now = file_read(fuzz_path("inbox"), 1 << 20, &len);
	REQUIRE(now != NULL && len == was.len && memcmp(now, was.ptr, len) == 0);
	mem_free(now);
}

/*
 * go_on - changes, appends and deliveries, and what has to be as it was after them. NULL: what
 * another program appended made something of the file that is no mailbox any more
 */
static struct mailbox_view *go_on(unsigned how, struct mailstore **ms, struct mailbox_view *v,
	const struct fuzz_texts *before, const char *data)
{
	bool outside = data[0] & 2, changed = change(v, data + 1) == 0;
	struct fuzz_texts after;

	REQUIRE(changed || (outside && mailstore_error(*ms)[0] != '\0'));
	if (!changed) {
		return v;
	}
	if (data[0] & 4) {
		append_inside(*ms);
	}
	v = again(how, ms, v);
	/* With an index it is known that the text before the mail that went was there. */
	REQUIRE(v != NULL || outside || !(how & FUZZ_INDEX));
	if (v == NULL) {
		return NULL;
	}
	if (!outside) {
		same(v, before, data + 1, 0);
	}
	fuzz_texts_read(&after, v);
	if (data[0] & 8) {
		deliver(data[0] & 16);
		v = again(data[0] & 32 ? 0 : how, ms, v);
		REQUIRE(v != NULL);
		same(v, &after, NULL, data[0] & 16 ? 1 : 0);
	}
	fuzz_texts_free(&after);
	return v;
}

void fuzz(const char *data, size_t len)
{
	struct slice rest = { data + CHOICES + 1, len - CHOICES - 1 }, mailbox;
	struct fuzz_texts before;
	struct mailstore *ms = NULL;
	struct mailbox_view *v;
	unsigned how;

	if (len <= CHOICES) {
		return;
	}
	how = data[0] & 1 ? FUZZ_INDEX : 0;
	fuzz_clear();
	fuzz_forget();
	mailbox = fuzz_part(&rest);
	fuzz_put("inbox", mailbox.ptr, mailbox.len);
	v = again(how, &ms, NULL);
	if (v == NULL) {
		refused(ms, mailbox);
		return;
	}
	fuzz_texts_read(&before, v);
	if (data[0] & 2) {
		append_outside(rest);
	}
	v = go_on(how, &ms, v, &before, data);
	fuzz_texts_free(&before);
	if (v != NULL) {
		mailbox_close(v);
	}
	mailstore_close(ms);
}
