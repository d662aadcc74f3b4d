/*
 * fuzz_conf - main.cf, master.cf, dovecot.conf and values with $names, by the first byte
 */
#include "base/mem.h"
#include "conf/dovecot/dovecot_conf.h"
#include "conf/main_cf.h"
#include "conf/master_cf.h"
#include "conf/params.h"
#include "fuzz.h"

static void read_master(const char *path)
{
	struct master_cf cf = { NULL, 0 };
	char *error = NULL;

	if (master_cf_read(path, &cf, &error) == 0) {
		for (size_t i = 0; i < cf.count; i++) {
			REQUIRE(cf.services[i].name != NULL && cf.services[i].command != NULL &&
				cf.services[i].argv != NULL);
		}
		master_cf_free(&cf);
	} else {
		REQUIRE(error != NULL && error[0] != '\0');
	}
	mem_free(error);
}

static int check_row(void *arg, struct slice name, struct slice value, int line)
{
	int *last = arg;

	REQUIRE(name.len > 0 && value.ptr != NULL && line >= *last);
	*last = line;
	return 0;
}

/* read_main - its lines, then all of it as a configuration */
static void read_main(const char *data, size_t len)
{
	char *error = NULL;
	int last = 1;

	if (main_cf_read(fuzz_put("main.cf", data, len), check_row, &last, &error) != 0) {
		REQUIRE(error != NULL && error[0] != '\0');
	}
	mem_free(error);
	error = NULL;
	if (conf_load(fuzz_dir(), false, &error) != 0) {
		REQUIRE(error != NULL && error[0] != '\0');
	}
	mem_free(error);
}

static void expand(const char *data, size_t len)
{
	struct arena a = ARENA_INIT;
	char *text = mem_strndup(data, len);

	REQUIRE(conf_expand(&a, text) != NULL);
	mem_free(text);
	arena_free(&a);
}

void fuzz(const char *data, size_t len)
{
	char *error = NULL;

	if (len == 0 || len > 100000) {
		return;
	}
	switch ((unsigned char)data[0] % 4) {
	case 0:
		read_master(fuzz_file(data + 1, len - 1));
		break;
	case 1:
		if (dovecot_conf_load(fuzz_file(data + 1, len - 1), false, &error) != 0) {
			REQUIRE(error != NULL && error[0] != '\0');
		}
		mem_free(error);
		break;
	case 2:
		read_main(data + 1, len - 1);
		break;
	default:
		expand(data + 1, len - 1);
		break;
	}
}
