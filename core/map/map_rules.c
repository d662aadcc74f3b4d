/*
 * map_rules - tables of rules, tried in order: regexp, pcre, cidr
 *
 *	pattern result		the first match gives the result
 *	!pattern result		... when the pattern does not match
 *	if pattern		rules up to endif count only when it matches
 *	endif
 *
 * In results $1 ${1} $(1) are what the groups of the pattern matched, $$ is a
 * dollar. A rule with an error is warned of with file and line, and passed
 * over: mail goes on with the others, as Postfix has it.
 *
 * The file is looked at again when it may have changed; a new one that cannot
 * be read is an error, not the old rules.
 */
#include "map/map_rules.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/lines.h"
#include "conf/macro.h"

enum { MAX_RULES = 1000000, MAX_IFS = 100 };

struct rules {
	const struct rule_kind *kind;
	struct rule *list;
	size_t count;
	struct map_file file;
	bool inline_;
	bool loaded;
};

static void free_rule(struct rules *t, struct rule *r)
{
	if (r->pattern != NULL) {
		t->kind->release(r);
	}
	mem_free(r->result);
}

static void drop_rules(struct rules *t)
{
	for (size_t i = 0; i < t->count; i++) {
		free_rule(t, &t->list[i]);
	}
	mem_free(t->list);
	t->list = NULL;
	t->count = 0;
	t->loaded = false;
}

static const char *skip_blanks(const char *s)
{
	while (isspace((unsigned char)*s)) {
		s++;
	}
	return s;
}

int rules_delimited(const char **text, struct slice *pattern, struct buf *why)
{
	const char *p = *text, *start = p + 1;
	char delimiter = *p;

	if (delimiter == '\0' || isalnum((unsigned char)delimiter) ||
		isspace((unsigned char)delimiter)) {
		buf_adds(why, "no pattern");
		return -1;
	}
	for (p++; *p != '\0' && *p != delimiter; p++) {
		if (*p == '\\' && p[1] != '\0') {
			p++;
		}
	}
	if (*p == '\0') {
		buf_addf(why, "no closing pattern delimiter '%c'", delimiter);
		return -1;
	}
	*pattern = (struct slice){ start, (size_t)(p - start) };
	*text = p + 1;
	return 0;
}

/* ---- Results ---- */

struct groups_lookup {
	const struct rule_match *match; /* NULL: only look whether the numbers are right */
	size_t groups;
	struct buf text;
	bool bad;
};

static const char *lookup_group(void *arg, const char *name)
{
	struct groups_lookup *l = arg;
	int64_t n;

	if (!str_to_int(name, 1, MAX_GROUPS - 1, &n) || (size_t)n > l->groups) {
		l->bad = true;
		return "";
	}
	buf_reset(&l->text);
	if (l->match != NULL && (size_t)n < l->match->count && l->match->groups[n].ptr != NULL) {
		buf_add(&l->text, l->match->groups[n].ptr, l->match->groups[n].len);
	}
	return buf_str(&l->text);
}

/* expand_result - with what matched; 0 or -1 with why */
static int expand_result(
	const struct rule *r, const struct rule_match *match, struct buf *out, struct buf *why)
{
	struct groups_lookup l = { .match = match, .groups = r->negated ? 0 : r->groups };
	struct expand e = { .lookup = lookup_group, .arg = &l };
	char *error = NULL;
	int rc;

	rc = expand_text(&e, out, r->result, &error);
	if (rc != 0) {
		buf_adds(why, error);
	} else if (l.bad) {
		buf_addf(why, "$number in the result that the pattern has no group for: \"%.60s\"",
			r->result);
	}
	mem_free(error);
	buf_free(&l.text);
	return rc != 0 || l.bad ? -1 : 0;
}

/* ---- Reading ---- */

static bool is_word(const char *line, const char *word)
{
	size_t len = strlen(word);

	return str_istarts(line, word) && (line[len] == '\0' || isspace((unsigned char)line[len]));
}

