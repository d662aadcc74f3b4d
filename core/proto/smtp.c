/*
 * smtp - command lines, ESMTP parameters and replies
 *
 * Everything here works on slices of the input and never keeps one. What a
 * client may send is wider than the grammar in one way: blanks are forgiven
 * where clients are known to put them ("MAIL FROM: <a@b>", two blanks between
 * words), because refusing them costs mail and protects nobody. Paths are in
 * smtp_path.c, message data in smtp_data.c.
 *
 * RFC 5321 (SMTP), 3461 (DSN parameters), 1870 (SIZE), 6533 (utf-8 ORCPT).
 */
#include "proto/smtp.h"

#include <string.h>

#include "base/encode.h"
#include "base/utf8.h"

/* RFC 3461 5.4: ENVID has at most 100, ORCPT 500 characters; doubled for xtext. */
enum { XTEXT_MAX = 1000 };

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void skip_blanks(struct slice *s)
{
	while (s->len > 0 && is_blank(*s->ptr)) {
		s->ptr++;
		s->len--;
	}
}

void smtp_split(struct slice line, struct slice *verb_r, struct slice *rest_r)
{
	struct slice s = slice_trim(line);
	size_t n = 0;

	while (n < s.len && !is_blank(s.ptr[n])) {
		n++;
	}
	*verb_r = (struct slice){ s.ptr, n };
	*rest_r = (struct slice){ s.ptr + n, s.len - n };
	skip_blanks(rest_r);
}

bool smtp_keyword(struct slice *rest, const char *keyword)
{
	struct slice s = *rest;
	size_t n = strlen(keyword);

	if (s.len < n || !slice_ieq((struct slice){ s.ptr, n }, keyword)) {
		return false;
	}
	s.ptr += n;
	s.len -= n;
	if (s.len == 0 || *s.ptr != ':') {
		return false;
	}
	s.ptr++;
	s.len--;
	skip_blanks(&s);
	*rest = s;
	return true;
}

bool smtp_next_param(struct slice *rest, struct smtp_param *p)
{
	struct slice word = slice_word(rest, " \t");
	const char *eq;

	if (word.ptr == NULL || word.len == 0) {
		return false;
	}
	p->text = p->key = word;
	p->value = (struct slice){ NULL, 0 };
	eq = memchr(word.ptr, '=', word.len);
	if (eq != NULL) {
		p->key.len = (size_t)(eq - word.ptr);
		p->value.ptr = eq + 1;
		p->value.len = word.len - p->key.len - 1;
	}
	return true;
}

bool smtp_is_number(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9') {
			return false;
		}
	}
	return text.len > 0;
}

bool smtp_parse_size(struct slice text, uint64_t *size_r)
{
	uint64_t size = 0;

	if (!smtp_is_number(text) || text.len > 18) { /* RFC 1870 3 allows 20; 18 always fit */
		return false;
	}
	for (size_t i = 0; i < text.len; i++) {
		size = size * 10 + (uint64_t)(text.ptr[i] - '0');
	}
	*size_r = size;
	return true;
}

bool smtp_parse_notify(struct slice text, unsigned *notify_r)
{
	static const char *const names[] = { "NEVER", "SUCCESS", "FAILURE", "DELAY" };
	unsigned notify = 0;

	for (;;) {
		struct slice word = slice_word(&text, ",");
		size_t i = 0;

		if (word.ptr == NULL) {
			break;
		}
		while (i < ARRAY_LEN(names) && !slice_ieq(word, names[i])) {
			i++;
		}
		if (i == ARRAY_LEN(names)) {
			return false;
		}
		notify |= 1U << i;
	}
	if (notify == 0 || ((notify & 1) != 0 && notify != 1)) {
		return false; /* nothing was said; NEVER stands alone */
	}
	*notify_r = notify;
	return true;
}

/* decode_xtext - xtext without control bytes, or NULL */
static const char *decode_xtext(struct arena *a, struct slice text, bool utf8)
{
	struct buf b = BUF_INIT;
	const char *copy = NULL;

	if (text.len <= XTEXT_MAX && xtext_decode(&b, text.ptr, text.len)) {
		copy = arena_strndup(a, buf_str(&b), b.len);
		for (size_t i = 0; copy != NULL && i < b.len; i++) {
			unsigned char c = (unsigned char)copy[i];

			if (c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8)) {
				copy = NULL;
			}
		}
	}
	buf_free(&b);
	return copy;
}

/* put_utf8 - a code point as UTF-8, RFC 3629 3 */
static void put_utf8(struct buf *b, uint32_t code)
{
	unsigned more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
	static const unsigned char lead[] = { 0, 0xc0, 0xe0, 0xf0 };

	buf_addc(b, (char)(lead[more] | code >> (6 * more)));
	while (more-- > 0) {
		buf_addc(b, (char)(0x80 | (code >> (6 * more) & 0x3f)));
	}
}

