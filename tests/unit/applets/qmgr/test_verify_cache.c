/*
 * test_verify_cache - what probes have found out: kept, expired, bounded; and a file that is none
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/params.h"
#include "applets/queue/qmgr/verify/verify_cache.h"
#include "conf_util.h"
#include "unit.h"

enum { NOW = 2000000000, DAY = 86400 };

static void load(const char *map)
{
	char text[4500];

	log_open("unit", LOG_TO_FILE);
	snprintf(text, sizeof(text), "data_directory = %s\naddress_verify_map = %s\n",
		unit_tmpdir(), map);
	conf_util_load(text);
}

static void put(struct verify_cache *c, const char *address, enum verify_status status,
	int64_t probed, int64_t updated)
{
	const struct verify_entry e = {
		.status = status, .probed = probed, .updated = updated, .dsn = "5.1.1", .text = "no"
	};

	verify_cache_put(c, address, &e);
}

/* known - the status of an address at a time; -1 none */
static int known(struct verify_cache *c, const char *address, int64_t now)
{
	struct arena a = ARENA_INIT;
	struct verify_entry e;
	int status = verify_cache_get(c, &a, address, now, &e) ? (int)e.status : -1;

	arena_free(&a);
	return status;
}

TEST(verify_cache, keeps_and_expires)
{
	struct verify_cache *c;
	struct verify_entry e;
	struct arena a = ARENA_INIT;

	load("btree:$data_directory/cache");
	c = verify_cache_open();
	put(c, "good@b.example", VERIFY_OK, 0, NOW);
	put(c, "bad@b.example", VERIFY_BOUNCE, 0, NOW);
	put(c, "new@b.example", VERIFY_PENDING, NOW, 0);
	CHECK_INT(known(c, "none@b.example", NOW), -1);
	verify_cache_close(c);
	c = verify_cache_open();
	REQUIRE(verify_cache_get(c, &a, "bad@b.example", NOW, &e));
	CHECK_STR(e.dsn, "5.1.1");
	CHECK_STR(e.text, "no");
	CHECK_INT(e.updated, NOW);
	CHECK_INT(known(c, "good@b.example", NOW + 31 * DAY), VERIFY_OK);
	CHECK_INT(known(c, "good@b.example", NOW + 31 * DAY + 1), -1);
	CHECK_INT(known(c, "bad@b.example", NOW + 3 * DAY), VERIFY_BOUNCE);
	CHECK_INT(known(c, "bad@b.example", NOW + 3 * DAY + 1), -1);
	CHECK_INT(known(c, "new@b.example", NOW + 30 * DAY), VERIFY_PENDING);
	verify_cache_clean(c, NOW + 3 * DAY + 1);
	/* Taken out, and not only passed over. */
	CHECK_INT(known(c, "bad@b.example", NOW), -1);
	CHECK_INT(known(c, "new@b.example", NOW), -1);
	CHECK_INT(known(c, "good@b.example", NOW), VERIFY_OK);
	arena_free(&a);
	verify_cache_close(c);
}

/* Strangers name the addresses: the oldest make room. */
TEST(verify_cache, is_bounded)
{
	struct verify_cache *c;
	char address[40];

	load(""); /* in memory: the file would be 20 MB */
	c = verify_cache_open();
	for (int i = 0; i <= 100000; i++) {
		snprintf(address, sizeof(address), "u%d@b.example", i);
		put(c, address, VERIFY_BOUNCE, 0, NOW + i / 1000);
	}
	CHECK_INT(known(c, "u100000@b.example", NOW), VERIFY_BOUNCE);
	CHECK_INT(known(c, "u50000@b.example", NOW), VERIFY_BOUNCE);
	CHECK_INT(known(c, "u0@b.example", NOW), -1);
	CHECK_INT(known(c, "u9999@b.example", NOW), -1);
	CHECK_INT(known(c, "u10000@b.example", NOW), VERIFY_BOUNCE);
	verify_cache_close(c);
}

/* A path that is a table of ours, or cannot be had, or is no type that is written: in memory. */
TEST(verify_cache, other_files)
{
	static const char *const maps[] = { "hash:/dev/null/x", "memcache:/etc/x", "proxy:btree:/",
		"plain" };
	char path[4200], old[4220];
	struct verify_cache *c;
	FILE *file;

	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		CHECK_ROW(maps[i]);
		load(maps[i]);
		c = verify_cache_open();
		put(c, "a@b.example", VERIFY_OK, 0, NOW);
		CHECK_INT(known(c, "a@b.example", NOW), VERIFY_OK);
		verify_cache_close(c);
	}
	CHECK_ROW(NULL);
	snprintf(path, sizeof(path), "%s/theirs.db", unit_tmpdir());
	snprintf(old, sizeof(old), "%s.old", path);
	file = fopen(path, "w");
	REQUIRE(file != NULL);
	for (int i = 0; i < 1000; i++) {
		fputs("another program's", file);
	}
	fclose(file);
	load("btree:$data_directory/theirs");
	c = verify_cache_open();
	put(c, "a@b.example", VERIFY_OK, 0, NOW);
	verify_cache_close(c);
	CHECK(access(old, F_OK) == 0);
	c = verify_cache_open();
	CHECK_INT(known(c, "a@b.example", NOW), VERIFY_OK);
	verify_cache_close(c);
}
