/*
 * show - a message on the screen
 *
 * Headers decoded, ignored ones left out; of the body every text part, decoded to UTF-8. Of
 * alternatives the plain one is shown; other parts are named. Control characters other than tab and
 * line end are shown as ?, so that a message cannot drive the terminal.
 */
#include "mail.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "mime/charset.h"
#include "mime/header.h"
#include "mime/part.h"
#include "mime/word.h"

struct showing {
	struct buf *out;
	struct buf decoded;
	struct mime_decoder decoder;
	bool shown;		/* the current part is a text that is shown */
	bool several;		/* the message has parts: they are named */
};

/* put_safe - text without control characters */
static void put_safe(struct buf *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '\r') {
			continue;
		}
		buf_addc(out, (c < 32 && c != '\n' && c != '\t' && c != '\f') || c == 127
				      ? '?'
				      : (char)c);
	}
}

/* plain_sibling - is there a text/plain among the same alternatives? */
static bool plain_sibling(const struct mime_part *p)
{
	const struct mime_part *other;

	if (p->parent == NULL || !mime_part_is(p->parent, "multipart", "alternative")) {
		return false;
	}
	for (other = p->parent->child; other != NULL && other != p; other = other->next) {
		if (mime_part_is(other, "text", "plain")) {
			return true;
		}
	}
	return false;
}

static void part_begins(void *arg, const struct mime_part *p, struct slice header)
{
	struct showing *s = arg;

	(void)header;
	if (p->kind != MIME_LEAF) {
		s->several = true;
		return;
	}
	s->shown = mime_part_is(p, "text", NULL) && !plain_sibling(p);
	buf_reset(&s->decoded);
	mime_decode_init(&s->decoder, p->encoding);
	if (s->several && !s->shown) {
		buf_addf(s->out, "\n[-- %s/%s --]\n", p->type, p->subtype);
	}
}

static void part_body(void *arg, const struct mime_part *p, const char *data, size_t len)
{
	struct showing *s = arg;

	(void)p;
	if (s->shown) {
		mime_decode(&s->decoder, data, len, &s->decoded);
	}
}

static void part_ends(void *arg, const struct mime_part *p)
{
	struct showing *s = arg;
	struct buf text = BUF_INIT;
	const char *charset;

	if (!s->shown) {
		return;
	}
	mime_decode_end(&s->decoder, &s->decoded);
	charset = mime_param(p->params, "charset");
	mime_to_utf8(charset != NULL ? charset : "", buf_str(&s->decoded), s->decoded.len, &text);
	put_safe(s->out, buf_str(&text), text.len);
	if (s->out->len > 0 && s->out->data[s->out->len - 1] != '\n') {
		buf_addc(s->out, '\n');
	}
	buf_free(&text);
}

/* body_text - the message's texts, decoded */
static void body_text(struct buf *out, const struct buf *message)
{
	struct showing s = { .out = out };
	struct mime_listener listener = { part_begins, part_body, part_ends, &s };
	struct mime_source source;
	struct arena a = ARENA_INIT;
	struct mime_parser *parser;

	mime_source_memory(&source, buf_str(message), message->len);
	parser = mime_parser_new(&a, &source, &listener);
	while (!mime_parser_run(parser, 1 << 20)) {
		continue;
	}
	mime_source_free(&source);
	buf_free(&s.decoded);
	arena_free(&a);
}

/* header_shown - after retain and ignore */
static bool header_shown(struct slice name)
{
	char *key = mem_strndup(name.ptr, name.len);
	bool shown;

	str_lower(key);
	shown = G.retained.count > 0 ? hash_get(&G.retained, key) != NULL
				     : hash_get(&G.ignored, key) == NULL;
	mem_free(key);
	return shown;
}

static void put_headers(struct buf *out, const struct buf *message, bool all)
{
	struct slice rest = { buf_str(message), message->len };
	struct mime_field field;
	struct buf text = BUF_INIT;

	while (mime_field_next(&rest, &field)) {
		if (field.name.len == 0 || (!all && !header_shown(field.name))) {
			continue;
		}
		buf_reset(&text);
		if (all) {
			buf_add(&text, field.value.ptr, field.value.len);
		} else {
			mime_words_decode(&text, field.value, NULL);
		}
		put_safe(out, field.name.ptr, field.name.len);
		buf_adds(out, ": ");
		put_safe(out, buf_str(&text), text.len);
		buf_addc(out, '\n');
	}
	buf_free(&text);
}

void show_message(FILE *to, unsigned n, unsigned how)
{
	struct buf message = BUF_INIT, out = BUF_INIT;

	if (message_text(n, &message)) {
		if ((how & SHOW_NO_HEADERS) == 0) {
			put_headers(&out, &message, (how & SHOW_ALL_HEADERS) != 0);
			buf_addc(&out, '\n');
		}
		body_text(&out, &message);
		fwrite(buf_str(&out), 1, out.len, to);
		G.messages[n].marks = (G.messages[n].marks | MARK_READ) & ~(unsigned)MARK_UNREAD;
	}
	buf_free(&message);
	buf_free(&out);
}

void show_quoted(struct buf *out, unsigned n, const char *prefix)
{
	struct buf message = BUF_INIT, text = BUF_INIT;
	const char *line;

	if (message_text(n, &message)) {
		body_text(&text, &message);
		for (line = buf_str(&text); *line != '\0'; ) {
			size_t len = strcspn(line, "\n");

			buf_addf(out, "%s%.*s\n", prefix, (int)len, line);
			line += len + (line[len] == '\n');
		}
	}
	buf_free(&message);
	buf_free(&text);
}
