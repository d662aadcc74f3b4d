/*
 * utf8 - one character at a time, and what of it may be shown
 *
 * RFC 3629. Unicode: C1 controls end lines on some terminals, U+2028 and U+2029 do in some log
 * viewers, the bidirectional controls (UAX 9) let a name look like another.
 */
#include "base/utf8.h"

#include <stdbool.h>
#include <string.h>

/* sequence_length - of a UTF-8 character by its first byte, 0 when it cannot be one */
static size_t sequence_length(unsigned char first)
{
	if (first < 0x80) {
		return 1;
	}
	if (first < 0xc2 || first > 0xf4) {
		return 0;
	}
	return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

int32_t utf8_get(const char *s, size_t len, size_t *size_r)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *p = (const unsigned char *)s;
	size_t n = sequence_length(p[0]), i;
	uint32_t c = p[0];

	*size_r = 1;
	if (n == 1) {
		return (int32_t)c;
	}
	if (n == 0 || n > len) {
		return -1;
	}
	c &= 0x7fu >> n;
	for (i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80) {
			return -1;
		}
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
		return -1;
	}
	*size_r = n;
	return (int32_t)c;
}

/* may_show - no control, no separator of lines, nothing that turns the direction of text */
static bool may_show(int32_t c)
{
	if (c < 0xa0) {
		return c >= 0x20 && c < 0x7f;
	}
	return !(c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
		(c >= 0x2066 && c <= 0x2069) || c == 0xfeff || (c & 0xfffe) == 0xfffe);
}

void utf8_printable(char *text, size_t len)
{
	size_t n;

	for (size_t i = 0; i < len; i += n) {
		if (!may_show(utf8_get(text + i, len - i, &n))) {
			memset(text + i, '?', n);
		}
	}
}
