/*
 * address - address lists
 *
 * Every list element is a phrase (words, quoted strings) and then one of
 *
 *	<route:local@domain>	an address with a name
 *	@domain			the phrase was the local part
 *	: ... ;			a group
 *	, or the end		one word: a local part alone; several: a name alone
 *
 * Real headers hold much that no grammar allows; the parser goes on at the
 * next comma, so that one bad address does not hide the others. ';' between
 * addresses separates like ',' since some programs write it so.
 *
 * RFC 5322 3.2, 3.4, 4.1, 4.4; RFC 3501 7.4.2 (groups)
 */
#include "mime/address.h"

#include <string.h>

enum { COMMENT_DEPTH_MAX = 50 };

struct parser {
	struct arena *arena;
	const char *p, *end;
	struct buf phrase;  /* words joined by a blank */
	struct buf word;    /* local part: the last words that dots join */
	size_t name_len;    /* of phrase: what comes before word */
	unsigned words;     /* runs in phrase that dots do not join */
	bool quoted;        /* the phrase had a quoted string */
	struct buf comment; /* the last one */
	bool have_comment;
	struct mime_address **tail;
	size_t count;
	bool in_group;
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* is_word - may stand in a word: everything but the specials that the grammar acts on */
static bool is_word(char c)
{
	return !is_space(c) && memchr("()<>@,;:\"", c, 9) == NULL;
}

/* add_unfolded - one byte of a quoted string or comment; line ends go */
static void add_unfolded(struct buf *b, char c)
{
	if (c != '\r' && c != '\n') {
		buf_addc(b, c);
	}
}

/* read_comment - at '(': its text, outer parentheses off */
static void read_comment(struct parser *ps)
{
	unsigned depth = 1;

	buf_reset(&ps->comment);
	ps->have_comment = true;
	for (ps->p++; ps->p < ps->end; ps->p++) {
		char c = *ps->p;

		if (c == '\\' && ps->p + 1 < ps->end) {
			c = *++ps->p;
		} else if (c == '(' && depth < COMMENT_DEPTH_MAX) {
			depth++;
		} else if (c == ')' && --depth == 0) {
			ps->p++;
			return;
		}
		add_unfolded(&ps->comment, c);
	}
}

/* skip_blanks - white space and comments */
static void skip_blanks(struct parser *ps)
{
	while (ps->p < ps->end) {
		if (*ps->p == '(') {
			read_comment(ps);
		} else if (is_space(*ps->p)) {
			ps->p++;
		} else {
			return;
		}
	}
}

/* read_quoted - at '"': append its text */
static void read_quoted(struct parser *ps, struct buf *out)
{
	for (ps->p++; ps->p < ps->end; ps->p++) {
		char c = *ps->p;

		if (c == '"') {
			ps->p++;
			return;
		}
		if (c == '\\' && ps->p + 1 < ps->end) {
			c = *++ps->p;
		}
		add_unfolded(out, c);
	}
}

/* read_phrase - words up to a special; sets phrase, word, name_len, words */
static void read_phrase(struct parser *ps)
{
	bool dot = false; /* the last word ended in one, so the next belongs to it */

	buf_reset(&ps->phrase);
	buf_reset(&ps->word);
	ps->name_len = 0;
	ps->words = 0;
	ps->quoted = false;
	for (;;) {
		size_t mark;
		const char *start;

		skip_blanks(ps);
		if (ps->p >= ps->end || (!is_word(*ps->p) && *ps->p != '"')) {
			return;
		}
		start = ps->p;
		if (ps->words == 0 || !(dot || *start == '.')) {
			ps->words++;
			ps->name_len = ps->phrase.len;
			buf_reset(&ps->word);
		}
		if (ps->phrase.len > 0) {
			buf_addc(&ps->phrase, ' ');
		}
		mark = ps->phrase.len;
		dot = false;
		while (ps->p < ps->end && (is_word(*ps->p) || *ps->p == '"')) {
			if (*ps->p == '"') {
				ps->quoted = true;
				read_quoted(ps, &ps->phrase);
				dot = false;
			} else {
				dot = *ps->p == '.';
				buf_addc(&ps->phrase, *ps->p++);
			}
		}
		buf_add(&ps->word, buf_str(&ps->phrase) + mark, ps->phrase.len - mark);
	}
}

/* read_domain - after '@': dot-joined atoms or a literal, white space undone */
static void read_domain(struct parser *ps, struct buf *out)
{
	bool dot = true;

	for (;;) {
		skip_blanks(ps);
		if (ps->p >= ps->end || !is_word(*ps->p) || !(dot || *ps->p == '.')) {
			return;
		}
		if (*ps->p == '[') {
			while (ps->p < ps->end && *ps->p != ']') {
				if (!is_space(*ps->p)) {
					buf_addc(out, *ps->p);
				}
				ps->p++;
			}
		}
		while (ps->p < ps->end && is_word(*ps->p)) {
			dot = *ps->p == '.';
			buf_addc(out, *ps->p++);
		}
	}
}

static const char *keep(struct parser *ps, const struct buf *b)
{
	return arena_strndup(ps->arena, buf_str(b), b->len);
}

/* add - a new element at the end of the list; NULL when it is full */
static struct mime_address *add(struct parser *ps)
{
	struct mime_address *m;

