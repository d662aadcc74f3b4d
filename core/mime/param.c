/*
 * param - parameters of Content-Type and Content-Disposition
 *
 * Values are tokens or quoted strings; what follows a token up to the next ';'
 * is passed over, so "name=my file.txt" gives "my" as RFC 2045 reads it.
 * Pieces name*0, name*1* ... (RFC 2231 3) are joined in the order of their
 * numbers until one is missing; when the first piece has a character set the
 * others' percent signs are escaped, so that the whole decodes as one.
 *
 * RFC 2045 5.1, RFC 2183 2, RFC 2231
 */
#include "mime/param.h"

#include <stdlib.h>
#include <string.h>

#include "mime/charset.h"
#include "mime/word.h"

enum { PIECES_MAX = 100 }; /* of one value */

struct reader {
	struct arena *arena;
	const char *p, *end;
	struct buf text;
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* skip_blanks - white space and comments */
static void skip_blanks(struct reader *r)
{
	unsigned depth = 0;

	for (; r->p < r->end; r->p++) {
		if (*r->p == '(') {
			depth++;
		} else if (*r->p == ')' && depth > 0) {
			depth--;
		} else if (*r->p == '\\' && depth > 0 && r->p + 1 < r->end) {
			r->p++;
		} else if (depth == 0 && !is_space(*r->p)) {
			return;
		}
	}
}

static bool is_token(char c)
{
	return !is_space(c) && memchr("()<>@,;:\\\"/[]?=", c, 15) == NULL;
}

/* read_token - into text; extra: bytes allowed beyond a token's; false when there is none */
static bool read_token(struct reader *r, const char *extra)
{
	buf_reset(&r->text);
	skip_blanks(r);
	while (r->p < r->end &&
		(is_token(*r->p) || (*r->p != '\0' && strchr(extra, *r->p) != NULL))) {
		buf_addc(&r->text, *r->p++);
	}
	return r->text.len > 0;
}

/* read_value - token or quoted string, into text; false: an unclosed string */
static bool read_value(struct reader *r)
{
	skip_blanks(r);
	if (r->p >= r->end || *r->p != '"') {
		/* Bare values with these occur ("name=a/b", "boundary=----=_x"); only blanks and
		 * ';' end them. */
		read_token(r, "/=?@:[]<>,");
		return true;
	}
	buf_reset(&r->text);
	for (r->p++; r->p < r->end; r->p++) {
		char c = *r->p;

		if (c == '"') {
			r->p++;
			return true;
		}
		if (c == '\\' && r->p + 1 < r->end) {
			c = *++r->p;
		}
		if (c != '\r' && c != '\n') {
			buf_addc(&r->text, c);
		}
	}
	return false;
}

/* skip_rest - to the next ';' outside quotes, or the end */
static void skip_rest(struct reader *r)
{
	for (; r->p < r->end && *r->p != ';'; r->p++) {
		if (*r->p == '"') {
			for (r->p++; r->p < r->end && *r->p != '"'; r->p++) {
				r->p += *r->p == '\\' && r->p + 1 < r->end;
			}
			if (r->p >= r->end) {
				return;
			}
		}
	}
}

static const char *keep(struct reader *r)
{
	return arena_strndup(r->arena, buf_str(&r->text), r->text.len);
}

/* One raw parameter and, for a piece, where it belongs. */
struct piece {
	struct mime_param *param;
	size_t base; /* length of the name without "*n*" */
	int number;  /* -1: no piece */
	bool coded;  /* name ends in '*' */
	bool used;
};

/* look_at_name - split "name*2*" */
static void look_at_name(struct piece *pc)
{
	const char *name = pc->param->name, *star;
	size_t len = strlen(name);

	pc->number = -1;
	pc->base = len;
	pc->coded = len > 1 && name[len - 1] == '*';
	star = strchr(name, '*');
	if (star == NULL || star == name || star[1] < '0' || star[1] > '9' || strlen(star) > 5) {
		return;
	}
	if (strspn(star + 1, "0123456789") + 1 + pc->coded == strlen(star)) {
		pc->number = (int)strtol(star + 1, NULL, 10);
		pc->base = (size_t)(star - name);
	}
}

/* find_piece - number of the same value as first */
static struct piece *find_piece(
	struct piece *all, size_t count, const struct piece *first, int number)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (!all[i].used && all[i].number == number && all[i].base == first->base &&
			strncasecmp(all[i].param->name, first->param->name, first->base) == 0) {
			return &all[i];
		}
	}
	return NULL;
}

