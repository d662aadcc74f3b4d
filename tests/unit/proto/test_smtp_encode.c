/*
 * test_smtp_encode - content on the wire: dots, line ends, long lines, at every boundary of pieces
 */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "proto/client/smtp_encode.h"
#include "proto/smtp_data.h"
#include "unit.h"

/* encode - in pieces: cut at `at`, or of `piece` bytes each */
static void encode(
	const char *text, size_t len, size_t limit, size_t at, size_t piece, struct buf *out)
{
	struct smtp_encoder e = { .limit = limit };

	buf_reset(out);
	if (piece == 0) {
		smtp_encode(&e, text, at, out);
		smtp_encode(&e, text + at, len - at, out);
	}
	for (size_t i = 0; piece > 0 && i < len; i += piece) {
		smtp_encode(&e, text + i, len - i < piece ? len - i : piece, out);
	}
	smtp_encode_end(&e, out);
}

TEST(smtp_encode, every_boundary)
{
	static const struct {
		const char *text;
		size_t limit;
		const char *wire;
	} rows[] = {
		{ "", 0, ".\r\n" },
		{ "a", 0, "a\r\n.\r\n" },
		{ "a\n", 0, "a\r\n.\r\n" },
		{ "\n", 0, "\r\n.\r\n" },
		{ ".\n", 0, "..\r\n.\r\n" },
		{ ".", 0, "..\r\n.\r\n" },
		{ "..\n.a\nb.\n", 0, "...\r\n..a\r\nb.\r\n.\r\n" },
		{ "\n.\n\n.\n", 0, "\r\n..\r\n\r\n..\r\n.\r\n" },
		{ "a\r\n.\r\n", 0, "a\r\r\n..\r\r\n.\r\n" },
		{ "12345\n", 5, "12345\r\n.\r\n" },
		{ "123456\n", 5, "12345\r\n 6\r\n.\r\n" },
		{ "123456", 5, "12345\r\n 6\r\n.\r\n" },
		{ "1234567890abc\nx\n", 5, "12345\r\n 6789\r\n 0abc\r\nx\r\n.\r\n" },
		{ "1234567890abcd\n", 5, "12345\r\n 6789\r\n 0abc\r\n d\r\n.\r\n" },
		{ "12345.6\n", 5, "12345\r\n .6\r\n.\r\n" },
		{ ".2345\n", 5, "..2345\r\n.\r\n" },
		{ ".23456\n", 5, "..2345\r\n 6\r\n.\r\n" },
	};
	struct buf out = BUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len = strlen(rows[i].text);

		CHECK_ROW(rows[i].wire);
		for (size_t at = 0; at <= len; at++) {
			encode(rows[i].text, len, rows[i].limit, at, 0, &out);
			CHECK_MEM(out.data, out.len, rows[i].wire, strlen(rows[i].wire));
		}
		encode(rows[i].text, len, rows[i].limit, 0, 1, &out);
		CHECK_MEM(out.data, out.len, rows[i].wire, strlen(rows[i].wire));
	}
	buf_free(&out);
}

/* naive - the same, byte by byte, as one would say it */
static void naive(const char *text, size_t len, size_t limit, struct buf *out)
{
	size_t column = 0;

	buf_reset(out);
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n') {
			buf_adds(out, "\r\n");
			column = 0;
			continue;
		}
		if (column == limit) {
			buf_adds(out, "\r\n ");
			column = 1;
		}
		if (column == 0 && text[i] == '.') {
			buf_addc(out, '.');
		}
		buf_addc(out, text[i]);
		column++;
	}
	buf_adds(out, column > 0 ? "\r\n.\r\n" : ".\r\n");
}

TEST(smtp_encode, like_the_naive_way_and_back)
{
	static const char letters[] = "\n\n\n..ab\r\0\377";
	struct buf got = BUF_INIT, want = BUF_INIT, back = BUF_INIT;
	char text[300];

	srand(1);
	for (int n = 0; n < 20000; n++) {
		size_t len = (size_t)rand() % sizeof(text), limit = 2 + (size_t)rand() % 12;
		struct smtp_data d;

		for (size_t i = 0; i < len; i++) {
			text[i] = letters[(size_t)rand() % (sizeof(letters) - 1)];
		}
		naive(text, len, limit, &want);
		encode(text, len, limit, 0, 1 + (size_t)rand() % 20, &got);
		REQUIRE(got.len == want.len && memcmp(got.data, want.data, got.len) == 0);
		/* Without a limit the other side gets it back (bare CRs apart). */
		for (size_t i = 0; i < len; i++) {
			text[i] = text[i] == '\r' ? 'r' : text[i];
		}
		encode(text, len, 0, 0, 1 + (size_t)rand() % 20, &got);
		smtp_data_init(&d, 0);
		buf_reset(&back);
		REQUIRE(smtp_data_feed(&d, got.data, got.len, &back) == got.len);
		REQUIRE(d.state == SMTP_DATA_END);
		REQUIRE(back.len >= len && back.len <= len + 1 &&
			memcmp(buf_str(&back), text, len) == 0);
	}
	buf_free(&got);
	buf_free(&want);
	buf_free(&back);
}
