/*
 * show - a message on the screen
 *
 * Headers decoded, ignored ones left out; of the body every text part, decoded to UTF-8. Of
 * alternatives the plain one is shown; other parts are named. Control characters other than tab and
 * line end are shown as ?, so that a message cannot drive the terminal. What goes to a terminal of
 * another character set (LC_ALL, LC_CTYPE, LANG, or the variable ttycharset) is converted.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "mime/charset.h"
#include "mime/header.h"
#include "mime/part.h"
#include "mime/word.h"
#include "applets/read/mail/mail.h"

struct showing {
	struct buf *out;
	struct buf decoded;
	struct mime_decoder decoder;
	bool raw;   /* for a file: nothing is made safe */
	bool shown; /* the current part is a text that is shown */
};

bool terminal_safe(int32_t code)
{
	return !(code < 32 || (code >= 0x7f && code < 0xa0) || /* C0, DEL, C1 */
		(code >= 0x202a && code <= 0x202e) || /* text shown in another order than it is */
		(code >= 0x2066 && code <= 0x2069));
}

/* put_safe - text without what drives a terminal; bytes that are not UTF-8 become ?, too */
static void put_safe(struct buf *out, const char *text, size_t len)
{
	size_t size;

	for (size_t i = 0; i < len; i += size) {
		int32_t code = utf8_get(text + i, len - i, &size);

		if (terminal_safe(code) || code == '\n' || code == '\t') {
			buf_add(out, text + i, size);
		} else if (code != '\r') {
			buf_addc(out, '?');
		}
	}
}

/* terminal_charset - what the terminal is set to, NULL: UTF-8 */
static const char *terminal_charset(void)
{
	static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
	const char *set = var_get("ttycharset"), *dot = NULL;

	for (size_t i = 0; set == NULL && dot == NULL && i < ARRAY_LEN(names); i++) {
		const char *locale = getenv(names[i]);

		if (locale != NULL && locale[0] != '\0') {
			dot = strchr(locale, '.');
			set = dot != NULL ? dot + 1 : "";
		}
	}
	/* Without one: UTF-8, which is what systems of today are set to. */
	return set == NULL || set[0] == '\0' || str_ieq(set, "utf-8") || str_ieq(set, "utf8") ? NULL
											      : set;
}

/* terminal_encoder - into the terminal's set; NULL: it is UTF-8, or a set we do not know */
static struct mime_encoder *terminal_encoder(void)
{
	const char *charset = terminal_charset();

	if (charset == NULL) {
		return NULL;
	}
	if (G.terminal_set == NULL || strcmp(G.terminal_set, charset) != 0) {
		mime_encoder_close(G.terminal);
		mem_free(G.terminal_set);
		G.terminal_set = mem_strdup(charset);
		G.terminal = mime_encoder_open(charset);
	}
	return G.terminal;
}

/* put_text - in the terminal's character set where it is meant for that */
static void put_text(FILE *to, const char *text, size_t len, bool terminal)
{
	struct mime_encoder *e = terminal ? terminal_encoder() : NULL;
	struct buf converted = BUF_INIT;

	if (e != NULL) {
		(void)mime_encoder_put(e, text, len, &converted);
		fwrite(buf_str(&converted), 1, converted.len, to);
	} else {
		fwrite(text, 1, len, to);
	}
	buf_free(&converted);
}

void terminal_write(FILE *to, const char *text, size_t len)
{
	put_text(to, text, len, isatty(fileno(to)) != 0);
}

void terminal_say(FILE *to, const char *text)
{
	struct buf safe = BUF_INIT;

	put_safe(&safe, text, strlen(text));
	terminal_write(to, buf_str(&safe), safe.len);
	buf_free(&safe);
}

