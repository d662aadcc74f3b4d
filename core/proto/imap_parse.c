/*
 * imap_parse - the grammar of command arguments
 *
 * A literal stands in the text as {n}CRLF and n bytes. Where the grammar wants one blank just
 * one is taken; what clients get wrong beyond that is answered with BAD and the name
 * of what was expected.
 *
 * RFC 3501 9, RFC 4466
 */
#include "proto/imap_parse.h"

#include <string.h>

#include "base/date.h"

void imap_args_init(struct imap_args *a, struct arena *arena, const char *text, size_t len)
{
	a->p = text;
	a->end = text + len;
	a->arena = arena;
	a->error = NULL;
}

bool imap_args_fail(struct imap_args *a, const char *error)
{
	if (a->error == NULL) {
		a->error = error;
	}
	return false;
}

bool imap_args_end(struct imap_args *a)
{
	return a->p == a->end || imap_args_fail(a, "Too many arguments");
}

bool imap_args_space(struct imap_args *a)
{
	return imap_args_char(a, ' ') || imap_args_fail(a, "Missing arguments");
}

bool imap_args_peek(const struct imap_args *a, char c)
{
	return a->p < a->end && *a->p == c;
}

bool imap_args_char(struct imap_args *a, char c)
{
	if (a->p < a->end && *a->p == c) {
		a->p++;
		return true;
	}
	return false;
}

/* is_atom - ATOM-CHAR; 8-bit bytes are no CHAR, but mailbox names come with them */
static bool is_atom(char c)
{
	return (unsigned char)c > ' ' && c != 127 && strchr("(){%*\"\\]", c) == NULL;
}

bool imap_args_word(struct imap_args *a, const char *word)
{
	size_t len = strlen(word);
	struct slice s = { a->p, len };

	if ((size_t)(a->end - a->p) < len || !slice_ieq(s, word)) {
		return false;
	}
	if (a->p + len < a->end && is_atom(a->p[len]) && a->p[len] != '[') {
		return false;
	}
	a->p += len;
	return true;
}

bool imap_args_atom(struct imap_args *a, struct slice *out)
{
	out->ptr = a->p;
	while (a->p < a->end && is_atom(*a->p)) {
		a->p++;
	}
	out->len = (size_t)(a->p - out->ptr);
	return out->len > 0 || imap_args_fail(a, "Expected an atom");
}

bool imap_args_tag(struct imap_args *a, struct slice *out)
{
	out->ptr = a->p;
	while (a->p < a->end && (is_atom(*a->p) || *a->p == ']') && *a->p != '+') {
		a->p++;
	}
	out->len = (size_t)(a->p - out->ptr);
	return out->len > 0 || imap_args_fail(a, "Expected a tag");
}

/* keep - a decoded string in the arena; NUL has no place in one */
static bool keep(struct imap_args *a, const char *s, size_t len, const char **out)
{
	if (memchr(s, '\0', len) != NULL) {
		return imap_args_fail(a, "NUL in a string");
	}
	*out = arena_strndup(a->arena, s, len);
	return true;
}

/* quoted - at '"' */
static bool quoted(struct imap_args *a, const char **out)
{
	const char *p = a->p + 1, *start = p;
	char *copy, *to;

	while (p < a->end && *p != '"') {
		if (*p == '\\') {
			p++;
			if (p == a->end || (*p != '"' && *p != '\\')) {
				return imap_args_fail(a, "Bad escape in a quoted string");
			}
		}
		p++;
	}
	if (p >= a->end) {
		return imap_args_fail(a, "Missing '\"'");
	}
	if (memchr(start, '\0', (size_t)(p - start)) != NULL) {
		return imap_args_fail(a, "NUL in a string");
	}
	copy = to = arena_alloc(a->arena, (size_t)(p - start) + 1);
	for (; start < p; start++) {
		start += *start == '\\';
		*to++ = *start;
	}
	*out = copy;
	a->p = p + 1;
	return true;
}

/* literal - at '{': the bytes are in the text already */
static bool literal(struct imap_args *a, const char **out)
{
	const char *p = a->p + 1;
	uint64_t n = 0;

	while (p < a->end && *p >= '0' && *p <= '9' && n < UINT32_MAX) {
		n = n * 10 + (uint64_t)(*p++ - '0');
	}
	p += p < a->end && *p == '+';
	if (a->end - p < 3 || memcmp(p, "}\r\n", 3) != 0 || n > (uint64_t)(a->end - p - 3)) {
		return imap_args_fail(a, "Bad literal");
	}
	p += 3;
	a->p = p + n;
	return keep(a, p, (size_t)n, out);
}

bool imap_args_string(struct imap_args *a, const char **out)
{
	if (imap_args_peek(a, '"')) {
		return quoted(a, out);
	}
	if (imap_args_peek(a, '{')) {
		return literal(a, out);
	}
	return imap_args_fail(a, "Expected a string");
}

/* string_or - a string, or a run of atom characters and those of extra */
static bool string_or(struct imap_args *a, const char *extra, const char **out)
{
	const char *start = a->p;

	if (imap_args_peek(a, '"') || imap_args_peek(a, '{')) {
		return imap_args_string(a, out);
	}
	while (a->p < a->end && *a->p != '\0' && (is_atom(*a->p) || strchr(extra, *a->p) != NULL)) {
		a->p++;
	}
	if (a->p == start) {
		return imap_args_fail(a, "Missing arguments");
	}
	return keep(a, start, (size_t)(a->p - start), out);
}

