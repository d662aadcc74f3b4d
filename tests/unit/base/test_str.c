/*
 * test_str - slices, words of lists, numbers and times
 */
#include <string.h>

#include "base/str.h"
#include "unit.h"

TEST(str, slices)
{
	const struct slice abc = slice_of("aBc"), none = { NULL, 0 };

	CHECK(slice_eq(abc, "aBc") && !slice_eq(abc, "abc") && !slice_eq(abc, "aBcd"));
	CHECK(slice_ieq(abc, "AbC") && !slice_ieq(abc, "ab") && !slice_ieq(abc, "abcd"));
	CHECK(slice_eq((struct slice){ "", 0 }, "") && slice_ieq(none, "") &&
		!slice_ieq(none, "x"));
	/* Only ASCII letters have two cases: '[' and '{', '@' and '`' are 32 apart as well. */
	CHECK(!slice_ieq(slice_of("[@\xc4"), "{`\xe4"));
	CHECK(slice_eq(slice_trim(slice_of(" \t\r\n a b\n")), "a b"));
	CHECK_INT(slice_trim(slice_of(" \t ")).len, 0);
	CHECK_INT(slice_trim(none).len, 0);
}

TEST(str, words)
{
	struct slice rest = slice_of(" ,a,, b c ,"), word;
	const char *wanted[] = { "a", "b", "c" };
	const struct slice with_nul = { "x\0y,z", 5 };

	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		word = slice_word(&rest, ", ");
		CHECK(word.ptr != NULL && slice_eq(word, wanted[i]));
	}
	CHECK(slice_word(&rest, ", ").ptr == NULL);
	CHECK(slice_word(&rest, ", ").ptr == NULL);
	rest = (struct slice){ NULL, 0 };
	CHECK(slice_word(&rest, ",").ptr == NULL);
	/* A NUL is a byte like others and no end of the delimiters. */
	rest = with_nul;
	CHECK_INT(slice_word(&rest, ",").len, 3);
	CHECK(slice_eq(slice_word(&rest, ","), "z"));
}

TEST(str, lists)
{
	const char *list = "one, Two\tthree\r\n four,five";

	CHECK(list_has(list, "one") && list_has(list, "TWO") && list_has(list, "three"));
	CHECK(list_has(list, "four") && list_has(list, "five"));
	CHECK(!list_has(list, "fiv") && !list_has(list, "fives") && !list_has(list, ""));
	CHECK(!list_has(list, "one, Two") && !list_has("", "one") && !list_has(" ,\t", ""));
	CHECK(list_has_slice(list, (struct slice){ "fivefold", 4 }));
}

TEST(str, ends)
{
	char text[8];

	CHECK(str_starts("abc", "") && str_starts("abc", "abc") && !str_starts("ab", "abc"));
	CHECK(str_istarts("ABc", "abC") && !str_istarts("ab", "abc") && str_istarts("", ""));
	CHECK(str_ends("abc", "bc") && str_ends("abc", "") && !str_ends("bc", "abc"));
	CHECK(str_ieq("Postmaster", "POSTMASTER") && !str_ieq("a", "ab") && !str_ieq("ab", "a"));
	CHECK(str_copy(text, sizeof(text), "1234567"));
	CHECK_STR(text, "1234567");
	CHECK(!str_copy(text, sizeof(text), "12345678"));
	CHECK_STR(text, "1234567");
	CHECK(!str_copy(text, 1, "x") && text[0] == '\0');
	memcpy(text, "A\xc4z[Z", 6);
	str_lower(text);
	CHECK_STR(text, "a\xc4z[z");
}

TEST(str, numbers)
{
	static const struct {
		const char *text;
		int64_t min, max;
		bool ok;
		int64_t value;
	} rows[] = {
		{ "0", 0, 9, true, 0 },
		{ "-1", -1, 9, true, -1 },
		{ "-1", 0, 9, false, 0 },
		{ "10", 0, 9, false, 0 },
		{ "9223372036854775807", 0, INT64_MAX, true, INT64_MAX },
		{ "9223372036854775808", 0, INT64_MAX, false, 0 },
		{ "-9223372036854775808", INT64_MIN, 0, true, INT64_MIN },
		{ "-9223372036854775809", INT64_MIN, 0, false, 0 },
		{ "", 0, 9, false, 0 },
		{ " 1", 0, 9, false, 0 },
		{ "1 ", 0, 9, false, 0 },
		{ "0x1", 0, 9, false, 0 },
		{ "1e1", 0, 99, false, 0 },
		{ "010", 0, 99, true, 10 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t v = 77;

		CHECK_ROW(rows[i].text);
		CHECK(str_to_int(rows[i].text, rows[i].min, rows[i].max, &v) == rows[i].ok);
		CHECK_INT(v, rows[i].ok ? rows[i].value : 77);
	}
}

TEST(str, times)
{
	static const struct {
		const char *text;
		char unit;
		int64_t seconds; /* -1: it is none */
	} rows[] = {
		{ "5", 's', 5 },
		{ "5", 'd', 5 * 86400 },
		{ "3h", 's', 3 * 3600 },
		{ "2W", 's', 14 * 86400 },
		{ "4m", 'h', 240 },
		{ "0", 'w', 0 },
		{ "", 's', -1 },
		{ "h", 's', -1 },
		{ "5y", 's', -1 },
		{ "5hm", 's', -1 },
		{ "-5", 's', -1 },
		{ "5", 'x', -1 },
		{ "9223372036854775807", 's', INT64_MAX },
		{ "9223372036854775807", 'm', -1 },
		{ "99999999999999999999999999", 's', -1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t v = -1;

		CHECK_ROW(rows[i].text);
		CHECK(str_to_seconds(rows[i].text, rows[i].unit, &v) == (rows[i].seconds >= 0));
		CHECK_INT(v, rows[i].seconds);
	}
}