	if (ps->count >= MIME_ADDRESS_MAX) {
		return NULL;
	}
	m = arena_alloc(ps->arena, sizeof(*m));
	*ps->tail = m;
	ps->tail = &m->next;
	ps->count++;
	return m;
}

/* read_route - after '<': "@a,@b:" if it is there */
static const char *read_route(struct parser *ps)
{
	const char *back = ps->p;
	struct buf route = BUF_INIT;
	const char *kept = NULL;

	for (;;) {
		skip_blanks(ps);
		if (ps->p < ps->end && *ps->p == ',') {
			buf_addc(&route, *ps->p++);
		} else if (ps->p < ps->end && *ps->p == '@') {
			buf_addc(&route, *ps->p++);
			read_domain(ps, &route);
		} else {
			break;
		}
	}
	if (ps->p < ps->end && *ps->p == ':' && route.len > 0) {
		ps->p++;
		kept = keep(ps, &route);
	} else {
		ps->p = back;
	}
	buf_free(&route);
	return kept;
}

/* read_angle - at '<': the address in it, up to '>' or what ends the element */
static void read_angle(struct parser *ps, struct mime_address *m)
{
	struct buf domain = BUF_INIT;

	ps->p++;
	m->route = read_route(ps);
	read_phrase(ps);
	if (ps->p < ps->end && *ps->p == '@') {
		ps->p++;
		read_domain(ps, &domain);
	}
	m->mailbox = keep(ps, ps->words > 1 ? &ps->phrase : &ps->word);
	m->domain = keep(ps, &domain);
	m->broken = ps->words != 1 || domain.len == 0;
	while (ps->p < ps->end && *ps->p != '>' && *ps->p != ',' && *ps->p != ';') {
		m->broken = true;
		ps->p++;
	}
	if (ps->p < ps->end && *ps->p == '>') {
		ps->p++;
	} else {
		m->broken = true;
	}
	buf_free(&domain);
}

/* skip_rest - to the separator after an element that is done */
static void skip_rest(struct parser *ps)
{
	while (ps->p < ps->end && *ps->p != ',' && *ps->p != ';') {
		if (*ps->p == '(') {
			read_comment(ps);
		} else if (*ps->p == '"') {
			read_quoted(ps, &ps->word);
		} else {
			ps->p++;
		}
	}
}

/* add_plain - an element without angle brackets: the phrase just read and perhaps "@domain" */
static void add_plain(struct parser *ps)
{
	struct buf domain = BUF_INIT;
	struct mime_address *m = NULL;
	bool at = ps->p < ps->end && *ps->p == '@';

	if (at) {
		ps->p++;
		read_domain(ps, &domain);
	}
	if (at || ps->words > 0) {
		m = add(ps);
	}
	if (m != NULL) {
		bool alone = at || ps->words == 1;

		m->mailbox = alone ? keep(ps, &ps->word) : "";
		m->domain = keep(ps, &domain);
		m->broken = ps->words != 1 || domain.len == 0;
		if (ps->words > 1) {
			m->name = alone ? arena_strndup(ps->arena, ps->phrase.data, ps->name_len)
					: keep(ps, &ps->phrase);
		}
	}
	skip_rest(ps);
	if (m != NULL && m->name == NULL && ps->have_comment && ps->comment.len > 0) {
		m->name = keep(ps, &ps->comment);
	}
	buf_free(&domain);
}

/* end_group - the NIL element */
static void end_group(struct parser *ps)
{
	if (ps->in_group) {
		ps->in_group = false;
		add(ps);
	}
}

/* read_element - one address or the beginning of a group, up to its separator */
static void read_element(struct parser *ps)
{
	struct mime_address *m;

	ps->have_comment = false;
	read_phrase(ps);
	if (ps->p < ps->end && *ps->p == ':') {
		ps->p++;
		if (!ps->in_group && (m = add(ps)) != NULL) {
			ps->in_group = true;
			m->mailbox = keep(ps, &ps->phrase);
		}
	} else if (ps->p < ps->end && *ps->p == '<') {
		m = add(ps);
		if (m == NULL) {
			ps->p = ps->end;
			return;
		}
		if (ps->phrase.len > 0) {
			m->name = keep(ps, &ps->phrase);
		}
		read_angle(ps, m);
		skip_rest(ps);
	} else if (ps->p < ps->end && (*ps->p == '>' || *ps->p == ')')) {
		if (ps->words > 0) {
			add_plain(ps);
		} else {
			ps->p++;
		}
	} else {
		add_plain(ps);
	}
}

struct mime_address *mime_addresses(struct arena *a, struct slice value)
{
	struct mime_address *first = NULL;
	struct parser ps = {
		.arena = a, .p = value.ptr, .end = value.ptr + value.len, .tail = &first
	};

