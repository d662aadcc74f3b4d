/*
 * test_access - the keys that access(5) tables are asked with, and their order
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "conf/params.h"
#include "map/map.h"
#include "address/access.h"
#include "unit.h"

static void configure(const char *more)
{
	char path[4096], *error = NULL;
	FILE *f;

	snprintf(path, sizeof(path), "%s/main.cf", unit_tmpdir());
	f = fopen(path, "w");
	REQUIRE(f != NULL);
	fprintf(f,
		"compatibility_level = 3.6\nmyhostname = mx.example\nrecipient_delimiter = +\n%s",
		more);
	fclose(f);
	if (conf_load(unit_tmpdir(), false, &error) != 0) {
		printf("%s\n", error);
		unit_abort();
	}
}

/* What to ask (m mail, c client name, a address, d domain), and what is found: "" nothing. */
struct row {
	char kind;
	const char *key, *found;
};

static void ask(const char *table, const struct row *rows, size_t count)
{
	struct maps *maps = maps_open(table, 0);

	for (size_t i = 0; i < count; i++) {
		struct buf value = BUF_INIT;
		int rc = rows[i].kind == 'm' ? access_find_mail(maps, rows[i].key, &value)
			: rows[i].kind == 'c'
			? access_find_client(maps, rows[i].key, "192.0.2.9", &value)
			: rows[i].kind == 'a' ? access_find_address(maps, rows[i].key, &value)
					      : access_find_domain(maps, rows[i].key, &value);

		CHECK_ROW(rows[i].key);
		CHECK_INT(rc, *rows[i].found != '\0');
		CHECK_STR(rc > 0 ? buf_str(&value) : "", rows[i].found);
		buf_free(&value);
	}
	maps_close(maps);
}

TEST(access, mail)
{
	static const struct row rows[] = {
		{ 'm', "user@a.example", "1" },
		{ 'm', "USER@A.example", "1" },
		{ 'm', "user+x@a.example", "1" },
		{ 'm', "user+y@a.example", "5" },
		{ 'm', "who@a.example", "2" },
		{ 'm', "who@sub.a.example", "2" },
		{ 'm', "who@xa.example", "" },
		{ 'm', "abuse@b.example", "3" },
		{ 'm', "abuse+z@b.example", "3" },
		{ 'm', "", "4" },
		{ 'm', "\"a b\"@c.example", "6" },
		{ 'm', "abuse", "3" },
	};

	configure("");
	ask("inline:{user@a.example=1, a.example=2, abuse@=3, {<> = 4}, user+y@a.example=5,"
	    " {\"a b\"@c.example = 6}}",
		rows, ARRAY_LEN(rows));
}

TEST(access, domains)
{
	static const struct row plain[] = {
		{ 'd', "a.example", "1" },
		{ 'd', "x.a.example", "1" },
		{ 'd', "y.x.a.example", "1" },
		{ 'd', "example", "" },
		{ 'd', "b.example", "" },
		{ 'd', "x.b.example", "" },
		{ 'c', "host.a.example", "1" },
		{ 'c', "unknown", "3" },
	};
	static const struct row dotted[] = {
		{ 'd', "a.example", "1" },
		{ 'd', "x.a.example", "" },
		{ 'd', "x.b.example", "2" },
		{ 'd', "y.x.b.example", "2" },
		{ 'd', "b.example", "" },
	};
	const char *table = "inline:{a.example=1, .b.example=2, 192.0.2=3}";

	configure("");
	ask(table, plain, ARRAY_LEN(plain));
	configure("parent_domain_matches_subdomains =\n");
	ask(table, dotted, ARRAY_LEN(dotted));
}

/* Tables of patterns are asked with the whole key only: each of these would refuse everybody. */
TEST(access, patterns_see_the_whole)
{
	static const struct row no_dot[] = {
		{ 'd', "mail.a.example", "" },
		{ 'c', "mail.a.example", "" },
		{ 'd', "mail", "1" },
		{ 'm', "u@a.example", "" },
	};
	static const struct row others[] = {
		{ 'm', "u@sender.example", "" },
		{ 'm', "u+x@sender.example", "" },
		{ 'm', "u@else.example", "1" },
		{ 'm', "", "1" },
	};
	static const struct row octets[] = {
		{ 'a', "192.0.2.1", "" },
		{ 'a', "192", "1" },
	};
	static const struct row mixed[] = {
		{ 'm', "u@a.example", "1" },
		{ 'm', "u@b.example", "" },
		{ 'd', "b.example", "2" },
		{ 'd', "x.b.example", "" },
		{ 'd', "x.a.example", "1" },
	};
	static const struct row numeric[] = {
		{ 'd', "192.0.2.1", "" },
		{ 'd', "[192.0.2.1]", "" },
		{ 'd', "1.x2.1", "1" },
	};

	configure("");
	ask("regexp:{ {/^[^.@]+$/ 1} }", no_dot, ARRAY_LEN(no_dot));
	ask("proxy:regexp:{ {!/sender\\.example$/ 1} }", others, ARRAY_LEN(others));
	ask("regexp:{ {/^[0-9]+$/ 1} }", octets, ARRAY_LEN(octets));
	ask("unionmap:{inline:{a.example=1}, regexp:{ {/^b.example$/ 2} }}", mixed,
		ARRAY_LEN(mixed));
	ask("inline:{0.2.1=1, 2.1=1, 1=1}", numeric, ARRAY_LEN(numeric));
}

TEST(access, addresses)
{
	static const struct row rows[] = {
		{ 'a', "192.0.2.1", "1" },
		{ 'a', "192.0.2.2", "2" },
		{ 'a', "192.0.3.1", "3" },
		{ 'a', "192.1.1.1", "" },
		{ 'a', "10.1.2.3", "4" },
		{ 'a', "100.1.2.3", "" },
		{ 'a', "2001:db8::1", "5" },
		{ 'a', "2001:db8:1::1", "5" },
		{ 'a', "2001:db9::1", "" },
		{ 'a', "", "" },
	};

	configure("");
	ask("inline:{192.0.2.1=1, 192.0.2=2, 192.0=3, 10=4, {2001:db8 = 5}}", rows,
		ARRAY_LEN(rows));
}
