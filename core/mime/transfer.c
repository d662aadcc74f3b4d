/*
 * transfer - Content-Transfer-Encoding, decoded and encoded in pieces
 *
 * Decoders never fail: what is damaged gives the bytes that can be had. The
 * encoders write lines of at most 76 characters ended by LF.
 *
 * RFC 2045 6.7, 6.8
 */
#include "mime/transfer.h"

#include <string.h>

enum { LINE_MAX_QP = 76, LINE_MAX_B64 = 76 };

static const char names[][17] = { "7bit", "8bit", "binary", "base64", "quoted-printable",
	"x-uuencode" };

enum mime_encoding mime_encoding_parse(struct slice value)
{
	static const char uu[][9] = { "x-uue", "uuencode", "uue" };
	struct slice word;
	size_t i;

	value = slice_trim(value);
	word = slice_word(&value, " \t\r\n;(");
	for (i = 0; i < ARRAY_LEN(names); i++) {
		if (slice_ieq(word, names[i])) {
			return (enum mime_encoding)i;
		}
	}
	for (i = 0; i < ARRAY_LEN(uu); i++) {
		if (slice_ieq(word, uu[i])) {
			return MIME_UUENCODE;
		}
	}
	return word.len == 0 ? MIME_7BIT : MIME_UNKNOWN;
}