void terminal_text(struct buf *text)
{
	const char *charset = terminal_charset();
	struct buf converted = BUF_INIT;

	if (charset != NULL && !utf8_valid(buf_str(text), text->len) &&
		mime_to_utf8(charset, buf_str(text), text->len, &converted)) {
		buf_free(text);
		*text = converted;
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
		put_safe(s->out, buf_str(&label), label.len);
		buf_adds(s->out, " --]\n");
	}
	buf_free(&name);
	buf_free(&label);
}

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
	if (!s->raw && mime_part_is(p, "text", "html")) {
		struct buf plain = BUF_INIT;

		html_text(&plain, buf_str(&text), text.len);
		put_safe(s->out, buf_str(&plain), plain.len);
		buf_free(&plain);
	} else if (s->raw) {
		buf_add(s->out, buf_str(&text), text.len);
	} else {
		put_safe(s->out, buf_str(&text), text.len);
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

/* put_status - what the mailbox will say of the message */
static void put_status(struct buf *out, unsigned n)
{
	bool read = !folder_unread(n), old = !folder_new(n) && !mailbox_recent(G.view, n);

	old = old || G.messages[n].old;
	if ((read || old) && header_shown(slice_of("Status"))) {
		buf_addf(out, "Status: %s%s\n", read ? "R" : "", old ? "O" : "");
	}
}

static void put_headers(struct buf *out, unsigned n, const struct buf *message, bool all)
{
	struct slice rest = { buf_str(message), message->len };
	struct arena a = ARENA_INIT;
	const char *from = message_from_line(&a, n);
	struct mime_field field;
	struct buf text = BUF_INIT;

	put_safe(out, from, strlen(from));
	buf_addc(out, '\n');
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
	put_status(out, n);
	buf_addc(out, '\n');
	buf_free(&text);
	arena_free(&a);
}

/* add_message - as it is shown, in UTF-8 */
static void add_message(struct buf *out, unsigned n, unsigned how)
{
	struct buf message = BUF_INIT;

	if (message_text(n, &message)) {
		G.messages[n].marks = (G.messages[n].marks | MARK_READ) & ~(unsigned)MARK_UNREAD;
		if ((how & SHOW_NO_HEADERS) == 0) {
			put_headers(out, n, &message, (how & SHOW_ALL_HEADERS) != 0);
		}
		if (how & SHOW_RAW) {
			const char *body = strstr(buf_str(&message), "\n\n");

			put_safe(out, body != NULL ? body + 2 : "",
				body != NULL ? strlen(body + 2) : 0);
		} else {
			body_text(out, &message, false);
		}
	}
	buf_free(&message);
}

void show_message(FILE *to, unsigned n, unsigned how)
{
	struct buf out = BUF_INIT;

	add_message(&out, n, how);
	terminal_write(to, buf_str(&out), out.len);
	buf_free(&out);
}

bool show_text(struct buf *out, unsigned n)
{
	struct buf message = BUF_INIT;
	bool ok = message_text(n, &message);

	if (ok) {
		body_text(out, &message, true);
	}
	buf_free(&message);
	return ok;
}

void show_quoted(struct buf *out, unsigned n, const char *prefix)
{
	struct buf message = BUF_INIT, text = BUF_INIT;
	const char *line;

	if (message_text(n, &message)) {
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

/*
 * pager - what shows a text of that many lines: nothing where it fits the screen (the variable crt
 * says how long that is), nor where there is no more(1) or no shell
 */
static const char *pager(size_t lines)
{
	const char *crt = var_get("crt"), *program = var_get("PAGER");
	int64_t limit;

	if (crt == NULL || access("/bin/sh", X_OK) != 0) {
		return NULL;
	}
	if (!str_to_int(crt, 1, 100000, &limit)) {
		limit = terminal_rows() - 1; /* one for the prompt */
	}
	if ((int64_t)lines <= limit) {
		return NULL;
	}
	if (program == NULL || program[0] == '\0') {
		program = access("/usr/bin/more", X_OK) == 0 || access("/bin/more", X_OK) == 0
			? "more"
			: NULL;
	}
	return program;
}

/* put_paged - a text to the terminal; without a pager, or when it cannot be run, as it is */
static void put_paged(const struct buf *text)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, before;
	const char *text_at = buf_str(text), *program;
	size_t lines = 0;
	int status = -1;
	FILE *to;

	for (size_t i = 0; i < text->len; i++) {
		lines += text_at[i] == '\n' ? 1 : 0;
	}
	program = pager(lines);
	fflush(stdout);
	to = program != NULL ? popen(program, "w") : NULL;
	if (to != NULL) {
		sigaction(SIGPIPE, &ignore, &before); /* it may be left before the end */
		put_text(to, text_at, text->len, true);
		status = pclose(to);
		sigaction(SIGPIPE, &before, NULL);
	}
	if (to == NULL || (WIFEXITED(status) && WEXITSTATUS(status) == 127)) {
		terminal_write(stdout, text_at, text->len);
	}
}

void show_list(const unsigned *list, unsigned how)
{
	bool terminal = G.interactive && isatty(1);
	struct buf text = BUF_INIT;

	if (terminal) {
		interrupts_catch(true);
	}
	for (; *list != 0 && G.interrupts == G.told; list++) {
		G.current = *list;
		buf_reset(&text);
		buf_addf(&text, "Message %2u:\n", *list);
		add_message(&text, *list, how);
		buf_addc(&text, '\n');
		if (terminal) {
			put_paged(&text);
		} else {
			terminal_write(stdout, buf_str(&text), text.len);
		}
	}
	buf_free(&text);
	if (terminal) {
		fflush(stdout);
		clearerr(stdout);
		if (G.interrupts != G.told) {
			printf("\nInterrupt\n");
		}
		interrupts_catch(false);
	}
}
