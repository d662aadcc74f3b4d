/*
 * dsn_template - the words of notices out of bounce_template_file
 *
 *	NAME = <<WORD		headers (Charset, From, Subject, Postmaster-Subject), a blank line,
 *	...			the text, in which $name is expanded
 *	WORD
 *
 * bounce(5). The file is read when a notice is written: a new one needs no reload, and one that is
 * wrong costs its own words, never the notice.
 */
#include "message/dsn_template.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/macro.h"
#include "conf/params.h"

enum { FILE_MAX = 256 * 1024 };

static const struct header {
	const char *name;
	size_t field;
} headers[] = {
	{ "Charset", offsetof(struct dsn_template, charset) },
	{ "From", offsetof(struct dsn_template, from) },
	{ "Subject", offsetof(struct dsn_template, subject) },
	{ "Postmaster-Subject", offsetof(struct dsn_template, postmaster_subject) },
};

/* take_line - the next line without its end; false: there is none */
static bool take_line(const char **text, struct slice *line)
{
	const char *end = strchrnul(*text, '\n');

	if (**text == '\0') {
		return false;
	}
	*line = (struct slice){ *text, (size_t)(end - *text) };
	*text = *end == '\n' ? end + 1 : end;
	return true;
}

static bool is_ascii(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		if ((unsigned char)s.ptr[i] >= 0x80) {
			return false;
		}
	}
	return true;
}

/* take_header - "Name: value"; false: the line is none of ours */
static bool take_header(struct arena *a, struct slice line, struct dsn_template *t)
{
	const char *colon = memchr(line.ptr, ':', line.len);

	for (size_t i = 0; i < ARRAY_LEN(headers) && colon != NULL && is_ascii(line); i++) {
		struct slice name = { line.ptr, (size_t)(colon - line.ptr) };

		if (slice_ieq(name, headers[i].name)) {
			struct slice value = slice_trim((struct slice){
				colon + 1, line.len - (size_t)(colon + 1 - line.ptr) });

			*(const char **)(void *)((char *)t + headers[i].field) =
				arena_strndup(a, value.ptr, value.len);
			return value.len > 0;
		}
	}
	return false;
}

/* find_end - the line of nothing but word; NULL: there is none */
static const char *find_end(const char *text, struct slice word)
{
	const char *at = text;
	struct slice line;

	while (take_line(&text, &line)) {
		if (line.len == word.len && memcmp(line.ptr, word.ptr, word.len) == 0) {
			return at;
		}
		at = text;
	}
	return NULL;
}

/* a text's $name: of main.cf, or a time with its unit */
struct names {
	struct arena *a;
	const char *unknown;
};

/* time_value - delay_warning_time_hours and its like; NULL: it is none */
static const char *time_value(struct arena *a, const char *name)
{
	static const struct {
		char name[8];
		int64_t seconds;
	} units[] = { { "seconds", 1 }, { "minutes", 60 }, { "hours", 3600 }, { "days", 86400 },
		{ "weeks", 604800 } };
	const struct {
		const char *name;
		int64_t value;
	} times[] = { { "delay_warning_time_", param.delay_warning_time },
		{ "maximal_queue_lifetime_", param.maximal_queue_lifetime } };

	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		for (size_t k = 0; k < ARRAY_LEN(units) && str_starts(name, times[i].name); k++) {
			if (strcmp(name + strlen(times[i].name), units[k].name) == 0) {
				return arena_printf(
					a, "%lld", (long long)(times[i].value / units[k].seconds));
			}
		}
	}
	return NULL;
}

static const char *look_up(void *arg, const char *name)
{
	struct names *n = arg;
	const char *value = time_value(n->a, name);

	if (value == NULL) {
		value = conf_value(n->a, name);
	}
	if (value == NULL) {
		n->unknown = arena_strdup(n->a, name);
	}
	return value;
}

/* expand - the text of a template; NULL with *error_r */
static const char *expand(struct arena *a, const char *text, const char **error_r)
{
	struct names names = { .a = a };
	const struct expand e = { .lookup = look_up, .arg = &names };
	struct buf out = BUF_INIT;
	char *error = NULL;
	const char *done = NULL;

	if (expand_text(&e, &out, text, &error) != 0) {
		*error_r = arena_strdup(a, error);
		mem_free(error);
	} else if (names.unknown != NULL) {
		*error_r = arena_printf(a, "unknown parameter: $%s", names.unknown);
	} else {
		done = arena_strdup(a, buf_str(&out));
	}
	buf_free(&out);
	return done;
}

/* parse_body - what is between <<EOF and EOF */
static int parse_body(
	struct arena *a, struct slice body, struct dsn_template *t, const char **error_r)
{
	const char *text = arena_strndup(a, body.ptr, body.len);
	struct dsn_template own = *t;
	struct slice line;

	while (take_line(&text, &line) && slice_trim(line).len > 0) {
		if (!take_header(a, line, &own)) {
			*error_r = arena_printf(a, "bad template header: %.*s",
				(int)(line.len < 100 ? line.len : 100), line.ptr);
			return -1;
		}
	}
	if (str_ieq(own.charset, "us-ascii") && !is_ascii(slice_of(text))) {
		*error_r = "the text has other characters than those of us-ascii: Charset:";
		return -1;
	}
	if (*text != '\0') {
		own.text = expand(a, text, error_r);
	}
	if (own.text == NULL) {
		return -1;
	}
	*t = own;
	return 1;
}

/* parse_begin - NAME = <<WORD; false: it is no such line */
static bool parse_begin(struct slice line, struct slice *name, struct slice *word)
{
	const char *equal = memchr(line.ptr, '=', line.len);

	if (equal == NULL) {
		return false;
	}
	*name = slice_trim((struct slice){ line.ptr, (size_t)(equal - line.ptr) });
	*word = slice_trim((struct slice){ equal + 1, line.len - (size_t)(equal + 1 - line.ptr) });
	if (word->len < 3 || memcmp(word->ptr, "<<", 2) != 0) {
		return false;
	}
	*word = slice_trim((struct slice){ word->ptr + 2, word->len - 2 });
	return word->len > 0;
}

int dsn_template_parse(struct arena *a, const char *text, const char *name, struct dsn_template *t,
	const char **error_r)
{
	struct slice line, found, word;

	while (take_line(&text, &line)) {
		struct slice bare = slice_trim(line);
		const char *end;

		if (bare.len == 0 || line.ptr[0] == '#') {
			continue;
		}
		if (!parse_begin(bare, &found, &word) || (end = find_end(text, word)) == NULL) {
			*error_r = arena_printf(a, "no template, or one without an end: %.*s",
				(int)(bare.len < 100 ? bare.len : 100), bare.ptr);
			return -1;
		}
		if (slice_eq(found, name)) {
			return parse_body(
				a, (struct slice){ text, (size_t)(end - text) }, t, error_r);
		}
		text = end;
		(void)take_line(&text, &line);
	}
	return 0;
}

void dsn_template_load(struct arena *a, const char *name, struct dsn_template *t)
{
	const char *path = param.bounce_template_file, *error = NULL;
	size_t len;
	char *text;

	if (*path == '\0') {
		return;
	}
	text = file_read(path, FILE_MAX, &len);
	if (text == NULL) {
		log_warn("bounce_template_file = %s: %m: the built-in text is used", path);
		return;
	}
	if (dsn_template_parse(a, text, name, t, &error) < 0) {
		log_warn("bounce_template_file = %s: %s: %s: the built-in text is used", path, name,
			error);
	}
	mem_free(text);
}