/* join_pieces - make first the whole value */
static void join_pieces(struct reader *r, struct piece *all, size_t count, struct piece *first)
{
	struct piece *next = first;
	bool coded = first->coded;
	int number;

	buf_reset(&r->text);
	for (number = 0; next != NULL && number < PIECES_MAX; number++) {
		const char *s = next->param->value;

		for (; *s != '\0'; s++) {
			if (coded && !next->coded && *s == '%') {
				buf_adds(&r->text, "%25");
			} else {
				buf_addc(&r->text, *s);
			}
		}
		next->used = true;
		next = find_piece(all, count, first, number + 1);
	}
	first->param->value = keep(r);
	first->param->name = arena_printf(
		r->arena, "%.*s%s", (int)first->base, first->param->name, coded ? "*" : "");
	first->used = false;
}

/* join_all - replace pieces by what they make together */
static struct mime_param *join_all(struct reader *r, struct piece *all, size_t count)
{
	struct mime_param *list = NULL, **tail = &list;
	size_t i;

	for (i = 0; i < count; i++) {
		if (all[i].number == 0 && !all[i].used) {
			join_pieces(r, all, count, &all[i]);
		}
	}
	for (i = 0; i < count; i++) {
		if (!all[i].used) {
			*tail = all[i].param;
			tail = &all[i].param->next;
		}
	}
	*tail = NULL;
	return list;
}

struct mime_param *mime_params(struct arena *a, struct slice value, const char **main_r)
{
	struct reader r = { a, value.ptr, value.ptr + value.len, BUF_INIT };
	struct piece all[MIME_PARAM_MAX];
	struct mime_param *list;
	size_t count = 0;

	*main_r = NULL;
	if (read_token(&r, "/")) {
		*main_r = keep(&r);
		skip_blanks(&r);
		if (r.p < r.end && *r.p == '/') { /* blanks round the slash */
			r.p++;
			if (read_token(&r, "/")) {
				*main_r = arena_printf(a, "%s/%s", *main_r, buf_str(&r.text));
			}
		} else if (r.p < r.end && str_ends(*main_r, "/") && read_token(&r, "")) {
			*main_r = arena_printf(a, "%s%s", *main_r, buf_str(&r.text));
		}
	}
	for (skip_rest(&r); r.p < r.end && count < MIME_PARAM_MAX; skip_rest(&r)) {
		struct mime_param *m;

		r.p++;
		if (!read_token(&r, "")) {
			continue;
		}
		m = arena_alloc(a, sizeof(*m));
		m->name = keep(&r);
		skip_blanks(&r);
		if (r.p >= r.end || *r.p != '=') {
			continue;
		}
		r.p++;
		if (!read_value(&r)) {
			break;
		}
		m->value = keep(&r);
		all[count].param = m;
		all[count].used = false;
		look_at_name(&all[count]);
		count++;
	}
	list = join_all(&r, all, count);
	buf_free(&r.text);
	return list;
}

const char *mime_param(const struct mime_param *list, const char *name)
{
	for (; list != NULL; list = list->next) {
		if (str_ieq(list->name, name)) {
			return list->value;
		}
	}
	return NULL;
}

/* hex_value - of a digit, -1 */
static int hex_value(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* decode_extended - charset'language'percent-text */
static void decode_extended(const char *value, struct buf *out)
{
	const char *lang = strchr(value, '\'');
	const char *text = lang != NULL ? strchr(lang + 1, '\'') : NULL;
	struct buf bytes = BUF_INIT;
	char charset[64] = "";

	if (text != NULL) {
		size_t n = (size_t)(lang - value);

		if (n < sizeof(charset)) {
			memcpy(charset, value, n);
			charset[n] = '\0';
		}
		value = text + 1;
	}
	for (; *value != '\0'; value++) {
		int high, low;

		if (*value == '%' && (high = hex_value(value[1])) >= 0 &&
			(low = hex_value(value[2])) >= 0) {
			buf_addc(&bytes, (char)(high << 4 | low));
			value += 2;
		} else {
			buf_addc(&bytes, *value);
		}
	}
	mime_to_utf8(charset, buf_str(&bytes), bytes.len, out);
	buf_free(&bytes);
}

bool mime_param_text(const struct mime_param *list, const char *name, struct buf *out)
{
	size_t len = strlen(name);
	const struct mime_param *m;
	const char *plain;

	for (m = list; m != NULL; m = m->next) {
		if (strncasecmp(m->name, name, len) == 0 && strcmp(m->name + len, "*") == 0) {
			decode_extended(m->value, out);
			return true;
		}
	}
	plain = mime_param(list, name);
	if (plain == NULL) {
		return false;
	}
	mime_words_decode(out, slice_of(plain), NULL);
	return true;
}
