/*
 * macro - $name expansion with conditionals
 *
 * A recursive descent over the text. What a conditional tests is the value as
 * it is written, before its own expansion: with h = $f and f empty,
 * ${h?set} is "set".
 *
 * Bounds: MAX_DEPTH nested expansions (a name that comes back to itself ends
 * there and is named in the error), MAX_OUTPUT bytes and MAX_LOOKUPS look-ups (a = $b$b,
 * b = $c$c ... doubles with each line).
 */
#include "conf/macro.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

enum { MAX_DEPTH = 100, MAX_OUTPUT = 1024 * 1024, MAX_LOOKUPS = 20000 };

struct run {
	const struct expand *e;
	struct buf *out;
	char **error_r;
	int depth;
	int lookups;
};

static int expand_range(struct run *r, const char *text, size_t len);

/* fail - set the error text; -1 */
static int fail(struct run *r, const char *what, const char *text, size_t len)
{
	struct buf b = BUF_INIT;

	buf_adds(&b, what);
	buf_adds(&b, ": \"");
	buf_add(&b, text, len > 100 ? 100 : len);
	buf_addc(&b, '"');
	*r->error_r = buf_steal(&b);
	return -1;
}

static size_t name_length(const char *s, size_t len)
{
	size_t n = 0;

	while (n < len && (isalnum((unsigned char)s[n]) || s[n] == '_')) {
		n++;
	}
	return n;
}

static size_t skip_blank(const char *s, size_t len, size_t i)
{
	while (i < len && isspace((unsigned char)s[i])) {
		i++;
	}
	return i;
}

/* closing - index of the bracket that closes the one at s[0], or len */
static size_t closing(const char *s, size_t len)
{
	char open = s[0], shut = open == '{' ? '}' : ')';
	int level = 0;

	for (size_t i = 0; i < len; i++) {
		if (s[i] == open) {
			level++;
		} else if (s[i] == shut && --level == 0) {
			return i;
		}
	}
	return len;
}

/* add_value - a looked-up value goes out */
static int add_value(struct run *r, const char *value, const char *name)
{
	struct buf copy = BUF_INIT;
	int rc = 0;

	if (r->e->recursive && strchr(value, '$') != NULL) {
		if (r->depth >= MAX_DEPTH) {
			return fail(r, "unreasonable macro call nesting", name, strlen(name));
		}
		/* The look-up's memory is not ours. */
		buf_adds(&copy, value);
		rc = expand_range(r, copy.data, copy.len);
		buf_free(&copy);
		return rc;
	}
	for (const char *p = value; *p != '\0'; p++) {
		buf_addc(r->out,
			r->e->filter == NULL || strchr(r->e->filter, *p) != NULL ? *p : '_');
	}
	return 0;
}

/* branches - where the texts of "?{a}:{b}", "?a" or ":{b}" are */
struct branches {
	struct slice if_true, if_false;
};

/* braced - the payload of "{text}" at s[*i]; moves behind it and the blanks there */
static int braced(struct run *r, const char *s, size_t len, size_t *i, struct slice *out)
{
	size_t end = closing(s + *i, len - *i);

	if (end == len - *i) {
		return fail(r, "missing '}'", s + *i, len - *i);
	}
	*out = (struct slice){ s + *i + 1, end - 1 };
	*i = skip_blank(s, len, *i + end + 1);
	return 0;
}

/* parse_branches - s begins with '?' or ':' */
static int parse_branches(struct run *r, const char *s, size_t len, struct branches *b)
{
	struct slice *first = s[0] == '?' ? &b->if_true : &b->if_false;
	size_t i = skip_blank(s, len, 1);

	*b = (struct branches){ { "", 0 }, { "", 0 } };
	if (i >= len || s[i] != '{') {
		/* Without braces all that follows is the text, blanks too. */
		*first = (struct slice){ s + 1, len - 1 };
		return 0;
	}
	if (braced(r, s, len, &i, first) != 0) {
		return -1;
	}
	if (i < len && s[0] == '?' && s[i] == ':') {
		i = skip_blank(s, len, i + 1);
		if (i >= len || s[i] != '{') {
			return fail(r, "'{' expected after ':'", s, len);
		}
		if (braced(r, s, len, &i, &b->if_false) != 0) {
			return -1;
		}
	}
	return i < len ? fail(r, "unexpected input", s + i, len - i) : 0;
}

