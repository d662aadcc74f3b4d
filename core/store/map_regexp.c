/* map_regexp - rules with POSIX regular expressions (regexp_table(5))
 *
 *	/pattern/flags result
 *
 * Flags turn a default into its contrary: i (case does not count), x (extended
 * expressions) are on, m (each line for itself) is off.
 */
#include <regex.h>

#include "base/mem.h"
#include "store/map_rules.h"

static int parse_regexp(struct rule *r, const char **text, struct buf *why)
{
	int flags = REG_EXTENDED | REG_ICASE, rc;
	struct slice pattern;
	char *source, message[128];
	regex_t *re;

	if (rules_delimited(text, &pattern, why) != 0)
		return -1;
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
	re = mem_alloc(sizeof(*re));
	source = mem_strndup(pattern.ptr, pattern.len);
	rc = regcomp(re, source, flags);
	mem_free(source);
	if (rc != 0) {
		regerror(rc, re, message, sizeof(message));
		buf_adds(why, message);
		mem_free(re);
		return -1;
	}
	r->groups = re->re_nsub;
	r->pattern = re;
	return 0;
}

static int match_regexp(const struct rule *r, struct rule_match *match, struct buf *why)
{
	regmatch_t spans[MAX_GROUPS];
	char message[128];
	int rc = regexec(r->pattern, match->key, MAX_GROUPS, spans, 0);

	if (rc == REG_NOMATCH)
		return 0;
	if (rc != 0) {
		regerror(rc, r->pattern, message, sizeof(message));
		buf_adds(why, message);
		return -1;
	}
	match->count = r->groups + 1 < MAX_GROUPS ? r->groups + 1 : MAX_GROUPS;
	for (size_t i = 0; i < match->count; i++) {
		match->groups[i].ptr = spans[i].rm_so >= 0 ? match->key + spans[i].rm_so : NULL;
		match->groups[i].len =
			spans[i].rm_so >= 0 ? (size_t)(spans[i].rm_eo - spans[i].rm_so) : 0;
	}
	return 1;
}

static void release_regexp(struct rule *r)
{
	regfree(r->pattern);
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
