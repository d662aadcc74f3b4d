/*
 * html - the text of an HTML part, for the screen
 *
 * Not a browser: tags go, those of blocks end a line, white space is one blank (but in <pre>),
 * entities become characters, <script>, <style> and <head> say nothing, a link's address stands
 * behind its text. Any input is taken; one pass, nothing is kept but the place.
 */
#include "applets/read/mail/html.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "mime/charset.h"

enum { ENTITY_MAX = 10, TAG_MAX = 16, BLANK_LINES_MAX = 2 };

struct html {
	struct buf *out;
	size_t start;      /* of our text in out */
	struct slice skip; /* name of the element that says nothing; NULL: none */
	struct slice href; /* of the link we are in */
	bool blank;        /* white space came: one blank before the next character */
	bool pre;
};

/* end_line - unless nothing or only empty lines are there */
static void end_line(struct html *h, int lines)
{
	int have = 0;

	while (have < BLANK_LINES_MAX && h->out->len > h->start + (size_t)have &&
		h->out->data[h->out->len - 1 - (size_t)have] == '\n') {
		have++;
	}
	if (h->out->len > h->start) {
		for (; have < lines; have++) {
			buf_addc(h->out, '\n');
		}
	}
	h->blank = false;
}

static void put_char(struct html *h, const char *text, size_t len)
{
	if (h->blank && h->out->len > h->start && h->out->data[h->out->len - 1] != '\n') {
		buf_addc(h->out, ' ');
	}
	h->blank = false;
	buf_add(h->out, text, len);
}

/* put_entity - text stands at '&'; how many bytes it is */
static size_t put_entity(struct html *h, const char *text, size_t len)
{
	static const struct {
		char name[8], text[4];
	} names[] = { { "amp", "&" }, { "lt", "<" }, { "gt", ">" }, { "quot", "\"" },
		{ "apos", "'" }, { "nbsp", " " }, { "copy", "\u00a9" }, { "reg", "\u00ae" },
		{ "euro", "\u20ac" }, { "hellip", "..." }, { "ndash", "-" }, { "mdash", "--" },
		{ "lsquo", "'" }, { "rsquo", "'" }, { "ldquo", "\"" }, { "rdquo", "\"" },
		{ "laquo", "\u00ab" }, { "raquo", "\u00bb" }, { "bull", "*" },
		{ "middot", "\u00b7" }, { "auml", "\u00e4" }, { "ouml", "\u00f6" },
		{ "uuml", "\u00fc" }, { "Auml", "\u00c4" }, { "Ouml", "\u00d6" },
		{ "Uuml", "\u00dc" }, { "szlig", "\u00df" }, { "eacute", "\u00e9" },
		{ "egrave", "\u00e8" }, { "agrave", "\u00e0" } };
	char name[ENTITY_MAX + 1];
	size_t n = 0;

	while (n < ENTITY_MAX && n + 1 < len &&
		(isalnum((unsigned char)text[n + 1]) || text[n + 1] == '#')) {
		name[n] = text[n + 1];
		n++;
	}
	name[n] = '\0';
	if (name[0] == '#' && n > 1) {
		bool hex = name[1] == 'x' || name[1] == 'X';
		unsigned long code = strtoul(name + 1 + hex, NULL, hex ? 16 : 10);
		struct buf one = BUF_INIT;

		utf8_put(&one,
			code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff)
				? (uint32_t)code
				: 0xfffd);
		put_char(h, buf_str(&one), one.len);
		buf_free(&one);
		return n + 1 + (n + 1 < len && text[n + 1] == ';');
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(names[i].name, name) == 0) {
			put_char(h, names[i].text, strlen(names[i].text));
			return n + 1 + (n + 1 < len && text[n + 1] == ';');
		}
	}
	put_char(h, "&", 1);
	return 1;
}

