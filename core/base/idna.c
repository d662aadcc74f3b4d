/*
 * idna - names of hosts in letters beyond ASCII, as name servers have them
 *
 *	label -> lower case -> Punycode -> "xn--..."
 *
 * RFC 5890 2.3.2.1, RFC 5891 4.4 and 5; RFC 3492 (Punycode); RFC 3490 3.1 for what else is a dot.
 */
#include "base/idna.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "base/utf8.h"

enum { LABEL_MAX = 63 };

/* Of RFC 3492 5. */
enum { BASE = 36, T_MIN = 1, T_MAX = 26, SKEW = 38, DAMP = 700, BIAS_FIRST = 72, CODE_FIRST = 128 };

/* What is put: less than there is room for. */
struct put {
	char *at, *end;
	bool full;
};

static void put_char(struct put *out, char c)
{
	if (out->at == out->end) {
		out->full = true;
	} else {
		*out->at++ = c;
	}
}

/* ---- Letters ---- */

/* Which of a range are capitals: none, the even or odd ones (the small one follows), or all, and
 * the small ones are so much further on. */
enum { SMALL = 0, EVEN = 1, ODD = 2 };

/*
 * fold - the small letter. *sure_r: it is of those that nothing but their case changes (letters
 * that stand for others, and marks that join with what is before them, are in none of the ranges).
 * This is not utf8_fold(), which makes "ss" of a sharp s: another name.
 */
static int32_t fold(int32_t c, bool *sure_r)
{
	static const struct {
		uint16_t first, last, kind;
	} ranges[] = { /* Latin */
		{ 0x00c0, 0x00d6, 32 }, { 0x00d8, 0x00de, 32 }, { 0x00df, 0x00f6, SMALL },
		{ 0x00f8, 0x00ff, SMALL }, { 0x0100, 0x012f, EVEN }, { 0x0131, 0x0131, SMALL },
		{ 0x0134, 0x0137, EVEN }, { 0x0139, 0x013e, ODD }, { 0x0141, 0x0148, ODD },
		{ 0x014a, 0x0177, EVEN }, { 0x0179, 0x017e, ODD }, { 0x1ea0, 0x1ef9, EVEN },
		/* Greek, Cyrillic */
		{ 0x0391, 0x03a1, 32 }, { 0x03a3, 0x03ab, 32 }, { 0x03ac, 0x03ce, SMALL },
		{ 0x0400, 0x040f, 80 }, { 0x0410, 0x042f, 32 }, { 0x0430, 0x045f, SMALL },
		{ 0x0490, 0x04bf, EVEN }, { 0x04d0, 0x052f, EVEN },
		/* Hebrew, Arabic, Thai */
		{ 0x05d0, 0x05ea, SMALL }, { 0x0620, 0x064a, SMALL }, { 0x0679, 0x06d3, SMALL },
		{ 0x0e01, 0x0e32, SMALL }, { 0x0e34, 0x0e3a, SMALL }, { 0x0e40, 0x0e4e, SMALL },
		/* Kana, Han, Hangul */
		{ 0x3041, 0x3096, SMALL }, { 0x30a1, 0x30fa, SMALL }, { 0x30fc, 0x30fc, SMALL },
		{ 0x3400, 0x4dbf, SMALL }, { 0x4e00, 0x9fff, SMALL }, { 0xac00, 0xd7a3, SMALL }
	};

	for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
		if (c >= ranges[i].first && c <= ranges[i].last) {
			int32_t kind = ranges[i].kind;
			bool capital = (kind == EVEN && c % 2 == 0) || (kind == ODD && c % 2 == 1);

			return kind > ODD ? c + kind : c + capital;
		}
	}
	*sure_r = *sure_r && c < CODE_FIRST;
	return c;
}

static bool is_dot(int32_t c)
{
	return c == '.' || c == 0x3002 || c == 0xff0e || c == 0xff61;
}

/* ---- Punycode ---- */