	while (ps.p < ps.end && ps.count < MIME_ADDRESS_MAX) {
		if (*ps.p == ',' || *ps.p == ';') {
			if (*ps.p == ';') {
				end_group(&ps);
			}
			ps.p++;
		} else {
			read_element(&ps);
		}
	}
	end_group(&ps);
	buf_free(&ps.phrase);
	buf_free(&ps.word);
	buf_free(&ps.comment);
	return first;
}

void mime_address_put(struct buf *out, const struct mime_address *m)
{
	const char *s = m->mailbox != NULL ? m->mailbox : "";
	bool quote = *s == '\0';
	size_t len = strlen(s), i;

	for (i = 0; i < len; i++) {
		quote = quote || !is_word(s[i]) || strchr("\\[]", s[i]) != NULL ||
			(s[i] == '.' && (i == 0 || i + 1 == len || s[i + 1] == '.'));
	}
	if (quote) {
		buf_addc(out, '"');
		for (i = 0; i < len; i++) {
			if (s[i] == '"' || s[i] == '\\') {
				buf_addc(out, '\\');
			}
			buf_addc(out, s[i]);
		}
		buf_addc(out, '"');
	} else {
		buf_adds(out, s);
	}
	if (m->domain != NULL && *m->domain != '\0') {
		buf_addc(out, '@');
		buf_adds(out, m->domain);
	}
}

/* item_end - length of the first element of text: up to a ',' that separates */
static size_t item_end(struct slice text)
{
	size_t i;
	unsigned comment = 0;
	bool quoted = false, angle = false, group = false;

	for (i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (c == '\\' && (quoted || comment > 0)) {
			i++;
		} else if (c == '"' && comment == 0) {
			quoted = !quoted;
		} else if (quoted) {
			continue;
		} else if (c == '(') {
			comment++;
		} else if (c == ')' && comment > 0) {
			comment--;
		} else if (comment > 0) {
			continue;
		} else if (c == '<' || c == '>') {
			angle = c == '<';
		} else if (c == ':' || c == ';') {
			group = !angle && c == ':' ? true : c == ';' ? false : group;
		} else if (c == ',' && !angle && !group) {
			break;
		}
	}
	return i < text.len ? i : text.len;
}

bool mime_list_next(struct slice *rest, struct slice *item)
{
	while (rest->len > 0) {
		size_t len = item_end(*rest), skip = len < rest->len ? len + 1 : len;

		*item = slice_trim((struct slice){ rest->ptr, len });
		rest->ptr += skip;
		rest->len -= skip;
		if (item->len > 0) {
			return true;
		}
	}
	return false;
}
