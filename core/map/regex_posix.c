/*
 * regex_posix - what people's regexp tables expect of regcomp(), where the C library has less
 *
 * Tables were written on glibc. musl's engine can do nearly all of it, but its parser cannot:
 *
 *	(a)\1		of an extended expression is "1" there: written anew as a basic one,
 *			in which both know back-references, \|, \+ and \?
 *	x{300}		more than 255 is refused: written as x{255}x{45}. Groups in x then exist
 *			more than once; origin[] says which one each copy stands for
 *	x{,3}		refused: written as x{0,3}
 *
 * What cannot be written so is refused with the reason, never compiled to mean something else.
 */
#include "map/regex_posix.h"

#include <ctype.h>
#include <string.h>

#include "base/mem.h"

enum {
	DUP_MAX = 255,     /* what every regcomp() takes (POSIX) */
	COUNT_MAX = 32767, /* glibc's RE_DUP_MAX */
	DEPTH_MAX = 100,
	GROUPS_MAX = 255, /* compiled ones */
	WEIGHT_MAX = 5000 /* letters to match: 0.6 s and 100 MB to compile at worst */
};

/* Where an expression began in the output. */
struct mark {
	size_t text, groups, weight;
};

struct writer {
	const char *p, *end;
	bool from_basic, to_basic, has_references;
	struct buf out;
	struct buf origin;           /* a byte for each group of the output, from group 1 */
	unsigned char groups;        /* of the source so far */
	size_t weight;               /* letters, each as often as counts repeat it */
	struct mark open[DEPTH_MAX]; /* groups not closed yet */
	size_t depth;
	struct mark atom; /* what a repetition would repeat */
	bool has_atom;
	struct buf *why;
};

static int refuse(struct writer *w, const char *why)
{
	buf_adds(w->why, why);
	return -1;
}

static void begin_atom(struct writer *w)
{
	w->atom = (struct mark){ w->out.len, w->origin.len, w->weight++ };
	w->has_atom = true;
}

/* put_special - an operator, as the syntax written has it */
static void put_special(struct writer *w, char c)
{
	if (w->to_basic) {
		buf_addc(&w->out, '\\');
	}
	buf_addc(&w->out, c);
}

/* bracket - [...] as it stands; only "]" in first place and [: [. [= need care */
static int bracket(struct writer *w)
{
	const char *p = w->p + 1;

	p += p < w->end && *p == '^' ? 1 : 0;
	p += p < w->end && *p == ']' ? 1 : 0;
	while (p < w->end && *p != ']') {
		if (*p == '[' && p + 1 < w->end && strchr(":.=", p[1]) != NULL) {
			char close[3] = { p[1], ']', '\0' };
			const char *at = memmem(p + 2, (size_t)(w->end - p - 2), close, 2);

			p = at != NULL ? at + 1 : p;
		}
		p++;
	}
	if (p >= w->end) {
		return refuse(w, "missing ']'");
	}
	begin_atom(w);
	buf_add(&w->out, w->p, (size_t)(p + 1 - w->p));
	w->p = p + 1;
	return 0;
}

static int open_group(struct writer *w)
{
	if (w->depth >= DEPTH_MAX || w->origin.len >= GROUPS_MAX) {
		return refuse(w, "too many groups");
	}
	w->open[w->depth++] = (struct mark){ w->out.len, w->origin.len, w->weight };
	buf_addc(&w->origin, (char)++w->groups);
	put_special(w, '(');
	w->has_atom = false;
	return 0;
}

static void close_group(struct writer *w)
{
	put_special(w, ')');
	w->atom = w->open[--w->depth];
	w->has_atom = true;
}

/* ---- Counts ---- */

/* read_count - digits; -1: there are none; more than COUNT_MAX stays more */
static int read_count(const char **p, const char *end)
{
	int n = -1;

	for (; *p < end && isdigit((unsigned char)**p); (*p)++) {
		n = (n < 0 ? 0 : n) * 10 + (**p - '0');
		n = n > COUNT_MAX ? COUNT_MAX + 1 : n;
	}
	return n;
}

static void put_count(struct writer *w, int least, int most)
{
	put_special(w, '{');
	buf_addf(&w->out, "%d", least);
	if (most != least) {
		buf_addc(&w->out, ',');
	}
	if (most >= 0 && most != least) {
		buf_addf(&w->out, "%d", most);
	}
	put_special(w, '}');
}

/* put_copy - once more what is repeated, with its groups */
static void put_copy(struct writer *w, struct slice atom, struct slice origin)
{
	buf_add(&w->out, atom.ptr, atom.len);
	buf_add(&w->origin, origin.ptr, origin.len);
}

/* put_repeated - atom{least,most} by counts that every regcomp() takes; most -1: no end */
static int put_repeated(
	struct writer *w, struct slice atom, struct slice origin, int least, int most)
{
	int rest = most < 0 ? -1 : most - least;

