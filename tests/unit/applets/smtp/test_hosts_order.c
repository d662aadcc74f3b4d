/*
 * test_hosts_order - which address is tried first, and which are left out
 */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "applets/deliver/smtp/hosts_order.h"
#include "unit.h"

enum { HOSTS_MAX = 12 };

/* make_hosts - "10a6 20b4": preference, a letter, the family */
static size_t make_hosts(struct smtp_host *list, const char *text, char room[HOSTS_MAX][2])
{
	struct slice rest = slice_of(text), word;
	size_t count = 0;

	while ((word = slice_word(&rest, " ")).ptr != NULL && count < HOSTS_MAX) {
		unsigned preference;
		char family;

		REQUIRE(sscanf(word.ptr, "%u%c%c", &preference, &room[count][0], &family) == 3);
		room[count][1] = '\0';
		list[count] = (struct smtp_host){ .name = room[count],
			.address = "",
			.preference = preference,
			.v6 = family == '6' };
		count++;
	}
	return count;
}

static void put_names(char *out, const struct smtp_host *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		*out++ = list[i].name[0];
	}
	*out = '\0';
}

static const char *order(const char *text, const struct smtp_settings *s)
{
	static char names[HOSTS_MAX + 1];
	char room[HOSTS_MAX][2];
	struct smtp_host list[HOSTS_MAX];
	size_t count = make_hosts(list, text, room);

	count = hosts_order(list, count, s);
	put_names(names, list, count);
	return names;
}

TEST(smtp_hosts_order, by_preference)
{
	const struct smtp_settings s = { .address_preference = "any" };

	CHECK_STR(order("20a4 10b4 30c4 10d4", &s), "bdac");
	CHECK_STR(order("0a6 65535b4 0c4", &s), "acb");
	CHECK_STR(order("", &s), "");
}

TEST(smtp_hosts_order, family_first_among_equals)
{
	struct smtp_settings s = { .address_preference = "ipv6" };

	CHECK_STR(order("10a4 10b6 20c4 20d6", &s), "badc");
	s.address_preference = "IPv4";
	CHECK_STR(order("10a6 10b4 20c6 20d4", &s), "badc");
}

TEST(smtp_hosts_order, both_families_among_those_that_are_tried)
{
	struct smtp_settings s = {
		.address_preference = "ipv6", .balance_inet_protocols = true, .mx_address_limit = 5
	};

	CHECK_STR(order("10a6 10b6 10c6 10d6 10e6 10f6 10g4", &s), "abcdg");
	CHECK_STR(order("10a6 10b4 10c4 10d4 10e4 10f4 10g4", &s), "abcde");
	CHECK_STR(order("10a6 10b6 10c6 10d6 10e4 10f4 10g4 10h4", &s), "abcef");
	CHECK_STR(order("10a6 10b6 10c6 10d4", &s), "abcd");
	CHECK_STR(order("10a6 10b6 10c6 10d6 10e6 10f6", &s), "abcdef");
	s.address_preference = "ipv4";
	CHECK_STR(order("10a4 10b4 10c4 10d4 10e6 10f6 10g6 10h6", &s), "abcef");
	s.balance_inet_protocols = false;
	CHECK_STR(order("10a6 10b6 10c6 10d6 10e6 10f4", &s), "fabcde");
}

TEST(smtp_hosts_order, any_order_among_equals)
{
	const struct smtp_settings s = { .address_preference = "any", .randomize_addresses = true };
	unsigned first[3] = { 0, 0, 0 };

	for (int i = 0; i < 3000; i++) {
		const char *names = order("20x4 10a4 10b6 10c4", &s);

		CHECK_INT(strlen(names), 4);
		CHECK_INT(names[3], 'x');
		first[names[0] - 'a']++;
	}
	/* Each is the first in a third of the cases, give or take six times the deviation. */
	for (int i = 0; i < 3; i++) {
		CHECK(first[i] > 845 && first[i] < 1155);
	}
}
