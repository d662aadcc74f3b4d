/*
 * test_wire - messages between our processes: at every split, cut short, too long, falsified
 */
#include <string.h>

#include "base/wire.h"
#include "unit.h"

static void put_message(struct buf *b)
{
	size_t mark = wire_begin(b);

	wire_put_int(b, UINT64_MAX);
	wire_put_str(b, "text");
	wire_put_str(b, NULL);
	wire_put_bytes(b, "\0\1", 2);
	wire_put_int(b, 0);
	wire_end(b, mark);
}

static void check_message(struct wire *w)
{
	const char *bytes;
	size_t len;

	CHECK(wire_get_int(w) == UINT64_MAX);
	CHECK_STR(wire_get_str(w), "text");
	CHECK_STR(wire_get_str(w), "");
	bytes = wire_get_bytes(w, &len);
	CHECK_MEM(bytes, len, "\0\1", 2);
	CHECK(!wire_ok(w)); /* something is left */
	CHECK_INT(wire_get_int(w), 0);
	CHECK(wire_ok(w));
}

TEST(wire, byte_by_byte)
{
	struct buf whole = BUF_INIT, b = BUF_INIT;
	struct wire w;
	size_t size;

	put_message(&whole);
	for (size_t i = 0; i < whole.len; i++) {
		CHECK_INT(wire_next(&b, &w, &size), 0);
		CHECK_INT(wire_announced(&b), i < 4 ? 0 : whole.len - 4);
		buf_addc(&b, whole.data[i]);
	}
	REQUIRE(wire_next(&b, &w, &size) == 1);
	CHECK_INT(size, whole.len);
	check_message(&w);
	/* The next one behind it, written while the first is read. */
	put_message(&b);
	buf_consume(&b, size);
	REQUIRE(wire_next(&b, &w, &size) == 1);
	check_message(&w);
	buf_consume(&b, size);
	CHECK_INT(wire_next(&b, &w, &size), 0);
	buf_free(&whole);
	buf_free(&b);
}

/* A reader never runs past the message: it is bad then, and stays so. */
TEST(wire, fields_that_do_not_fit)
{
	struct buf b = BUF_INIT;
	size_t mark = wire_begin(&b), size, len;
	struct wire w;

	wire_put_str(&b, "abc");
	wire_end(&b, mark);
	REQUIRE(wire_next(&b, &w, &size) == 1);
	CHECK_STR(wire_get_str(&w), "abc");
	CHECK(wire_ok(&w));
	CHECK_INT(wire_get_int(&w), 0);
	CHECK(!wire_ok(&w));
	CHECK_STR(wire_get_str(&w), "");
	CHECK_STR(wire_get_bytes(&w, &len), "");
	CHECK_INT(len, 0);
	/* Every length that the text could claim instead of 3. */
	for (unsigned claimed = 0; claimed < 256; claimed++) {
		b.data[7] = (char)claimed;
		REQUIRE(wire_next(&b, &w, &size) == 1);
		(void)wire_get_str(&w);
		CHECK(wire_ok(&w) == (claimed == 3));
	}
	/* And one that would wrap around. */
	memset(b.data + 4, 0xff, 4);
	REQUIRE(wire_next(&b, &w, &size) == 1);
	CHECK_STR(wire_get_str(&w), "");
	CHECK(!wire_ok(&w));
	buf_free(&b);
}

TEST(wire, texts_end_with_nul)
{
	struct buf b = BUF_INIT;
	size_t mark = wire_begin(&b), size;
	struct wire w;

	wire_put_str(&b, "abc");
	wire_end(&b, mark);
	b.data[b.len - 1] = 'd';
	REQUIRE(wire_next(&b, &w, &size) == 1);
	CHECK_STR(wire_get_str(&w), "");
	CHECK(!wire_ok(&w));
	buf_free(&b);
}

TEST(wire, length_of_a_message)
{
	struct buf b = BUF_INIT;
	struct wire w;
	size_t size;

	buf_addu32(&b, 0);
	REQUIRE(wire_next(&b, &w, &size) == 1);
	CHECK_INT(size, 4);
	CHECK(wire_ok(&w));
	buf_reset(&b);
	buf_addu32(&b, WIRE_MAX);
	CHECK_INT(wire_next(&b, &w, &size), 0);
	buf_reset(&b);
	buf_addu32(&b, WIRE_MAX + 1);
	CHECK_INT(wire_next(&b, &w, &size), -1);
	buf_reset(&b);
	buf_addu32(&b, UINT32_MAX);
	CHECK_INT(wire_next(&b, &w, &size), -1);
	buf_free(&b);
}

/* One behind what is read already: growing moves both. */
TEST(wire, written_behind_the_cursor)
{
	struct buf b = BUF_INIT;
	struct wire w;
	size_t mark, size;
	char large[500];

	memset(large, 'x', sizeof(large));
	for (size_t read = 0; read < 60; read++) {
		buf_reset(&b);
		buf_add(&b, large, 60);
		buf_consume(&b, read);
		mark = wire_begin(&b);
		wire_put_bytes(&b, large, sizeof(large));
		wire_end(&b, mark);
		buf_consume(&b, 60 - read);
		REQUIRE(wire_next(&b, &w, &size) == 1);
		CHECK_INT(size, buf_unread(&b));
		CHECK_MEM(wire_get_bytes(&w, &size), sizeof(large), large, sizeof(large));
		CHECK_INT(size, sizeof(large));
		CHECK(wire_ok(&w));
	}
	buf_free(&b);
}

TEST(wire, a_text_has_no_nul)
{
	struct buf b = BUF_INIT;
	size_t mark = wire_begin(&b), size;
	struct wire w;

	wire_put_bytes(&b, "user\0root", 9);
	wire_end(&b, mark);
	REQUIRE(wire_next(&b, &w, &size) == 1);
	CHECK_STR(wire_get_str(&w), "");
	CHECK(!wire_ok(&w));
	buf_free(&b);
}

/* What did not fit makes the rest worthless, although it would fit. */
TEST(wire, bad_for_good)
{
	struct buf b = BUF_INIT;
	size_t mark = wire_begin(&b), size;
	struct wire w;

	wire_put_str(&b, "ab");
	wire_end(&b, mark);
	REQUIRE(wire_next(&b, &w, &size) == 1);
	CHECK_INT(wire_get_int(&w), 0);
	CHECK_STR(wire_get_str(&w), "");
	CHECK(!wire_ok(&w));
	buf_free(&b);
}
