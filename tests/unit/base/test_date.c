/*
 * test_date - dates of mail, made and read
 *
 * RFC 5322 3.3 and 4.3, RFC 3501 date-time, the From_ lines of mboxes.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/date.h"
#include "base/str.h"
#include "unit.h"

static void set_zone(const char *zone)
{
	setenv("TZ", zone, 1);
	tzset();
}

/* Against the C library's calendar, over leap years, centuries and before 1970. */
TEST(date, days)
{
	CHECK_INT(date_days(1970, 1, 1), 0);
	CHECK_INT(date_days(1969, 12, 31), -1);
	CHECK_INT(date_days(2000, 2, 29), 11016);
	CHECK_INT(date_days(2000, 3, 1), 11017);
	CHECK_INT(date_days(1900, 3, 1) - date_days(1900, 2, 28), 1);
	CHECK_INT(date_days(2400, 3, 1) - date_days(2400, 2, 28), 2);
	for (int64_t day = -40000; day < 60000; day += 13) {
		time_t when = (time_t)(day * 86400);
		struct tm tm;

		gmtime_r(&when, &tm);
		CHECK_INT(date_days(tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday), day);
	}
}

TEST(date, made)
{
	char text[DATE_SIZE];

	set_zone("CST-8");
	date_rfc5322(text, 1312870918, true);
	CHECK_STR(text, "Tue, 09 Aug 2011 14:21:58 +0800 (CST)");
	date_rfc5322(text, 1312870918, false);
	CHECK_STR(text, "Tue, 09 Aug 2011 14:21:58 +0800");
	date_asctime(text, 1312870918);
	CHECK_STR(text, "Tue Aug  9 14:21:58 2011");
	date_imap(text, 1312870918);
	CHECK_STR(text, "09-Aug-2011 14:21:58 +0800");
	/* West of Greenwich, with half an hour; a zone of many letters is cut. */
	set_zone("<ABCDEFGH>3:30");
	date_rfc5322(text, 0, true);
	CHECK_STR(text, "Wed, 31 Dec 1969 20:30:00 -0330 (ABCDEF)");
}

TEST(date, read_rfc5322)
{
	static const struct {
		const char *text;
		time_t when;
		int zone;
	} good[] = {
		{ "Tue, 09 Aug 2011 14:21:58 +0800 (CST)", 1312870918, 480 },
		{ "9 Aug 2011 06:21 GMT", 1312870860, 0 },
		{ "Fri, 21 Nov 1997 09(comment (nested \\) )):55:06 -0600", 0, 0 },
		{ "Fri, 21 Nov 97 09:55:06 CST", 880127706, -360 },
		{ "Thu, 13\r\n Feb\r\n 1969 23:32 -0330 (Newfoundland Time)", -27723480, -210 },
		{ "Tue, 09 (a \\) b \\( c) Aug 2011 14:21:58 +0800", 1312870918, 480 },
		{ "Mon (a) , (b) 1 (c) Jan (d) 101 (e) 00:00:00 (f) Z", 978307200, 0 },
		{ "1 January 2000 00:00:60 +0000", 946684860, 0 },
		{ "09-Aug-2011 14:21:58 +0800", 1312870918, 480 },
		{ "1 Jan 49 00:00 UT", 2493072000, 0 },
		{ "1 Jan 50 00:00 UT", -631152000, 0 },
		{ "1 Jan 2000 00:00 XYZ", 946684800, 0 },
	};
	static const char *const bad[] = { "", "Tue", "Tue, 09", "09 Aug", "09 Aug 2011",
		"32 Jan 2000 00:00", "0 Jan 2000 00:00", "1 Foo 2000 00:00", "1 Jan 2 00:00",
		"1 Jan 2000 24:00", "1 Jan 2000 00:60", "1 Jan 2000 00:00:61", "1 Jan 1899 00:00",
		"1 Jan 2000 00", "1 Jan 2000 00:", "1 Jan 2000 00:00:", "1 Jan 2000 00:00 +9900" };
	time_t when;
	int zone;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		CHECK_ROW(good[i].text);
		if (good[i].when == 0) { /* a comment within the time is too much */
			CHECK(!date_parse_rfc5322(
				good[i].text, strlen(good[i].text), &when, &zone));
			continue;
		}
		REQUIRE(date_parse_rfc5322(good[i].text, strlen(good[i].text), &when, &zone));
		CHECK_INT(when, good[i].when);
		CHECK_INT(zone, good[i].zone);
		/* The length counts, whatever stands behind it. */
		CHECK(!date_parse_rfc5322(good[i].text, 5, &when, NULL));
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK_ROW(bad[i]);
		CHECK(!date_parse_rfc5322(bad[i], strlen(bad[i]), &when, &zone));
	}
}

