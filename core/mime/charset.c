/*
 * charset - character sets to and from UTF-8 over iconv(3)
 *
 * A converter keeps the torn character at the end of a piece for the next one. Bytes
 * that mean nothing become U+FFFD one by one, so that damage stays local. ASCII and
 * UTF-8 do not pass through iconv.
 *
 * RFC 3629, RFC 2046 4.1.2; Unicode case folding for the scripts that have case
 */
#include "mime/charset.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>

#include "config/features.h"
#include "base/mem.h"
#include "base/str.h"
#include "mime/charset_more.h"

enum { TORN_MAX = 16 };
static const uint32_t replacement = 0xfffd;

struct mime_charset {
	iconv_t cd; /* (iconv_t)-1: UTF-8 */
	char torn[TORN_MAX];
	size_t torn_len;
	enum charset_more more; /* what iconv lacks of it */
	bool shifted;
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
	case 0x388:
	case 0x389:
	case 0x38a:
		return c + 37;
	case 0x38c:
		return 0x3cc;
	case 0x38e:
	case 0x38f:
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
	if (c >= 0x531 && c <= 0x556) { /* Armenian */
		return c + 48;
	}
	if (c >= 0x1e00 && c < 0x1f00) { /* Latin, additional */
		return c == 0x1e9e ? 0xdf : c >= 0x1e96 && c <= 0x1e9f ? c : c | 1;
	}
	return c >= 0xff21 && c <= 0xff3a ? c + 32 : c; /* full width */
}