	while (least > 0 || rest != 0) {
		int count = least > DUP_MAX ? DUP_MAX : least;

		if (w->origin.len + origin.len > GROUPS_MAX) {
			return refuse(w, "a count above 255 of too many groups");
		}
		put_copy(w, atom, origin);
		if (least > DUP_MAX || (least > 0 && rest >= 0)) {
			put_count(w, count, count);
		} else if (rest < 0) {
			put_count(w, count, -1);
			return 0;
		} else {
			count = rest > DUP_MAX ? DUP_MAX : rest;
			put_count(w, 0, count);
			rest -= count;
			continue;
		}
		least -= count;
	}
	return 0;
}

/* large_count - the atom is taken back and written several times */
static int large_count(struct writer *w, int least, int most)
{
	struct slice atom, origin;
	struct mark m = w->atom;
	int rc;

	atom.len = w->out.len - m.text;
	origin.len = w->origin.len - m.groups;
	if (w->has_references && origin.len > 0) {
		return refuse(w, "a count above 255 of a group, together with back-references");
	}
	atom.ptr = mem_strndup(buf_str(&w->out) + m.text, atom.len);
	origin.ptr = mem_strndup(buf_str(&w->origin) + m.groups, origin.len);
	buf_truncate(&w->out, m.text);
	buf_truncate(&w->origin, m.groups);
	rc = put_repeated(w, atom, origin, least, most);
	mem_free((void *)(uintptr_t)atom.ptr);
	mem_free((void *)(uintptr_t)origin.ptr);
	return rc;
}

/* interval - {n} {n,} {n,m} {,m}; w->p is behind the brace */
static int interval(struct writer *w)
{
	const char *p = w->p;
	int least = read_count(&p, w->end), most = least;

	if (p < w->end && *p == ',') {
		p++;
		most = read_count(&p, w->end);
		if (least < 0) {
			least = most < 0 ? -1 : 0;
		}
	}
	if (w->from_basic) {
		p += p < w->end && *p == '\\' ? 1 : 0;
	}
	if (!w->has_atom || least < 0 || p >= w->end || *p != '}' || (most >= 0 && most < least)) {
		return refuse(w, "bad repetition count");
	}
	if (least > COUNT_MAX || most > COUNT_MAX) {
		return refuse(w, "a repetition count above 32767");
	}
	w->p = p + 1;
	w->weight = w->atom.weight +
		(w->weight - w->atom.weight) * (size_t)(most > least ? most : least);
	if (w->weight > WEIGHT_MAX) {
		return refuse(w, "repetition counts make the pattern too large");
	}
	if (least > DUP_MAX || most > DUP_MAX) {
		return large_count(w, least, most);
	}
	put_count(w, least, most);
	return 0;
}

/* ---- The pattern ---- */

/* anchor - ^ or $; in the middle an extended one is an anchor and a basic one is a letter */
static int anchor(struct writer *w, char c)
{
	const char *next = w->p + 1;
	bool edge = c == '^' ? !w->has_atom : next == w->end || *next == ')' || *next == '|';

	if (!w->from_basic && w->to_basic && !edge) {
		return refuse(w, "'^' or '$' in the middle, together with back-references");
	}
	if (w->from_basic && (c == '^' ? w->has_atom : next < w->end)) {
		begin_atom(w); /* a letter there */
	}
	buf_addc(&w->out, c);
	w->p++;
	return 0;
}

/*
 * reference - \1 to \9. While a group is open, musl's engine takes those inside it for not set and
 * would never match a reference to them.
 */
static int reference(struct writer *w, size_t number)
{
	if (number > w->groups) {
		return refuse(w, "a back-reference to a group that is not there");
	}
	if (w->depth > 0 && w->open[0].groups + 1 <= number) {
		return refuse(w, "a back-reference inside the group that holds what it refers to");
	}
	begin_atom(w);
	buf_addf(&w->out, "\\%zu", number);
	return 0;
}

static int escape(struct writer *w, char c)
{
	w->p += 2;
	if (c >= '1' && c <= '9') {
		return reference(w, (size_t)(c - '0'));
	}
	if (w->from_basic && c == '{') {
		return interval(w);
	}
	if (w->from_basic && c == '(') {
		return open_group(w);
	}
	if (w->from_basic && c == ')' && w->depth > 0) {
		close_group(w);
		return 0;
	}
	if (w->from_basic && c == '|') {
		w->has_atom = false;
	} else if (!w->from_basic || strchr("+?", c) == NULL) {
		begin_atom(w);
	}
	if (w->from_basic || !w->to_basic || strchr("(){}|+?", c) == NULL) {
		buf_addc(&w->out, '\\');
	}
	buf_addc(&w->out, c);
	return 0;
}