/* What is made is read as the same moment, in every zone. */
TEST(date, there_and_back)
{
	static const char *const zones[] = { "UTC0", "CST-8", "EST5EDT", "<-0330>3:30",
		"<+1245>-12:45" };

	for (size_t i = 0; i < ARRAY_LEN(zones); i++) {
		set_zone(zones[i]);
		CHECK_ROW(zones[i]);
		for (time_t when = 86400; when < 4000000000; when += 9876543) {
			char text[DATE_SIZE];
			time_t back = -1;

			date_rfc5322(text, when, true);
			CHECK(date_parse_rfc5322(text, strlen(text), &back, NULL) && back == when);
			date_imap(text, when);
			CHECK(date_parse_imap(text, strlen(text), &back) && back == when);
			date_asctime(text, when);
			CHECK(date_parse_asctime(text, strlen(text), &back));
			/* The hour that summer time repeats is one of two. */
			CHECK(back == when || back == when - 3600 || back == when + 3600);
			CHECK(back == when || i == 2);
		}
	}
}

TEST(date, read_imap)
{
	static const char *const bad[] = { "", "1-Jan-2000 00:00:00 +0000x", "01-Jan-2000",
		"01 Jan 2000 00:00:00 +0000", "01-Jan-2000 24:00:00 +0000",
		"01-Foo-2000 00:00:00 +0000" };
	time_t when = 0;

	CHECK(date_parse_imap(" 9-Aug-2011 14:21:58 +0800", 26, &when));
	CHECK_INT(when, 1312870918);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK_ROW(bad[i]);
		CHECK(!date_parse_imap(bad[i], strlen(bad[i]), &when));
	}
}

/* From_ lines have a zone before the year, behind it, or none, which is local time. */
TEST(date, read_asctime)
{
	static const struct {
		const char *text;
		time_t when;
	} good[] = {
		{ "Tue Aug  9 14:21:58 2011", 1312870918 },
		{ "Tue Aug 09 14:21 2011", 1312870860 },
		{ "Tue Aug  9 06:21:58 GMT 2011", 1312870918 },
		{ "Tue Aug  9 01:21:58 EST 2011", 1312870918 },
		{ "Tue Aug  9 01:21:58 -0500 2011", 1312870918 },
		{ "Tue Aug  9 01:21:58 2011 -0500", 1312870918 },
		{ "Thu Jan  1 07:59:59 1970", -1 },
	};
	static const char *const bad[] = { "", "Tue", "Tuesday Aug  9 14:21:58 2011",
		"Tue Foo  9 14:21:58 2011", "Tue Aug 14:21:58 2011", "Tue Aug  9 14 2011",
		"Tue Aug  9 14:21:58", "Tue Aug  9 14:21:58 EST", "Tue Aug  9 24:21:58 2011",
		"Tue Aug  9 14:21:58 1899", "Tue Aug  9 14:21:58 2011 -9900" };
	time_t when;

	set_zone("CST-8");
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		CHECK_ROW(good[i].text);
		when = 0;
		CHECK(date_parse_asctime(good[i].text, strlen(good[i].text), &when));
		CHECK_INT(when, good[i].when);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK_ROW(bad[i]);
		CHECK(!date_parse_asctime(bad[i], strlen(bad[i]), &when));
	}
}
