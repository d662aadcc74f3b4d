/*
 * pop3 - command lines, byte-stuffing, unique ids
 *
 * RFC 1939 (sections 3, 7), RFC 2449 (4: line lengths).
 */
#include "proto/pop3.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct slice pop3_verb(struct slice line, char *verb, size_t size)
{
	struct slice rest = line;
	size_t n = 0;

	while (n < line.len && line.ptr[n] != ' ') {
		n++;
	}
	rest.ptr += n;
	rest.len -= n;
	while (rest.len > 0 && rest.ptr[0] == ' ') {
		rest.ptr++;
		rest.len--;
	}
	if (n >= size) {
		n = 0;
	}
	for (size_t i = 0; i < n; i++) {
		char c = line.ptr[i];

		verb[i] = c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
	}
	verb[n] = '\0';
	return rest;
}

enum pop3_number pop3_number(struct slice *args, bool more, uint64_t *out)
{
	uint64_t v = 0;
	size_t n = 0;

	for (; n < args->len && args->ptr[n] >= '0' && args->ptr[n] <= '9'; n++) {
		if (v > (UINT64_MAX - 9) / 10) {
			return POP3_NUMBER_LARGE;
		}
		v = v * 10 + (uint64_t)(args->ptr[n] - '0');
	}
	if (n == 0) {
		return POP3_NUMBER_NONE;
	}
	if (n < args->len && (!more || args->ptr[n] != ' ')) {
		return POP3_NUMBER_NOISE;
	}
	while (n < args->len && args->ptr[n] == ' ') {
		n++;
	}
	args->ptr += n;
	args->len -= n;
	*out = v;
	return POP3_NUMBER_OK;
}

/* ---- Messages ---- */

void pop3_body_begin(struct pop3_body *b, uint64_t lines)
{
	*b = (struct pop3_body){ .lines = lines, .line_start = true };
}

/* end_line - an LF came; the line was empty when nothing but perhaps a CR was before it */
static void end_line(struct pop3_body *b, bool empty)
{
	if (b->in_body && b->lines != POP3_ALL) {
		b->lines--;
	}
	b->in_body = b->in_body || empty;
	b->done = b->in_body && b->lines == 0;
	b->line_start = true;
	b->cr = false;
}

size_t pop3_body_add(struct pop3_body *b, struct buf *out, const char *data, size_t len)
{
	const char *p = data, *end = data + len;

	while (p < end && !b->done) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((nl != NULL ? nl : end) - p);
		bool cr = n > 0 ? p[n - 1] == '\r' : b->cr;
		/* Only a CR so far, in this piece or before it. */
		bool empty =
			b->line_start ? n == 0 || (n == 1 && cr) : n == 0 && b->cr && b->only_cr;

		if (b->line_start && n > 0 && *p == '.') {
			buf_addc(out, '.');
		}
		buf_add(out, p, n);
		if (nl == NULL) {
			b->only_cr = b->line_start && n == 1 && cr;
			b->line_start = false;
			b->cr = cr;
			return len;
		}
		buf_adds(out, cr ? "\n" : "\r\n");
		end_line(b, empty);
		p = nl + 1;
	}
	return (size_t)(p - data);
}

void pop3_body_end(struct pop3_body *b, struct buf *out)
{
	if (!b->line_start) {
		buf_adds(out, b->cr ? "\n" : "\r\n");
	}
	buf_adds(out, ".\r\n");
}

/* ---- Unique ids ---- */

/* add_number - "%08Xu": padded with zeros or not, hex or decimal */
static void add_number(struct buf *out, uint32_t v, int width, bool hex, bool upper)
{
	if (width > 32) {
		width = 32;
	}
	if (hex && upper) {
		buf_addf(out, "%0*" PRIX32, width, v);
	} else if (hex) {
		buf_addf(out, "%0*" PRIx32, width, v);
	} else {
		buf_addf(out, "%0*" PRIu32, width, v);
	}
}

void pop3_uidl(
	struct buf *out, const char *format, uint32_t uid, uint32_t validity, const char *name)
{
	enum { UIDL_MAX = 70 };
	size_t start = out->len;

	for (const char *p = format; *p != '\0'; p++) {
		int width = 0;
		bool hex = false, upper = false;

		if (*p != '%') {
			buf_addc(out, *p);
			continue;
		}
		for (p++; *p >= '0' && *p <= '9'; p++) {
			width = width < 100 ? width * 10 + (*p - '0') : width;
		}
		/* "X" is hex; with "L" before it in small letters, as Dovecot reads it. */
		for (; *p == 'X' || *p == 'x' || *p == 'L' || *p == 'U'; p++) {
			hex = hex || *p == 'X' || *p == 'x';
			upper = upper || *p == 'U';
		}
		if (*p == '\0') {
			break;
		}
		if (*p == 'u' || *p == 'v') {
			add_number(out, *p == 'u' ? uid : validity, width, hex, upper);
		} else if (*p == 'f' || *p == 'g') {
			buf_adds(out, name);
		} else {
			buf_addc(out, *p);
		}
	}
	if (out->len - start > UIDL_MAX) {
		buf_truncate(out, start + UIDL_MAX);
	}
	for (size_t i = start; i < out->len; i++) {
		if (out->data[i] < 0x21 || out->data[i] > 0x7e) {
			out->data[i] = '_';
		}
	}
	if (out->len == start) {
		add_number(out, uid, 8, true, false);
	}
}
