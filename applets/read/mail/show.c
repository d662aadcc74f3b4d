/*
 * show - a message on the screen
 *
 * Headers decoded, ignored ones left out; of the body every text part, decoded to UTF-8. Of
 * alternatives the plain one is shown; other parts are named.
 */
#include "applets/read/mail/show.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/str.h"
#include "mime/charset.h"
#include "mime/header.h"
#include "mime/part.h"
#include "mime/word.h"
#include "mail/mailbox.h"
#include "applets/read/mail/attach.h"
#include "applets/read/mail/folder.h"
#include "applets/read/mail/html.h"
#include "applets/read/mail/state.h"
#include "applets/read/mail/terminal.h"

struct showing {
	struct buf *out;
	struct buf decoded;
	struct mime_decoder decoder;
	bool raw;   /* for a file: nothing is made safe */
	bool shown; /* the current part is a text that is shown */
};

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

/* put_label - of a part that is not shown, or that is shown and has a name of its own */
static void put_label(struct showing *s, const struct mime_part *p, struct slice header)
{
	struct buf name = BUF_INIT, label = BUF_INIT;

	attachment_name(&name, p, header);
	if (!s->raw && (!s->shown || name.len > 0)) {
		buf_addf(&label, "%s/%s", p->type, p->subtype);
		if (name.len > 0) {
			buf_addf(&label, ", %s", buf_str(&name));
		}
		buf_adds(s->out, "\n[-- ");
		terminal_put_safe(s->out, buf_str(&label), label.len);
		buf_adds(s->out, " --]\n");
	}
	buf_free(&name);
	buf_free(&label);
}

/* part_begins - is it shown? Name it when not */
static void part_begins(void *arg, const struct mime_part *p, struct slice header)
{
	struct showing *s = arg;

	if (p->kind != MIME_LEAF) {
		return;
	}
	s->shown = mime_part_is(p, "text", NULL) && !plain_sibling(p);
	buf_reset(&s->decoded);
	mime_decode_init(&s->decoder, p->encoding);
	put_label(s, p, header);
}

/* part_body - its bytes, decoded */
static void part_body(void *arg, const struct mime_part *p, const char *data, size_t len)
{
	struct showing *s = arg;

	(void)p;
	if (s->shown) {
		mime_decode(&s->decoder, data, len, &s->decoded);
	}
}

/* part_ends - its text in UTF-8 */
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
	if (!s->raw && mime_part_is(p, "text", "html")) {
		struct buf plain = BUF_INIT;

		html_text(&plain, buf_str(&text), text.len);
		terminal_put_safe(s->out, buf_str(&plain), plain.len);
		buf_free(&plain);
	} else if (s->raw) {
		buf_add(s->out, buf_str(&text), text.len);
	} else {
		terminal_put_safe(s->out, buf_str(&text), text.len);
	}
	if (s->out->len > 0 && s->out->data[s->out->len - 1] != '\n') {
		buf_addc(s->out, '\n');
	}
	buf_free(&text);
}

