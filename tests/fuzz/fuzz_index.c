/*
 * fuzz_index - index.db and maps (name.db) as somebody damaged them, by the first byte
 *
 * The input changes a sound file (fuzz_patch). Mail is in the mailbox, not in the index: whatever
 * the index says, no message's bytes leave the mailbox.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "map/map.h"
#include "mail.h"

#define FROM "From a@b.example Tue Aug  9 14:21:58 2011\n"

enum { KEYS = 2000 };

static const char mailbox[] = FROM "Subject: one\nX-UID: 5\n\nfirst body\n\n" FROM
				   "Subject: two\nStatus: RO\n\nsecond body\n>From x\n\n" FROM
				   "Subject: three\n\nthird body\n\n";

static struct sound {
	char *bytes;
	size_t len;
} index_db, map_db;

static void take(struct sound *s, const char *name)
{
	s->bytes = file_read(fuzz_path(name), 1 << 22, &s->len);
	REQUIRE(s->bytes != NULL);
}

static void make_index(void)
{
	struct mailstore *ms;
	struct mailbox_view *v;

	fuzz_clear();
	fuzz_put("inbox", mailbox, sizeof(mailbox) - 1);
	ms = fuzz_store(FUZZ_INDEX);
	v = mailbox_open(ms, "INBOX", false);
	REQUIRE(v != NULL && mailbox_count(v) == 3 && mailstore_create(ms, "Work") == 0);
	mailbox_cache_put(v, mailbox_info(v, 1)->uid, 'E', "(NIL)", 5);
	mailbox_close(v);
	mailstore_close(ms);
	fuzz_forget();
	mailstore_close(fuzz_store(0)); /* the one with the index is closed */
	take(&index_db, "mail/.pillarbox/index.db");
}

static void make_map(void)
{
	char key[40], value[80], *error = NULL;
	struct map_builder *b;

	fuzz_clear();
	fuzz_put("table", "", 0);
	b = map_build_begin(fuzz_path("table"), 0, &error);
	REQUIRE(b != NULL);
	for (int i = 0; i < KEYS; i++) {
		snprintf(key, sizeof(key), "user%d@example.com", i);
		snprintf(value, sizeof(value), "mailbox%d/", i);
		REQUIRE(map_build_put(b, key, value) == 1);
	}
	REQUIRE(map_build_commit(b) == 0);
	map_build_abort(b);
	take(&map_db, "table.db");
}

/* damaged - a sound file's bytes after the input, put in its place */
static void damaged(const struct sound *s, const char *name, const char *data, size_t len)
{
	char *bytes = mem_alloc(s->len);

	memcpy(bytes, s->bytes, s->len);
	fuzz_put(name, bytes, fuzz_patch(bytes, s->len, data, len));
	mem_free(bytes);
}

/* visit - read, flag and look for all there is */
static void visit(struct mailstore *ms)
{
	struct mailbox_view *v = mailbox_open(ms, "INBOX", false);
	struct mailbox_status status;

	(void)mailstore_status(ms, "Work", &status);
	if (v == NULL) {
		REQUIRE(*mailstore_error(ms) != '\0');
		return;
	}
	for (uint32_t seq = 1; seq <= mailbox_count(v) && seq < 10; seq++) {
		struct buf text = BUF_INIT;
		uint32_t uid = mailbox_info(v, seq)->uid;
		size_t failed;

		(void)fuzz_text(v, seq, &text);
		buf_reset(&text);
		(void)mailbox_cache_get(v, uid, 'E', &text);
		(void)mailbox_store(
			v, &uid, 1, FLAGS_ADD, MAIL_FLAGGED, 0, UINT64_MAX, NULL, &failed);
		buf_free(&text);
	}
	(void)mailbox_view_sync(v, true, NULL);
	mailbox_close(v);
}

static void index_file(const char *data, size_t len)
{
	static const char *const bodies[] = { "\nfirst body\n", "\nsecond body\n>From x\n",
		"\nthird body\n" };
	struct mailstore *ms;
	char *error = NULL, *text;
	size_t size;

	fuzz_clear();
	fuzz_forget();
	fuzz_put("inbox", mailbox, sizeof(mailbox) - 1);
	REQUIRE(mkdir(fuzz_path("mail"), 0700) == 0 &&
		mkdir(fuzz_path("mail/.pillarbox"), 0700) == 0);
	damaged(&index_db, "mail/.pillarbox/index.db", data, len);
	ms = mailstore_open(fuzz_user(FUZZ_INDEX), &error);
	if (ms == NULL) {
		REQUIRE(error != NULL && error[0] != '\0');
		mem_free(error);
		return;
	}
	visit(ms);
	mailstore_close(ms);
	text = file_read(fuzz_path("inbox"), 1 << 20, &size);
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		REQUIRE(text != NULL && memmem(text, size, bodies[i], strlen(bodies[i])) != NULL);
	}
	mem_free(text);
}

static int count_row(void *arg, const char *key, const char *value)
{
	int *left = arg;

	REQUIRE(key != NULL && value != NULL);
	return --*left > 0 ? 0 : 1;
}

static void map_file(const char *data, size_t len)
{
	struct buf value = BUF_INIT;
	char spec[600], key[40], *error = NULL;
	int left = KEYS * 2;
	struct map *m;

	fuzz_clear();
	fuzz_put("table", "", 0);
	damaged(&map_db, "table.db", data, len);
	snprintf(spec, sizeof(spec), "hash:%s", fuzz_path("table"));
	m = map_open(spec, 0, &error);
	REQUIRE(m != NULL);
	for (int i = 0; i < KEYS; i += 97) {
		snprintf(key, sizeof(key), "user%d@example.com", i);
		buf_reset(&value);
		if (map_get(m, key, &value) < 0) {
			REQUIRE(*map_error(m) != '\0');
		}
	}
	(void)map_get(m, "nobody@example.com", &value);
	(void)map_each(m, count_row, &left);
	map_close(m);
	buf_free(&value);
}

void fuzz(const char *data, size_t len)
{
	if (index_db.bytes == NULL) {
		make_index();
		make_map();
	}
	if (len == 0) {
		return;
	}
	if ((unsigned char)data[0] % 2 == 0) {
		index_file(data + 1, len - 1);
	} else {
		map_file(data + 1, len - 1);
	}
}
