/*
 * test_encode - base64, hex, xtext: what is made, what is refused, all bytes there and back
 *
 * RFC 4648 section 10 has the examples of base64 and hex, RFC 3461 section 4 those of xtext.
 */
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/str.h"
#include "unit.h"

TEST(encode, examples)
{
	static const struct {
		const char *text, *base64, *hex;
	} rows[] = {
		{ "", "", "" },
		{ "f", "Zg==", "66" },
		{ "fo", "Zm8=", "666f" },
		{ "foo", "Zm9v", "666f6f" },
		{ "foob", "Zm9vYg==", "666f6f62" },
		{ "fooba", "Zm9vYmE=", "666f6f6261" },
		{ "foobar", "Zm9vYmFy", "666f6f626172" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b = BUF_INIT;

		CHECK_ROW(rows[i].text);
		base64_encode(&b, rows[i].text, strlen(rows[i].text));
		CHECK_STR(buf_str(&b), rows[i].base64);
		buf_reset(&b);
		CHECK(base64_decode(&b, rows[i].base64, strlen(rows[i].base64)));
		CHECK_STR(buf_str(&b), rows[i].text);
		buf_reset(&b);
		hex_encode(&b, rows[i].text, strlen(rows[i].text));
		CHECK_STR(buf_str(&b), rows[i].hex);
		buf_reset(&b);
		CHECK(hex_decode(&b, rows[i].hex, strlen(rows[i].hex)));
		CHECK_STR(buf_str(&b), rows[i].text);
		buf_free(&b);
	}
}

TEST(encode, refused)
{
	static const char *const base64[] = { "Z", "Zg",
		"Zg=", "Zg===", "====", "=Zg=", "Z=g=", "Zm9v\n", "Zm 9", "Zh==", "Zm9=", "Zm_v",
		"Zg==Zg==" };
	static const char *const hex[] = { "6", "6g", "g6", " 6", "0x" };
	static const char *const xtext[] = { "a b", "+", "+4", "+4g", "a=b", "\x7f", "\xc4",
		"+g1" };
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(base64); i++) {
		CHECK_ROW(base64[i]);
		CHECK(!base64_decode(&b, base64[i], strlen(base64[i])));
	}
	for (size_t i = 0; i < ARRAY_LEN(hex); i++) {
		CHECK_ROW(hex[i]);
		CHECK(!hex_decode(&b, hex[i], strlen(hex[i])));
	}
	for (size_t i = 0; i < ARRAY_LEN(xtext); i++) {
		CHECK_ROW(xtext[i]);
		CHECK(!xtext_decode(&b, xtext[i], strlen(xtext[i])));
	}
	CHECK_ROW(NULL);
	/* strchr(3) finds the end of a string, too: a NUL is no digit. */
	CHECK(!base64_decode(&b, "Zg\0=", 4) && !hex_decode(&b, "6\0", 2));
	CHECK(!xtext_decode(&b, "+\0001", 3) && !xtext_decode(&b, "a\0b", 3));
	buf_free(&b);
}

/* Every byte, at every place of a group, there and back. */
TEST(encode, all_bytes)
{
	char bytes[256 + 3];

	for (int shift = 0; shift < 4; shift++) {
		struct buf text = BUF_INIT, back = BUF_INIT;

		for (size_t i = 0; i < sizeof(bytes); i++) {
			bytes[i] = (char)(i + (size_t)shift);
		}
		base64_encode(&text, bytes, sizeof(bytes) - (size_t)shift);
		CHECK(base64_decode(&back, text.data, text.len));
		CHECK_MEM(back.data, back.len, bytes, sizeof(bytes) - (size_t)shift);
		buf_reset(&text);
		buf_reset(&back);
		hex_encode(&text, bytes, sizeof(bytes));
		CHECK(hex_decode(&back, text.data, text.len));
		CHECK_MEM(back.data, back.len, bytes, sizeof(bytes));
		buf_free(&text);
		buf_free(&back);
	}
}

TEST(encode, xtext)
{
	struct buf b = BUF_INIT, back = BUF_INIT;
	char all[256];

	xtext_encode(&b, "a+b=c d\x7f\xc4");
	CHECK_STR(buf_str(&b), "a+2Bb+3Dc+20d+7F+C4");
	for (int i = 0; i < 255; i++) {
		all[i] = (char)(i + 1);
	}
	all[255] = '\0';
	buf_reset(&b);
	xtext_encode(&b, all);
	CHECK(xtext_decode(&back, b.data, b.len));
	CHECK_STR(buf_str(&back), all);
	buf_reset(&back);
	CHECK(xtext_decode(&back, "+2b+00", 6)); /* either case; a NUL is the caller's to judge */
	CHECK_MEM(back.data, back.len, "+\0", 2);
	/* The length counts, whatever stands behind it. */
	CHECK(!xtext_decode(&back, "+41", 2) && !xtext_decode(&back, "+41", 1));
	buf_free(&b);
	buf_free(&back);
}

/* RFC 8259 section 7: every control character is written as a code. */
TEST(encode, json)
{
	struct buf b = BUF_INIT;
	char text[2] = "", want[16];

	json_encode(&b, "a/\b\f\n\r\t\"\\");
	CHECK_STR(buf_str(&b), "\"a/\\b\\f\\n\\r\\t\\\"\\\\\"");
	for (text[0] = 1; text[0] < 0x20; text[0]++) {
		if (strchr("\b\f\n\r\t", text[0]) == NULL) {
			buf_reset(&b);
			json_encode(&b, text);
			snprintf(want, sizeof(want), "\"\\u%04X\"", (unsigned)text[0]);
			CHECK_STR(buf_str(&b), want);
		}
	}
	buf_free(&b);
}
