/*
 * imap_fetch - what a FETCH command asks for
 *
 *	ALL FAST FULL | item | (item item ...)
 *	item: a word, or BODY[.PEEK] [ section ] < first . count >
 *	section: 1.2.3, 1.2.HEADER, HEADER.FIELDS (A B), TEXT, 1.MIME, nothing
 *
 * RFC 3501 6.4.5, 9 (fetch-att, section); RFC 7162 3.1 (MODSEQ, CHANGEDSINCE)
 */
#include "proto/imap_fetch.h"

#include <string.h>

#include "base/buf.h"
#include "mime/structure.h"

/* put_label - "BODY[" section "]" and, of a partial fetch, "<first>" */
static const char *put_label(struct imap_args *a, const struct imap_section *s)
{
	static const char *const kinds[] = { "", "HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT",
		"TEXT", "MIME" };
	struct buf b = BUF_INIT;
	const char *label;
	size_t i;

	buf_adds(&b, "BODY[");
	for (i = 0; i < s->path_count; i++) {
		buf_addf(&b, "%s%u", i > 0 ? "." : "", s->path[i]);
	}
	if (s->path_count > 0 && s->kind != IMAP_SECTION_ALL) {
		buf_addc(&b, '.');
	}
	buf_adds(&b, kinds[s->kind]);
	for (i = 0; i < s->field_count; i++) {
		buf_adds(&b, i == 0 ? " (" : " ");
		if (s->fields[i][strcspn(s->fields[i], " ()<>@,;\\\"[]{}%*")] == '\0') {
			buf_adds(&b, s->fields[i]);
		} else {
			imap_put_string(&b, s->fields[i], strlen(s->fields[i]));
		}
	}
	buf_adds(&b, s->field_count > 0 ? ")]" : "]");
	if (s->partial) {
		buf_addf(&b, "<%llu>", (unsigned long long)s->offset);
	}
	label = arena_strndup(a->arena, buf_str(&b), b.len);
	buf_free(&b);
	return label;
}

/* parse_path - "1.2." before a section's word, or all of it */
static bool parse_path(struct imap_args *a, struct imap_section *s)
{
	uint32_t *path;

	if (a->p >= a->end || *a->p < '0' || *a->p > '9') {
		return true;
	}
	path = arena_alloc(a->arena, IMAP_PATH_MAX * sizeof(*path));
	s->path = path;
	for (;;) {
		if (s->path_count == IMAP_PATH_MAX) {
			return imap_args_fail(a, "Too long section");
		}
		if (!imap_args_nz_number(a, &path[s->path_count])) {
			return false;
		}
		s->path_count++;
		if (!imap_args_char(a, '.')) {
			return true;
		}
		if (a->p >= a->end || *a->p < '0' || *a->p > '9') {
			a->p--; /* the word after it needs to see the dot */
			return true;
		}
	}
}

/* parse_fields - " (name name ...)" */
static bool parse_fields(struct imap_args *a, struct imap_section *s)
{
	const char **fields = arena_alloc(a->arena, IMAP_FIELDS_MAX * sizeof(*fields));

	s->fields = fields;
	if (!imap_args_space(a) || !imap_args_char(a, '(')) {
		return imap_args_fail(a, "Expected a list of header fields");
	}
	do {
		char *upper;

		if (s->field_count == IMAP_FIELDS_MAX) {
			return imap_args_fail(a, "Too many header fields");
		}
		if (!imap_args_astring(a, &fields[s->field_count])) {
			return false;
		}
		upper = arena_strdup(a->arena, fields[s->field_count]);
		fields[s->field_count++] = upper;
		for (; *upper != '\0'; upper++) {
			if (*upper >= 'a' && *upper <= 'z') {
				*upper = (char)(*upper & ~0x20);
			}
			if (*upper == '\r' || *upper == '\n') {
				return imap_args_fail(a, "Bad header field name");
			}
		}
	} while (imap_args_char(a, ' '));
	return imap_args_char(a, ')') || imap_args_fail(a, "Missing ')'");
}

/* parse_section_word - HEADER and so on, after the path */
static bool parse_section_word(struct imap_args *a, struct imap_section *s)
{
	static const struct {
		const char *word;
		enum imap_section_kind kind;
	} words[] = {
		{ "HEADER.FIELDS.NOT", IMAP_SECTION_FIELDS_NOT },
		{ "HEADER.FIELDS", IMAP_SECTION_FIELDS },
		{ "HEADER", IMAP_SECTION_HEADER },
		{ "TEXT", IMAP_SECTION_TEXT },
		{ "MIME", IMAP_SECTION_MIME },
	};
	size_t i, len;

	for (i = 0; i < ARRAY_LEN(words); i++) {
		struct slice here = { a->p, len = strlen(words[i].word) };

		if ((size_t)(a->end - a->p) >= len && slice_ieq(here, words[i].word)) {
			a->p += len;
			s->kind = words[i].kind;
			if (s->kind == IMAP_SECTION_MIME && s->path_count == 0) {
				break;
			}
			return (s->kind != IMAP_SECTION_FIELDS &&
				       s->kind != IMAP_SECTION_FIELDS_NOT) ||
				parse_fields(a, s);
		}
	}
	return imap_args_fail(a, "Invalid section");
}

