/*
 * guard - parameters that protect and that nothing acts on (PARAM_GUARD, SETTING_GUARD)
 *
 * To pass over them in silence would open what they were set to close. So `postfix check' and a
 * start refuse them, and so does the service that ought to act on them; what asks for nothing (the
 * default, an empty value, the words of the row's list) is no matter.
 */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "conf/conf_info.h"
#include "conf/param_table.h"
#include "conf/params.h"

bool conf_guard_harmless(const char *def, const char *harmless, const char *value)
{
	const bool inverted = *harmless == '!';
	struct slice rest = slice_of(value), word;

	if (strcmp(slice_trim(rest).ptr, def) == 0) {
		return true;
	}
	while ((word = slice_word(&rest, ", \t\r\n:")).ptr != NULL) {
		if (list_has_slice(harmless + inverted, word) == inverted) {
			return false;
		}
	}
	return true;
}

bool conf_guard_refuses(const char *name, const char *value)
{
	struct arena a = ARENA_INIT;
	int n = param_find(name);
	bool refused = false;

	if (n >= 0 && param_row((size_t)n)->type == PARAM_TYPE_GUARD) {
		const char *def = conf_expand(&a, param_default((size_t)n));

		refused = !conf_guard_harmless(
			def, param_harmless((size_t)n), conf_expand(&a, value));
	} else if (strcmp(name, "smtpd_sasl_type") == 0) {
		/* saslauthd and its like are not asked: other passwords than meant would count. */
		refused = strcmp(conf_expand(&a, value), "dovecot") != 0;
	}
	arena_free(&a);
	return refused;
}

const char *conf_guard_set(size_t *at)
{
	static const char sasl[] = "smtpd_sasl_type";

	while (*at < param_count()) {
		size_t n = (*at)++;
		const char *name = param_name(n);

		/* What postscreen does not do is of interest where there is one. */
		if (param_row(n)->type == PARAM_TYPE_GUARD && conf_set_value(name) != NULL &&
			!str_starts(name, "postscreen_") &&
			conf_guard_refuses(name, conf_set_value(name))) {
			return name;
		}
	}
	if ((*at)++ == param_count() && param.smtpd_sasl_auth_enable &&
		conf_set_value(sasl) != NULL && conf_guard_refuses(sasl, conf_set_value(sasl))) {
		return sasl;
	}
	return NULL;
}