/* read_embedded - "\x{HEX}" at the head of text: how long it is, 0: it is none. RFC 6533 3 */
static size_t read_embedded(struct slice text, uint32_t *code_r)
{
	uint32_t code = 0;
	size_t i = 3;

	if (text.len < 6 || memcmp(text.ptr, "\\x{", 3) != 0) {
		return 0;
	}
	for (; i < text.len && i < 9 && text.ptr[i] != '}'; i++) {
		char c = text.ptr[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'F')) {
			return 0;
		}
		code = code << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'A' + 10);
	}
	if (i < 5 || i == text.len || text.ptr[i] != '}' || code <= 0x20 || code == 0x7f ||
		code > 0x10ffff) {
		return 0;
	}
	*code_r = code;
	return i + 1;
}

/* decode_utf8_xtext - utf-8-addr-xtext and utf-8-addr-unitext, or NULL */
static const char *decode_utf8_xtext(struct arena *a, struct slice text)
{
	struct buf b = BUF_INIT;
	const char *copy = NULL;
	size_t i = 0, n = 1;

	while (i < text.len && text.len <= XTEXT_MAX && n > 0) {
		unsigned char c = (unsigned char)text.ptr[i];
		uint32_t code;

		n = 1;
		if (c <= 0x20 || c == 0x7f || c == '=' || c == '+') {
			n = 0;
		} else if (c != '\\') {
			buf_addc(&b, (char)c);
		} else {
			n = read_embedded((struct slice){ text.ptr + i, text.len - i }, &code);
			if (n > 0) {
				put_utf8(&b, code);
			}
		}
		i += n;
	}
	if (i > 0 && i == text.len && smtp_valid_utf8((struct slice){ buf_str(&b), b.len })) {
		copy = arena_strndup(a, buf_str(&b), b.len);
	}
	buf_free(&b);
	return copy;
}

const char *smtp_parse_orcpt(struct arena *a, struct slice text)
{
	const char *semi = text.len > 0 ? memchr(text.ptr, ';', text.len) : NULL;
	struct slice type, value;
	const char *address;

	if (semi == NULL || semi == text.ptr) {
		return NULL;
	}
	type = (struct slice){ text.ptr, (size_t)(semi - text.ptr) };
	value = (struct slice){ semi + 1, text.len - type.len - 1 };
	for (size_t i = 0; i < type.len; i++) {
		char c = type.ptr[i];

		if (!((c | 32) >= 'a' && (c | 32) <= 'z') && !(c >= '0' && c <= '9') && c != '-') {
			return NULL;
		}
	}
	address = slice_ieq(type, "utf-8") ? decode_utf8_xtext(a, value)
					   : decode_xtext(a, value, false);
	if (address == NULL) {
		return NULL;
	}
	return arena_printf(a, "%.*s;%s", (int)type.len, type.ptr, address);
}

const char *smtp_parse_envid(struct arena *a, struct slice text)
{
	return text.len > 0 ? decode_xtext(a, text, false) : NULL;
}

/* put_line - one reply line; control bytes cannot forge another one */
static void put_line(struct buf *out, struct slice head, char mark, struct slice text)
{
	char *p;

	p = buf_reserve(out, head.len + 1 + text.len + 2);
	memcpy(p, head.ptr, head.len);
	if (mark != '\0') {
		p[3] = mark;
	}
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		p[head.len + i] = c < 0x20 || c == 0x7f ? '?' : (char)c;
	}
	memcpy(p + head.len + text.len, "\r\n", 2);
	buf_added(out, head.len + text.len + 2);
}

void smtp_put_reply(struct buf *out, const char *text)
{
	size_t len = strlen(text), head = len < 4 ? len : 4, n = 0;
	const char *lf = strchr(text, '\n');

	/* "250 2.1.0 ": the enhanced code is repeated on every line, RFC 2034 4. */
	if (len > 4 && (text[4] == '2' || text[4] == '4' || text[4] == '5') && text[5] == '.') {
		n = strspn(text + 4, "0123456789.");
		head = text[4 + n] == ' ' ? 4 + n + 1 : head;
	}
	if (lf != NULL && (size_t)(lf - text) < head) {
		lf = NULL;
	}
	for (const char *p = text + head;; p = lf + 1, lf = strchr(p, '\n')) {
		if (lf == NULL) {
			put_line(out, (struct slice){ text, head }, '\0', slice_of(p));
			return;
		}
		put_line(out, (struct slice){ text, head }, '-',
			(struct slice){ p, (size_t)(lf - p) });
	}
}

bool smtp_has_8bit(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		if ((unsigned char)text.ptr[i] >= 0x80) {
			return true;
		}
	}
	return false;
}

bool smtp_valid_utf8(struct slice text)
{
	size_t n;

	for (size_t i = 0; i < text.len; i += n) {
		if (utf8_get(text.ptr + i, text.len - i, &n) < 0) {
			return false;
		}
	}
	return true;
}
