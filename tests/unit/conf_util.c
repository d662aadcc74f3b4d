/*
 * conf_util - a main.cf for the unit tests
 */
#include "conf_util.h"

#include <stdio.h>

#include "conf/params.h"
#include "unit.h"

void conf_util_load(const char *lines)
{
	char path[4096], *error = NULL;
	FILE *f;

	snprintf(path, sizeof(path), "%s/main.cf", unit_tmpdir());
	f = fopen(path, "w");
	REQUIRE(f != NULL);
	fprintf(f, "compatibility_level = 3.6\nmyhostname = mx.example\nqueue_directory = %s\n%s",
		unit_tmpdir(), lines);
	fclose(f);
	if (conf_load(unit_tmpdir(), false, &error) != 0) {
		printf("%s\n", error);
		unit_abort();
	}
}