/* fold_many - what a character is without case that is several then; NULL: it is one */
static const char *fold_many(uint32_t c)
{
	static const struct {
		uint16_t code;
		char to[8];
	} rows[] = {
		{ 0xdf, "ss" },
		{ 0x1e9e, "ss" },
		{ 0x149, "\xca\xbcn" },
		{ 0x1f0, "j\xcc\x8c" },
		{ 0x390, "\xce\xb9\xcc\x88\xcc\x81" },
		{ 0x3b0, "\xcf\x85\xcc\x88\xcc\x81" },
		{ 0x587, "\xd5\xa5\xd6\x82" },
		{ 0x1e96, "h\xcc\xb1" },
		{ 0x1e97, "t\xcc\x88" },
		{ 0x1e98, "w\xcc\x8a" },
		{ 0x1e99, "y\xcc\x8a" },
		{ 0x1e9a, "a\xca\xbe" },
		{ 0xfb00, "ff" },
		{ 0xfb01, "fi" },
		{ 0xfb02, "fl" },
		{ 0xfb03, "ffi" },
		{ 0xfb04, "ffl" },
		{ 0xfb05, "st" },
		{ 0xfb06, "st" },
		{ 0xfb13, "\xd5\xb4\xd5\xb6" },
		{ 0xfb14, "\xd5\xb4\xd5\xa5" },
		{ 0xfb15, "\xd5\xb4\xd5\xab" },
		{ 0xfb16, "\xd5\xbe\xd5\xb6" },
		{ 0xfb17, "\xd5\xb4\xd5\xad" },
	};

	if (c > 0xdf && c != 0x149 && c != 0x1f0 && c != 0x390 && c != 0x3b0 && c != 0x587 &&
		!(c >= 0x1e96 && c <= 0x1e9e) && !(c >= 0xfb00 && c <= 0xfb17)) {
		return NULL;
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].code == c) {
			return rows[i].to;
		}
	}
	return NULL;
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
			const char *many;

			c = utf8_get(s + i, len - i, &n);
			many = c < 0 ? NULL : fold_many((uint32_t)c);
			if (many != NULL) {
				buf_adds(out, many);
			} else {
				utf8_put(out, c < 0 ? replacement : fold((uint32_t)c));
			}
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
	static const char other[][2][15] = {
		{ "x-gbk", "gbk" },
		{ "ks_c_5601-1987", "euc-kr" },
		{ "iso-8859-8-i", "iso-8859-8" },
		{ "x-euc-jp", "euc-jp" },
		{ "x-big5", "big5" },
		{ "big5-hkscs", "big5" },
		{ "x-cp1252", "cp1252" },
		{ "ibm850", "cp850" },
		{ "ibm866", "cp866" },
		{ "ibm437", "cp437" },
		{ "ibm037", "cp037" },
		{ "cp936", "gbk" },
		{ "windows-936", "gbk" },
		{ "ms936", "gbk" },
		{ "windows-949", "euc-kr" },
		{ "cp949", "euc-kr" },
		{ "windows-950", "big5" },
		{ "cp950", "big5" },
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
	enum charset_more more = MORE_NONE;
	iconv_t cd = (iconv_t)-1;
	struct mime_charset *c;

	if (!is_utf8_name(name)) {
#if FEATURE_CHARSETS
		name = charset_more_name(name, &more);
#endif
		cd = iconv_open("UTF-8", known_name(name));
		if (cd == (iconv_t)-1) {
			return NULL;
		}
	}
	c = mem_alloc(sizeof(*c));
	c->cd = cd;
	c->more = more;
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

#if FEATURE_CHARSETS
/* convert_more - as convert(), of a set that iconv lacks in part: character by character */
static void convert_more(
	struct mime_charset *c, const char *s, size_t len, struct buf *out, size_t *left_r)
{
	struct charset_piece p;

	*left_r = 0;
	while (len > 0) {
		charset_more_next(c->more, &c->shifted, s, len, &p);
		if (p.len == 0) {
			*left_r = len;
			return;
		}
		if (p.code == MORE_ICONV) {
			char *in = p.bytes, *to = buf_reserve(out, 16), *start = to;
			size_t room = 16;

			if (iconv(c->cd, &in, &p.iconv_len, &to, &room) == (size_t)-1) {
				utf8_put(out, replacement);
				p.len = c->more == MORE_KR ? p.len : 1;
			} else {
				buf_added(out, (size_t)(to - start));
			}
		} else if (p.code > 0) {
			utf8_put(out, (uint32_t)p.code);
		}
		s += p.len;
		len -= p.len;
	}
}
#endif

/* convert - all of s that can be; *left_r: a torn character at the end */
static void convert(
	struct mime_charset *c, const char *s, size_t len, struct buf *out, size_t *left_r)
{
	char *in = (char *)s; /* iconv's prototype lacks const; it does not write there */
	size_t left = len;

	*left_r = 0;
	if (c->cd == (iconv_t)-1) {
		*left_r = torn_tail(s, len);
		utf8_repair(out, s, len - *left_r);
		return;
	}
#if FEATURE_CHARSETS
	if (c->more != MORE_NONE) {
		convert_more(c, s, len, out, left_r);
		return;
	}
#endif
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
	c->shifted = false;
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

struct mime_encoder {
	iconv_t cd;                  /* (iconv_t)-1: the table, or UTF-8 */
	struct charset_table *table; /* where iconv has no way into the set */
};

struct mime_encoder *mime_encoder_open(const char *charset)
{
	struct mime_encoder *e = mem_alloc(sizeof(*e));

	e->cd = (iconv_t)-1;
	if (is_utf8_name(charset) && !str_ieq(charset, "us-ascii")) {
		return e;
	}
#if FEATURE_CHARSETS
	e->table = charset_table_open(charset);
#endif
	if (e->table == NULL) {
		e->cd = iconv_open(known_name(charset), "UTF-8");
	}
	if (e->table == NULL && e->cd == (iconv_t)-1) {
		mem_free(e);
		return NULL;
	}
	return e;
}

void mime_encoder_close(struct mime_encoder *e)
{
	if (e == NULL) {
		return;
	}
	if (e->cd != (iconv_t)-1) {
		iconv_close(e->cd);
	}
#if FEATURE_CHARSETS
	charset_table_close(e->table);
#endif
	mem_free(e);
}

/* put_one - the character at s, of n bytes; false: the set lacks it */
static bool put_one(struct mime_encoder *e, const char *s, size_t n, int32_t code, struct buf *out)
{
	char one[16], *in = (char *)s, *to = one;
	size_t left = n, room = sizeof(one);

#if FEATURE_CHARSETS
	if (e->table != NULL) {
		return code >= 0 && charset_table_put(e->table, (uint32_t)code, out);
	}
#else
	(void)code;
#endif
	/* Not 0: not there, or replaced by something of iconv's choice. */
	if (iconv(e->cd, &in, &left, &to, &room) != 0) {
		return false;
	}
	buf_add(out, one, (size_t)(to - one));
	return true;
}

bool mime_encoder_put(struct mime_encoder *e, const char *data, size_t len, struct buf *out)
{
	bool whole = true;
	size_t n;

	if (e->cd == (iconv_t)-1 && e->table == NULL) {
		utf8_repair(out, data, len);
		return true;
	}
	for (size_t i = 0; i < len; i += n) {
		int32_t code = utf8_get(data + i, len - i, &n);

		if (!put_one(e, data + i, n, code, out)) {
			whole = false;
			buf_addc(out, '?');
		}
	}
	return whole;
}

bool mime_from_utf8(
	const char *charset, const char *data, size_t len, struct buf *out, bool *lost_r)
{
	struct mime_encoder *e = mime_encoder_open(charset);
	bool whole;

	if (e == NULL) {
		return false;
	}
	whole = mime_encoder_put(e, data, len, out);
	mime_encoder_close(e);
	if (lost_r != NULL) {
		*lost_r = !whole;
	}
	return true;
}

bool mime_charset_ascii(const char *name)
{
	static const char prefix[][12] = { "iso-8859-", "iso8859", "windows-125", "cp125", "koi8-",
		"euc-", "latin" };
	static const char whole[][11] = { "gb2312", "tis-620", "iso_8859-1" };
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
