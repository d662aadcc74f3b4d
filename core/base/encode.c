/*
 * encode - base64, hex and xtext
 *
 * RFC 4648 (base64, base16), RFC 3461 section 4 (xtext).
 */
#include "base/encode.h"

#include <string.h>

#include "base/utf8.h"

static const char base64_alphabet[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char hex_lower[] = "0123456789abcdef", hex_upper[] = "0123456789ABCDEF";

void base64_encode(struct buf *out, const void *data, size_t len)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i += 3) {
		unsigned v = (unsigned)p[i] << 16 | (i + 1 < len ? (unsigned)p[i + 1] << 8 : 0) |
			(i + 2 < len ? p[i + 2] : 0u);
		char quad[4] = { base64_alphabet[v >> 18], base64_alphabet[v >> 12 & 63],
			i + 1 < len ? base64_alphabet[v >> 6 & 63] : '=',
			i + 2 < len ? base64_alphabet[v & 63] : '=' };

		buf_add(out, quad, sizeof(quad));
	}
}

static int base64_value(char c)
{
	const char *at = c != '\0' ? strchr(base64_alphabet, c) : NULL;

	return at != NULL ? (int)(at - base64_alphabet) : -1;
}

bool base64_decode(struct buf *out, const char *text, size_t len)
{
	size_t pad = 0;

	if (len % 4 != 0) {
		return false;
	}
	if (len > 0) {
		pad = (size_t)(text[len - 1] == '=') +
			(size_t)(text[len - 1] == '=' && text[len - 2] == '=');
	}
	for (size_t i = 0; i < len; i += 4) {
		size_t chars = i + 4 == len ? 4 - pad : 4;
		unsigned v = 0;
		char bytes[3];

		for (size_t j = 0; j < 4; j++) {
			int digit = j < chars ? base64_value(text[i + j]) : 0;

			if (digit < 0) {
				return false;
			}
			v = v << 6 | (unsigned)digit;
		}
		bytes[0] = (char)(v >> 16);
		bytes[1] = (char)(v >> 8);
		bytes[2] = (char)v;
		if (v & (chars == 2 ? 0xffffu : chars == 3 ? 0xffu : 0u)) {
			return false; /* bits that no byte holds */
		}
		buf_add(out, bytes, chars - 1);
	}
	return true;
}

void hex_encode(struct buf *out, const void *data, size_t len)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i++) {
		buf_addc(out, hex_lower[p[i] >> 4]);
		buf_addc(out, hex_lower[p[i] & 15]);
	}
}

static int hex_value(char c)
{
	const char *at;

	if (c == '\0') {
		return -1;
	}
	at = strchr(hex_lower, c);
	if (at != NULL) {
		return (int)(at - hex_lower);
	}
	at = strchr(hex_upper, c);
	return at != NULL ? (int)(at - hex_upper) : -1;
}

bool hex_decode(struct buf *out, const char *text, size_t len)
{
	if (len % 2 != 0) {
		return false;
	}
	for (size_t i = 0; i < len; i += 2) {
		int high = hex_value(text[i]), low = hex_value(text[i + 1]);

		if (high < 0 || low < 0) {
			return false;
		}
		buf_addc(out, (char)(high << 4 | low));
	}
	return true;
}

void xtext_encode(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c > 32 && c < 127 && c != '+' && c != '=') {
			buf_addc(out, (char)c);
		} else {
			char code[3] = { '+', hex_upper[c >> 4], hex_upper[c & 15] };

			buf_add(out, code, sizeof(code));
		}
	}
}

bool xtext_decode(struct buf *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '+') {
			int high = i + 2 < len ? hex_value(text[i + 1]) : -1;
			int low = i + 2 < len ? hex_value(text[i + 2]) : -1;

			if (high < 0 || low < 0) {
				return false;
			}
			buf_addc(out, (char)(high << 4 | low));
			i += 2;
		} else if (c > 32 && c < 127 && c != '=') {
			buf_addc(out, (char)c);
		} else {
			return false;
		}
	}
	return true;
}

void json_encode(struct buf *out, const char *text)
{
	static const char plain[] = "\b\f\n\r\t\"\\", letters[] = "bfnrt\"\\";
	const char *at;
	size_t n;

	buf_addc(out, '"');
	for (; *text != '\0'; text += n) {
		n = 1;
		at = strchr(plain, *text);
		if (at != NULL) {
			buf_addf(out, "\\%c", letters[at - plain]);
		} else if ((unsigned char)*text < 0x20 || *text == 0x7f) {
			buf_addf(out, "\\u%04X", (unsigned)(unsigned char)*text);
		} else if (utf8_get(text, strlen(text), &n) < 0) {
			buf_adds(out, "\\uFFFD");
		} else {
			buf_add(out, text, n);
		}
	}
	buf_addc(out, '"');
}