/* body_text - the message's texts, decoded; raw: not for a terminal */
static void body_text(struct buf *out, const struct buf *message, bool raw)
{
	struct showing s = { .out = out, .raw = raw };
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
static bool header_shown(struct mail_state *mail, struct slice name)
{
	char *key = mem_strndup(name.ptr, name.len);
	bool shown;

	str_lower(key);
	shown = mail->retained.count > 0 ? hash_get(&mail->retained, key) != NULL
					 : hash_get(&mail->ignored, key) == NULL;
	mem_free(key);
	return shown;
}

/* put_status - what the mailbox will say of the message */
static void put_status(struct mail_state *mail, struct buf *out, unsigned n)
{
	bool read = !folder_unread(mail, n),
	     old = !folder_new(mail, n) && !mailbox_recent(mail->view, n);

	old = old || mail->messages[n].old;
	if ((read || old) && header_shown(mail, slice_of("Status"))) {
		buf_addf(out, "Status: %s%s\n", read ? "R" : "", old ? "O" : "");
	}
}

/* put_headers - the From_ line and those that are not ignored */
static void put_headers(
	struct mail_state *mail, struct buf *out, unsigned n, const struct buf *message, bool all)
{
	struct slice rest = { buf_str(message), message->len };
	struct arena a = ARENA_INIT;
	const char *from = message_from_line(mail, &a, n);
	struct mime_field field;
	struct buf text = BUF_INIT;

	terminal_put_safe(out, from, strlen(from));
	buf_addc(out, '\n');
	while (mime_field_next(&rest, &field)) {
		if (field.name.len == 0 || (!all && !header_shown(mail, field.name))) {
			continue;
		}
		buf_reset(&text);
		if (all) {
			buf_add(&text, field.value.ptr, field.value.len);
		} else {
			mime_words_decode(&text, field.value, NULL);
		}
		terminal_put_safe(out, field.name.ptr, field.name.len);
		buf_adds(out, ": ");
		terminal_put_safe(out, buf_str(&text), text.len);
		buf_addc(out, '\n');
	}
	put_status(mail, out, n);
	buf_addc(out, '\n');
	buf_free(&text);
	arena_free(&a);
}

/* add_message - as it is shown, in UTF-8 */
static void add_message(struct mail_state *mail, struct buf *out, unsigned n, unsigned how)
{
	struct buf message = BUF_INIT;

	if (message_text(mail, n, &message)) {
		mail->messages[n].marks =
			(mail->messages[n].marks | MARK_READ) & ~(unsigned)MARK_UNREAD;
		put_headers(mail, out, n, &message, (how & SHOW_ALL_HEADERS) != 0);
		if (how & SHOW_RAW) {
			const char *body = strstr(buf_str(&message), "\n\n");

			terminal_put_safe(out, body != NULL ? body + 2 : "",
				body != NULL ? strlen(body + 2) : 0);
		} else {
			body_text(out, &message, false);
		}
	}
	buf_free(&message);
}

void show_message(struct mail_state *mail, FILE *to, unsigned n, unsigned how)
{
	struct buf out = BUF_INIT;

	add_message(mail, &out, n, how);
	terminal_write(mail, to, buf_str(&out), out.len);
	buf_free(&out);
}

/* show_text - decoded, nothing made safe */
bool show_text(struct mail_state *mail, struct buf *out, unsigned n)
{
	struct buf message = BUF_INIT;
	bool ok = message_text(mail, n, &message);

	if (ok) {
		body_text(out, &message, true);
	}
	buf_free(&message);
	return ok;
}

/* show_quoted - line by line behind the prefix */
void show_quoted(struct mail_state *mail, struct buf *out, unsigned n, const char *prefix)
{
	struct buf message = BUF_INIT, text = BUF_INIT;
	const char *line;

	if (message_text(mail, n, &message)) {
		body_text(&text, &message, false);
		for (line = buf_str(&text); *line != '\0';) {
			size_t len = strcspn(line, "\n");

			buf_addf(out, "%s%.*s\n", prefix, (int)len, line);
			line += len + (line[len] == '\n');
		}
	}
	buf_free(&message);
	buf_free(&text);
}

/* show_list - the dot follows */
void show_list(struct mail_state *mail, const unsigned *list, unsigned how)
{
	bool terminal = mail->interactive && isatty(1);
	struct buf text = BUF_INIT;

	if (terminal) {
		interrupts_catch(mail, true);
	}
	for (; *list != 0 && !interrupts_pending(mail); list++) {
		mail->current = *list;
		buf_reset(&text);
		buf_addf(&text, "Message %2u:\n", *list);
		add_message(mail, &text, *list, how);
		buf_addc(&text, '\n');
		if (terminal) {
			terminal_page(mail, &text);
		} else {
			terminal_write(mail, stdout, buf_str(&text), text.len);
		}
	}
	buf_free(&text);
	if (terminal) {
		fflush(stdout);
		clearerr(stdout);
		if (interrupts_pending(mail)) {
			printf("\nInterrupt\n");
		}
		interrupts_catch(mail, false);
	}
}
