/*
 * map_pcre - rules with Perl's regular expressions (pcre_table(5))
 *
 *	/pattern/flags result
 *
 * Flags turn a default into its contrary: i (case does not count) and s (a dot
 * matches a newline) are on; m, x, A (anchored), E ($ only at the very end),
 * U (not greedy) are off; X is taken and means nothing any more.
 *
 * MATCH_LIMIT stops patterns that try without end; that is a temporary error
 * with the line of the rule.
 */
#include "config/features.h"

#if FEATURE_PCRE

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

#include "base/mem.h"
#include "map/map_rules.h"

/* PCRE2's own default is 10,000,000: seconds of work for one header line. */
enum { MATCH_LIMIT = 200000 };

struct pattern {
	pcre2_code *code;
	pcre2_match_data *data;
	pcre2_match_context *limits;
};

static int parse_flags(const char **text, uint32_t *flags, struct buf *why)
{
	static const struct {
		char letter;
		uint32_t flag;
	} known[] = {
		{ 'i', PCRE2_CASELESS },
		{ 'm', PCRE2_MULTILINE },
		{ 's', PCRE2_DOTALL },
		{ 'x', PCRE2_EXTENDED },
		{ 'A', PCRE2_ANCHORED },
		{ 'E', PCRE2_DOLLAR_ENDONLY },
		{ 'U', PCRE2_UNGREEDY },
		{ 'X', 0 },
	};

	for (; **text != '\0' && **text != ' ' && **text != '\t'; (*text)++) {
		size_t i = 0;

		while (i < ARRAY_LEN(known) && known[i].letter != **text) {
			i++;
		}
		if (i == ARRAY_LEN(known)) {
			buf_addf(why, "unknown PCRE option \"%c\"", **text);
			return -1;
		}
		*flags ^= known[i].flag;
	}
	return 0;
}

static int parse_pcre(struct rule *r, const char **text, struct buf *why)
{
	uint32_t flags = PCRE2_CASELESS | PCRE2_DOTALL, groups = 0;
	unsigned char message[128];
	struct slice source;
	struct pattern *p;
	size_t offset;
	pcre2_code *code;
	int error;

	if (rules_delimited(text, &source, why) != 0 || parse_flags(text, &flags, why) != 0) {
		return -1;
	}
	code = pcre2_compile((PCRE2_SPTR)source.ptr, source.len, flags, &error, &offset, NULL);
	if (code == NULL) {
		pcre2_get_error_message(error, message, sizeof(message));
		buf_addf(why, "error in the pattern at offset %zu: %s", offset, message);
		return -1;
	}
	pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &groups);
	p = mem_alloc(sizeof(*p));
	p->code = code;
	p->data = pcre2_match_data_create_from_pattern(code, NULL);
	p->limits = pcre2_match_context_create(NULL);
	if (p->limits != NULL) {
		pcre2_set_match_limit(p->limits, MATCH_LIMIT);
	}
	r->groups = groups;
	r->pattern = p;
	return 0;
}

static int match_pcre(const struct rule *r, struct rule_match *match, struct buf *why)
{
	const struct pattern *p = r->pattern;
	unsigned char message[128];
	const size_t *spans;
	int rc = PCRE2_ERROR_NOMEMORY;

	if (p->data != NULL && p->limits != NULL) {
		rc = pcre2_match(p->code, (PCRE2_SPTR)match->key, strlen(match->key), 0, 0, p->data,
			p->limits);
	}
	if (rc == PCRE2_ERROR_NOMATCH) {
		return 0;
	}
	if (rc < 0) {
		pcre2_get_error_message(rc, message, sizeof(message));
		buf_adds(why, (const char *)message);
		return -1;
	}
	spans = pcre2_get_ovector_pointer(p->data);
	match->count = rc < MAX_GROUPS ? (size_t)rc : MAX_GROUPS;
	for (size_t i = 0; i < match->count; i++) {
		bool set = spans[2 * i] != PCRE2_UNSET && spans[2 * i + 1] >= spans[2 * i];

		match->groups[i].ptr = set ? match->key + spans[2 * i] : NULL;
		match->groups[i].len = set ? spans[2 * i + 1] - spans[2 * i] : 0;
	}
	return 1;
}

static void release_pcre(struct rule *r)
{
	struct pattern *p = r->pattern;

	pcre2_match_context_free(p->limits);
	pcre2_match_data_free(p->data);
	pcre2_code_free(p->code);
	mem_free(p);
}

static const struct rule_kind kind = {
	.parse = parse_pcre,
	.match = match_pcre,
	.release = release_pcre,
};

static int open_pcre(struct map *m)
{
	return rules_open(m, &kind);
}

const struct map_type map_type_pcre = {
	.name = "pcre",
	.whole = true,
	.exact = true,
	.open = open_pcre,
	.get = rules_get,
	.close = rules_close,
};

#endif
