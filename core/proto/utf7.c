/*
 * utf7 - modified UTF-7, the spelling of mailbox names
 *
 * Printable ASCII stands for itself, "&" is "&-", everything else is UTF-16
 * in base64 with "," for "/", between "&" and "-". A name has one right
 * spelling only, so decoding is strict: two spellings of one folder would be two
 * folders.
 *
 * RFC 3501 section 5.1.3, RFC 3629.
 */
#include "proto/utf7.h"

#include <stdint.h>
#include <string.h>

#include "mime/charset.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/* Bits on their way into base64. */
struct bits {
	uint32_t value;
	unsigned count;
};

static void put_unit(struct buf *out, struct bits *b, uint32_t unit)
{
	b->value = b->value << 16 | unit;
	b->count += 16;
	while (b->count >= 6) {
		b->count -= 6;
		buf_addc(out, digits[b->value >> b->count & 63]);
	}
}

bool utf7_encode(struct buf *out, const char *utf8, size_t len)
{
	const char *p = utf8, *end = p + len;
	struct bits b = { 0, 0 };
	bool shifted = false;

	while (p < end) {
		size_t n;
		int32_t code = utf8_get(p, (size_t)(end - p), &n);
		uint32_t point = (uint32_t)code;

		if (code <= 0) {
			return false;
		}
		p += n;
		if (point >= 0x20 && point < 0x7f) {
			if (shifted) {
				if (b.count > 0) {
					buf_addc(out, digits[b.value << (6 - b.count) & 63]);
				}
				buf_addc(out, '-');
				shifted = false;
			}
			buf_adds(out, point == '&' ? "&-" : (char[]){ (char)point, '\0' });
			continue;
		}
		if (!shifted) {
			buf_addc(out, '&');
			b = (struct bits){ 0, 0 };
			shifted = true;
		}
		if (point >= 0x10000) {
			put_unit(out, &b, 0xd800 + ((point - 0x10000) >> 10));
			point = 0xdc00 + ((point - 0x10000) & 0x3ff);
		}
		put_unit(out, &b, point);
	}
	if (shifted) {
		if (b.count > 0) {
			buf_addc(out, digits[b.value << (6 - b.count) & 63]);
		}
		buf_addc(out, '-');
	}
	return true;
}

/* decode_shifted - between '&' and '-'; false: not what an encoder writes */
static bool decode_shifted(struct buf *out, const char *text, size_t len)
{
	uint32_t value = 0, high = 0;
	unsigned count = 0;

	for (size_t i = 0; i < len; i++) {
		const char *digit = strchr(digits, text[i]);
		uint32_t unit;

		if (digit == NULL || *digit == '\0') {
			return false;
		}
		value = value << 6 | (uint32_t)(digit - digits);
		count += 6;
		if (count < 16) {
			continue;
		}
		count -= 16;
		unit = value >> count & 0xffff;
		if (high != 0) {
			if (unit < 0xdc00 || unit > 0xdfff) {
				return false;
			}
			utf8_put(out, 0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00));
			high = 0;
		} else if (unit >= 0xd800 && unit <= 0xdbff) {
			high = unit;
		} else if ((unit >= 0x20 && unit < 0x7f) || (unit >= 0xdc00 && unit <= 0xdfff) ||
			unit == 0) {
			return false;
		} else {
			utf8_put(out, unit);
		}
	}
	/* What is left over are fewer bits than a digit has, and zero. */
	return high == 0 && count < 6 && (value & ((1u << count) - 1)) == 0;
}

bool utf7_decode(struct buf *out, const char *text, size_t len)
{
	bool just_ended = false;

	for (size_t i = 0; i < len; i++) {
		const char *end;
		size_t n;

		if ((unsigned char)text[i] < 0x20 || (unsigned char)text[i] > 0x7e) {
			return false;
		}
		if (text[i] != '&') {
			buf_addc(out, text[i]);
			just_ended = false;
			continue;
		}
		end = memchr(text + i + 1, '-', len - i - 1);
		if (end == NULL) {
			return false;
		}
		n = (size_t)(end - (text + i + 1));
		if (n == 0) {
			buf_addc(out, '&');
			just_ended = false;
		} else if (just_ended || !decode_shifted(out, text + i + 1, n)) {
			return false;
		} else {
			just_ended = true;
		}
		i += n + 1;
	}
	return true;
}
