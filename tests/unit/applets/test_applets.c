/*
 * test_applets - the table of applets is sound: sorted, complete, consistent
 */
#include <ctype.h>
#include <string.h>

#include "applets/applets.h"
#include "unit.h"

TEST(applets, sorted)
{
	size_t count;
	const struct applet *table = applet_table(&count);

	for (size_t i = 1; i < count; i++) {
		CHECK_ROW(table[i].name);
		CHECK(strcmp(table[i - 1].name, table[i].name) < 0);
	}
}

TEST(applets, found_by_name)
{
	size_t count;
	const struct applet *table = applet_table(&count);

	for (size_t i = 0; i < count; i++) {
		CHECK_ROW(table[i].name);
		CHECK(applet_find(table[i].name) == &table[i]);
	}
	CHECK_ROW(NULL);
	CHECK(applet_find("") == NULL);
	CHECK(applet_find("aaaa") == NULL);
	CHECK(applet_find("zzzz") == NULL);
	CHECK(applet_find("uni") == NULL);
}

TEST(applets, aliases_match_their_applet)
{
	static applet_main_fn *const mains[] = {
#define APPLET(name, main, dir, run, summary, usage) main,
#define ALIAS(name, main, dir, of) main,
#include "applets/applets.def"
#undef APPLET
#undef ALIAS
	};
	size_t count;
	const struct applet *table = applet_table(&count);

	for (size_t i = 0; i < count; i++) {
		const struct applet *real;

		if (table[i].of == NULL) {
			continue;
		}
		CHECK_ROW(table[i].name);
		real = applet_find(table[i].of);
		REQUIRE(real != NULL);
		CHECK(real->of == NULL);
		CHECK(mains[real - table] == mains[i]);
	}
}

/* Every applet says what it is, in one line, and how it is called. */
TEST(applets, described)
{
	size_t count;
	const struct applet *table = applet_table(&count);

	for (size_t i = 0; i < count; i++) {
		const char *summary = table[i].summary, *usage = table[i].usage;

		if (table[i].of != NULL) {
			continue;
		}
		CHECK_ROW(table[i].name);
		REQUIRE(summary != NULL && usage != NULL);
		CHECK(strlen(summary) > 5 && strlen(summary) < 70);
		CHECK(strchr(summary, '\n') == NULL);
		CHECK(usage[0] != '\0' && usage[strlen(usage) - 1] == '\n');
		CHECK(!isspace((unsigned char)usage[0]) || usage[0] == '\n');
	}
}