static uint32_t adapt(uint32_t delta, uint32_t count, bool first)
{
	uint32_t k = 0;

	delta = first ? delta / DAMP : delta / 2;
	delta += delta / count;
	for (; delta > (BASE - T_MIN) * T_MAX / 2; k += BASE) {
		delta /= BASE - T_MIN;
	}
	return k + (BASE - T_MIN + 1) * delta / (delta + SKEW);
}

/* put_number - of any size, the last digit known by its value */
static void put_number(struct put *out, uint32_t n, uint32_t bias)
{
	static const char digits[] = "abcdefghijklmnopqrstuvwxyz0123456789";

	for (uint32_t k = BASE;; k += BASE) {
		uint32_t t = k <= bias ? T_MIN : k >= bias + T_MAX ? T_MAX : k - bias;

		if (n < t) {
			put_char(out, digits[n]);
			return;
		}
		put_char(out, digits[t + (n - t) % (BASE - t)]);
		n = (n - t) / (BASE - t);
	}
}

/* next_code - the least that is not below least */
static int32_t next_code(const int32_t *code, size_t count, int32_t least)
{
	int32_t next = INT32_MAX;

	for (size_t i = 0; i < count; i++) {
		next = code[i] >= least && code[i] < next ? code[i] : next;
	}
	return next;
}

/* put_punycode - at most LABEL_MAX of them, so no number here grows beyond 32 bits */
static void put_punycode(struct put *out, const int32_t *code, size_t count)
{
	uint32_t delta = 0, bias = BIAS_FIRST, done = 0, basic;
	int32_t at = CODE_FIRST;

	for (size_t i = 0; i < count; i++) {
		if (code[i] < CODE_FIRST) {
			put_char(out, (char)code[i]);
			done++;
		}
	}
	basic = done;
	if (basic > 0) {
		put_char(out, '-');
	}
	for (; done < count; at++, delta++) {
		int32_t next = next_code(code, count, at);

		delta += (uint32_t)(next - at) * (done + 1);
		at = next;
		for (size_t i = 0; i < count; i++) {
			delta += code[i] < at;
			if (code[i] == at) {
				put_number(out, delta, bias);
				bias = adapt(delta, done + 1, done == basic);
				delta = 0;
				done++;
			}
		}
	}
}

/* ---- Names ---- */

static bool is_ascii(const char *name)
{
	while (*name != '\0' && (unsigned char)*name < CODE_FIRST) {
		name++;
	}
	return *name == '\0';
}

/* put_label - the label at *name, which goes to its end; false: it cannot be one */
static bool put_label(struct put *out, const char **name, bool *sure_r)
{
	int32_t code[LABEL_MAX];
	size_t count = 0, size;
	bool ascii = true;
	const char *start = out->at;

	for (; **name != '\0'; *name += size) {
		int32_t c = utf8_get(*name, strlen(*name), &size);

		if (c < 0 || (count == LABEL_MAX && !is_dot(c))) {
			return false;
		}
		if (is_dot(c)) {
			break;
		}
		ascii = ascii && c < CODE_FIRST;
		code[count++] = fold(c, sure_r);
	}
	if (!ascii) {
		for (const char *p = "xn--"; *p != '\0'; p++) {
			put_char(out, *p);
		}
		put_punycode(out, code, count);
	}
	for (size_t i = 0; ascii && i < count; i++) {
		put_char(out, (char)code[i]);
	}
	return out->at - start <= LABEL_MAX;
}

const char *idna_ascii(const char *name, char room[IDNA_ROOM], bool *sure_r)
{
	struct put out = { .at = room, .end = room + IDNA_ROOM - 1 };
	size_t size;

	*sure_r = true;
	if (is_ascii(name)) {
		return name;
	}
	while (put_label(&out, &name, sure_r) && !out.full) {
		if (*name == '\0') {
			*out.at = '\0';
			return room;
		}
		(void)utf8_get(name, strlen(name), &size);
		name += size;
		put_char(&out, '.');
	}
	return NULL;
}
