/*
 * check_names - parameters of main.cf that nobody knows
 *
 * Postfix takes any name, for it may be used as $name elsewhere. One that is not, and is no
 * parameter, no restriction class and no transport's own setting, is a slip of the pen.
 */
#include <ctype.h>
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/str.h"
#include "conf/conf_info.h"
#include "conf/param_table.h"
#include "conf/params.h"
#include "applets/admin/postfix/check.h"

enum { NAME_MAX_LEN = 80, SLIPS = 2 };

/* note_references - names after a dollar in text */
static void note_references(struct arena *a, struct hash *used, const char *text)
{
	while ((text = strchr(text, '$')) != NULL) {
		size_t n = 0;

		text++;
		text += *text == '{' || *text == '(';
		while (isalnum((unsigned char)text[n]) || text[n] == '_') {
			n++;
		}
		if (n > 0) {
			hash_set(used, arena_strndup(a, text, n), used);
		}
		text += n;
	}
}

/* slips - how many letters differ, are missing or too many (Levenshtein); long names: many */
static size_t slips(const char *a, const char *b)
{
	size_t row[NAME_MAX_LEN + 1], la = strlen(a), lb = strlen(b);

	if (la > NAME_MAX_LEN || lb > NAME_MAX_LEN || la > lb + SLIPS || lb > la + SLIPS) {
		return SLIPS + 1;
	}
	for (size_t j = 0; j <= lb; j++) {
		row[j] = j;
	}
	for (size_t i = 1; i <= la; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			best = best < row[j] + 1 ? best : row[j] + 1;
			best = best < row[j - 1] + 1 ? best : row[j - 1] + 1;
			diagonal = row[j];
			row[j] = best;
		}
	}
	return row[lb];
}

/* near - the parameter that was perhaps meant; NULL: none comes near */
static const char *near(const char *name)
{
	const char *found = NULL;
	size_t least = SLIPS + 1;

	for (size_t n = 0; n < param_count(); n++) {
		size_t count = slips(name, param_name(n));

		if (count < least) {
			least = count;
			found = param_name(n);
		}
	}
	return found;
}

void check_names(void)
{
	struct arena a = ARENA_INIT;
	struct hash used = { NULL, 0, 0 };
	size_t count;
	const char **names = conf_set_names(&a, &count);

	for (size_t i = 0; i < count; i++) {
		const char *value = conf_set_value(names[i]);

		if (value != NULL) {
			note_references(&a, &used, value);
		}
	}
	for (size_t i = 0; i < count; i++) {
		const char *meant;

		if (param_find(names[i]) >= 0 || hash_get(&used, names[i]) != NULL ||
			conf_service_default(names[i]) != NULL ||
			list_has(param.smtpd_restriction_classes, names[i])) {
			continue;
		}
		meant = near(names[i]);
		warning("%s/main.cf, line %d: unused parameter: %s=%s%s%s%s", conf_loaded_dir(),
			conf_line(names[i]), names[i], conf_set_value(names[i]),
			meant != NULL ? " (is " : "", meant != NULL ? meant : "",
			meant != NULL ? " meant?)" : "");
	}
	hash_free(&used, NULL);
	arena_free(&a);
}