/* operator_ - of an extended expression */
static int operator_(struct writer *w, char c)
{
	w->p++;
	switch (c) {
	case '(':
		return open_group(w);
	case ')':
		close_group(w);
		return 0;
	case '|':
		w->has_atom = false;
		break;
	case '{':
		return interval(w);
	default:
		if (!w->has_atom) {
			return refuse(w, "a repetition of nothing");
		}
		break;
	}
	put_special(w, c);
	return 0;
}

static int step(struct writer *w)
{
	char c = *w->p;

	if (c == '[') {
		return bracket(w);
	}
	if (c == '\\' && w->p + 1 < w->end) {
		return escape(w, w->p[1]);
	}
	if (c == '^' || c == '$') {
		return anchor(w, c);
	}
	if (!w->from_basic &&
		(c == '{' || c == '(' || c == '|' || c == '+' || c == '?' ||
			(c == ')' && w->depth > 0))) {
		return operator_(w, c);
	}
	if (c == '*' && !w->has_atom && !w->from_basic) {
		return refuse(w, "a repetition of nothing");
	}
	if (c != '*' || !w->has_atom) {
		begin_atom(w);
	}
	buf_addc(&w->out, c);
	w->p++;
	return 0;
}

/* has_references - \1 to \9 outside of brackets */
static bool has_references(struct slice pattern)
{
	const char *end = pattern.ptr + pattern.len;
	bool in_bracket = false;

	for (const char *p = pattern.ptr; p + 1 < end; p++) {
		if (in_bracket) {
			in_bracket = *p != ']';
		} else if (*p == '[') {
			in_bracket = true;
			p += p[1] == '^' ? 1 : 0;
			p += p + 1 < end && p[1] == ']' ? 1 : 0;
		} else if (*p == '\\') {
			if (p[1] >= '1' && p[1] <= '9') {
				return true;
			}
			p++;
		}
	}
	return false;
}

static int compile(struct posix_regex *x, struct writer *w, int cflags)
{
	int rc = 0;
	char message[128];

	while (rc == 0 && w->p < w->end) {
		rc = step(w);
	}
	if (rc != 0) {
		return -1;
	}
	rc = regcomp(&x->re, buf_str(&w->out), cflags);
	if (rc != 0) {
		regerror(rc, &x->re, message, sizeof(message));
		return refuse(w, message);
	}
	x->groups = w->groups;
	x->fold = w->has_references && (cflags & REG_ICASE) != 0;
	if (w->origin.len != w->groups) {
		x->origin = (unsigned char *)buf_steal(&w->origin);
	}
	return 0;
}

int posix_regex_compile(struct posix_regex *x, struct slice pattern, int cflags, struct buf *why)
{
	struct writer *w = mem_alloc(sizeof(*w));
	int rc;

	memset(x, 0, sizeof(*x));
	w->p = pattern.ptr;
	w->end = pattern.ptr + pattern.len;
	w->why = why;
	w->has_references = has_references(pattern);
	w->from_basic = (cflags & REG_EXTENDED) == 0;
	w->to_basic = w->from_basic || w->has_references;
	rc = compile(x, w, w->to_basic ? cflags & ~REG_EXTENDED : cflags);
	buf_free(&w->out);
	buf_free(&w->origin);
	mem_free(w);
	return rc;
}

int posix_regex_match(const struct posix_regex *x, const char *key, struct slice *groups,
	size_t max, struct buf *why)
{
	regmatch_t spans[GROUPS_MAX + 1];
	size_t count = x->re.re_nsub + 1 < GROUPS_MAX + 1 ? x->re.re_nsub + 1 : GROUPS_MAX + 1;
	char message[128], *folded = x->fold ? mem_strdup(key) : NULL;
	int rc;

	if (folded != NULL) {
		str_lower(folded);
	}
	rc = regexec(&x->re, folded != NULL ? folded : key, count, spans, 0);
	mem_free(folded);
	if (rc == REG_NOMATCH) {
		return 0;
	}
	if (rc != 0) {
		regerror(rc, &x->re, message, sizeof(message));
		buf_adds(why, message);
		return -1;
	}
	memset(groups, 0, max * sizeof(*groups));
	for (size_t i = 0; i < count; i++) {
		size_t n = i > 0 && x->origin != NULL ? x->origin[i - 1] : i;

		/* Of several copies the last that took part counts, as of one the last turn. */
		if (n < max && spans[i].rm_so >= 0) {
			groups[n].ptr = key + spans[i].rm_so;
			groups[n].len = (size_t)(spans[i].rm_eo - spans[i].rm_so);
		}
	}
	return 1;
}

void posix_regex_free(struct posix_regex *x)
{
	regfree(&x->re);
	mem_free(x->origin);
	memset(x, 0, sizeof(*x));
}
