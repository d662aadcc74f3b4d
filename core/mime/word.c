/*
 * word - encoded words of header text
 *
 *	=?charset?B?base64?=	=?charset*lang?Q?quoted_printable?=
 *
 * Decoding is lenient where software errs: words that touch other text, blanks inside
 * Q text, a character torn between two words of the same charset and encoding
 * (their bytes are joined before they are converted).
 *
 * RFC 2047, RFC 2231 5 (language)
 */
#include "mime/word.h"

#include <string.h>

#include "base/encode.h"
#include "mime/charset.h"
#include "mime/header.h"
#include "mime/transfer.h"

enum { WORD_MAX = 75, CHARSET_MAX = 40 };
enum { FRAME = 12, LEAST = FRAME + 12 }; /* "=?UTF-8?Q?" and "?="; with one character */

struct word {
	char charset[CHARSET_MAX];
	char encoding; /* 'b', 'q' */
	struct slice text;
	size_t size; /* of all of it */
};

/* read_word - at "=?": an encoded word? */
static bool read_word(const char *p, const char *end, struct word *w)
{
	const char *start = p, *q, *star;
	size_t len;

	p += 2;
	q = memchr(p, '?', (size_t)(end - p));
	if (q == NULL || q == p || (size_t)(q - p) >= CHARSET_MAX || end - q < 4 || q[2] != '?') {
		return false;
	}
	star = memchr(p, '*', (size_t)(q - p));
	len = (size_t)((star != NULL ? star : q) - p);
	memcpy(w->charset, p, len);
	w->charset[len] = '\0';
	w->encoding = (char)(q[1] | 0x20);
	if (w->encoding != 'b' && w->encoding != 'q') {
		return false;
	}
	p = w->text.ptr = q + 3;
	for (;;) {
		q = memchr(p, '?', (size_t)(end - p));
		if (q == NULL || q + 1 >= end) {
			return false;
		}
		if (q[1] == '=') {
			break;
		}
		p = q + 1;
	}
	w->text.len = (size_t)(q - w->text.ptr);
	w->size = (size_t)(q + 2 - start);
	return true;
}

/* word_bytes - what the word stands for, in its charset */
static void word_bytes(const struct word *w, struct buf *out)
{
	struct mime_decoder d;
	size_t i;

	if (w->encoding == 'b') {
		mime_decode_init(&d, MIME_BASE64);
		mime_decode(&d, w->text.ptr, w->text.len, out);
		return;
	}
	mime_decode_init(&d, MIME_QP);
	for (i = 0; i < w->text.len; i++) {
		char c = w->text.ptr[i];

		if (c == '_' || c == ' ') {
			/* Past the decoder, which would take a blank for padding. */
			mime_decode_end(&d, out);
			buf_addc(out, ' ');
		} else {
			mime_decode(&d, &c, 1, out);
		}
	}
	mime_decode_end(&d, out);
}

/* put_plain - text that is no encoded word */
static void put_plain(struct buf *out, const char *s, size_t len, const char *fallback)
{
	if (fallback == NULL || utf8_valid(s, len)) {
		utf8_repair(out, s, len);
	} else {
		mime_to_utf8(fallback, s, len, out);
	}
}

/* blank_only - nothing but white space between two words */
static bool blank_only(const char *p, const char *end)
{
	for (; p < end; p++) {
		if (*p != ' ' && *p != '\t' && *p != '\r' && *p != '\n') {
			return false;
		}
	}
	return true;
}

void mime_words_decode(struct buf *out, struct slice text, const char *fallback)
{
	struct buf flat = BUF_INIT, bytes = BUF_INIT;
	char charset[CHARSET_MAX] = ""; /* of what is in bytes */
	const char *p, *end, *plain;
	bool after_word = false;

	mime_unfold(&flat, text);
	p = plain = buf_str(&flat);
	end = p + flat.len;
	while (p < end) {
		const char *next = memchr(p, '=', (size_t)(end - p));
		struct word w;

		if (next == NULL || end - next < 2) {
			break;
		}
		if (next[1] != '?' || !read_word(next, end, &w)) {
			p = next + 1;
			continue;
		}
		if (!(after_word && blank_only(plain, next))) {
			mime_to_utf8(charset, buf_str(&bytes), bytes.len, out);
			buf_reset(&bytes);
			put_plain(out, plain, (size_t)(next - plain), fallback);
		} else if (!str_ieq(charset, w.charset)) {
			mime_to_utf8(charset, buf_str(&bytes), bytes.len, out);
			buf_reset(&bytes);
		}
		memcpy(charset, w.charset, sizeof(charset));
		word_bytes(&w, &bytes);
		after_word = true;
		p = plain = next + w.size;
	}
	mime_to_utf8(charset, buf_str(&bytes), bytes.len, out);
	put_plain(out, plain, (size_t)(end - plain), fallback);
	buf_free(&flat);
	buf_free(&bytes);
}

/* q_size - length of text in Q; every byte that is no letter or digit is escaped: legal anywhere
 * (RFC 2047 5 (3)) */
static bool q_plain(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		c == '-' || c == '!' || c == '*' || c == '+' || c == '/';
}