/* parse_section - after '[' */
static bool parse_section(struct imap_args *a, struct imap_section *s)
{
	if (!parse_path(a, s)) {
		return false;
	}
	if (!imap_args_peek(a, ']')) {
		if (s->path_count > 0 && !imap_args_char(a, '.')) {
			return imap_args_fail(a, "Invalid section");
		}
		if (!parse_section_word(a, s)) {
			return false;
		}
	}
	return imap_args_char(a, ']') || imap_args_fail(a, "Missing ']'");
}

/* parse_partial - "<first.count>" */
static bool parse_partial(struct imap_args *a, struct imap_section *s)
{
	if (!imap_args_char(a, '<')) {
		return true;
	}
	s->partial = true;
	if (!imap_args_number64(a, &s->offset) || !imap_args_char(a, '.') ||
		!imap_args_number64(a, &s->length) || s->length == 0 || !imap_args_char(a, '>')) {
		return imap_args_fail(a, "Invalid partial");
	}
	return true;
}

/* add_section - a new one at the end of the list; NULL: too many */
static struct imap_section *add_section(struct imap_args *a, struct imap_fetch *f)
{
	struct imap_section **tail = &f->sections;
	unsigned count = 0;

	for (; *tail != NULL; tail = &(*tail)->next) {
		count++;
	}
	if (count >= IMAP_SECTIONS_MAX) {
		imap_args_fail(a, "Too many sections");
		return NULL;
	}
	*tail = arena_alloc(a->arena, sizeof(**tail));
	return *tail;
}

/* parse_body - after BODY or BODY.PEEK, at '[' */
static bool parse_body(struct imap_args *a, struct imap_fetch *f, bool peek)
{
	struct imap_section *s = add_section(a, f);

	if (s == NULL || !imap_args_char(a, '[') || !parse_section(a, s) || !parse_partial(a, s)) {
		return imap_args_fail(a, "Invalid section");
	}
	s->peek = peek;
	s->label = put_label(a, s);
	return true;
}

/* add_old - RFC822 and its kin: sections with another name */
static bool add_old(struct imap_args *a, struct imap_fetch *f, enum imap_section_kind kind,
	bool peek, const char *label)
{
	struct imap_section *s = add_section(a, f);

	if (s != NULL) {
		s->kind = kind;
		s->peek = peek;
		s->label = label;
	}
	return s != NULL;
}

/* parse_item - one fetch-att */
static bool parse_item(struct imap_args *a, struct imap_fetch *f)
{
	static const struct {
		const char *word;
		unsigned item;
	} words[] = {
		{ "UID", IMAP_FETCH_UID },
		{ "FLAGS", IMAP_FETCH_FLAGS },
		{ "INTERNALDATE", IMAP_FETCH_DATE },
		{ "RFC822.SIZE", IMAP_FETCH_SIZE },
		{ "MODSEQ", IMAP_FETCH_MODSEQ },
		{ "ENVELOPE", IMAP_FETCH_ENVELOPE },
		{ "BODYSTRUCTURE", IMAP_FETCH_STRUCTURE },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(words); i++) {
		if (imap_args_word(a, words[i].word)) {
			f->items |= words[i].item;
			return true;
		}
	}
	if (imap_args_word(a, "BODY.PEEK")) {
		return parse_body(a, f, true);
	}
	if (imap_args_word(a, "BODY")) {
		if (imap_args_peek(a, '[')) {
			return parse_body(a, f, false);
		}
		f->items |= IMAP_FETCH_BODY;
		return true;
	}
	if (imap_args_word(a, "RFC822.HEADER")) {
		return add_old(a, f, IMAP_SECTION_HEADER, true, "RFC822.HEADER");
	}
	if (imap_args_word(a, "RFC822.TEXT")) {
		return add_old(a, f, IMAP_SECTION_TEXT, false, "RFC822.TEXT");
	}
	if (imap_args_word(a, "RFC822")) {
		return add_old(a, f, IMAP_SECTION_ALL, false, "RFC822");
	}
	return imap_args_fail(a, "Unknown parameter");
}

bool imap_args_fetch(struct imap_args *a, struct imap_fetch *out)
{
	const unsigned fast = IMAP_FETCH_FLAGS | IMAP_FETCH_DATE | IMAP_FETCH_SIZE;

	memset(out, 0, sizeof(*out));
	if (imap_args_word(a, "FAST")) {
		out->items = fast;
	} else if (imap_args_word(a, "ALL")) {
		out->items = fast | IMAP_FETCH_ENVELOPE;
	} else if (imap_args_word(a, "FULL")) {
		out->items = fast | IMAP_FETCH_ENVELOPE | IMAP_FETCH_BODY;
	} else if (imap_args_char(a, '(')) {
		do {
			if (!parse_item(a, out)) {
				return false;
			}
		} while (imap_args_char(a, ' '));
		return imap_args_char(a, ')') || imap_args_fail(a, "Missing ')'");
	} else {
		return parse_item(a, out);
	}
	return true;
}

bool imap_args_fetch_modifiers(struct imap_args *a, struct imap_fetch *out)
{
	if (!imap_args_char(a, ' ')) {
		return true;
	}
	if (!imap_args_char(a, '(') || !imap_args_word(a, "CHANGEDSINCE") || !imap_args_space(a) ||
		!imap_args_number64(a, &out->changed_since) || !imap_args_char(a, ')')) {
		return imap_args_fail(a, "Invalid FETCH modifiers");
	}
	out->changed = true;
	out->items |= IMAP_FETCH_MODSEQ;
	return true;
}