bool imap_args_astring(struct imap_args *a, const char **out)
{
	return string_or(a, "]", out);
}

bool imap_args_nstring(struct imap_args *a, const char **out)
{
	if (imap_args_word(a, "NIL")) {
		*out = NULL;
		return true;
	}
	return imap_args_string(a, out);
}

bool imap_args_pattern(struct imap_args *a, const char **out)
{
	return string_or(a, "]%*", out);
}

bool imap_args_number64(struct imap_args *a, uint64_t *out)
{
	const char *start = a->p;
	uint64_t n = 0;

	while (a->p < a->end && *a->p >= '0' && *a->p <= '9') {
		uint64_t digit = (uint64_t)(*a->p - '0');

		if (n > (INT64_MAX - digit) / 10) { /* RFC 7162: 63 bits */
			return imap_args_fail(a, "Number too large");
		}
		n = n * 10 + digit;
		a->p++;
	}
	*out = n;
	return a->p > start || imap_args_fail(a, "Expected a number");
}

static bool imap_args_number(struct imap_args *a, uint32_t *out)
{
	uint64_t n;

	if (!imap_args_number64(a, &n)) {
		return false;
	}
	*out = (uint32_t)n;
	return n <= UINT32_MAX || imap_args_fail(a, "Number too large");
}

bool imap_args_nz_number(struct imap_args *a, uint32_t *out)
{
	return imap_args_number(a, out) && (*out > 0 || imap_args_fail(a, "Number must not be 0"));
}

bool imap_args_date(struct imap_args *a, int64_t *days)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	bool in_quotes = imap_args_char(a, '"');
	uint32_t day, year;
	int month;

	if (!imap_args_nz_number(a, &day) || day > 31 || !imap_args_char(a, '-') ||
		a->end - a->p < 4) {
		return imap_args_fail(a, "Bad date");
	}
	for (month = 0; month < 12; month++) {
		struct slice name = { a->p, 3 };
		char want[4];

		memcpy(want, months + (size_t)month * 3, 3);
		want[3] = '\0';
		if (slice_ieq(name, want)) {
			break;
		}
	}
	a->p += 3;
	if (month == 12 || !imap_args_char(a, '-') || !imap_args_number(a, &year) || year > 9999) {
		return imap_args_fail(a, "Bad date");
	}
	if (in_quotes && !imap_args_char(a, '"')) {
		return imap_args_fail(a, "Bad date");
	}
	*days = date_days((int)year, month + 1, (int)day);
	return true;
}

bool imap_args_date_time(struct imap_args *a, time_t *out)
{
	const char *text;

	if (!imap_args_peek(a, '"') || !quoted(a, &text) ||
		!date_parse_imap(text, strlen(text), out)) {
		return imap_args_fail(a, "Invalid internal date");
	}
	return true;
}

static const char *const flag_names[] = { "\\Seen", "\\Answered", "\\Flagged", "\\Deleted",
	"\\Draft", "\\Recent" };

static unsigned imap_flag_bit(struct slice name)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(flag_names); i++) {
		if (slice_ieq(name, flag_names[i])) {
			return 1u << i;
		}
	}
	return 0;
}

const char *imap_flag_name(unsigned bit)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(flag_names); i++) {
		if (bit == 1u << i) {
			return flag_names[i];
		}
	}
	return "";
}

/* one_flag - a system flag or keyword */
static bool one_flag(struct imap_args *a, struct imap_flags *out)
{
	const char *start = a->p;
	bool system = imap_args_char(a, '\\');
	struct slice name;
	unsigned bit;
	size_t i;

	if (!imap_args_atom(a, &name)) {
		return imap_args_fail(a, "Flags list contains non-atoms");
	}
	if (system) {
		name.ptr = start;
		name.len++;
		bit = imap_flag_bit(name);
		if (bit == 0 || bit == IMAP_RECENT) {
			return imap_args_fail(a, "Invalid system flag");
		}
		out->system |= bit;
		return true;
	}
	for (i = 0; i < out->keyword_count; i++) {
		if (slice_ieq(name, out->keywords[i])) {
			return true;
		}
	}
	if (name.len > IMAP_KEYWORD_LEN_MAX || out->keyword_count == IMAP_KEYWORDS_MAX) {
		return imap_args_fail(a, "Too long or too many keywords");
	}
	out->keywords[out->keyword_count++] = arena_strndup(a->arena, name.ptr, name.len);
	return true;
}

bool imap_args_flags(struct imap_args *a, bool bare, struct imap_flags *out)
{
	bool list = imap_args_char(a, '(');

	memset(out, 0, sizeof(*out));
	if (!list && !bare) {
		return imap_args_fail(a, "Expected a list of flags");
	}
	if (list && imap_args_char(a, ')')) {
		return true;
	}
	do {
		if (!one_flag(a, out)) {
			return false;
		}
	} while (imap_args_char(a, ' '));
	return !list || imap_args_char(a, ')') || imap_args_fail(a, "Missing ')'");
}
