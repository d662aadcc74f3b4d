/*
 * iconv_small - iconv(3) for profiles without FEATURE_CHARSETS
 *
 * The C library's iconv carries tables for East Asia of 150 KB. These three
 * functions take its place when the program is linked and know the sets that
 * need none: from ASCII, ISO-8859-1, ISO-8859-15 and windows-1252 to UTF-8 and
 * back. Other names are EINVAL, as with any iconv.
 *
 * POSIX iconv_open, iconv, iconv_close
 */
#include <errno.h>
#include <iconv.h>
#include <string.h>

#include "config/features.h"
#include "base/str.h"
#include "mime/charset.h"

#if !FEATURE_CHARSETS

enum { SET_UTF8, SET_ASCII, SET_LATIN1, SET_LATIN9, SET_CP1252, SET_COUNT };

/* windows-1252, 0x80 to 0x9f; 0 where it has no character. */
/* clang-format off */
static const uint16_t cp1252[32] = {
	0x20ac, 0, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
	0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0, 0x017d, 0,
	0, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
	0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0, 0x017e, 0x0178,
};
/* clang-format on */

/* ISO-8859-15 is ISO-8859-1 but for these. */
static const struct {
	unsigned char byte;
	uint16_t code;
} latin9[] = {
	{ 0xa4, 0x20ac },
	{ 0xa6, 0x0160 },
	{ 0xa8, 0x0161 },
	{ 0xb4, 0x017d },
	{ 0xb8, 0x017e },
	{ 0xbc, 0x0152 },
	{ 0xbd, 0x0153 },
	{ 0xbe, 0x0178 },
};

static const struct {
	const char *name;
	int set;
} names[] = {
	{ "utf-8", SET_UTF8 },
	{ "utf8", SET_UTF8 },
	{ "us-ascii", SET_ASCII },
	{ "ascii", SET_ASCII },
	{ "ansi_x3.4-1968", SET_ASCII },
	{ "iso-8859-1", SET_LATIN1 },
	{ "iso8859-1", SET_LATIN1 },
	{ "latin1", SET_LATIN1 },
	{ "iso-8859-15", SET_LATIN9 },
	{ "iso8859-15", SET_LATIN9 },
	{ "latin-9", SET_LATIN9 },
	{ "windows-1252", SET_CP1252 },
	{ "cp1252", SET_CP1252 },
};

/* set_of - the set of a name, which may end in //TRANSLIT or the like; -1 */
static int set_of(const char *name)
{
	char plain[24];
	size_t len = strcspn(name, "/");

	if (len >= sizeof(plain)) {
		return -1;
	}
	memcpy(plain, name, len);
	plain[len] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (str_ieq(plain, names[i].name)) {
			return names[i].set;
		}
	}
	return -1;
}

/* decode_byte - the character of a byte, or -1 */
static int32_t decode_byte(int set, unsigned char byte)
{
	if (byte < 0x80) {
		return byte;
	}
	if (set == SET_ASCII) {
		return -1;
	}
	if (set == SET_CP1252 && byte < 0xa0) {
		return cp1252[byte - 0x80] != 0 ? cp1252[byte - 0x80] : -1;
	}
	for (size_t i = 0; set == SET_LATIN9 && i < ARRAY_LEN(latin9); i++) {
		if (latin9[i].byte == byte) {
			return latin9[i].code;
		}
	}
	return byte;
}

/* encode_byte - the byte of a character in a set, or -1 */
static int encode_byte(int set, int32_t code)
{
	for (int byte = 0; byte < 0x100; byte++) {
		if (decode_byte(set, (unsigned char)byte) == code) {
			return byte;
		}
	}
	return -1;
}

/* encode_utf8 - up to three bytes, which reach all that is decoded here */
static size_t encode_utf8(int32_t code, char out[3])
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xc0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	out[0] = (char)(0xe0 | code >> 12);
	out[1] = (char)(0x80 | (code >> 6 & 0x3f));
	out[2] = (char)(0x80 | (code & 0x3f));
	return 3;
}

/* next_code - take one character off the input; -1 with errno, nothing taken */
static int32_t next_code(int set, const char *in, size_t left, size_t *used_r)
{
	int32_t code;
	unsigned char first = (unsigned char)in[0];

	*used_r = 1;
	if (set != SET_UTF8) {
		code = decode_byte(set, first);
	} else {
		size_t need = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 1;

		code = utf8_get(in, left, used_r);
		if (code < 0 && need > left && first >= 0xc2) {
			errno = EINVAL; /* torn: more input is needed */
			return -1;
		}
	}
	if (code < 0) {
		errno = EILSEQ;
	}
	return code;
}

iconv_t iconv_open(const char *to, const char *from)
{
	int to_set = set_of(to), from_set = set_of(from);

	if (to_set < 0 || from_set < 0) {
		errno = EINVAL;
		return (iconv_t)-1;
	}
	return (iconv_t)(uintptr_t)(1 + to_set * SET_COUNT + from_set);
}

size_t iconv(iconv_t cd, char **in, size_t *in_left, char **out, size_t *out_left)
{
	uintptr_t pair = (uintptr_t)cd - 1;
	int to = (int)(pair / SET_COUNT), from = (int)(pair % SET_COUNT);

	while (in != NULL && *in != NULL && *in_left > 0) {
		size_t used, made = 1;
		char text[3];
		int32_t code = next_code(from, *in, *in_left, &used);

		if (code < 0) {
			return (size_t)-1;
		}
		if (to == SET_UTF8 && code < 0x10000) {
			made = encode_utf8(code, text);
		} else {
			int byte = encode_byte(to, code);

			if (byte < 0) {
				errno = EILSEQ;
				return (size_t)-1;
			}
			text[0] = (char)byte;
		}
		if (made > *out_left) {
			errno = E2BIG;
			return (size_t)-1;
		}
		memcpy(*out, text, made);
		*out += made;
		*out_left -= made;
		*in += used;
		*in_left -= used;
	}
	return 0;
}

int iconv_close(iconv_t cd)
{
	(void)cd;
	return 0;
}

#endif
