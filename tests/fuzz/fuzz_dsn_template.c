/*
 * fuzz_dsn_template - bounce_template_file: whatever stands in it, the words stay words
 */
#include <string.h>

#include "base/mem.h"
#include "conf/params.h"
#include "message/dsn_template.h"
#include "fuzz.h"

void fuzz(const char *data, size_t len)
{
	static const char *const names[] = { "failure_template", "delay_template" };
	char *text = mem_strndup(data, strnlen(data, len)), *why = NULL;
	struct arena a = ARENA_INIT;

	REQUIRE(conf_load("/nonexistent", true, &why) == 0);
	for (size_t i = 0; i < 2; i++) {
		struct dsn_template t = { "us-ascii", "F", "S", "P", "built in\n" };
		const char *error = NULL;
		int rc = dsn_template_parse(&a, text, names[i], &t, &error);

		REQUIRE((rc < 0) == (error != NULL));
		REQUIRE(rc > 0 || strcmp(t.text, "built in\n") == 0);
		/* Headers go into the notice's: one line each. */
		REQUIRE(strchr(t.subject, '\n') == NULL && strchr(t.from, '\n') == NULL);
		REQUIRE(strchr(t.charset, '\n') == NULL);
		REQUIRE(*t.subject != '\0' && *t.from != '\0' && *t.charset != '\0');
	}
	arena_free(&a);
	mem_free(text);
}