static bool all_digits(const char *s)
{
	return *s != '\0' && s[strspn(s, "0123456789")] == '\0';
}

/* compare_numbers - decimal numbers of any length */
static int compare_numbers(const char *a, const char *b)
{
	size_t la, lb;

	a += strspn(a, "0");
	b += strspn(b, "0");
	la = strlen(a);
	lb = strlen(b);
	return la != lb ? (la < lb ? -1 : 1) : strcmp(a, b);
}

/* compat_level_compare - "3.6" against "3.10": <0, 0, >0. False in *ok_r: not a level */
static int compat_level_compare(const char *a, const char *b, bool *ok_r)
{
	*ok_r = true;
	/* major.minor.patch; what is missing counts as 0 */
	for (int part = 0; part < 3; part++) {
		char *end_a, *end_b;
		unsigned long va = strtoul(a, &end_a, 10), vb = strtoul(b, &end_b, 10);

		if (part == 0 && (!isdigit((unsigned char)*a) || !isdigit((unsigned char)*b))) {
			break;
		}
		if ((*end_a != '\0' && *end_a != '.') || (*end_b != '\0' && *end_b != '.')) {
			break;
		}
		if (va != vb) {
			return va < vb ? -1 : 1;
		}
		if (*end_a == '\0' && *end_b == '\0') {
			return 0;
		}
		a = *end_a == '.' ? end_a + 1 : end_a;
		b = *end_b == '.' ? end_b + 1 : end_b;
	}
	*ok_r = false;
	return 0;
}

/* A longer operator stands before those it begins with. */
static const struct {
	const char *text;
	bool level;
	bool less, equal, more;
} operators[] = {
	{ "==level", true, false, true, false },
	{ "!=level", true, true, false, true },
	{ "<=level", true, true, true, false },
	{ ">=level", true, false, true, true },
	{ "<level", true, true, false, false },
	{ ">level", true, false, false, true },
	{ "==", false, false, true, false },
	{ "!=", false, true, false, true },
	{ "<=", false, true, true, false },
	{ ">=", false, false, true, true },
	{ "<", false, true, false, false },
	{ ">", false, false, false, true },
};

/* expand_side - one operand of a comparison, expanded */
static int expand_side(struct run *r, struct slice text, char **out)
{
	struct buf *outer = r->out;
	struct buf b = BUF_INIT;
	int rc;

	r->out = &b;
	rc = expand_range(r, text.ptr, text.len);
	r->out = outer;
	*out = buf_steal(&b);
	return rc;
}

/* compare - does "a op b" hold? 1, 0, -1 */
static int compare(struct run *r, size_t op, struct slice left, struct slice right)
{
	char *a = NULL, *b = NULL;
	bool ok = true;
	int order, rc = -1;

	if (expand_side(r, left, &a) == 0 && expand_side(r, right, &b) == 0) {
		if (operators[op].level) {
			order = compat_level_compare(a, b, &ok);
		} else if (all_digits(a) && all_digits(b)) {
			order = compare_numbers(a, b);
		} else {
			order = strcmp(a, b);
		}
		if (!ok) {
			fail(r, "malformed compatibility level", a, strlen(a));
		} else {
			rc = order < 0      ? operators[op].less
				: order > 0 ? operators[op].more
					    : operators[op].equal;
		}
	}
	mem_free(a);
	mem_free(b);
	return rc;
}

/* expand_relation - the inside of ${...} that begins with '{' */
static int expand_relation(struct run *r, const char *s, size_t len)
{
	struct slice left, right;
	struct branches b = { { "true", 4 }, { "", 0 } };
	size_t i = 0, op;
	int holds;

	if (braced(r, s, len, &i, &left) != 0) {
		return -1;
	}
	for (op = 0; op < ARRAY_LEN(operators); op++) {
		size_t n = strlen(operators[op].text);

		if (len - i >= n && memcmp(s + i, operators[op].text, n) == 0) {
			break;
		}
	}
	if (op == ARRAY_LEN(operators)) {
		return fail(r, "\"==\" or \"!=\" or \"<\" or \"<=\" or \">=\" or \">\" expected at",
			s + i, len - i);
	}
	i = skip_blank(s, len, i + strlen(operators[op].text));
	if (i >= len || s[i] != '{') {
		return fail(r, "\"{expression}\" expected at", s + i, len - i);
	}
	if (braced(r, s, len, &i, &right) != 0) {
		return -1;
	}
	if (i < len && s[i] != '?' && s[i] != ':') {
		return fail(r, "\"?\" expected at", s + i, len - i);
	}
	if (i < len && parse_branches(r, s + i, len - i, &b) != 0) {
		return -1;
	}
	holds = compare(r, op, left, right);
	if (holds < 0) {
		return -1;
	}
	return holds ? expand_range(r, b.if_true.ptr, b.if_true.len)
		     : expand_range(r, b.if_false.ptr, b.if_false.len);
}

