/*
 * date - the date formats of mail, made and read
 *
 * Reading is by hand and not by strptime(3): the names are English whatever
 * the locale, and mail holds many broken dates that are still clear.
 *
 * RFC 5322 sections 3.3 and 4.3, RFC 3501 date-time, asctime of mbox files.
 */
#include "base/date.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

static const char month_names[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
	"Sep", "Oct", "Nov", "Dec" };
static const char day_names[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };

int64_t date_days(int year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t yoe = y - era * 400;
	int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

/* zone_minutes - how far local time is from UTC at tm */
static int zone_minutes(const struct tm *tm)
{
	return (int)(tm->tm_gmtoff / 60);
}

static char sign_of(int zone)
{
	return zone < 0 ? '-' : '+';
}

static int hhmm_of(int zone)
{
	int minutes = zone < 0 ? -zone : zone;

	return minutes / 60 * 100 + minutes % 60;
}

void date_rfc5322(char out[DATE_SIZE], time_t when, bool named)
{
	struct tm tm;
	int zone, n;

	localtime_r(&when, &tm);
	zone = zone_minutes(&tm);
	n = snprintf(out, DATE_SIZE, "%s, %02d %s %d %02d:%02d:%02d %c%04d", day_names[tm.tm_wday],
		tm.tm_mday, month_names[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
		tm.tm_sec, sign_of(zone), hhmm_of(zone));
	if (named && tm.tm_zone != NULL && n > 0 && n < DATE_SIZE) {
		snprintf(out + n, (size_t)(DATE_SIZE - n), " (%.6s)", tm.tm_zone);
	}
}

void date_asctime(char out[DATE_SIZE], time_t when)
{
	struct tm tm;

	localtime_r(&when, &tm);
	snprintf(out, DATE_SIZE, "%s %s %2d %02d:%02d:%02d %d", day_names[tm.tm_wday],
		month_names[tm.tm_mon], tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		tm.tm_year + 1900);
}

void date_imap(char out[DATE_SIZE], time_t when)
{
	struct tm tm;
	int zone;

	localtime_r(&when, &tm);
	zone = zone_minutes(&tm);
	snprintf(out, DATE_SIZE, "%02d-%s-%d %02d:%02d:%02d %c%04d", tm.tm_mday,
		month_names[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec,
		sign_of(zone), hhmm_of(zone));
}

void date_find_zone(void)
{
	char *zone;
	size_t len;

	if (getenv("TZ") != NULL || access("/etc/localtime", F_OK) == 0) {
		return;
	}
	zone = file_read("/etc/TZ", 200, NULL);
	if (zone == NULL) {
		return;
	}
	len = strcspn(zone, " \t\r\n");
	zone[len] = '\0';
	if (len > 0) {
		setenv("TZ", zone, 0);
	}
	mem_free(zone);
}

/* ---- Reading ---- */

struct cursor {
	const char *at, *end;
};

struct civil {
	int year, month, day, hour, minute, second;
};

/* skip_blank - over folding white space and (nested) comments; RFC 5322 CFWS */
static void skip_blank(struct cursor *c)
{
	int depth = 0;

	for (; c->at < c->end; c->at++) {
		if (depth > 0 && *c->at == '\\' && c->at + 1 < c->end) {
			c->at++;
		} else if (*c->at == '(') {
			depth++;
		} else if (*c->at == ')' && depth > 0) {
			depth--;
		} else if (depth == 0 && strchr(" \t\r\n", *c->at) == NULL) {
			return;
		}
	}
}

static bool take_number(struct cursor *c, int max_digits, int *out, int *digits_r)
{
	int digits = 0, v = 0;

	while (c->at < c->end && *c->at >= '0' && *c->at <= '9' && digits < max_digits) {
		v = v * 10 + (*c->at++ - '0');
		digits++;
	}
	*out = v;
	if (digits_r != NULL) {
		*digits_r = digits;
	}
	return digits > 0;
}

static bool take_char(struct cursor *c, char want)
{
	if (c->at < c->end && *c->at == want) {
		c->at++;
		return true;
	}
	return false;
}

static struct slice take_letters(struct cursor *c)
{
	struct slice s = { c->at, 0 };

	while (c->at < c->end &&
		((*c->at >= 'A' && *c->at <= 'Z') || (*c->at >= 'a' && *c->at <= 'z'))) {
		c->at++;
		s.len++;
	}
	return s;
}

static bool take_month(struct cursor *c, int *month)
{
	struct slice word = take_letters(c);

	if (word.len < 3) {
		return false;
	}
	word.len = 3;
	for (int i = 0; i < 12; i++) {
		if (slice_ieq(word, month_names[i])) {
			*month = i + 1;
			return true;
		}
	}
	return false;
}

/* take_year - two digits mean 2000 to 2049 or 1950 to 1999, three 1900 on; RFC 5322 4.3 */
static bool take_year(struct cursor *c, int *year)
{
	int digits;

	if (!take_number(c, 4, year, &digits) || digits < 2) {
		return false;
	}
	if (digits == 2) {
		*year += *year < 50 ? 2000 : 1900;
	} else if (digits == 3) {
		*year += 1900;
	}
	return true;
}

/* take_time - hh:mm and perhaps :ss */
static bool take_time(struct cursor *c, struct civil *t)
{
	t->second = 0;
	if (!take_number(c, 2, &t->hour, NULL) || !take_char(c, ':') ||
		!take_number(c, 2, &t->minute, NULL)) {
		return false;
	}
	if (take_char(c, ':') && !take_number(c, 2, &t->second, NULL)) {
		return false;
	}
	return t->hour < 24 && t->minute < 60 && t->second <= 60;
}

/* take_zone - +hhmm or a name of RFC 5322 4.3; unknown names and nothing are UTC */
static int take_zone(struct cursor *c)
{
	static const struct {
		char name[4];
		int hours;
	} names[] = { { "EST", -5 }, { "EDT", -4 }, { "CST", -6 }, { "CDT", -5 }, { "MST", -7 },
		{ "MDT", -6 }, { "PST", -8 }, { "PDT", -7 } };
	struct slice word;
	int hhmm;

	if (c->at < c->end && (*c->at == '+' || *c->at == '-')) {
		int sign = *c->at++ == '-' ? -1 : 1;

		if (!take_number(c, 4, &hhmm, NULL)) {
			return 0;
		}
		return sign * (hhmm / 100 * 60 + hhmm % 100);
	}
	word = take_letters(c);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (slice_ieq(word, names[i].name)) {
			return names[i].hours * 60;
		}
	}
	return 0;
}

static bool civil_to_time(const struct civil *t, int zone, time_t *when_r)
{
	if (t->year < 1900 || t->month < 1 || t->day < 1 || t->day > 31 || zone < -1440 ||
		zone > 1440) {
		return false;
	}
	*when_r = (time_t)(date_days(t->year, t->month, t->day) * 86400 + t->hour * 3600 +
		t->minute * 60 + t->second - (int64_t)zone * 60);
	return true;
}

bool date_parse_rfc5322(const char *text, size_t len, time_t *when_r, int *zone_r)
{
	struct cursor c = { text, text + len };
	struct civil t = { 0 };
	int zone;

	skip_blank(&c);
	if (take_letters(&c).len > 0) { /* day of the week: not believed, only skipped */
		skip_blank(&c);
		take_char(&c, ',');
		skip_blank(&c);
	}
	if (!take_number(&c, 2, &t.day, NULL)) {
		return false;
	}
	skip_blank(&c);
	take_char(&c, '-'); /* 09-Aug-2011, as some programs write it */
	if (!take_month(&c, &t.month)) {
		return false;
	}
	skip_blank(&c);
	take_char(&c, '-');
	if (!take_year(&c, &t.year)) {
		return false;
	}
	skip_blank(&c);
	if (!take_time(&c, &t)) {
		return false;
	}
	skip_blank(&c);
	zone = take_zone(&c);
	if (zone_r != NULL) {
		*zone_r = zone;
	}
	return civil_to_time(&t, zone, when_r);
}

/* local_to_time - a date without a zone is local time */
static bool local_to_time(const struct civil *t, time_t *when_r)
{
	struct tm tm = { .tm_year = t->year - 1900,
		.tm_mon = t->month - 1,
		.tm_mday = t->day,
		.tm_hour = t->hour,
		.tm_min = t->minute,
		.tm_sec = t->second,
		.tm_wday = -1,
		.tm_isdst = -1 };

	/* -1 is the last second of 1969, and also an error. */
	*when_r = mktime(&tm);
	return *when_r != (time_t)-1 || tm.tm_wday >= 0;
}

bool date_parse_asctime(const char *text, size_t len, time_t *when_r)
{
	struct cursor c = { text, text + len };
	struct civil t = { 0 };
	bool zoned = false;
	int zone = 0;

	skip_blank(&c);
	if (take_letters(&c).len != 3) {
		return false;
	}
	skip_blank(&c);
	if (!take_month(&c, &t.month)) {
		return false;
	}
	skip_blank(&c);
	if (!take_number(&c, 2, &t.day, NULL)) {
		return false;
	}
	skip_blank(&c);
	if (!take_time(&c, &t)) {
		return false;
	}
	skip_blank(&c);
	if (c.at < c.end && !(*c.at >= '0' && *c.at <= '9')) {
		zone = take_zone(&c);
		zoned = true;
		skip_blank(&c);
	}
	if (!take_year(&c, &t.year)) {
		return false;
	}
	skip_blank(&c);
	if (c.at < c.end && (*c.at == '+' || *c.at == '-')) {
		zone = take_zone(&c);
		zoned = true;
	}
	return zoned ? civil_to_time(&t, zone, when_r)
		     : t.year >= 1900 && local_to_time(&t, when_r);
}

bool date_parse_imap(const char *text, size_t len, time_t *when_r)
{
	struct cursor c = { text, text + len };
	struct civil t = { 0 };
	int zone;

	skip_blank(&c);
	if (!take_number(&c, 2, &t.day, NULL) || !take_char(&c, '-') || !take_month(&c, &t.month) ||
		!take_char(&c, '-') || !take_number(&c, 4, &t.year, NULL) || !take_char(&c, ' ') ||
		!take_time(&c, &t) || !take_char(&c, ' ') || c.at >= c.end ||
		(*c.at != '+' && *c.at != '-')) {
		return false;
	}
	zone = take_zone(&c);
	return c.at == c.end && civil_to_time(&t, zone, when_r);
}