/* find_href - the value of href= in a tag's text */
static struct slice find_href(struct slice tag)
{
	for (size_t i = 0; i + 5 < tag.len; i++) {
		if (strncasecmp(tag.ptr + i, "href=", 5) == 0) {
			const char *p = tag.ptr + i + 5, *end = tag.ptr + tag.len, *stop;
			char quote = *p == '"' || *p == '\'' ? *p++ : ' ';

			stop = memchr(p, quote, (size_t)(end - p));
			return (struct slice){ p, (size_t)((stop != NULL ? stop : end) - p) };
		}
	}
	return (struct slice){ NULL, 0 };
}

/* act - on a tag: its name, whether it closes, all of it */
static void act(struct html *h, struct slice name, bool closes, struct slice tag)
{
	static const char silent[][7] = { "script", "style", "head" };
	static const char lines[][7] = { "br", "div", "tr", "li", "dt", "dd", "option", "hr" };
	static const char paragraphs[][11] = { "p", "h1", "h2", "h3", "h4", "h5", "h6", "table",
		"ul", "ol", "pre", "blockquote" };

	for (size_t i = 0; i < ARRAY_LEN(silent); i++) {
		if (!closes && slice_ieq(name, silent[i])) {
			h->skip = name;
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		if (slice_ieq(name, lines[i]) && slice_ieq(name, "br")) {
			buf_addc(h->out, '\n');
			h->blank = false;
		} else if (slice_ieq(name, lines[i])) {
			end_line(h, 1);
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(paragraphs); i++) {
		if (slice_ieq(name, paragraphs[i])) {
			end_line(h, 2);
		}
	}
	if (slice_ieq(name, "li") && !closes) {
		put_char(h, "* ", 2);
	} else if (slice_ieq(name, "td") || slice_ieq(name, "th")) {
		h->blank = true;
	} else if (slice_ieq(name, "pre")) {
		h->pre = !closes;
	} else if (slice_ieq(name, "a") && !closes) {
		h->href = find_href(tag);
	} else if (slice_ieq(name, "a")) {
		if (h->href.len > 4 && strncasecmp(h->href.ptr, "http", 4) == 0) {
			put_char(h, " <", 2);
			put_char(h, h->href.ptr, h->href.len);
			put_char(h, ">", 1);
		}
		h->href.len = 0;
	}
}

/* take_tag - text stands at '<'; how many bytes it is */
static size_t take_tag(struct html *h, const char *text, size_t len)
{
	const char *end = memchr(text, '>', len);
	size_t all = end != NULL ? (size_t)(end - text) + 1 : len, at = 1, n = 0;
	bool closes;

	if (len >= 4 && strncmp(text, "<!--", 4) == 0) {
		for (at = 4; at + 3 <= len && strncmp(text + at, "-->", 3) != 0; at++) {
			continue;
		}
		return at + 3 <= len ? at + 3 : len;
	}
	if (len < 2 || (!isalpha((unsigned char)text[1]) && strchr("/!?", text[1]) == NULL)) {
		put_char(h, "<", 1);
		return 1;
	}
	closes = text[1] == '/';
	at += closes;
	while (at + n < all && n < TAG_MAX && isalnum((unsigned char)text[at + n])) {
		n++;
	}
	if (h->skip.ptr == NULL) {
		act(h, (struct slice){ text + at, n }, closes, (struct slice){ text, all });
	} else if (closes && n == h->skip.len && strncasecmp(text + at, h->skip.ptr, n) == 0) {
		h->skip.ptr = NULL;
	}
	return all;
}

/* html_text - one pass over the bytes */
void html_text(struct buf *out, const char *html, size_t len)
{
	struct html h = { .out = out, .start = out->len };
	size_t step;

	for (size_t i = 0; i < len; i += step) {
		char c = html[i];

		step = 1;
		if (c == '<') {
			step = take_tag(&h, html + i, len - i);
		} else if (h.skip.ptr != NULL) {
			continue;
		} else if (c == '&') {
			step = put_entity(&h, html + i, len - i);
		} else if (!h.pre && (c == ' ' || c == '\t' || c == '\n' || c == '\r')) {
			h.blank = true;
		} else {
			put_char(&h, &c, 1);
		}
	}
	end_line(&h, 1);
}