/* parse_rule - one line; 0, or -1 with why */
static int parse_rule(struct rules *t, struct rule *r, const char *line, struct buf *why)
{
	struct buf scratch = BUF_INIT;
	int rc = 0;

	r->kind = RULE_MATCH;
	if (is_word(line, "endif")) {
		r->kind = RULE_ENDIF;
		return 0;
	}
	if (is_word(line, "if")) {
		r->kind = RULE_IF;
		line = skip_blanks(line + 2);
	}
	/* Each '!' turns the meaning. */
	for (; *line == '!'; line = skip_blanks(line + 1)) {
		r->negated = !r->negated;
	}
	if (t->kind->parse(r, &line, why) != 0) {
		return -1;
	}
	if (*line != '\0' && !isspace((unsigned char)*line)) {
		buf_addf(why, "unexpected text after the pattern: \"%.30s\"", line);
		return -1;
	}
	r->result = mem_strdup(skip_blanks(line));
	r->plain = strchr(r->result, '$') == NULL;
	if (r->kind == RULE_IF) {
		if (*r->result != '\0') {
			buf_addf(why, "ignoring extra text after \"if\": \"%.30s\"", r->result);
		}
		return 0;
	}
	if (!r->plain) {
		rc = expand_result(r, NULL, &scratch, why);
	}
	buf_free(&scratch);
	return rc;
}

struct loading {
	struct map *m;
	struct rules *t;
	size_t ifs[MAX_IFS]; /* open ones */
	size_t depth;
};

static void warn_rule(struct loading *l, int line, const char *why, const char *more)
{
	if (l->t->inline_) {
		log_warn("%s, rule %d: %s%s", l->m->spec, line, why, more);
	} else {
		log_warn("%s, line %d: %s%s", l->m->name, line, why, more);
	}
}

/* add_line - one rule to the list, errors are warned of; 0, or -1 when there are too many */
static int add_line(struct loading *l, const char *line, int number)
{
	struct rules *t = l->t;
	struct rule r = { .line = number };
	struct buf why = BUF_INIT;
	bool keep = parse_rule(t, &r, line, &why) == 0;

	if (why.len > 0) {
		warn_rule(l, number, why.data, keep ? "" : ": skipping this rule");
	}
	buf_free(&why);
	if (keep && r.kind == RULE_ENDIF) {
		if (l->depth == 0) {
			warn_rule(l, number, "ignoring endif without matching if", "");
			keep = false;
		} else {
			t->list[l->ifs[--l->depth]].end = t->count;
		}
	}
	if (keep && r.kind == RULE_IF) {
		if (l->depth == MAX_IFS) {
			keep = false;
		} else {
			l->ifs[l->depth++] = t->count;
		}
	}
	if (!keep) {
		free_rule(t, &r);
		return 0;
	}
	if (t->count == MAX_RULES) {
		free_rule(t, &r);
		return map_fail(l->m, "too many rules");
	}
	if ((t->count & (t->count - 1)) == 0) {
		t->list =
			mem_realloc(t->list, (t->count > 0 ? t->count * 2 : 1) * sizeof(*t->list));
	}
	t->list[t->count++] = r;
	return 0;
}

/* close_ifs - those that have no endif end with the table */
static void close_ifs(struct loading *l)
{
	while (l->depth > 0) {
		struct rule *r = &l->t->list[l->ifs[--l->depth]];

		warn_rule(l, r->line, "if has no matching endif", "");
		r->end = l->t->count;
	}
}

