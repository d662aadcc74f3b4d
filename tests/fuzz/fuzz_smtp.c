/*
 * fuzz_smtp - addresses, parameters, message data, header clean-up and submissions, by the
 * first byte
 */
#include <string.h>

#include "conf/params.h"
#include "proto/smtp.h"
#include "proto/smtp_data.h"
#include "ipc/pickup_request.h"
#include "message/cleanup.h"
#include "fuzz.h"

/* addresses - what is understood is understood the same way a second time */
static void addresses(const char *data, size_t len)
{
	struct arena a = ARENA_INIT;
	struct slice rest = { data, len }, verb;
	struct smtp_path path;
	struct smtp_param p;
	uint64_t size;
	unsigned notify;

	smtp_split(rest, &verb, &rest);
	(void)smtp_keyword(&rest, "FROM");
	if (smtp_parse_path(&a, &rest, SMTP_PATH_NULL, &path) && *path.address != '\0') {
		const char *again = smtp_plain_address(&a, slice_of(path.address));

		REQUIRE(again != NULL && strcmp(again, path.address) == 0);
	}
	while (smtp_next_param(&rest, &p)) {
		(void)smtp_parse_size(p.value, &size);
		(void)smtp_parse_notify(p.value, &notify);
		(void)smtp_parse_orcpt(&a, p.value);
		(void)smtp_parse_envid(&a, p.value);
	}
	arena_free(&a);
}

/*
 * message_data - the cuts of the input do not matter; a second dot-line never hides in the
 * content
 */
static void message_data(const char *data, size_t len)
{
	struct buf whole = BUF_INIT, cut = BUF_INIT;
	struct smtp_data a, b;
	size_t taken = 0, at = 0;

	smtp_data_init(&a, len % 3);
	smtp_data_init(&b, len % 3);
	taken = smtp_data_feed(&a, data, len, &whole);
	while (at < len && b.state != SMTP_DATA_END) {
		size_t n = 1 + (unsigned char)data[at] % 9;

		n = n < len - at ? n : len - at;
		at += smtp_data_feed(&b, data + at, n, &cut);
	}
	REQUIRE(a.state == b.state && taken == at);
	REQUIRE(whole.len == cut.len &&
		(whole.len == 0 || memcmp(whole.data, cut.data, whole.len) == 0));
	buf_free(&whole);
	buf_free(&cut);
}

static int put(void *arg, const void *data, size_t len)
{
	buf_add(arg, data, len);
	return 0;
}

static void clean(const char *data, size_t len, unsigned flags, bool cut, struct buf *out)
{
	const struct cleanup_config config = { .flags = flags,
		.queue_id = "1",
		.sender = "a@b",
		.full_name = "",
		.put = put,
		.arg = out };
	struct cleanup *c = cleanup_begin(&config, NULL);

	for (size_t at = 0, n; at < len; at += n) {
		n = cut ? 1 + (unsigned char)data[at] % 31 : len;
		n = n < len - at ? n : len - at;
		(void)cleanup_write(c, data + at, n);
	}
	(void)cleanup_end(c);
	cleanup_free(c);
}

static void headers(const char *data, size_t len)
{
	unsigned flags = len > 0 ? (unsigned char)data[0] % 4 : 0;
	struct buf whole = BUF_INIT, cut = BUF_INIT;

	param.header_size_limit = 200;
	clean(data, len, flags, false, &whole);
	clean(data, len, flags, true, &cut);
	REQUIRE(whole.len == cut.len &&
		(whole.len == 0 || memcmp(whole.data, cut.data, whole.len) == 0));
	buf_free(&whole);
	buf_free(&cut);
}

static void submission(const char *data, size_t len)
{
	struct buf in = BUF_INIT;
	struct pickup_message m;
	size_t size;

	buf_add(&in, data, len);
	while (pickup_get(&in, &m, &size) == 1) {
		REQUIRE(size > 0 && size <= buf_unread(&in));
		buf_consume(&in, size);
	}
	buf_free(&in);
}

void fuzz(const char *data, size_t len)
{
	static bool loaded;
	char *error = NULL;

	if (!loaded) {
		loaded = true;
		REQUIRE(conf_override("myhostname=mx.example") &&
			conf_load("/nonexistent", true, &error) == 0);
	}
	if (len == 0) {
		return;
	}
	switch (data[0] % 4) {
	case 0:
		addresses(data + 1, len - 1);
		break;
	case 1:
		message_data(data + 1, len - 1);
		break;
	case 2:
		headers(data + 1, len - 1);
		break;
	default:
		submission(data + 1, len - 1);
		break;
	}
}
