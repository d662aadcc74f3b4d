/*
 * test_charset_small - the character sets that every profile can read
 *
 * They are the C library's iconv's in the full profile and that of
 * core/mime/iconv_small.c in others: both must say the same.
 */
#include <errno.h>
#include <iconv.h>
#include <string.h>

#include "unit.h"

static const struct {
	const char *name, *to, *from, *in, *out;
	int error; /* 0, EILSEQ or EINVAL */
} rows[] = {
	{ "ascii", "UTF-8", "US-ASCII", "abc", "abc", 0 },
	{ "ascii high", "UTF-8", "US-ASCII", "a\xe4", "a", EILSEQ },
	{ "latin1", "UTF-8", "ISO-8859-1", "\xe4\xa4\x80", "\xc3\xa4\xc2\xa4\xc2\x80", 0 },
	{ "latin1 lower case name", "utf-8", "iso-8859-1", "\xff", "\xc3\xbf", 0 },
	{ "latin9 euro", "UTF-8", "ISO-8859-15", "\xa4\xa3\xbd", "\xe2\x82\xac\xc2\xa3\xc5\x93",
		0 },
	{ "cp1252", "UTF-8", "windows-1252", "\x93x\x94\x80",
		"\xe2\x80\x9cx\xe2\x80\x9d\xe2\x82\xac", 0 },
	{ "to latin1", "ISO-8859-1", "UTF-8", "\xc3\xa4z", "\xe4z", 0 },
	{ "to latin9", "ISO-8859-15", "UTF-8", "\xe2\x82\xac", "\xa4", 0 },
	{ "torn", "ISO-8859-1", "UTF-8", "a\xc3", "a", EINVAL },
	{ "not utf-8", "ISO-8859-1", "UTF-8", "a\x80", "a", EILSEQ },
};

TEST(charset_small, converts)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char in[32], out[32] = "";
		char *from = in, *to = out;
		size_t left = strlen(rows[i].in), room = sizeof(out) - 1;
		iconv_t cd = iconv_open(rows[i].to, rows[i].from);
		size_t rc;

		CHECK_ROW(rows[i].name);
		REQUIRE(cd != (iconv_t)-1);
		memcpy(in, rows[i].in, left);
		rc = iconv(cd, &from, &left, &to, &room);
		CHECK_INT(rc == (size_t)-1 ? errno : 0, rows[i].error);
		CHECK_STR(out, rows[i].out);
		CHECK(rows[i].error != 0 || left == 0);
		iconv_close(cd);
	}
}

TEST(charset_small, fills_its_room_and_no_more)
{
	char in[] = "\xe4\xe4", out[4] = "xxx";
	char *from = in, *to = out;
	size_t left = 2, room = 3;
	iconv_t cd = iconv_open("UTF-8", "ISO-8859-1");

	REQUIRE(cd != (iconv_t)-1);
	CHECK_INT(iconv(cd, &from, &left, &to, &room) == (size_t)-1 ? errno : 0, E2BIG);
	CHECK_STR(out, "\xc3\xa4x");
	CHECK_INT((long long)left, 1);
	CHECK_INT((long long)room, 1);
	iconv_close(cd);
}

TEST(charset_small, unknown_name)
{
	errno = 0;
	CHECK(iconv_open("UTF-8", "no-such-set-anywhere") == (iconv_t)-1);
	CHECK_INT(errno, EINVAL);
}