void mime_decode_init(struct mime_decoder *d, enum mime_encoding encoding)
{
	memset(d, 0, sizeof(*d));
	d->encoding = encoding;
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Value + 1 of a base64 letter, 0 for other bytes. */
/* clang-format off */
static const unsigned char base64_value[256] = {
	['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,
	['H'] = 8,  ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14,
	['O'] = 15, ['P'] = 16, ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21,
	['V'] = 22, ['W'] = 23, ['X'] = 24, ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28,
	['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35,
	['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42,
	['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48, ['w'] = 49,
	['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
	['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63,
	['/'] = 64
};
/* clang-format on */

static void decode_base64(
	struct mime_decoder *d, const unsigned char *p, size_t len, struct buf *out)
{
	const unsigned char *end = p + len;
	char *to = buf_reserve(out, len / 4 * 3 + 6), *start = to;

	for (; p < end; p++) {
		unsigned v = base64_value[*p];

		if (v == 0) {
			if (*p == '=') {
				/* Padding ends a group; concatenated encodings go on after it. */
				d->bits = d->count = 0;
			}
			continue;
		}
		d->bits = d->bits << 6 | (v - 1);
		d->count++;
		if (d->count == 2) {
			*to++ = (char)(d->bits >> 4);
		} else if (d->count == 3) {
			*to++ = (char)(d->bits >> 2);
		} else if (d->count == 4) {
			*to++ = (char)d->bits;
			d->bits = d->count = 0;
		}
	}
	buf_added(out, (size_t)(to - start));
}

static int hex_value(unsigned char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* hold - keep a byte of QP until it is clear what it is; a full store is let out */
static void hold(struct mime_decoder *d, char c, struct buf *out)
{
	if (d->held_len == sizeof(d->held)) {
		buf_add(out, d->held, d->held_len);
		d->held_len = 0;
	}
	d->held[d->held_len++] = c;
}

/* qp_escape - held begins with '=' and c follows what is held; true when c was taken */
static bool qp_escape(struct mime_decoder *d, char c, struct buf *out)
{
	int high, low;

	if (d->held_len == 1 && hex_value((unsigned char)c) >= 0) {
		hold(d, c, out);
		return true;
	}
	if (d->held_len == 2 && (high = hex_value((unsigned char)d->held[1])) >= 0) {
		low = hex_value((unsigned char)c);
		if (low >= 0) {
			buf_addc(out, (char)(high << 4 | low));
			d->held_len = 0;
			return true;
		}
	} else if (c == '\n') { /* soft line break, perhaps with blanks before the line end */
		d->held_len = 0;
		return true;
	} else if (c == ' ' || c == '\t' || c == '\r') {
		hold(d, c, out);
		return true;
	}
	/* No escape: as it stands. */
	buf_add(out, d->held, d->held_len);
	d->held_len = 0;
	return false;
}

static void decode_qp(struct mime_decoder *d, const char *p, size_t len, struct buf *out)
{
	const char *end = p + len;

	while (p < end) {
		char c = *p;

		if (d->held_len > 0 && d->held[0] == '=') {
			if (qp_escape(d, c, out)) {
				p++;
				continue;
			}
		}
		if (c == '=') {
			buf_add(out, d->held, d->held_len);
			d->held_len = 0;
			hold(d, c, out);
			p++;
		} else if (c == ' ' || c == '\t' || c == '\r') {
			hold(d, c, out);
			p++;
		} else if (c == '\n') {
			/* Blanks at the end of a line were added on the way (RFC 2045 6.7 (3)). */
			if (d->held_len > 0 && d->held[d->held_len - 1] == '\r') {
				buf_addc(out, '\r');
			}
			d->held_len = 0;
			buf_addc(out, c);
			p++;
		} else {
			const char *run = p;

			buf_add(out, d->held, d->held_len);
			d->held_len = 0;
			while (p < end && *p != '=' && *p != ' ' && *p != '\t' && *p != '\r' &&
				*p != '\n') {
				p++;
			}
			buf_add(out, run, (size_t)(p - run));
		}
	}
}

/* uu_line - one line of uuencoded text (held) */
static void uu_line(struct mime_decoder *d, struct buf *out)
{
	const char *p = d->held;
	size_t n, i, len = d->held_len;

	if (!d->begun) {
		d->begun = len > 6 && memcmp(p, "begin ", 6) == 0;
		return;
	}
	if (len == 0 || (len == 3 && memcmp(p, "end", 3) == 0)) {
		d->ended = true;
		return;
	}
	n = (size_t)(p[0] - ' ') & 63;
	for (i = 1; n > 0 && i + 3 < len + 4; i += 4) {
		unsigned v = 0, k;

		for (k = 0; k < 4; k++) {
			v = v << 6 | ((i + k < len ? (unsigned)(p[i + k] - ' ') : 0) & 63);
		}
		for (k = 0; k < 3 && n > 0; k++, n--) {
			buf_addc(out, (char)(v >> (16 - 8 * k)));
		}
	}
}

static void decode_uu(struct mime_decoder *d, const char *p, size_t len, struct buf *out)
{
	const char *end = p + len;

	for (; p < end && !d->ended; p++) {
		if (*p == '\n') {
			uu_line(d, out);
			d->held_len = 0;
		} else if (*p != '\r' && d->held_len < sizeof(d->held)) {
			d->held[d->held_len++] = *p;
		}
	}
}

void mime_decode(struct mime_decoder *d, const char *data, size_t len, struct buf *out)
{
	switch (d->encoding) {
	case MIME_BASE64:
		decode_base64(d, (const unsigned char *)data, len, out);
		break;
	case MIME_QP:
		decode_qp(d, data, len, out);
		break;
	case MIME_UUENCODE:
		decode_uu(d, data, len, out);
		break;
	case MIME_7BIT:
	case MIME_8BIT:
	case MIME_BINARY:
	case MIME_UNKNOWN:
		buf_add(out, data, len);
		break;
	}
}

void mime_decode_end(struct mime_decoder *d, struct buf *out)
{
	if (d->encoding == MIME_QP && d->held_len > 0) {
		/* "=" at the very end is a soft break; blanks there are padding; "=4" is damage and
		 * stays. */
		if (d->held[0] == '=' && d->held_len > 1 &&
			hex_value((unsigned char)d->held[1]) >= 0) {
			buf_add(out, d->held, d->held_len);
		}
	} else if (d->encoding == MIME_UUENCODE && d->held_len > 0 && !d->ended) {
		uu_line(d, out);
	}
	mime_decode_init(d, d->encoding);
}

void mime_encode_init(struct mime_encoder *e, enum mime_encoding encoding)
{
	memset(e, 0, sizeof(*e));
	e->encoding = encoding;
}

/* base64_group - up to three held bytes as four letters */
static void base64_group(struct mime_encoder *e, struct buf *out)
{
	unsigned v = (unsigned)e->held[0] << 16 |
		(e->held_len > 1 ? (unsigned)e->held[1] << 8 : 0) |
		(e->held_len > 2 ? e->held[2] : 0);
	char *to;

	if (e->held_len == 0) {
		return;
	}
	to = buf_reserve(out, 5);
	to[0] = alphabet[v >> 18];
	to[1] = alphabet[v >> 12 & 63];
	to[2] = e->held_len > 1 ? alphabet[v >> 6 & 63] : '=';
	to[3] = e->held_len > 2 ? alphabet[v & 63] : '=';
	to[4] = '\n';
	e->held_len = 0;
	e->column += 4;
	if (e->column >= LINE_MAX_B64) {
		e->column = 0;
	}
	buf_added(out, e->column == 0 ? 5 : 4);
}

/* qp_put - n bytes that stay together, after a soft break when the line is full */
static void qp_put(struct mime_encoder *e, const char *s, size_t n, struct buf *out)
{
	if (e->column + n > LINE_MAX_QP - 1) {
		buf_adds(out, "=\n");
		e->column = 0;
	}
	buf_add(out, s, n);
	e->column += n;
}

/* qp_byte - one byte, escaped when it must be */
static void qp_byte(struct mime_encoder *e, unsigned char c, bool line_ends, struct buf *out)
{
	static const char digits[] = "0123456789ABCDEF";
	char escape[3] = { '=', digits[c >> 4], digits[c & 15] };
	/* "From " and "." at the start of a line do not survive every mailbox and hop. */
	bool risky = e->column == 0 && (c == 'F' || c == '.');

	if (risky || c == '=' || c > 126 || (c < ' ' && c != '\t') ||
		(line_ends && (c == ' ' || c == '\t'))) {
		qp_put(e, escape, 3, out);
	} else {
		qp_put(e, (const char *)&c, 1, out);
	}
}

/* encode_qp - a blank is held until it is known whether it ends the line */
static void encode_qp(struct mime_encoder *e, const char *p, size_t len, struct buf *out)
{
	const char *end = p + len;

	for (; p < end; p++) {
		if (e->held_len > 0) {
			e->held_len = 0;
			qp_byte(e, e->held[0], *p == '\n', out);
		}
		if (*p == '\n') {
			buf_addc(out, '\n');
			e->column = 0;
		} else if (*p == ' ' || *p == '\t') {
			e->held[0] = (unsigned char)*p;
			e->held_len = 1;
		} else {
			qp_byte(e, (unsigned char)*p, false, out);
		}
	}
}

void mime_encode(struct mime_encoder *e, const char *data, size_t len, struct buf *out)
{
	size_t i;

	if (e->encoding == MIME_QP) {
		encode_qp(e, data, len, out);
	} else if (e->encoding == MIME_BASE64) {
		for (i = 0; i < len; i++) {
			e->held[e->held_len++] = (unsigned char)data[i];
			if (e->held_len == 3) {
				base64_group(e, out);
			}
		}
	} else {
		buf_add(out, data, len);
	}
}

void mime_encode_end(struct mime_encoder *e, struct buf *out)
{
	if (e->encoding == MIME_QP) {
		if (e->held_len > 0) {
			e->held_len = 0;
			qp_byte(e, e->held[0], true, out);
		}
	} else if (e->encoding == MIME_BASE64) {
		base64_group(e, out);
		if (e->column > 0) {
			buf_addc(out, '\n');
		}
	}
	mime_encode_init(e, e->encoding);
}