static int load_file(struct loading *l)
{
	struct lines lines;
	int rc = 0, got = 0;

	if (lines_open(&lines, l->m->name) != 0) {
		return map_fail(l->m, "open %s: %s", l->m->name, strerror(errno));
	}
	while (rc == 0 && (got = lines_next(&lines)) > 0) {
		size_t len = lines.text.len;

		while (len > 0 && isspace((unsigned char)lines.text.data[len - 1])) {
			len--;
		}
		buf_truncate(&lines.text, len);
		if (lines.has_nul || lines.too_long) {
			rc = map_fail(l->m, "%s, line %d: %s", l->m->name, lines.number,
				lines.has_nul ? "NUL byte in the line" : "line too long");
		} else {
			rc = add_line(l, skip_blanks(buf_str(&lines.text)), lines.number);
		}
	}
	if (got < 0) {
		rc = map_fail(l->m, "read %s: %s", l->m->name, strerror(errno));
	}
	lines_close(&lines);
	return rc;
}

static int load_inline(struct loading *l, struct slice rest)
{
	struct slice item;
	int rc, number = 0;

	while ((rc = map_next_item(&rest, &item)) > 0) {
		struct slice text = map_item_text(item);
		char *line = mem_strndup(text.ptr, text.len);

		rc = add_line(l, line, ++number);
		mem_free(line);
		if (rc != 0) {
			return rc;
		}
	}
	return rc < 0 ? map_fail(l->m, "braces do not match") : 0;
}

int rules_open(struct map *m, const struct rule_kind *kind)
{
	struct rules *t = mem_alloc(sizeof(*t));
	struct loading l = { .m = m, .t = t };
	struct slice inside;
	int rc;

	m->state = t;
	t->kind = kind;
	if (!map_braced(m->name, &inside)) {
		return 0;
	}
	t->inline_ = true;
	t->loaded = true;
	rc = load_inline(&l, inside);
	close_ifs(&l);
	return rc;
}

void rules_close(struct map *m)
{
	struct rules *t = m->state;

	if (t == NULL) {
		return;
	}
	drop_rules(t);
	mem_free(t);
}

static int refresh(struct map *m, struct rules *t)
{
	struct loading l = { .m = m, .t = t };
	struct stat st;
	int rc;

	if (t->inline_ || (t->loaded && !map_file_due(&t->file))) {
		return 0;
	}
	if (stat(m->name, &st) != 0) {
		return map_fail(m, "open %s: %s", m->name, strerror(errno));
	}
	if (!map_file_note(&t->file, &st) && t->loaded) {
		return 0;
	}
	drop_rules(t);
	rc = load_file(&l);
	close_ifs(&l);
	if (rc == 0) {
		t->loaded = true;
	}
	return rc;
}

/* try_rules - the first that matches; 1, 0, -1 */
static int try_rules(struct map *m, struct rules *t, struct rule_match *match, struct buf *value,
	struct buf *why)
{
	for (size_t i = 0; i < t->count; i++) {
		const struct rule *r = &t->list[i];
		int rc;

		if (r->kind == RULE_ENDIF) {
			continue;
		}
		match->count = 0;
		rc = t->kind->match(r, match, why);
		if (rc < 0 ||
			(rc > 0 && r->kind == RULE_MATCH && !r->negated && !r->plain &&
				expand_result(r, match, value, why) != 0)) {
			return map_fail(m, "rule of line %d: %s", r->line, buf_str(why));
		}
		if ((rc > 0) == r->negated) {
			if (r->kind == RULE_IF) {
				i = r->end;
			}
			continue;
		}
		if (r->kind == RULE_IF) {
			continue;
		}
		if (r->plain) {
			buf_adds(value, r->result);
		} else if (r->negated && expand_result(r, match, value, why) != 0) {
			return -1;
		}
		return 1;
	}
	return 0;
}

int rules_get(struct map *m, const char *key, struct buf *value)
{
	struct rules *t = m->state;
	struct rule_match match = { .key = key };
	struct buf why = BUF_INIT;
	int rc;

	if (refresh(m, t) != 0) {
		return -1;
	}
	if (t->kind->prepare != NULL && !t->kind->prepare(&match)) {
		return 0;
	}
	rc = try_rules(m, t, &match, value, &why);
	buf_free(&why);
	return rc;
}
