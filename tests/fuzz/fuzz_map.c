/*
 * fuzz_map - sources of tables, rules, specifications, and name.db as somebody damaged it,
 * by the first byte. Not regexp: what the C library's regcomp() does with a pattern is its own.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "map/map.h"
#include "map/map_source.h"
#include "fuzz.h"

static int check_row(void *arg, const char *key, const char *value, int line)
{
	(void)arg;
	REQUIRE(key[0] != '\0' && line > 0);
	REQUIRE(strlen(value) <= LINES_MAX);
	return 0;
}

static void read_source(const char *path, unsigned flags)
{
	struct lines l;
	char *error = NULL;

	if (lines_open(&l, path) != 0) {
		return;
	}
	if (map_source_read(&l, path, flags, check_row, NULL, &error) != 0) {
		REQUIRE(error != NULL && error[0] != '\0');
	}
	mem_free(error);
	lines_close(&l);
}

static int count_row(void *arg, const char *key, const char *value)
{
	int *left = arg;

	(void)key;
	(void)value;
	return --*left > 0 ? 0 : 1;
}

/* ask - a table of that specification, if it is one */
static void ask(const char *spec, const char *key)
{
	struct buf value = BUF_INIT;
	char *error = NULL;
	struct map *m = map_open(spec, 0, &error);
	int left = 100000;

	if (m == NULL) {
		REQUIRE(error != NULL && error[0] != '\0');
		mem_free(error);
		return;
	}
	if (map_get(m, key, &value) < 0) {
		REQUIRE(*map_error(m) != '\0');
	}
	map_each(m, count_row, &left);
	map_close(m);
	buf_free(&value);
}

/* ask_text - "spec NEWLINE key"; nothing that leads out of this process */
static void ask_text(const char *data, size_t len)
{
	char *text = mem_strndup(data, len), *key = strchr(text, '\n');

	if (key != NULL) {
		*key++ = '\0';
	}
	if (strstr(text, "tcp:") == NULL && strstr(text, "socketmap:") == NULL &&
		strstr(text, "sqlite:") == NULL && strstr(text, "regexp:") == NULL &&
		strchr(text, '/') == NULL) {
		ask(text, key != NULL ? key : "key");
	}
	mem_free(text);
}

/* ask_file - the rest is a file of this type */
static void ask_file(const char *type, const char *data, size_t len, const char *key)
{
	char spec[600];

	snprintf(spec, sizeof(spec), "%s:%s", type, fuzz_file(data, len));
	ask(spec, key);
}

static void ask_database(const char *data, size_t len)
{
	char db[600], spec[600];
	const char *path = fuzz_file(data, len);

	snprintf(spec, sizeof(spec), "hash:%s", path);
	snprintf(db, sizeof(db), "%s.db", path);
	unlink(db);
	if (link(path, db) != 0) {
		return;
	}
	ask(spec, "user1@example.com");
	ask(spec, "");
	unlink(db);
}

void fuzz(const char *data, size_t len)
{
	if (len == 0 || len > 100000) {
		return;
	}
	switch (data[0] % 6) {
	case 0:
		read_source(fuzz_file(data + 1, len - 1), 0);
		break;
	case 1:
		read_source(fuzz_file(data + 1, len - 1), SOURCE_ALIAS);
		break;
	case 2:
		ask_file("pcre", data + 1, len - 1, "Subject: a test 10.1.2.3");
		break;
	case 3:
		ask_file("cidr", data + 1, len - 1, "10.1.2.3");
		break;
	case 4:
		ask_database(data + 1, len - 1);
		break;
	default:
		ask_text(data + 1, len - 1);
		break;
	}
}