static size_t q_size(const char *s, size_t len)
{
	size_t n = 0, i;

	for (i = 0; i < len; i++) {
		n += q_plain((unsigned char)s[i]) || s[i] == ' ' ? 1 : 3;
	}
	return n;
}

/* put_word - one encoded word, of s */
static void put_word(struct buf *out, const char *s, size_t len, bool q)
{
	size_t i;

	buf_adds(out, q ? "=?UTF-8?Q?" : "=?UTF-8?B?");
	if (!q) {
		base64_encode(out, s, len);
	}
	for (i = 0; q && i < len; i++) {
		if (s[i] == ' ') {
			buf_addc(out, '_');
		} else if (q_plain((unsigned char)s[i])) {
			buf_addc(out, s[i]);
		} else {
			buf_addf(out, "=%02X", (unsigned char)s[i]);
		}
	}
	buf_adds(out, "?=");
}

/* put_words - s as encoded words, as many as it takes; *column goes along */
static void put_words(struct buf *out, const char *s, size_t len, size_t *column)
{
	bool q = q_size(s, len) <= (len + 2) / 3 * 4;

	while (len > 0) {
		size_t room = *column + LEAST <= WORD_MAX ? WORD_MAX - *column - FRAME : 0;
		size_t take = 0, n;

		if (room == 0) {
			buf_adds(out, "\n ");
			*column = 1;
			room = WORD_MAX - 1 - FRAME;
		}
		while (take < len) {
			utf8_get(s + take, len - take, &n);
			if ((q ? q_size(s, take + n) : (take + n + 2) / 3 * 4) > room) {
				break;
			}
			take += n;
		}
		n = out->len;
		put_word(out, s, take, q);
		*column += out->len - n;
		s += take;
		len -= take;
		if (len > 0) {
			buf_adds(out, "\n ");
			*column = 1;
		}
	}
}

/* needs_encoding - 8-bit or control bytes, or text that would be read as an encoded word */
static bool needs_encoding(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if ((unsigned char)s[i] >= 127 || ((unsigned char)s[i] < ' ' && s[i] != '\t') ||
			(s[i] == '=' && i + 1 < len && s[i + 1] == '?')) {
			return true;
		}
	}
	return false;
}

/* put_phrase - an ASCII phrase, quoted when an atom's bounds are left */
static void put_phrase(struct buf *out, const char *s, size_t len, size_t *column)
{
	size_t i, start = out->len;
	bool quote = len == 0;

	for (i = 0; i < len; i++) {
		quote = quote || memchr("()<>@,;:\\\".[]", s[i], 13) != NULL;
	}
	if (quote) {
		buf_addc(out, '"');
	}
	for (i = 0; i < len; i++) {
		if (quote && (s[i] == '"' || s[i] == '\\')) {
			buf_addc(out, '\\');
		}
		buf_addc(out, s[i]);
	}
	if (quote) {
		buf_addc(out, '"');
	}
	*column += out->len - start;
}

static const char *skip_blanks(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t')) {
		p++;
	}
	return p;
}

static const char *skip_word(const char *p, const char *end)
{
	while (p < end && *p != ' ' && *p != '\t') {
		p++;
	}
	return p;
}

/*
 * encoded_end - of words that need encoding one after the other, the first of which ends at stop:
 * blanks between encoded words would be lost, so they are encoded together
 */
static const char *encoded_end(const char *stop, const char *end, bool phrase)
{
	while (stop < end) {
		const char *next = skip_word(skip_blanks(stop, end), end);

		if (!phrase && !needs_encoding(stop, (size_t)(next - stop))) {
			break;
		}
		stop = next;
	}
	return stop;
}

/* needs_break - does a new line begin before the blanks of a piece that is so long with them? */
static bool needs_break(size_t column, size_t blanks, size_t len, bool encoded)
{
	if (blanks == 0) {
		return false;
	}
	/* put_words() would add a blank of its own later. */
	return encoded ? column + blanks + LEAST > WORD_MAX : column > 1 && column + len > WORD_MAX;
}

void mime_words_encode(struct buf *out, struct slice text, size_t column, bool phrase)
{
	const char *p = text.ptr, *end = p + text.len, *stop;

	if (phrase && !needs_encoding(p, text.len)) {
		put_phrase(out, p, text.len, &column);
		return;
	}
	for (; p < end; p = stop) {
		const char *word = skip_blanks(p, end);
		bool encoded;

		stop = skip_word(word, end);
		encoded = phrase || needs_encoding(word, (size_t)(stop - word));
		if (encoded) {
			stop = encoded_end(stop, end, phrase);
		}
		if (needs_break(column, (size_t)(word - p), (size_t)(stop - p), encoded)) {
			buf_addc(out, '\n');
			column = 0;
		}
		buf_add(out, p, (size_t)(word - p));
		column += (size_t)(word - p);
		if (encoded) {
			put_words(out, word, (size_t)(stop - word), &column);
		} else {
			buf_add(out, word, (size_t)(stop - word));
			column += (size_t)(stop - word);
		}
	}
}