/* expand_name - $name with or without a conditional; whole is it as written */
static int expand_name(
	struct run *r, struct slice name, const char *rest, size_t rest_len, struct slice whole)
{
	char *key;
	const char *value;
	struct branches b;
	int rc = 0;

	if (++r->lookups > MAX_LOOKUPS) {
		return fail(r, "too many macros", name.ptr, name.len);
	}
	key = mem_strndup(name.ptr, name.len);
	value = r->e->lookup(r->e->arg, key);
	if (rest_len > 0) {
		bool set = value != NULL && *value != '\0';

		rc = parse_branches(r, rest, rest_len, &b);
		if (rc == 0) {
			rc = set ? expand_range(r, b.if_true.ptr, b.if_true.len)
				 : expand_range(r, b.if_false.ptr, b.if_false.len);
		}
	} else if (value != NULL) {
		rc = add_value(r, value, key);
	} else if (r->e->keep_unknown) {
		buf_add(r->out, whole.ptr, whole.len);
	}
	mem_free(key);
	return rc;
}

/* expand_bracket - the inside s of ${...} or $(...) */
static int expand_bracket(struct run *r, const char *s, size_t len, struct slice whole)
{
	size_t i = skip_blank(s, len, 0), n;
	struct slice name;

	if (i < len && s[i] == '{') {
		return expand_relation(r, s + i, len - i);
	}
	n = name_length(s + i, len - i);
	if (n == 0) {
		return fail(r, "empty macro name", whole.ptr, whole.len);
	}
	name = (struct slice){ s + i, n };
	i = skip_blank(s, len, i + n);
	if (i < len && s[i] != '?' && s[i] != ':') {
		return fail(r, "attribute name syntax error at", s + i, len - i);
	}
	return expand_name(r, name, s + i, len - i, whole);
}

/* expand_dollar - text begins with '$'; *used_r bytes of it are done with */
static int expand_dollar(struct run *r, const char *text, size_t len, size_t *used_r)
{
	size_t n;

	if (len > 1 && text[1] == '$') {
		buf_addc(r->out, '$');
		*used_r = 2;
		return 0;
	}
	if (len > 1 && (text[1] == '{' || text[1] == '(')) {
		n = closing(text + 1, len - 1);
		if (n == len - 1) {
			return fail(r, "truncated macro reference", text, len);
		}
		*used_r = n + 2;
		return expand_bracket(r, text + 2, n - 1, (struct slice){ text, n + 2 });
	}
	n = name_length(text + 1, len - 1);
	if (n == 0) {
		return fail(r, "empty macro name", text, len);
	}
	*used_r = n + 1;
	return expand_name(
		r, (struct slice){ text + 1, n }, NULL, 0, (struct slice){ text, n + 1 });
}

/* expand_range - text of len bytes, on one level */
static int expand_range(struct run *r, const char *text, size_t len)
{
	int rc = 0;

	if (r->depth >= MAX_DEPTH) {
		return fail(r, "unreasonable macro call nesting", text, len);
	}
	r->depth++;
	for (size_t i = 0, n; i < len && rc == 0; i += n) {
		const char *dollar = memchr(text + i, '$', len - i);

		n = dollar != NULL ? (size_t)(dollar - text) - i : len - i;
		if (n > 0) {
			buf_add(r->out, text + i, n);
		} else {
			rc = expand_dollar(r, text + i, len - i, &n);
		}
		if (rc == 0 && r->out->len > MAX_OUTPUT) {
			rc = fail(r, "value grows without bound", text, len);
		}
	}
	r->depth--;
	return rc;
}

int expand_text(const struct expand *e, struct buf *out, const char *text, char **error_r)
{
	struct run r = { e, out, error_r, 0, 0 };

	return expand_range(&r, text, strlen(text));
}
