/*
 * charset - character sets to and from UTF-8 over iconv(3)
 *
 * A converter keeps the torn character at the end of a piece for the next one. Bytes
 * that mean nothing become U+FFFD one by one, so that damage stays local. ASCII and
 * UTF-8 do not pass through iconv.
 *
 * RFC 3629, RFC 2046 4.1.2; Unicode simple case folding for the scripts that have case
 */
#include "mime/charset.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

enum { TORN_MAX = 16 };
static const uint32_t replacement = 0xfffd;

struct mime_charset {
	iconv_t cd;		/* (iconv_t)-1: UTF-8 */
	char torn[TORN_MAX];
	size_t torn_len;
};

void utf8_put(struct buf *out, uint32_t c)
{
	if (c < 0x80) {
		buf_addc(out, (char)c);
	} else if (c < 0x800) {
		buf_addc(out, (char)(0xc0 | c >> 6));
		buf_addc(out, (char)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		buf_addc(out, (char)(0xe0 | c >> 12));
		buf_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
		buf_addc(out, (char)(0x80 | (c & 0x3f)));
	} else {
		buf_addc(out, (char)(0xf0 | c >> 18));
		buf_addc(out, (char)(0x80 | (c >> 12 & 0x3f)));
		buf_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
		buf_addc(out, (char)(0x80 | (c & 0x3f)));
	}
}

/* ascii_run - how many bytes from the start are ASCII */
static size_t ascii_run(const char *s, size_t len)
{
	size_t i = 0;

	for (; i + 8 <= len; i += 8) {
		uint64_t word;

		memcpy(&word, s + i, 8);
		if (word & 0x8080808080808080u) {
			break;
		}
	}
	while (i < len && (unsigned char)s[i] < 0x80) {
		i++;
	}
	return i;
}

bool utf8_valid(const char *s, size_t len)
{
	size_t i = ascii_run(s, len), n;

	while (i < len) {
		if (utf8_get(s + i, len - i, &n) < 0) {
			return false;
		}
		i += n;
	}
	return true;
}

void utf8_repair(struct buf *out, const char *s, size_t len)
{
	size_t i = 0, n;

	while (i < len) {
		size_t run = ascii_run(s + i, len - i);

		buf_add(out, s + i, run);
		i += run;
		if (i < len) {
			if (utf8_get(s + i, len - i, &n) < 0) {
				utf8_put(out, replacement);
			} else {
				buf_add(out, s + i, n);
			}
			i += n;
		}
	}
}

/* fold_latin - U+00C0 to U+017F */
static uint32_t fold_latin(uint32_t c)
{
	if (c <= 0xde) {
		return c == 0xd7 ? c : c + 32;
	}
	if (c < 0x100 || c == 0x131 || c == 0x138 || c == 0x149 || c == 0x17f) {
		return c;
	}
	if (c == 0x130) {
		return 'i';
	}
	if (c == 0x178) {
		return 0xff;
	}
	if ((c >= 0x139 && c <= 0x148) || c >= 0x179) {
		return c + (c & 1);
	}
	return c | 1;
}

/* fold_greek - U+0386 to U+03CE */
static uint32_t fold_greek(uint32_t c)
{
	if (c >= 0x391 && c <= 0x3ab) {
		return c + 32;
	}
	switch (c) {
	case 0x386:
		return 0x3ac;
	case 0x388: case 0x389: case 0x38a:
		return c + 37;
	case 0x38c:
		return 0x3cc;
	case 0x38e: case 0x38f:
		return c + 63;
	case 0x3c2:
		return 0x3c3;
	}
	return c;
}

/* fold_cyrillic - U+0400 to U+052F */
static uint32_t fold_cyrillic(uint32_t c)
{
	if (c < 0x410) {
		return c + 80;
	}
	if (c < 0x430) {
		return c + 32;
	}
	if (c >= 0x4c0 && c <= 0x4cf) {
		return c == 0x4c0 ? 0x4cf : c == 0x4cf ? c : c + (c & 1);
	}
	return c >= 0x48a || (c >= 0x460 && c <= 0x481) ? c | 1 : c;
}

static uint32_t fold(uint32_t c)
{
	if (c >= 0xc0 && c < 0x180) {
		return fold_latin(c);
	}
	if (c >= 0x386 && c <= 0x3ce) {
		return fold_greek(c);
	}
	if (c >= 0x400 && c < 0x530) {
		return fold_cyrillic(c);
	}
	if (c >= 0x531 && c <= 0x556) {		/* Armenian */
		return c + 48;
	}
	if (c >= 0x1e00 && c < 0x1f00) {	/* Latin, additional */
		return c == 0x1e9e ? 0xdf : c >= 0x1e96 && c <= 0x1e9f ? c : c | 1;
	}
	return c >= 0xff21 && c <= 0xff3a ? c + 32 : c;	/* full width */
}

void utf8_fold(struct buf *out, const char *s, size_t len)
{
	size_t i = 0, n;

	while (i < len) {
		size_t run = ascii_run(s + i, len - i), k;
		char *to = buf_reserve(out, run + 1);
		int32_t c;

		for (k = 0; k < run; k++) {
			char b = s[i + k];

			to[k] = (char)(b >= 'A' && b <= 'Z' ? b | 0x20 : b);
		}
		buf_added(out, run);
		i += run;
		if (i < len) {
			c = utf8_get(s + i, len - i, &n);
			utf8_put(out, c < 0 ? replacement : fold((uint32_t)c));
			i += n;
		}
	}
}

/* is_utf8_name - also ASCII, and no name at all */
static bool is_utf8_name(const char *name)
{
	return *name == '\0' || str_ieq(name, "utf-8") || str_ieq(name, "utf8") ||
		str_ieq(name, "us-ascii") || str_ieq(name, "ascii") ||
		str_ieq(name, "ansi_x3.4-1968") || str_ieq(name, "unknown-8bit");
}

/* known_name - names that mail uses and iconv may not know */
static const char *known_name(const char *name)
{
	static const char *const other[][2] = {
		{ "x-gbk", "gbk" },
		{ "x-sjis", "shift_jis" },
		{ "ms_kanji", "shift_jis" },
		{ "windows-31j", "cp932" },
		{ "ks_c_5601-1987", "euc-kr" },
		{ "iso-8859-8-i", "iso-8859-8" },
		{ "x-euc-jp", "euc-jp" },
		{ "x-big5", "big5" },
		{ "big5-hkscs", "big5" },
		{ "x-cp1252", "cp1252" },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(other); i++) {
		if (str_ieq(name, other[i][0])) {
			return other[i][1];
		}
	}
	return name;
}

struct mime_charset *mime_charset_open(const char *name)
{
	iconv_t cd = (iconv_t)-1;
	struct mime_charset *c;

	if (!is_utf8_name(name)) {
		cd = iconv_open("UTF-8", known_name(name));
		if (cd == (iconv_t)-1) {
			return NULL;
		}
	}
	c = mem_alloc(sizeof(*c));
	c->cd = cd;
	return c;
}

/* torn_tail - bytes at the end of s that may be the beginning of a UTF-8 character */
static size_t torn_tail(const char *s, size_t len)
{
	size_t back;

	for (back = 1; back <= 3 && back <= len; back++) {
		unsigned char b = (unsigned char)s[len - back];

		if (b >= 0xc2) {
			return back < (b < 0xe0 ? 2u : b < 0xf0 ? 3u : 4u) ? back : 0;
		}
		if (b < 0x80) {
			return 0;
		}
	}
	return 0;
}

/* convert - all of s that can be; *left_r: a torn character at the end */
static void convert(
	struct mime_charset *c, const char *s, size_t len, struct buf *out, size_t *left_r)
{
	char *in = (char *)s;	/* iconv's prototype lacks const; it does not write there */
	size_t left = len;

	*left_r = 0;
	if (c->cd == (iconv_t)-1) {
		*left_r = torn_tail(s, len);
		utf8_repair(out, s, len - *left_r);
		return;
	}
	while (left > 0) {
		size_t room = left * 2 + 16;
		char *to = buf_reserve(out, room), *start = to;
		size_t before = left, n = iconv(c->cd, &in, &left, &to, &room);

		buf_added(out, (size_t)(to - start));
		if (n != (size_t)-1 || (errno == E2BIG && left < before)) {
			continue;
		}
		if (errno == EINVAL && left < TORN_MAX) {
			*left_r = left;
			return;
		}
		utf8_put(out, replacement);
		in++;
		left--;
	}
}

void mime_charset_add(struct mime_charset *c, const char *data, size_t len, struct buf *out)
{
	size_t left;

	/* Finish the torn character byte by byte: at most a few. */
	while (c->torn_len > 0 && len > 0) {
		c->torn[c->torn_len++] = *data++;
		len--;
		convert(c, c->torn, c->torn_len, out, &left);
		memmove(c->torn, c->torn + c->torn_len - left, left);
		c->torn_len = left;
	}
	if (len > 0) {
		convert(c, data, len, out, &left);
		memcpy(c->torn, data + len - left, left);
		c->torn_len = left;
	}
}

void mime_charset_end(struct mime_charset *c, struct buf *out)
{
	if (c->torn_len > 0) {
		utf8_put(out, replacement);
		c->torn_len = 0;
	}
	if (c->cd != (iconv_t)-1) {
		iconv(c->cd, NULL, NULL, NULL, NULL);
	}
}

void mime_charset_close(struct mime_charset *c)
{
	if (c != NULL) {
		if (c->cd != (iconv_t)-1) {
			iconv_close(c->cd);
		}
		mem_free(c);
	}
}

bool mime_to_utf8(const char *charset, const char *data, size_t len, struct buf *out)
{
	struct mime_charset *c = mime_charset_open(charset);
	bool known = c != NULL;

	if (!known) {
		c = mime_charset_open("");
	}
	mime_charset_add(c, data, len, out);
	mime_charset_end(c, out);
	mime_charset_close(c);
	return known;
}

bool mime_from_utf8(
	const char *charset, const char *data, size_t len, struct buf *out, bool *lost_r)
{
	bool lost = false;
	iconv_t cd;
	size_t i, n;

	if (is_utf8_name(charset) && !str_ieq(charset, "us-ascii")) {
		utf8_repair(out, data, len);
		if (lost_r != NULL) {
			*lost_r = false;
		}
		return true;
	}
	cd = iconv_open(known_name(charset), "UTF-8");
	if (cd == (iconv_t)-1) {
		return false;
	}
	for (i = 0; i < len; i += n) {
		char one[16], *in = (char *)data + i, *to = one;
		size_t left, room = sizeof(one), rc;

		utf8_get(data + i, len - i, &n);
		left = n;
		rc = iconv(cd, &in, &left, &to, &room);
		if (rc != 0) {		/* not there, or replaced by something of iconv's choice */
			lost = true;
			buf_addc(out, '?');
		} else {
			buf_add(out, one, (size_t)(to - one));
		}
	}
	iconv_close(cd);
	if (lost_r != NULL) {
		*lost_r = lost;
	}
	return true;
}

bool mime_charset_ascii(const char *name)
{
	static const char *const prefix[] = { "iso-8859-", "iso8859", "windows-125", "cp125",
		"koi8-", "euc-", "latin" };
	static const char *const whole[] = { "gb2312", "tis-620", "iso_8859-1" };
	size_t i;

	if (is_utf8_name(name)) {
		return true;
	}
	for (i = 0; i < ARRAY_LEN(prefix); i++) {
		if (str_istarts(name, prefix[i])) {
			return true;
		}
	}
	for (i = 0; i < ARRAY_LEN(whole); i++) {
		if (str_ieq(name, whole[i])) {
			return true;
		}
	}
	return false;
}
