/*
 * fuzz_maildir - names of files and folders, dovecot-uidlist, dovecot-keywords and
 * subscriptions, as anybody may have left them
 *
 * The input, in parts divided by "%%": dovecot-uidlist, dovecot-keywords, subscriptions, names of
 * files in new/ and cur/ (a line each), names of folders as a client gives them.
 */
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "mail.h"

enum { NAMES = 20 };

static const char message[] = "Subject: x\n\nbody\n";

/*
 * put_message - a file of that name, if a file system takes it and no other has its base name,
 * which is what makes it the same message; true: there is one more
 */
static bool put_message(struct slice name, int i)
{
	static struct slice bases[NAMES];
	const char *colon = memchr(name.ptr, ':', name.len);
	char path[300] = "Maildir/cur/";

	bases[i] = name;
	if (colon != NULL) {
		bases[i].len = (size_t)(colon - name.ptr);
	}
	for (int k = 0; k < i; k++) {
		if (bases[k].len == bases[i].len &&
			memcmp(bases[k].ptr, bases[i].ptr, bases[i].len) == 0) {
			return false;
		}
	}

	if (name.len == 0 || name.len > 200 || memchr(name.ptr, '/', name.len) != NULL ||
		memchr(name.ptr, '\0', name.len) != NULL || name.ptr[0] == '.') {
		return false;
	}
	memcpy(path + 8, i % 2 ? "cur" : "new", 3);
	memcpy(path + 12, name.ptr, name.len);
	fuzz_put(path, message, sizeof(message) - 1);
	return true;
}

/* outside - nothing but what belongs there stands beside the maildir */
static bool outside(void)
{
	return access(fuzz_path("outside"), F_OK) == 0 && access(fuzz_path("Maildir"), F_OK) == 0;
}

static int count_folder(void *arg, const struct folder_info *f)
{
	REQUIRE(f->name[0] != '\0');
	return ++*(int *)arg < 1000 ? 0 : 1;
}

static int count_name(void *arg, const char *name)
{
	REQUIRE(name[0] != '\0');
	return ++*(int *)arg < 1000 ? 0 : 1;
}

/* folders - made, filled, moved and removed under the names a client gives */
static void folders(struct mailstore *ms, struct slice rest)
{
	struct mailbox_status status;
	struct slice line;
	int seen = 0;

	for (int i = 0; i < NAMES && (line = slice_word(&rest, "\n")).ptr != NULL; i++) {
		char *name = mem_strndup(line.ptr, line.len), *to = strchr(name, ' ');

		if (to != NULL) {
			*to++ = '\0';
		}
		(void)mailstore_create(ms, name);
		(void)mailstore_subscribe(ms, name, true);
		(void)mailstore_status(ms, name, &status);
		if (to != NULL) {
			(void)mailstore_rename(ms, name, to);
		}
		if (i % 3 == 0) {
			(void)mailstore_delete(ms, name);
		}
		REQUIRE(outside());
		mem_free(name);
	}
	(void)mailstore_list(ms, count_folder, &seen);
	(void)mailstore_subscriptions(ms, count_name, &seen);
}

/* inbox - all files are messages, each with a UID of its own; flags and removals reach them */
static void inbox(struct mailstore *ms, uint32_t count)
{
	struct mailbox_view *v = mailbox_open(ms, "INBOX", false);
	struct fuzz_texts texts;
	uint32_t *uids, last = 0;
	size_t failed;

	REQUIRE(v != NULL && mailbox_count(v) == count);
	fuzz_texts_read(&texts, v);
	fuzz_texts_free(&texts);
	uids = mem_alloc(((size_t)count + 1) * sizeof(*uids));
	for (uint32_t seq = 1; seq <= count; seq++) {
		uids[seq - 1] = mailbox_info(v, seq)->uid;
		REQUIRE(uids[seq - 1] > last);
		last = uids[seq - 1];
	}
	REQUIRE(mailbox_uid_next(v) > last);
	if (count > 1) {
		uint64_t bits = 1ull << (unsigned)mailbox_keyword_bit(v, "kw", true);

		REQUIRE(mailbox_store(v, uids, count, FLAGS_ADD, MAIL_SEEN | MAIL_DRAFT, bits,
				UINT64_MAX, NULL, &failed) == 0);
		REQUIRE(mailbox_expunge(v, uids, 1, true) == 0);
		REQUIRE(mailbox_view_sync(v, true, NULL) == 0 && mailbox_count(v) == count - 1);
		fuzz_texts_read(&texts, v);
		fuzz_texts_free(&texts);
	}
	mem_free(uids);
	mailbox_close(v);
}

void fuzz(const char *data, size_t len)
{
	static const char *const files[] = { "Maildir/dovecot-uidlist", "Maildir/dovecot-keywords",
		"Maildir/subscriptions" };
	struct slice rest = { data, len }, names, line;
	struct mailstore *ms;
	uint32_t count = 0;

	fuzz_clear();
	fuzz_forget();
	fuzz_put("outside", "", 0);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct slice part = fuzz_part(&rest);

		fuzz_maildir_put(files[i], part.ptr, part.len);
	}
	names = fuzz_part(&rest);
	for (int i = 0; i < NAMES && (line = slice_word(&names, "\n")).ptr != NULL; i++) {
		count += put_message(line, i);
	}
	ms = fuzz_store(FUZZ_MAILDIR);
	inbox(ms, count);
	folders(ms, rest);
	mailstore_close(ms);
}
