/*
 * test_buf - the growable byte string: growth, the read cursor, what is given back
 */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "unit.h"

TEST(buf, empty)
{
	struct buf b = BUF_INIT;
	char *text;

	CHECK_STR(buf_str(&b), "");
	CHECK_INT(buf_unread(&b), 0);
	CHECK_STR(buf_head(&b), "");
	buf_reset(&b);
	buf_truncate(&b, 5);
	buf_add(&b, NULL, 0);
	CHECK(b.data == NULL && b.cap == 0);
	text = buf_steal(&b);
	CHECK_STR(text, "");
	mem_free(text);
	buf_free(&b);
}

/* Every length over the first growths, and over the step from doubling to adding. */
TEST(buf, grows_and_keeps_what_is_in_it)
{
	struct buf b = BUF_INIT;
	size_t cap = 0, grown = 0;

	for (size_t i = 0; i < 3 << 20; i++) {
		buf_addc(&b, (char)(i * 7));
		if (b.len >= b.cap || b.data[b.len] != '\0') {
			CHECK(b.len < b.cap && b.data[b.len] == '\0');
			break;
		}
		grown += b.cap != cap;
		cap = b.cap;
	}
	REQUIRE(b.len == 3 << 20);
	/* 64 bytes to 1 MiB by doubling, then by 1 MiB: few copies, little slack. */
	CHECK_INT(grown, 18);
	CHECK(b.cap <= b.len + (1 << 20) + 64);
	for (size_t i = 0; i < b.len; i++) {
		if (b.data[i] != (char)(i * 7)) {
			CHECK_INT(b.data[i], (char)(i * 7));
			break;
		}
	}
	buf_free(&b);
}

TEST(buf, cursor)
{
	struct buf b = BUF_INIT;

	buf_adds(&b, "one two");
	buf_consume(&b, 4);
	CHECK_STR(buf_head(&b), "two");
	CHECK_INT(buf_unread(&b), 3);
	CHECK_STR(buf_str(&b), "one two");
	/* The cursor does not stay behind the end. */
	buf_truncate(&b, 2);
	CHECK_INT(buf_unread(&b), 0);
	CHECK_STR(buf_str(&b), "on");
	buf_adds(&b, "ce");
	CHECK_STR(buf_head(&b), "ce");
	/* All of it read, and more than there is: empty, and the space is back. */
	buf_consume(&b, 99);
	CHECK_INT(b.len, 0);
	CHECK_INT(b.pos, 0);
	CHECK_STR(buf_str(&b), "");
	buf_free(&b);
}

/* What was read is given up before more memory is asked for. */
TEST(buf, a_stream_needs_no_more_than_its_window)
{
	struct buf b = BUF_INIT;
	unsigned char next = 0, want = 0;

	for (int round = 0; round < 10000; round++) {
		for (int i = 0; i < 40; i++) {
			buf_addc(&b, (char)next++);
		}
		while (buf_unread(&b) > 7) {
			if ((unsigned char)*buf_head(&b) != want++) {
				CHECK(!"bytes in order");
				return;
			}
			buf_consume(&b, 1);
		}
	}
	CHECK(b.cap <= 128);
	buf_free(&b);
}

/* Lengths around the room that is tried first, and around what is free. */
TEST(buf, formats_of_any_length)
{
	for (int len = 0; len < 300; len++) {
		struct buf b = BUF_INIT;
		char text[301], want[320];

		memset(text, 'x', sizeof(text));
		text[len] = '\0';
		buf_adds(&b, "head ");
		buf_addf(&b, "%s|%d", text, len);
		buf_adds(&b, " tail");
		snprintf(want, sizeof(want), "head %s|%d tail", text, len);
		CHECK_MEM(b.data, b.len, want, strlen(want));
		buf_free(&b);
	}
}

TEST(buf, numbers_are_big_endian)
{
	struct buf b = BUF_INIT;

	buf_addu32(&b, 0x01020304u);
	buf_addu64(&b, UINT64_C(0xf1f2f3f4f5f6f7f8));
	CHECK_MEM(b.data, b.len, "\1\2\3\4\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8", 12);
	buf_free(&b);
}

TEST(buf, shrinks_only_when_it_is_empty_and_large)
{
	struct buf b = BUF_INIT;

	(void)buf_reserve(&b, 5000);
	buf_added(&b, 0);
	buf_adds(&b, "x");
	buf_shrink(&b, 100);
	CHECK_STR(buf_str(&b), "x");
	buf_consume(&b, 1);
	buf_shrink(&b, 1 << 20);
	CHECK(b.data != NULL);
	buf_shrink(&b, 100);
	CHECK(b.data == NULL && b.cap == 0);
}
