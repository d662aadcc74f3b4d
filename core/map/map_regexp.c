/*
 * map_regexp - rules with POSIX regular expressions (regexp_table(5))
 *
 *	/pattern/flags result
 *
 * Flags turn a default into its contrary: i (case does not count), x (extended
 * expressions) are on, m (each line for itself) is off.
 */
#include "base/mem.h"
#include "map/map_rules.h"
#include "map/regex_posix.h"

static int parse_regexp(struct rule *r, const char **text, struct buf *why)
{
	int flags = REG_EXTENDED | REG_ICASE;
	struct slice pattern;
	struct posix_regex *x;

	if (rules_delimited(text, &pattern, why) != 0) {
		return -1;
	}
	for (; **text != '\0' && **text != ' ' && **text != '\t'; (*text)++) {
		switch (**text) {
		case 'i':
			flags ^= REG_ICASE;
			break;
		case 'm':
			flags ^= REG_NEWLINE;
			break;
		case 'x':
			flags ^= REG_EXTENDED;
			break;
		default:
			buf_addf(why, "unknown regexp option \"%c\"", **text);
			return -1;
		}
	}
	x = mem_alloc(sizeof(*x));
	if (posix_regex_compile(x, pattern, flags, why) != 0) {
		mem_free(x);
		return -1;
	}
	r->groups = x->groups;
	r->pattern = x;
	return 0;
}

static int match_regexp(const struct rule *r, struct rule_match *match, struct buf *why)
{
	match->count = r->groups + 1 < MAX_GROUPS ? r->groups + 1 : MAX_GROUPS;
	return posix_regex_match(r->pattern, match->key, match->groups, match->count, why);
}

static void release_regexp(struct rule *r)
{
	posix_regex_free(r->pattern);
	mem_free(r->pattern);
}

static const struct rule_kind kind = {
	.parse = parse_regexp,
	.match = match_regexp,
	.release = release_regexp,
};

static int open_regexp(struct map *m)
{
	return rules_open(m, &kind);
}

const struct map_type map_type_regexp = {
	.name = "regexp",
	.whole = true,
	.exact = true,
	.open = open_regexp,
	.get = rules_get,
	.close = rules_close,
};
