/*
 * str - slices and the few string operations that C lacks
 *
 * Letters are ASCII here whatever the locale: protocol words and domain names
 * must not change with the environment.
 */
#include "base/str.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static unsigned char ascii_lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
}

struct slice slice_of(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

bool slice_eq(struct slice a, const char *b)
{
	return strlen(b) == a.len && memcmp(a.ptr, b, a.len) == 0;
}

bool slice_ieq(struct slice a, const char *b)
{
	size_t i;

	for (i = 0; i < a.len; i++) {
		if (b[i] == '\0' ||
			ascii_lower((unsigned char)a.ptr[i]) != ascii_lower((unsigned char)b[i])) {
			return false;
		}
	}
	return b[i] == '\0';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slice slice_trim(struct slice s)
{
	while (s.len > 0 && is_blank(s.ptr[0])) {
		s.ptr++;
		s.len--;
	}
	while (s.len > 0 && is_blank(s.ptr[s.len - 1])) {
		s.len--;
	}
	return s;
}

struct slice slice_word(struct slice *rest, const char *delims)
{
	struct slice word = { NULL, 0 };
	size_t i = 0;

	while (i < rest->len && rest->ptr[i] != '\0' && strchr(delims, rest->ptr[i]) != NULL) {
		i++;
	}
	if (rest->len == 0) {
		return word; /* ptr may be NULL, which takes no arithmetic */
	}
	rest->ptr += i;
	rest->len -= i;
	if (rest->len == 0) {
		return word;
	}
	for (i = 0; i < rest->len && (rest->ptr[i] == '\0' || strchr(delims, rest->ptr[i]) == NULL);
		i++) {
		continue;
	}
	word.ptr = rest->ptr;
	word.len = i;
	rest->ptr += i;
	rest->len -= i;
	return word;
}

bool list_has_slice(const char *list, struct slice word)
{
	struct slice rest = slice_of(list), item;

	while ((item = slice_word(&rest, ", \t\r\n")).ptr != NULL) {
		if (item.len == word.len && strncasecmp(item.ptr, word.ptr, word.len) == 0) {
			return true;
		}
	}
	return false;
}

bool list_has(const char *list, const char *word)
{
	return list_has_slice(list, slice_of(word));
}

bool str_ieq(const char *a, const char *b)
{
	return slice_ieq(slice_of(a), b);
}

bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_istarts(const char *s, const char *prefix)
{
	/* No look beyond what decides: s may be a piece of a large buffer without an end. */
	for (; *prefix != '\0'; s++, prefix++) {
		if (ascii_lower((unsigned char)*s) != ascii_lower((unsigned char)*prefix)) {
			return false;
		}
	}
	return true;
}

bool str_ends(const char *s, const char *suffix)
{
	size_t len = strlen(s), tail = strlen(suffix);

	return len >= tail && strcmp(s + len - tail, suffix) == 0;
}

void str_lower(char *s)
{
	for (; *s != '\0'; s++) {
		*s = (char)ascii_lower((unsigned char)*s);
	}
}

bool str_copy(char *dst, size_t size, const char *src)
{
	size_t len = strlen(src);
	size_t n = len < size ? len : size - 1;

	memcpy(dst, src, n);
	dst[n] = '\0';
	return n == len;
}

bool str_to_int(const char *s, int64_t min, int64_t max, int64_t *out)
{
	char *end;
	long long v;

	if (*s == '\0' || is_blank(*s)) {
		return false;
	}
	errno = 0;
	v = strtoll(s, &end, 10);
	if (errno != 0 || *end != '\0' || v < min || v > max) {
		return false;
	}
	*out = v;
	return true;
}

static int64_t unit_seconds(char unit)
{
	switch (unit) {
	case 's':
		return 1;
	case 'm':
		return 60;
	case 'h':
		return 3600;
	case 'd':
		return 86400;
	case 'w':
		return 7 * 86400;
	default:
		return 0;
	}
}

bool str_to_seconds(const char *s, char unit, int64_t *out)
{
	char digits[24];
	size_t n = strspn(s, "0123456789");
	int64_t v, scale;

	if (n == 0 || n >= sizeof(digits) - 1 || (s[n] != '\0' && s[n + 1] != '\0')) {
		return false;
	}
	memcpy(digits, s, n);
	digits[n] = '\0';
	scale = unit_seconds(s[n] != '\0' ? (char)ascii_lower((unsigned char)s[n]) : unit);
	if (scale == 0 || !str_to_int(digits, 0, INT64_MAX / scale, &v)) {
		return false;
	}
	*out = v * scale;
	return true;
}
