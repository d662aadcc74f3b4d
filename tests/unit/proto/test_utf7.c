/*
 * test_utf7 - folder names in modified UTF-7
 */
#include <string.h>

#include "proto/utf7.h"
#include "unit.h"

TEST(utf7, both_ways)
{
	static const struct {
		const char *utf8, *utf7;
	} rows[] = {
		{ "INBOX", "INBOX" },
		{ "a&b", "a&-b" },
		{ "Entw\xc3\xbcrfe", "Entw&APw-rfe" },
		{ "~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e",
			"~peter/mail/&U,BTFw-/&ZeVnLIqe-" },
		{ "\xf0\x9f\x98\x80", "&2D3eAA-" },
		{ "\xc3\xa9\xc3\xa9", "&AOkA6Q-" },
		{ "\x07", "&AAc-" },
		{ "", "" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf b = BUF_INIT;

		CHECK_ROW(rows[i].utf8);
		CHECK(utf7_encode(&b, rows[i].utf8, strlen(rows[i].utf8)));
		CHECK_STR(buf_str(&b), rows[i].utf7);
		buf_reset(&b);
		CHECK(utf7_decode(&b, rows[i].utf7, strlen(rows[i].utf7)));
		CHECK_STR(buf_str(&b), rows[i].utf8);
		buf_free(&b);
	}
}

TEST(utf7, refuses)
{
	/* Not closed, not base64, ASCII encoded, half a pair, two where one would do, odd bits, raw
	 * 8 bit, NUL, a control character */
	static const char *const rows[] = { "a&", "a&AOk", "&A*k-", "&AGE-", "&2D0-", "&3gA-",
		"&AOk-&AOk-", "&AOl-", "\xc3\xa9", "&AOkA-", "a&AAA-b", "a\tb", "&!!!!-" };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf b = BUF_INIT;

		CHECK_ROW(rows[i]);
		CHECK(!utf7_decode(&b, rows[i], strlen(rows[i])));
		buf_free(&b);
	}
}
